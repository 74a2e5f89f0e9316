//! `influxdb3 create` and `influxdb3 delete` for last-value and distinct-value caches.

use anyhow::{Context, Result};
use clap::Args;
use protocols::durations::parse_duration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::output::print_line;

/// Where last-value caches are administered.
const LAST_PATH: &str = "/api/v3/configure/last_cache";
/// Where distinct-value caches are administered.
const DISTINCT_PATH: &str = "/api/v3/configure/distinct_cache";

#[derive(Args, Debug)]
pub(super) struct CreateLastCacheArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    #[command(flatten)]
    cache: CacheArgs,

    /// Key columns, comma-separated: last values are kept for each combination of their values
    /// [default: all tags]
    #[arg(long, value_name = "KEY_COLUMNS", value_delimiter = ',')]
    key_columns: Option<Vec<String>>,

    /// Columns whose values are kept, comma-separated [default: all other columns, also those that
    /// the table gets later]
    #[arg(long, value_name = "VALUE_COLUMNS", value_delimiter = ',')]
    value_columns: Option<Vec<String>>,

    /// Rows kept for each key [default: 1]
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,

    /// How long a row is shown after it came in: a duration, or a number of seconds
    /// [default: 4 hours]
    #[arg(long, value_name = "TTL", value_parser = parse_seconds)]
    ttl: Option<u64>,
}

#[derive(Args, Debug)]
pub(super) struct CreateDistinctCacheArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    #[command(flatten)]
    cache: CacheArgs,

    /// Columns whose combinations of values are kept, comma-separated, from the outer to the inner
    /// one
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', required = true)]
    columns: Vec<String>,

    /// Combinations kept; the oldest go first [default: 100000]
    #[arg(long, value_name = "MAX_CARDINALITY")]
    max_cardinality: Option<u64>,

    /// How long a combination is shown after its newest row: a duration, or a number of seconds
    /// [default: 1d]
    #[arg(long, value_name = "MAX_AGE", value_parser = parse_seconds)]
    max_age: Option<u64>,
}

/// The table of a new cache, and the cache's name.
#[derive(Args, Debug)]
struct CacheArgs {
    /// Table that the cache is for
    #[arg(short, long, value_name = "TABLE")]
    table: String,

    /// Begin empty, now and at every start of the server, not with the rows that the table has
    #[arg(long)]
    start_empty: bool,

    /// Name of the cache, the same as the positional one
    #[arg(long = "cache-name", value_name = "CACHE_NAME", conflicts_with = "cache_name")]
    named: Option<String>,

    /// Name of the cache [default: made of the table and the columns]
    #[arg(value_name = "CACHE_NAME")]
    cache_name: Option<String>,
}

impl CacheArgs {
    fn name(&self) -> Option<&str> {
        self.cache_name.as_deref().or(self.named.as_deref())
    }
}

#[derive(Args, Debug)]
pub(super) struct DeleteCacheArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Table of the cache
    #[arg(short, long, value_name = "TABLE")]
    table: String,

    /// Name of the cache, the same as the positional one
    #[arg(
        short = 'n',
        long = "cache-name",
        value_name = "CACHE_NAME",
        conflicts_with = "cache_name"
    )]
    named: Option<String>,

    /// Name of the cache
    #[arg(value_name = "CACHE_NAME", required_unless_present = "named")]
    cache_name: Option<String>,
}

pub(super) async fn create_last(args: CreateLastCacheArgs) -> Result<()> {
    let mut body = json!({ "db": args.database.name, "table": args.cache.table });
    set(&mut body, "name", args.cache.name());
    set(&mut body, "key_columns", args.key_columns);
    set(&mut body, "value_columns", args.value_columns);
    set(&mut body, "count", args.count);
    set(&mut body, "ttl", args.ttl);
    set(&mut body, "start_empty", args.cache.start_empty.then_some(true));
    create(args.connection, LAST_PATH, &body).await
}

pub(super) async fn create_distinct(args: CreateDistinctCacheArgs) -> Result<()> {
    let mut body = json!({ "db": args.database.name, "table": args.cache.table });
    set(&mut body, "name", args.cache.name());
    set(&mut body, "columns", Some(args.columns));
    set(&mut body, "max_cardinality", args.max_cardinality);
    set(&mut body, "max_age", args.max_age);
    set(&mut body, "start_empty", args.cache.start_empty.then_some(true));
    create(args.connection, DISTINCT_PATH, &body).await
}

fn set(body: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body[name] = value.into();
    }
}

async fn create(connection: ConnectionArgs, path: &str, body: &Value) -> Result<()> {
    let client = Client::new(connection, None)?;
    let response = client.send_json(Method::POST, path, body).await?;
    if response.status() != StatusCode::CREATED {
        return print_line("a cache already exists for the provided parameters");
    }
    let created: Value =
        serde_json::from_slice(&response.bytes().await?).context("the answer is not JSON")?;
    print_line(&format!("new cache created: {created:#}"))
}

pub(super) async fn delete_last(args: DeleteCacheArgs) -> Result<()> {
    delete(args, LAST_PATH).await?;
    print_line("last cache deleted successfully")
}

pub(super) async fn delete_distinct(args: DeleteCacheArgs) -> Result<()> {
    delete(args, DISTINCT_PATH).await?;
    print_line("distinct cache deleted successfully")
}

async fn delete(args: DeleteCacheArgs, path: &str) -> Result<()> {
    let name = args.cache_name.or(args.named).unwrap_or_default();
    let parameters = [("db", args.database.name.as_str()), ("table", &args.table), ("name", &name)];
    let client = Client::new(args.connection, None)?;
    client.send(Method::DELETE, path, &parameters).await.map(drop)
}

/// Reads a duration; a number without a unit is seconds.
fn parse_seconds(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let duration = parse_duration(text)?;
    match duration.subsec_nanos() {
        0 => Ok(duration.as_secs()),
        _ => Err(format!("`{text}` is not a whole number of seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_with_and_without_a_unit() {
        assert_eq!(parse_seconds("300"), Ok(300));
        assert_eq!(parse_seconds("4 hours"), Ok(14_400));
        assert_eq!(parse_seconds("1d"), Ok(86_400));
        assert!(parse_seconds("1500ms").is_err());
        assert!(parse_seconds("soon").is_err());
    }
}
