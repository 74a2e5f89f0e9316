//! `influxdb3 create|delete plugin`, `test`, `install` and `show plugins`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::failure::Failure;
use super::output::{FormatArgs, print_line};
use super::paths::path;
use super::query::print_sql;
use super::triggers::{object, parse_pair};

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
        (Some(file), _) => body["code"] = read(&file)?.into(),
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

fn read(file: &PathBuf) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

pub(super) async fn delete(args: DeletePluginArgs) -> Result<()> {
    let parameters = [("db", args.database.name.as_str()), ("plugin_name", args.plugin.as_str())];
    let client = Client::new(args.connection, None)?;
    client.send(Method::DELETE, PATH, &parameters).await?;
    print_line(&format!("Plugin {} deleted successfully", args.plugin))
}

/// Options of `test`.
#[derive(Args, Debug)]
pub struct TestArgs {
    #[command(subcommand)]
    what: Tested,
}

#[derive(Debug, Subcommand)]
enum Tested {
    /// Run a plugin with line protocol, without writing anything
    #[command(name = "wal_plugin", visible_alias = "wal-plugin")]
    Wal(TestWalArgs),
    /// Run a plugin as a schedule would, without writing anything
    #[command(name = "schedule_plugin", visible_alias = "schedule-plugin")]
    Schedule(TestScheduleArgs),
}

/// What all tests need.
#[derive(Args, Debug)]
struct TestedArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// What the plugin is given: comma-separated `key=value`
    #[arg(long, value_name = "ARGUMENTS", value_delimiter = ',', value_parser = parse_pair)]
    input_arguments: Vec<(String, String)>,

    /// Name of the cache that the plugin sees; tests with one name share it
    #[arg(long, value_name = "NAME")]
    cache_name: Option<String>,

    /// Plugin file or directory, relative to the plugin directory of the server
    #[arg(value_name = "FILENAME")]
    filename: String,
}

#[derive(Args, Debug)]
struct TestWalArgs {
    /// Line protocol that is as if written
    #[arg(long, value_name = "LINES", conflicts_with = "file")]
    lp: Option<String>,

    /// File of this machine with the line protocol
    #[arg(long, value_name = "FILE", value_parser = path())]
    file: Option<PathBuf>,

    #[command(flatten)]
    tested: TestedArgs,
}

#[derive(Args, Debug)]
struct TestScheduleArgs {
    /// Cron expression with seconds [default: each second]
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,

    #[command(flatten)]
    tested: TestedArgs,
}

pub(super) async fn test(args: TestArgs) -> Result<()> {
    match args.what {
        Tested::Wal(TestWalArgs { lp, file, tested }) => {
            let lines = match (lp, file) {
                (Some(lines), _) => lines,
                (None, Some(file)) => read(&file)?,
                (None, None) => {
                    let text = "either --lp or --file must be provided";
                    return Err(Failure::usage(text).into());
                }
            };
            run_test("/api/v3/plugin_test/wal", tested, json!({ "input_lp": lines })).await
        }
        Tested::Schedule(TestScheduleArgs { schedule, tested }) => {
            let body = schedule.map_or_else(|| json!({}), |text| json!({ "schedule": text }));
            run_test("/api/v3/plugin_test/schedule", tested, body).await
        }
    }
}

async fn run_test(path: &str, tested: TestedArgs, mut body: Value) -> Result<()> {
    body["filename"] = tested.filename.into();
    body["database"] = tested.database.name.into();
    if let Some(name) = tested.cache_name {
        body["cache_name"] = name.into();
    }
    if !tested.input_arguments.is_empty() {
        body["input_arguments"] = object(tested.input_arguments);
    }
    let client = Client::new(tested.connection, None)?;
    let answer = client.send_json(Method::POST, path, &body).await?.bytes().await?;
    let answer: Value = serde_json::from_slice(&answer).context("the answer is not JSON")?;
    print_line(&format!("{answer:#}"))
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
