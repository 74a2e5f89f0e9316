//! `influxdb3 delete`: databases, tables and rows, after a question, caches, indexes of files,
//! downsamples, plugins and triggers.

use anyhow::Result;
use chrono::DateTime;
use clap::{Args, Subcommand};
use reqwest::Method;

use super::caches::{self, DeleteCacheArgs};
use super::client::Client;
use super::confirm::confirm;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::downsamples::{self, DownsampleArgs};
use super::file_indexes::{self, FileIndexArgs};
use super::output::print_line;
use super::plugins::{self, DeletePluginArgs};
use super::row_deletes::{self, DeleteRowsArgs};
use super::token::{self, DeleteTokenArgs};
use super::triggers::{self, DeleteTriggerArgs};

/// Options of `delete`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Delete a database with all its tables
    Database(DeleteDatabaseArgs),
    /// Delete a table
    Table(DeleteTableArgs),
    /// Delete rows of a table
    Rows(DeleteRowsArgs),
    /// Delete a cache of last values
    #[command(name = "last_cache", visible_alias = "last-cache")]
    LastCache(DeleteCacheArgs),
    /// Delete a cache of distinct values
    #[command(name = "distinct_cache", visible_alias = "distinct-cache")]
    DistinctCache(DeleteCacheArgs),
    /// Index merged files by all tags again, or as the database says
    #[command(name = "file_index", visible_alias = "file-index")]
    FileIndex(FileIndexArgs),
    /// Delete a downsample; the rows that it has written stay
    Downsample(DownsampleArgs),
    /// Delete a token
    Token(DeleteTokenArgs),
    /// Delete a plugin with a name
    Plugin(DeletePluginArgs),
    /// Delete a trigger
    Trigger(DeleteTriggerArgs),
}

#[derive(Args, Debug)]
struct DeleteDatabaseArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    manner: Manner,

    /// Name of the database
    #[arg(value_name = "DATABASE_NAME")]
    name: String,
}

#[derive(Args, Debug)]
struct DeleteTableArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    #[command(flatten)]
    manner: Manner,

    /// Name of the table
    #[arg(value_name = "TABLE_NAME")]
    table: String,
}

#[derive(Args, Debug)]
struct Manner {
    /// When the data itself is removed: `now`, `never`, `default` (the server decides) or an
    /// instant such as `2030-01-31T00:00:00Z`
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    hard_delete: Option<String>,

    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Manner {
    /// Asks whether to delete what is called `name`, unless told not to.
    fn confirm(&self, name: &str) -> Result<()> {
        if self.yes { Ok(()) } else { confirm(name) }
    }
}

pub(super) async fn run(args: DeleteArgs) -> Result<()> {
    match args.what {
        What::Database(args) => delete_database(args).await,
        What::Table(args) => delete_table(args).await,
        What::Rows(args) => row_deletes::delete(args).await,
        What::LastCache(args) => caches::delete_last(args).await,
        What::DistinctCache(args) => caches::delete_distinct(args).await,
        What::FileIndex(args) => file_indexes::delete(args).await,
        What::Downsample(args) => downsamples::delete(args).await,
        What::Token(args) => token::delete(args).await,
        What::Plugin(args) => plugins::delete(args).await,
        What::Trigger(args) => triggers::delete(args).await,
    }
}

async fn delete_database(args: DeleteDatabaseArgs) -> Result<()> {
    let name = format!("{:?}", args.name);
    args.manner.confirm(&name)?;
    let mut parameters = vec![("db", args.name.as_str())];
    parameters.extend(args.manner.hard_delete.as_deref().map(|when| ("hard_delete_at", when)));
    let client = Client::new(args.connection, None)?;
    client.send(Method::DELETE, "/api/v3/configure/database", &parameters).await?;
    print_line(&format!("Database {name} deleted successfully"))
}

async fn delete_table(args: DeleteTableArgs) -> Result<()> {
    let name = format!("{:?}.{:?}", args.database.name, args.table);
    args.manner.confirm(&name)?;
    let mut parameters = vec![("db", args.database.name.as_str()), ("table", args.table.as_str())];
    parameters.extend(args.manner.hard_delete.as_deref().map(|when| ("hard_delete_at", when)));
    let client = Client::new(args.connection, None)?;
    client.send(Method::DELETE, "/api/v3/configure/table", &parameters).await?;
    print_line(&format!("Table {name} deleted successfully"))
}

fn parse_when(text: &str) -> Result<String, String> {
    let is_instant = || DateTime::parse_from_rfc3339(text).is_ok();
    if matches!(text, "now" | "never" | "default") || is_instant() {
        return Ok(text.to_owned());
    }
    Err("values are now, never, default and an RFC 3339 instant".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_is_a_word_or_an_instant() {
        for text in ["now", "never", "default", "2030-01-31T00:00:00Z", "2030-01-31T00:00:00+02:00"]
        {
            assert_eq!(parse_when(text), Ok(text.to_owned()));
        }
        for text in ["", "soon", "2030-01-31", "Now"] {
            assert!(parse_when(text).is_err(), "{text}");
        }
    }
}
