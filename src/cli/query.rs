//! `influxdb3 query`: one statement, its result on stdout or in a file.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use reqwest::{Method, Response};
use serde_json::json;
use url::Url;

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg, parse_url};
use super::failure::Failure;
use super::input;
use super::output::{self, Format, FormatArgs};
use super::paths::path;

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

    #[command(flatten)]
    format: FormatArgs,

    /// Write the result to this file; `-` is stdout
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    output: Option<PathBuf>,

    /// Read the query from this file; `-` is stdin
    #[arg(short, long, value_name = "FILE", value_parser = path())]
    file: Option<PathBuf>,

    /// The query, as one argument in quotes; without it and `--file`, and where it is `-`, it is
    /// read from stdin
    #[arg(value_name = "QUERY")]
    query: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    Sql,
    #[value(name = "influxql")]
    InfluxQl,
}

impl Language {
    fn path(self) -> &'static str {
        match self {
            Self::Sql => SQL_PATH,
            Self::InfluxQl => "/api/v3/query_influxql",
        }
    }
}

/// Editors put it before a text to say how that is encoded.
const BYTE_ORDER_MARK: char = '\u{feff}';

const SQL_PATH: &str = "/api/v3/query_sql";

/// Begins the statements by which commands look at system tables. `show system` leaves them out of
/// the log of queries, where nobody looks for its own.
pub(super) const OWN_MARK: &str = "/* influxdb3 show */ ";

pub(super) async fn run(args: QueryArgs) -> Result<()> {
    let query = read(args.query, args.file)?;
    let client = Client::new(args.connection, args.query_host)?;
    let path = args.language.path();
    let ask = async |format: Format| {
        let body = json!({ "db": args.database.name, "q": query, "format": format.name() });
        client.send_json(Method::POST, path, &body).await
    };
    output::print(args.format, args.output.as_deref(), ask).await
}

/// The text of the query, wherever it is.
fn read(text: Option<String>, file: Option<PathBuf>) -> Result<String> {
    let no_input = || Failure::usage(NO_INPUT);
    let mut input = input::open(text, file.as_deref())?.ok_or_else(no_input)?;
    let mut query = String::new();
    input.reader.read_to_string(&mut query).context("cannot read the query")?;
    if query.trim_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK).is_empty() {
        let name = input.name.ok_or_else(no_input)?;
        anyhow::bail!("no query in {name}");
    }
    Ok(query)
}

/// Runs an SQL statement of a command and prints its rows.
pub(super) async fn print_sql(
    client: &Client,
    database: &str,
    sql: &str,
    format: FormatArgs,
) -> Result<()> {
    output::print(format, None, async |format| fetch_sql(client, database, sql, format).await).await
}

/// Runs an SQL statement of a command.
pub(super) async fn fetch_sql(
    client: &Client,
    database: &str,
    sql: &str,
    format: Format,
) -> Result<Response> {
    let sql = format!("{OWN_MARK}{sql}");
    let body = json!({ "db": database, "q": sql, "format": format.name() });
    client.send_json(Method::POST, SQL_PATH, &body).await
}
