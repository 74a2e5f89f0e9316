//! `influxdb3 show`: which databases there are, how long they keep their rows, and what the
//! server says of itself.

use anyhow::Result;
use clap::{Args, Subcommand};
use protocols::durations::{EXACT_UNITS, INFINITE};
use reqwest::Method;

use super::client::Client;
use super::connection::ConnectionArgs;
use super::downsamples::{self, ShowDownsamplesArgs};
use super::output::{self, Format, FormatArgs};
use super::plugins::{self, ShowPluginsArgs};
use super::query::print_sql;
use super::show_system::{self, SystemArgs};

/// Options of `show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the databases
    Databases(ShowDatabasesArgs),
    /// List the databases with their retention periods
    Retention(ShowRetentionArgs),
    /// List the tokens
    Tokens(ShowTokensArgs),
    /// List the downsamples of a database, and how they are doing
    Downsamples(ShowDownsamplesArgs),
    /// List the files of the plugins of triggers
    Plugins(ShowPluginsArgs),
    /// Print system tables
    #[command(visible_alias = "s")]
    System(Box<SystemArgs>),
}

#[derive(Args, Debug)]
struct ShowDatabasesArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// List deleted databases too
    #[arg(long)]
    show_deleted: bool,

    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Args, Debug)]
struct ShowTokensArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Args, Debug)]
struct ShowRetentionArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// Show this database only
    #[arg(short, long, value_name = "DATABASE_NAME")]
    database: Option<String>,

    /// List the tables that have a retention period of their own instead
    #[arg(long)]
    tables: bool,

    #[command(flatten)]
    format: FormatArgs,
}

pub(super) async fn run(args: ShowArgs) -> Result<()> {
    match args.what {
        What::Databases(args) => show_databases(args).await,
        What::Tokens(args) => {
            let client = Client::new(args.connection, None)?;
            let sql = "SELECT * FROM system.tokens ORDER BY token_id";
            print_sql(&client, "_internal", sql, args.format).await
        }
        What::Retention(args) => show_retention(args).await,
        What::Downsamples(args) => downsamples::show(args).await,
        What::Plugins(args) => plugins::show(args).await,
        What::System(args) => show_system::run(*args).await,
    }
}

async fn show_databases(args: ShowDatabasesArgs) -> Result<()> {
    let client = Client::new(args.connection, None)?;
    let ask = async |format: Format| {
        let mut parameters = vec![("format", format.name())];
        if args.show_deleted {
            parameters.push(("show_deleted", "true"));
        }
        client.send(Method::GET, "/api/v3/configure/database", &parameters).await
    };
    output::print(args.format, None, ask).await
}

async fn show_retention(args: ShowRetentionArgs) -> Result<()> {
    let client = Client::new(args.connection, None)?;
    let sql = retention_sql(args.database.as_deref(), args.tables);
    print_sql(&client, "_internal", &sql, args.format).await
}

/// The server renders the rows, so the largest exact unit is chosen in SQL, by the same rule as
/// `protocols::durations::format_exact`.
fn retention_sql(database: Option<&str>, of_tables: bool) -> String {
    let mut shown = format!("CASE WHEN retention_period_ns IS NULL THEN '{INFINITE}'");
    for (unit_ns, name) in EXACT_UNITS {
        let ns = "CAST(retention_period_ns AS BIGINT)";
        shown += &format!(
            " WHEN {ns} % {unit_ns} = 0 THEN CAST({ns} / {unit_ns} AS VARCHAR) || '{name}'"
        );
    }
    shown += " END";
    let filter = database.map_or_else(String::new, |name| {
        format!(" AND database_name = '{}'", name.replace('\'', "''"))
    });
    let (columns, table, condition) = match of_tables {
        true => ("database_name, table_name", "table_retention", "true"),
        false => ("database_name", "databases", "NOT deleted"),
    };
    format!(
        "SELECT {columns}, {shown} AS retention_period FROM system.{table} \
         WHERE {condition}{filter} ORDER BY {columns}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_in_sql() {
        let sql = retention_sql(Some("it's"), false);
        assert!(sql.contains("AND database_name = 'it''s' ORDER BY"), "{sql}");
        assert!(!retention_sql(None, false).contains("AND"));
    }
}
