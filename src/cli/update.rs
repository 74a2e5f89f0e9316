//! `influxdb3 update`: retention periods of databases and tables, a trigger's plugin.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use protocols::durations::parse_duration;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::create::retention_text;
use super::failure::Failure;
use super::output::print_line;
use super::triggers::{self, UpdateTriggerArgs};

/// Options of `update`.
#[derive(Args, Debug)]
pub struct UpdateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Change how long a database keeps its rows
    Database(UpdateDatabaseArgs),
    /// Change how long a table keeps its rows
    Table(UpdateTableArgs),
    /// Replace the plugin of a trigger
    Trigger(UpdateTriggerArgs),
}

#[derive(Args, Debug)]
struct UpdateDatabaseArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// How long rows are kept, for example `30d`, `12h` or `1y`; `none` is for ever
    #[arg(short, long, value_name = "DURATION", value_parser = parse_retention)]
    retention_period: Option<Retention>,
}

#[derive(Args, Debug)]
struct UpdateTableArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Name of the table
    #[arg(value_name = "TABLE_NAME")]
    table: String,

    /// How long rows are kept, for example `30d`, `12h` or `1y`; `none` is as long as the database
    /// keeps its rows
    #[arg(short, long, value_name = "DURATION", value_parser = parse_retention)]
    retention_period: Retention,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retention {
    Forever,
    For(Duration),
}

pub(super) async fn run(args: UpdateArgs) -> Result<()> {
    match args.what {
        What::Database(args) => update_database(args).await,
        What::Table(args) => update_table(args).await,
        What::Trigger(args) => triggers::update(args).await,
    }
}

async fn update_database(args: UpdateDatabaseArgs) -> Result<()> {
    let period = match args.retention_period {
        Some(Retention::Forever) => Value::Null,
        Some(Retention::For(period)) => retention_text(period)?.into(),
        None => {
            let text = "--retention-period is required for update database";
            return Err(Failure::usage(text).into());
        }
    };
    let body = json!({ "db": args.database.name, "retention_period": period });
    let client = Client::new(args.connection, None)?;
    client.send_json(Method::PUT, "/api/v3/configure/database", &body).await?;
    print_line(&format!("Database {:?} updated successfully", args.database.name))
}

async fn update_table(args: UpdateTableArgs) -> Result<()> {
    let UpdateTableArgs { connection, database, table, retention_period } = args;
    let mut parameters = vec![("db", database.name.as_str()), ("table", table.as_str())];
    let duration = match retention_period {
        Retention::Forever => None,
        Retention::For(period) => Some(retention_text(period)?),
    };
    let method = match &duration {
        Some(duration) => {
            parameters.push(("duration", duration.as_str()));
            Method::POST
        }
        None => Method::DELETE,
    };
    let client = Client::new(connection, None)?;
    let path = "/api/v3/enterprise/configure/table/retention_period";
    client.send(method, path, &parameters).await?;
    print_line(&format!("Table {:?}.{table:?} updated successfully", database.name))
}

fn parse_retention(text: &str) -> Result<Retention, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Retention::Forever);
    }
    parse_duration(text).map(Retention::For)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_a_duration_or_none() {
        assert_eq!(parse_retention("none"), Ok(Retention::Forever));
        assert_eq!(parse_retention("7d"), Ok(Retention::For(Duration::from_secs(604_800))));
        assert!(parse_retention("never").is_err());
    }
}
