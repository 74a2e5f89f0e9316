//! `influxdb3 create|delete plugin`, `install` and `show plugins`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::failure::Failure;
use super::input::read_file;
use super::output::{FormatArgs, print_line};
use super::paths::path;
use super::query::print_sql;

/// Where named plugins are administered.
const PATH: &str = "/api/v3/configure/processing_engine_plugin";
/// Where packages are installed.
const ENVIRONMENT_PATH: &str = "/api/v3/configure/plugin_environment";

/// What a plugin is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PluginType {
    /// Rows that were written
    #[value(name = "wal_rows")]
    WalRows,
    /// Instants of a schedule
    Scheduled,
    /// HTTP requests
    Request,
}

#[derive(Args, Debug)]
pub(super) struct CreatePluginArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// File of this machine whose text becomes the plugin
    #[arg(long, value_name = "FILE", value_parser = path(), conflicts_with = "filename")]
    code_filename: Option<PathBuf>,

    /// File in the plugin directory of the server
    #[arg(long, value_name = "FILE")]
    filename: Option<String>,

    /// What the plugin is for
    #[arg(long, value_enum, default_value = "wal_rows")]
    plugin_type: PluginType,

    /// Name of the plugin
    #[arg(value_name = "PLUGIN_NAME")]
    plugin: String,
}

#[derive(Args, Debug)]
pub(super) struct DeletePluginArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Name of the plugin
    #[arg(value_name = "PLUGIN_NAME")]
    plugin: String,
}

pub(super) async fn create(args: CreatePluginArgs) -> Result<()> {
    let mut body = json!({
        "db": args.database.name,
        "plugin_name": args.plugin,
        "plugin_type": args.plugin_type.to_possible_value().map(|value| value.get_name().to_owned()),
    });
    match (args.code_filename, args.filename) {
        (Some(file), _) => body["code"] = read_file(&file)?.into(),
        (None, Some(file)) => body["file_name"] = file.into(),
        (None, None) => {
            let text = "Either --code-filename or --filename must be provided";
            return Err(Failure::usage(text).into());
        }
    }
    let client = Client::new(args.connection, None)?;
    client.send_json(Method::POST, PATH, &body).await?;
    print_line(&format!("Plugin {} created successfully", args.plugin))
}

pub(super) async fn delete(args: DeletePluginArgs) -> Result<()> {
    let parameters = [("db", args.database.name.as_str()), ("plugin_name", args.plugin.as_str())];
    let client = Client::new(args.connection, None)?;
    client.send(Method::DELETE, PATH, &parameters).await?;
    print_line(&format!("Plugin {} deleted successfully", args.plugin))
}

/// Options of `install`.
#[derive(Args, Debug)]
pub struct InstallArgs {
    #[command(subcommand)]
    what: Installed,
}

#[derive(Debug, Subcommand)]
enum Installed {
    /// Install Python packages for plugins
    Package(InstallPackageArgs),
}

#[derive(Args, Debug)]
struct InstallPackageArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// File on the server that lists packages
    #[arg(short, long, value_name = "FILE", conflicts_with = "packages")]
    requirements: Option<String>,

    /// Packages by name, possibly with versions
    #[arg(value_name = "PACKAGE")]
    packages: Vec<String>,
}

pub(super) async fn install(args: InstallArgs) -> Result<()> {
    let Installed::Package(InstallPackageArgs { connection, requirements, packages }) = args.what;
    let (verb, body) = match requirements {
        Some(file) => ("install_requirements", json!({ "requirements_location": file })),
        None if packages.is_empty() => {
            return Err(Failure::usage("no package is named").into());
        }
        None => ("install_packages", json!({ "packages": packages })),
    };
    let client = Client::new(connection, None)?;
    client.send_json(Method::POST, &format!("{ENVIRONMENT_PATH}/{verb}"), &body).await.map(drop)
}

#[derive(Args, Debug)]
pub(super) struct ShowPluginsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    format: FormatArgs,
}

pub(super) async fn show(args: ShowPluginsArgs) -> Result<()> {
    let client = Client::new(args.connection, None)?;
    let sql = "SELECT * FROM system.plugin_files ORDER BY plugin_name, file_name";
    print_sql(&client, "_internal", sql, args.format).await
}
