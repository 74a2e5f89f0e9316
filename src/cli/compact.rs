//! `influxdb3 compact`: files of time that is over become fewer now.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::output::print_line;

/// How often the server is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

const PATH: &str = "/api/v3/configure/compact";

/// Options of `compact`.
#[derive(Args, Debug)]
pub struct CompactArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Compact this table only
    #[arg(short, long, value_name = "TABLE_NAME")]
    table: Option<String>,

    /// Wait until nothing is left to do, and tell of the progress
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(args: CompactArgs) -> Result<()> {
    let client = Client::new(args.connection, None)?;
    let body = json!({ "db": args.database.name, "table": args.table });
    let begun = client.send_json(Method::POST, PATH, &body).await?;
    let mut state: Value = serde_json::from_slice(&begun.bytes().await?)?;
    let run = state["run"].as_u64().context("the server does not say which compaction it is")?;
    if !args.wait {
        return print_line(&format!("Compaction {run} begun"));
    }
    let mut shown = 0;
    while state["status"] != "done" {
        if state["windows_done"].as_u64() > Some(shown) {
            shown = state["windows_done"].as_u64().unwrap_or(shown);
            let left = &state["windows_left"];
            eprintln!("{shown} windows compacted, {left} known to be left");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        let answer = client.send(Method::GET, PATH, &[("run", &run.to_string())]).await?;
        state = serde_json::from_slice(&answer.bytes().await?)?;
    }
    if let Some(error) = state["error"].as_str() {
        anyhow::bail!("not everything could be compacted: {error}");
    }
    let number = |name: &str| state[name].as_u64().unwrap_or(0);
    print_line(&format!(
        "Compaction {run} done: {} windows, {} files of {} bytes became {} of {} bytes",
        number("windows_done"),
        number("files_in"),
        number("bytes_in"),
        number("files_out"),
        number("bytes_out"),
    ))
}
