//! `influxdb3 query`: one SQL statement, its result on stdout or in a file.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use reqwest::{Method, Response};
use serde_json::json;
use url::Url;

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg, parse_url};
use super::input;
use super::output::{self, Format};

const NO_INPUT: &str =
    "No input from stdin detected, no string was passed in,  and no file path was given";

/// Options of `query`.
#[derive(Args, Debug)]
pub struct QueryArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// URL of the server that answers queries, instead of `--host`
    #[arg(
        long,
        value_name = "QUERY_HOST_URL",
        env = "INFLUXDB3_QUERY_HOST_URL",
        value_parser = parse_url,
        hide_short_help = true
    )]
    query_host: Option<Url>,

    /// Language of the query
    #[arg(short, long, value_enum, default_value = "sql")]
    language: Language,

    /// Form of the result
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,

    /// Write the result to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Read the query from this file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The query, as one argument in quotes; without it and `--file` it is read from stdin
    #[arg(value_name = "QUERY")]
    query: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    Sql,
}

impl Language {
    fn path(self) -> &'static str {
        match self {
            Self::Sql => SQL_PATH,
        }
    }
}

const SQL_PATH: &str = "/api/v3/query_sql";

pub(super) async fn run(args: QueryArgs) -> Result<()> {
    args.format.check_target(args.output.as_deref())?;
    let mut query = String::new();
    if let Some(mut input) = input::open(args.query, args.file.as_deref())? {
        input.reader.read_to_string(&mut query).context("cannot read the query")?;
    }
    if query.trim().is_empty() {
        bail!(NO_INPUT);
    }
    let client = Client::new(args.connection, args.query_host)?;
    let body = json!({ "db": args.database.name, "q": query, "format": args.format.name() });
    let response = client.send_json(Method::POST, args.language.path(), &body).await?;
    output::copy(response, args.format, args.output.as_deref()).await
}

/// Runs an SQL statement of a command and prints its rows.
pub(super) async fn print_sql(
    client: &Client,
    database: &str,
    sql: &str,
    format: Format,
) -> Result<()> {
    let response = fetch_sql(client, database, sql, format).await?;
    output::copy(response, format, None).await
}

/// Runs an SQL statement of a command.
pub(super) async fn fetch_sql(
    client: &Client,
    database: &str,
    sql: &str,
    format: Format,
) -> Result<Response> {
    let body = json!({ "db": database, "q": sql, "format": format.name() });
    client.send_json(Method::POST, SQL_PATH, &body).await
}
