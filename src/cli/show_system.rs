//! `influxdb3 show system`: the tables in which the server describes itself.

use anyhow::{Context, Result, bail};
use clap::error::ErrorKind;
use clap::{Arg, Args, CommandFactory, Subcommand};
use serde::Deserialize;

use super::Cli;
use super::client::Client;
use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::output::{Format, FormatArgs, print_line};
use super::query::{OWN_MARK, fetch_sql, print_sql};

const TABLE_LIST_SQL: &str = "SELECT table_name, \
     array_agg(column_name ORDER BY ordinal_position) AS column_names \
     FROM information_schema.columns WHERE table_schema = 'system' \
     GROUP BY table_name ORDER BY table_name";

const TABLE_NAMES_SQL: &str = "SELECT table_name FROM information_schema.tables \
     WHERE table_schema = 'system' ORDER BY table_name";

/// Options of `show system`.
#[derive(Args, Debug)]
pub(super) struct SystemArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// Name of the database to look at
    // Required, but a global argument cannot say so: it may stand after the inner verb.
    #[arg(
        short,
        long,
        value_name = "DATABASE_NAME",
        env = "INFLUXDB3_DATABASE_NAME",
        global = true
    )]
    database: Option<String>,

    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the system tables and their columns
    TableList(TableListArgs),
    /// Print one system table
    Table(TableArgs),
    /// Print the first rows of each system table
    Summary(SummaryArgs),
}

#[derive(Args, Debug)]
struct TableListArgs {
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Args, Debug)]
struct TableArgs {
    /// Print at most this many rows; 0 prints all
    #[arg(short, long, value_name = "N", default_value_t = 100)]
    limit: u64,

    /// Columns to sort by, comma-separated
    #[arg(short, long, value_name = "COLUMNS", value_delimiter = ',')]
    order_by: Vec<String>,

    /// Columns to print, comma-separated; without it all
    #[arg(short, long, value_name = "COLUMNS", value_delimiter = ',')]
    select: Vec<String>,

    #[command(flatten)]
    format: FormatArgs,

    /// Name of the system table
    #[arg(value_name = "SYSTEM_TABLE")]
    name: String,
}

#[derive(Args, Debug)]
struct SummaryArgs {
    /// Print at most this many rows of each table; 0 prints all
    #[arg(short, long, value_name = "N", default_value_t = 10)]
    limit: u64,

    #[command(flatten)]
    format: FormatArgs,
}

pub(super) async fn run(args: SystemArgs) -> Result<()> {
    let Some(database) = args.database else { missing_database(&args.what).exit() };
    let client = Client::new(args.connection, None)?;
    match args.what {
        What::TableList(args) => print_sql(&client, &database, TABLE_LIST_SQL, args.format).await,
        What::Table(args) => show_table(&client, &database, args).await,
        What::Summary(args) => show_summary(&client, &database, args).await,
    }
}

/// What would be said if a global argument could be required.
fn missing_database(what: &What) -> clap::Error {
    let name = match what {
        What::TableList(_) => "table-list",
        What::Table(_) => "table",
        What::Summary(_) => "summary",
    };
    let required = |database: Arg| database.global(false).required(true);
    let mut command = Cli::command().mut_subcommand("show", |show| {
        show.mut_subcommand("system", |system| system.mut_arg("database", required))
    });
    command.build();
    let text = "the following required arguments were not provided:\n  --database <DATABASE_NAME>";
    let path = ["show", "system", name];
    let found =
        path.iter().try_fold(&mut command, |command, name| command.find_subcommand_mut(name));
    match found {
        Some(command) => command.error(ErrorKind::MissingRequiredArgument, text),
        None => Cli::command().error(ErrorKind::MissingRequiredArgument, text),
    }
}

async fn show_table(client: &Client, database: &str, args: TableArgs) -> Result<()> {
    let known = table_names(client, database).await?;
    if !known.contains(&args.name) {
        bail!(
            "system table '{}' not found: please use a valid system table name: {known:?}",
            args.name
        );
    }
    let sql = table_sql(&args.name, &args.select, &args.order_by, args.limit);
    print_sql(client, database, &sql, args.format).await
}

async fn show_summary(client: &Client, database: &str, args: SummaryArgs) -> Result<()> {
    if args.format.format == Format::Parquet {
        let text = "a summary is several tables, which one parquet file cannot hold";
        return Err(Failure::usage(text).into());
    }
    for name in table_names(client, database).await? {
        print_line(&format!("{name} summary:"))?;
        let sql = table_sql(&name, &[], &[], args.limit);
        print_sql(client, database, &sql, args.format).await?;
    }
    Ok(())
}

async fn table_names(client: &Client, database: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Row {
        table_name: String,
    }
    let response = fetch_sql(client, database, TABLE_NAMES_SQL, Format::Json).await?;
    let rows: Vec<Row> = serde_json::from_slice(&response.bytes().await?)
        .context("the list of system tables is not readable")?;
    Ok(rows.into_iter().map(|row| row.table_name).collect())
}

/// Columns are quoted, because some are called like keywords (`table`).
fn table_sql(name: &str, select: &[String], order_by: &[String], limit: u64) -> String {
    let columns = if select.is_empty() { "*".to_owned() } else { quoted_list(select) };
    let mut sql = format!("SELECT {columns} FROM system.{}", quoted(name));
    if name == "queries" {
        sql += &format!(" WHERE query_text NOT LIKE '{OWN_MARK}%'");
    }
    let order = match (order_by, default_order(name)) {
        ([], Some(column)) => Some(quoted(column)),
        ([], None) => None,
        (columns, _) => Some(quoted_list(columns)),
    };
    if let Some(order) = order {
        sql += &format!(" ORDER BY {order}");
    }
    if limit > 0 {
        sql += &format!(" LIMIT {limit}");
    }
    sql
}

/// What matters most about the rows of some tables.
fn default_order(name: &str) -> Option<&'static str> {
    match name {
        "last_caches" => Some("count"),
        "distinct_caches" => Some("max_cardinality"),
        "parquet_files" => Some("size_bytes"),
        "queries" => Some("end2end_duration"),
        _ => None,
    }
}

fn quoted_list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name.trim())).collect::<Vec<_>>().join(", ")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, select: &[&str], order_by: &[&str], limit: u64, expected: &str) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (select, order_by): (Vec<_>, Vec<_>) = (owned(select), owned(order_by));
        assert_eq!(table_sql(name, &select, &order_by, limit), expected);
    }

    #[test]
    fn options_become_sql() {
        check("tables", &[], &[], 0, r#"SELECT * FROM system."tables""#);
        check(
            "queries",
            &[],
            &[],
            100,
            "SELECT * FROM system.\"queries\" WHERE query_text NOT LIKE '/* influxdb3 show */ %' \
             ORDER BY \"end2end_duration\" LIMIT 100",
        );
        check(
            "last_caches",
            &["table", " name"],
            &["ttl", "a\"b"],
            5,
            r#"SELECT "table", "name" FROM system."last_caches" ORDER BY "ttl", "a""b" LIMIT 5"#,
        );
    }
}
