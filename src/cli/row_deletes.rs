//! `influxdb3 delete rows` and `influxdb3 cancel row-delete`.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::confirm::confirm;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::output::print_line;
use crate::edge::row_deletes::parse_instant;

const PATH: &str = "/api/v3/row_delete_requests";

/// Options of `delete rows`.
#[derive(Args, Debug)]
pub(super) struct DeleteRowsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Name of the table
    #[arg(short, long, value_name = "TABLE_NAME")]
    table: String,

    /// Delete rows from this instant on: nanoseconds since 1970, or `2026-01-31T00:00:00Z`
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_instant,
        allow_hyphen_values = true,
        requires = "max_time",
        required_unless_present = "all_time"
    )]
    min_time: Option<i64>,

    /// Delete rows before this instant
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_instant,
        allow_hyphen_values = true,
        requires = "min_time"
    )]
    max_time: Option<i64>,

    /// Delete rows of all times
    #[arg(long, conflicts_with_all = ["min_time", "max_time"])]
    all_time: bool,

    /// Delete only rows with these tags: `room = "Kitchen" AND floor = "2"`
    #[arg(long, value_name = "CONDITIONS")]
    predicate: Option<String>,

    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

/// Options of `cancel`.
#[derive(Args, Debug)]
pub struct CancelArgs {
    #[command(subcommand)]
    what: Cancel,
}

#[derive(Debug, Subcommand)]
enum Cancel {
    /// Take a delete of rows back: what is left of the rows is there again
    RowDelete(CancelRowDeleteArgs),
}

#[derive(Args, Debug)]
struct CancelRowDeleteArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// Its number, as `delete rows` tells it and `system.row_deletes` lists it
    #[arg(value_name = "SEQUENCE")]
    sequence: u64,

    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) async fn delete(args: DeleteRowsArgs) -> Result<()> {
    let name = format!("{:?}.{:?}", args.database.name, args.table);
    if !args.yes {
        let which = args.predicate.as_deref().filter(|text| !text.trim().is_empty());
        let which = which.map_or_else(String::new, |text| format!(" with {text}"));
        let when = match (args.min_time, args.max_time) {
            (Some(min), Some(max)) => format!(" from {min} to {max} ns"),
            _ => " of all times".to_owned(),
        };
        confirm(&format!("the rows of {name}{when}{which}"))?;
    }
    let body = json!({
        "db": args.database.name,
        "table": args.table,
        "min_time": args.min_time,
        "max_time": args.max_time,
        "all_time": args.all_time,
        "predicate": args.predicate,
    });
    let client = Client::new(args.connection, None)?;
    let answer = client.send_json(Method::POST, PATH, &body).await?;
    let shown: Value = serde_json::from_slice(&answer.bytes().await?)?;
    let sequence =
        shown["sequence"].as_u64().context("the server does not say which delete it is")?;
    print_line(&format!("Rows of {name} deleted successfully (row delete {sequence})"))
}

pub(super) async fn cancel(args: CancelArgs) -> Result<()> {
    let Cancel::RowDelete(args) = args.what;
    let client = Client::new(args.connection, None)?;
    let path = format!("{PATH}/{}/abort", args.sequence);
    client.send_json(Method::POST, &path, &json!({ "reason": args.reason })).await?;
    print_line(&format!("Row delete {} cancelled successfully", args.sequence))
}
