//! `influxdb3 create`: databases and tables before the first write to them, caches, indexes of
//! files, downsamples, plugins and triggers.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use protocols::durations::{format_exact, parse_duration};
use reqwest::Method;
use serde_json::json;

use super::caches::{self, CreateDistinctCacheArgs, CreateLastCacheArgs};
use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::downsamples::{self, CreateDownsampleArgs};
use super::file_indexes::{self, CreateFileIndexArgs};
use super::output::print_line;
use super::plugins::{self, CreatePluginArgs};
use super::token::{self, CreateTokenArgs};
use super::triggers::{self, CreateTriggerArgs};

/// Options of `create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Create a database
    Database(CreateDatabaseArgs),
    /// Create a table
    Table(CreateTableArgs),
    /// Create a cache of the last values of a table
    #[command(name = "last_cache", visible_alias = "last-cache")]
    LastCache(CreateLastCacheArgs),
    /// Create a cache of the distinct values that columns of a table have
    #[command(name = "distinct_cache", visible_alias = "distinct-cache")]
    DistinctCache(CreateDistinctCacheArgs),
    /// Choose the columns that merged files are indexed by
    #[command(name = "file_index", visible_alias = "file-index")]
    FileIndex(CreateFileIndexArgs),
    /// Keep a coarse table up to date with a fine one
    Downsample(Box<CreateDownsampleArgs>),
    /// Create a token, or replace the operator's
    Token(CreateTokenArgs),
    /// Give a plugin a name
    Plugin(CreatePluginArgs),
    /// Bind a plugin to writes, a schedule, requests or snapshots
    Trigger(Box<CreateTriggerArgs>),
}

#[derive(Args, Debug)]
struct CreateDatabaseArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// How long rows are kept, for example `30d`, `12h` or `1y`; without it for ever
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    retention_period: Option<Duration>,

    /// Name of the database
    #[arg(value_name = "DATABASE_NAME", env = "INFLUXDB3_DATABASE_NAME")]
    name: String,
}

#[derive(Args, Debug)]
struct CreateTableArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Tag columns, comma-separated; their order is the order of the primary key
    #[arg(long, value_name = "TAGS", value_delimiter = ',', num_args = 1..)]
    tags: Vec<String>,

    /// Field columns as comma-separated `name:type`, where a type is int64, uint64, float64, utf8
    /// or bool
    #[arg(
        short,
        long,
        value_name = "FIELDS",
        value_delimiter = ',',
        value_parser = parse_field
    )]
    fields: Vec<Field>,

    /// Name of the table
    #[arg(value_name = "TABLE_NAME")]
    table: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    data_type: String,
}

pub(super) async fn run(args: CreateArgs) -> Result<()> {
    match args.what {
        What::Database(args) => create_database(args).await,
        What::Table(args) => create_table(args).await,
        What::LastCache(args) => caches::create_last(args).await,
        What::DistinctCache(args) => caches::create_distinct(args).await,
        What::FileIndex(args) => file_indexes::create(args).await,
        What::Downsample(args) => downsamples::create(*args).await,
        What::Token(args) => token::create(args).await,
        What::Plugin(args) => plugins::create(args).await,
        What::Trigger(args) => triggers::create(*args).await,
    }
}

async fn create_database(args: CreateDatabaseArgs) -> Result<()> {
    let mut body = json!({ "db": args.name });
    if let Some(period) = args.retention_period {
        body["retention_period"] = retention_text(period)?.into();
    }
    let client = Client::new(args.connection, None)?;
    client.send_json(Method::POST, "/api/v3/configure/database", &body).await?;
    print_line(&format!("Database {:?} created successfully", args.name))
}

async fn create_table(args: CreateTableArgs) -> Result<()> {
    let fields: Vec<_> = args
        .fields
        .iter()
        .map(|field| json!({ "name": field.name, "type": field.data_type }))
        .collect();
    let body = json!({
        "db": args.database.name,
        "table": args.table,
        "tags": args.tags,
        "fields": fields,
    });
    let client = Client::new(args.connection, None)?;
    client.send_json(Method::POST, "/api/v3/configure/table", &body).await?;
    print_line(&format!("Table {:?}.{:?} created successfully", args.database.name, args.table))
}

/// A retention period as the server reads it.
pub(super) fn retention_text(period: Duration) -> Result<String> {
    let period_ns = u64::try_from(period.as_nanos()).context("the retention period is too long")?;
    Ok(format_exact(Some(period_ns)))
}

/// Reads `name:type`; a name may contain colons.
fn parse_field(text: &str) -> Result<Field, String> {
    let Some((name, data_type)) = text.rsplit_once(':') else {
        return Err(format!("invalid FIELD:VALUE. No `:` found in `{text}`"));
    };
    if !matches!(data_type, "int64" | "uint64" | "float64" | "utf8" | "bool") {
        return Err(format!(
            "{data_type} is not a valid data type, values are int64, uint64, float64, utf8, \
             and bool"
        ));
    }
    Ok(Field { name: name.to_owned(), data_type: data_type.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_name_and_type() {
        let field = |name: &str, data_type: &str| {
            Ok(Field { name: name.to_owned(), data_type: data_type.to_owned() })
        };
        assert_eq!(parse_field("x:int64"), field("x", "int64"));
        assert_eq!(parse_field("a:b:utf8"), field("a:b", "utf8"));
        assert!(parse_field("x:string").is_err());
        assert!(parse_field("x").is_err());
    }

    #[test]
    fn retention_is_sent_exactly() {
        let text = |text: &str| retention_text(parse_duration(text).expect("a duration"));
        assert_eq!(text("1w").expect("fits"), "7d");
        assert_eq!(text("1d 6h").expect("fits"), "30h");
        assert!(text("1000y").is_err());
    }
}
