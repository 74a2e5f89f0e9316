//! `influxdb3 undelete`: databases and tables come back while their rows are there.

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::output::print_line;

/// Options of `undelete`.
#[derive(Args, Debug)]
pub struct UndeleteArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Bring a deleted database back with all its tables
    Database(UndeleteDatabaseArgs),
    /// Bring a deleted table back
    Table(UndeleteTableArgs),
}

#[derive(Args, Debug)]
struct UndeleteDatabaseArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// Name of the database since its deletion, as `show databases --show-deleted` lists it; or
    /// the name before, for the one that was deleted last
    #[arg(value_name = "DATABASE_NAME")]
    name: String,
}

#[derive(Args, Debug)]
struct UndeleteTableArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Name of the table since its deletion, as `SHOW TABLES` lists it; or the name before, for
    /// the one that was deleted last
    #[arg(value_name = "TABLE_NAME")]
    table: String,
}

pub(super) async fn run(args: UndeleteArgs) -> Result<()> {
    match args.what {
        What::Database(args) => undelete_database(args).await,
        What::Table(args) => undelete_table(args).await,
    }
}

async fn undelete_database(args: UndeleteDatabaseArgs) -> Result<()> {
    let client = Client::new(args.connection, None)?;
    let parameters = [("db", args.name.as_str())];
    client.send(Method::POST, "/api/v3/configure/database/undelete", &parameters).await?;
    print_line(&format!("Database {:?} undeleted successfully", args.name))
}

async fn undelete_table(args: UndeleteTableArgs) -> Result<()> {
    let (db, table) = (args.database.name.as_str(), args.table.as_str());
    let client = Client::new(args.connection, None)?;
    let parameters = [("db", db), ("table", table)];
    client.send(Method::POST, "/api/v3/configure/table/undelete", &parameters).await?;
    print_line(&format!("Table {db:?}.{table:?} undeleted successfully"))
}
