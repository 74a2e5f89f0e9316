//! `influxdb3 create|delete file_index`.

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::output::print_line;

/// Where indexes of files are administered.
const PATH: &str = "/api/v3/enterprise/configure/file_index";

/// Whose files are indexed.
#[derive(Args, Debug)]
pub(super) struct FileIndexArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Name of the table; without it the setting is for all tables that have none of their own
    #[arg(short, long, value_name = "TABLE")]
    table: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct CreateFileIndexArgs {
    #[command(flatten)]
    of: FileIndexArgs,

    /// Tags and string fields, comma-separated
    #[arg(value_name = "COLUMNS", value_delimiter = ',', required = true)]
    columns: Vec<String>,
}

pub(super) async fn create(args: CreateFileIndexArgs) -> Result<()> {
    ask(args.of, Method::POST, Some(args.columns.into()), "created").await
}

pub(super) async fn delete(args: FileIndexArgs) -> Result<()> {
    ask(args, Method::DELETE, None, "deleted").await
}

async fn ask(
    args: FileIndexArgs,
    method: Method,
    columns: Option<Value>,
    done: &str,
) -> Result<()> {
    let FileIndexArgs { connection, database, table } = args;
    let mut body = json!({ "db": database.name });
    let mut of = format!("database {:?}", database.name);
    if let Some(table) = table {
        of = format!("table {:?}.{table:?}", database.name);
        body["table"] = table.into();
    }
    if let Some(columns) = columns {
        body["columns"] = columns;
    }
    Client::new(connection, None)?.send_json(method, PATH, &body).await?;
    print_line(&format!("File index of {of} {done} successfully"))
}
