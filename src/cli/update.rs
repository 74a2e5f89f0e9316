//! `influxdb3 update`: a database's retention period, a trigger's plugin.

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retention {
    Forever,
    For(Duration),
}

pub(super) async fn run(args: UpdateArgs) -> Result<()> {
    match args.what {
        What::Database(args) => update_database(args).await,
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
