//! `influxdb3 create|delete|enable|disable downsample` and `influxdb3 show downsamples`.

use anyhow::Result;
use clap::Args;
use protocols::downsamples::Aggregate;
use protocols::durations::parse_duration;
use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::output::{FormatArgs, print_line};
use super::query::print_sql;
use crate::edge::row_deletes::parse_instant;

/// Where downsamples are administered.
const PATH: &str = "/api/v3/configure/downsample";

#[derive(Args, Debug)]
pub(super) struct CreateDownsampleArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Table that is read
    #[arg(short, long, value_name = "TABLE")]
    table: String,

    /// Table that is written to; it is made if there is none
    #[arg(long, value_name = "TABLE")]
    to: String,

    /// Database that is written to, if it is another one
    #[arg(long, value_name = "DATABASE_NAME")]
    to_database: Option<String>,

    /// How long an interval is, for example `10m` or `1d`; intervals begin at multiples of it
    /// since 1970
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    interval: String,

    /// What is computed of each field, comma-separated: avg, min, max, sum, count, median, stddev,
    /// first, last
    #[arg(
        long = "agg",
        value_name = "AGGREGATES",
        value_delimiter = ',',
        required = true,
        value_parser = Aggregate::named
    )]
    aggregates: Vec<Aggregate>,

    /// How long after its end an interval is computed; rows that come later make it be computed
    /// anew
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    offset: String,

    /// Take all rows that the table has already
    #[arg(long)]
    backfill: bool,

    /// Take the rows that the table has already from this instant on: nanoseconds since 1970, or
    /// `2026-01-31T00:00:00Z`
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_instant,
        allow_hyphen_values = true,
        conflicts_with = "backfill"
    )]
    from: Option<i64>,

    /// Do not compute anything yet
    #[arg(long)]
    disabled: bool,

    /// Name of the downsample [default: made of the tables]
    #[arg(value_name = "DOWNSAMPLE_NAME")]
    downsample: Option<String>,
}

/// A downsample by its name.
#[derive(Args, Debug)]
pub(super) struct DownsampleArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Name of the downsample
    #[arg(value_name = "DOWNSAMPLE_NAME")]
    downsample: String,
}

#[derive(Args, Debug)]
pub(super) struct ShowDownsamplesArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    #[command(flatten)]
    format: FormatArgs,
}

/// Checks a duration before the server is asked.
fn duration(text: &str) -> Result<String, String> {
    parse_duration(text)?;
    Ok(text.to_owned())
}

pub(super) async fn create(args: CreateDownsampleArgs) -> Result<()> {
    let name = args.downsample.unwrap_or_else(|| format!("{}_to_{}", args.table, args.to));
    let mut body = json!({
        "db": args.database.name,
        "name": name,
        "table": args.table,
        "to": args.to,
        "interval": args.interval,
        "offset": args.offset,
        "aggregates": args.aggregates,
        "backfill": args.backfill,
        "disabled": args.disabled,
    });
    if let Some(database) = args.to_database {
        body["to_db"] = database.into();
    }
    if let Some(from) = args.from {
        body["from"] = from.into();
    }
    Client::new(args.connection, None)?.send_json(Method::POST, PATH, &body).await?;
    print_line(&format!("Downsample {name} created successfully"))
}

pub(super) async fn delete(args: DownsampleArgs) -> Result<()> {
    ask(args, Method::DELETE, PATH, "deleted").await
}

pub(super) async fn enable(args: DownsampleArgs) -> Result<()> {
    ask(args, Method::POST, &format!("{PATH}/enable"), "enabled").await
}

pub(super) async fn disable(args: DownsampleArgs) -> Result<()> {
    ask(args, Method::POST, &format!("{PATH}/disable"), "disabled").await
}

async fn ask(args: DownsampleArgs, method: Method, path: &str, done: &str) -> Result<()> {
    let DownsampleArgs { connection, database, downsample: name } = args;
    let parameters = [("db", database.name.as_str()), ("name", name.as_str())];
    Client::new(connection, None)?.send(method, path, &parameters).await?;
    print_line(&format!("Downsample {name} {done} successfully"))
}

pub(super) async fn show(args: ShowDownsamplesArgs) -> Result<()> {
    let client = Client::new(args.connection, None)?;
    let sql = "SELECT * FROM system.downsamples ORDER BY name";
    print_sql(&client, &args.database.name, sql, args.format).await
}
