//! Runs of plugins that write nothing: `influxdb3 test …_plugin` and `influxdb3 plugin run-local`;
//! and `influxdb3 plugin init`, which begins one.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::connection::{ConnectionArgs, DatabaseArg};
use super::failure::Failure;
use super::input::read_file;
use super::output::print_line;
use super::paths::path;
use super::plugin_kinds::Kind;
use super::triggers::{object, parse_pair};

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
    /// Run a plugin with a request, without writing anything
    #[command(name = "request_plugin", visible_alias = "request-plugin")]
    Request(TestRequestArgs),
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
}

/// Rows that are as if written.
#[derive(Args, Debug)]
struct LinesArgs {
    /// Line protocol that is as if written
    #[arg(long, value_name = "LINES", conflicts_with = "file")]
    lp: Option<String>,

    /// File of this machine with the line protocol
    #[arg(long, value_name = "FILE", value_parser = path())]
    file: Option<PathBuf>,
}

/// A request that is as if sent.
#[derive(Args, Debug)]
struct RequestArgs {
    /// Parameter of the request's address, `key=value`; may be given more than once
    #[arg(long, value_name = "PARAMETER", value_parser = parse_pair)]
    query: Vec<(String, String)>,

    /// Header of the request, `name=value`; may be given more than once
    #[arg(long, value_name = "HEADER", value_parser = parse_pair)]
    header: Vec<(String, String)>,

    /// Body of the request
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
}

#[derive(Args, Debug)]
struct TestWalArgs {
    #[command(flatten)]
    lines: LinesArgs,

    #[command(flatten)]
    tested: TestedArgs,

    /// Plugin file or directory, relative to the plugin directory of the server
    #[arg(value_name = "FILENAME")]
    filename: String,
}

#[derive(Args, Debug)]
struct TestScheduleArgs {
    /// Cron expression with seconds [default: each second]
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,

    #[command(flatten)]
    tested: TestedArgs,

    /// Plugin file or directory, relative to the plugin directory of the server
    #[arg(value_name = "FILENAME")]
    filename: String,
}

#[derive(Args, Debug)]
struct TestRequestArgs {
    #[command(flatten)]
    request: RequestArgs,

    #[command(flatten)]
    tested: TestedArgs,

    /// Plugin file or directory, relative to the plugin directory of the server
    #[arg(value_name = "FILENAME")]
    filename: String,
}

/// Options of `plugin`.
#[derive(Args, Debug)]
pub struct PluginArgs {
    #[command(subcommand)]
    what: Developed,
}

#[derive(Debug, Subcommand)]
enum Developed {
    /// Write a plugin to begin with, and a test of it
    Init(InitArgs),
    /// Run a plugin file of this machine on a server, without uploading or writing anything
    RunLocal(Box<RunLocalArgs>),
}

#[derive(Args, Debug)]
struct InitArgs {
    /// When the plugin runs
    #[arg(long, value_enum, default_value = "write")]
    kind: Kind,

    /// Folder for the files
    #[arg(long, value_name = "FOLDER", default_value = ".", value_parser = path())]
    directory: PathBuf,

    /// Name of the plugin: letters, digits and underscores
    #[arg(value_name = "NAME", value_parser = parse_name)]
    name: String,
}

#[derive(Args, Debug)]
struct RunLocalArgs {
    #[command(flatten)]
    lines: LinesArgs,

    /// Run it as a schedule of this cron expression with seconds would
    #[arg(long, value_name = "CRON", conflicts_with_all = ["lp", "file", "request"])]
    schedule: Option<String>,

    /// Run it with a request
    #[arg(long, conflicts_with_all = ["lp", "file"])]
    request: bool,

    #[command(flatten)]
    of_request: RequestArgs,

    #[command(flatten)]
    tested: TestedArgs,

    /// Plugin file of this machine
    #[arg(value_name = "FILE", value_parser = path())]
    plugin: PathBuf,
}

/// Which test, and what it is sent beside the plugin.
type Event = (&'static str, Value);

impl LinesArgs {
    fn event(self) -> Result<Option<Event>> {
        let lines = match (self.lp, self.file) {
            (Some(lines), _) => lines,
            (None, Some(file)) => read_file(&file)?,
            (None, None) => return Ok(None),
        };
        Ok(Some(("wal", json!({ "input_lp": lines }))))
    }
}

impl RequestArgs {
    fn event(self) -> Event {
        let (query, headers) = (object(self.query), object(self.header));
        let body = self.body.unwrap_or_default();
        ("request", json!({ "query_params": query, "headers": headers, "body": body }))
    }
}

fn of_schedule(schedule: Option<String>) -> Event {
    ("schedule", schedule.map_or_else(|| json!({}), |text| json!({ "schedule": text })))
}

pub(super) async fn test(args: TestArgs) -> Result<()> {
    let (event, tested, filename) = match args.what {
        Tested::Wal(TestWalArgs { lines, tested, filename }) => {
            let missing = || Failure::usage("either --lp or --file must be provided");
            (lines.event()?.ok_or_else(missing)?, tested, filename)
        }
        Tested::Schedule(TestScheduleArgs { schedule, tested, filename }) => {
            (of_schedule(schedule), tested, filename)
        }
        Tested::Request(TestRequestArgs { request, tested, filename }) => {
            (request.event(), tested, filename)
        }
    };
    run(event, tested, json!({ "filename": filename })).await.map(drop)
}

/// Runs the test, prints what it has shown and returns that.
async fn run((kind, event): Event, tested: TestedArgs, plugin: Value) -> Result<Value> {
    let mut body = event;
    for (name, value) in plugin.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body["database"] = tested.database.name.into();
    if let Some(name) = tested.cache_name {
        body["cache_name"] = name.into();
    }
    if !tested.input_arguments.is_empty() {
        body["input_arguments"] = object(tested.input_arguments);
    }
    let client = Client::new(tested.connection, None)?;
    let path = format!("/api/v3/plugin_test/{kind}");
    let answer = client.send_json(Method::POST, &path, &body).await?.bytes().await?;
    let answer: Value = serde_json::from_slice(&answer).context("the answer is not JSON")?;
    print_line(&format!("{answer:#}"))?;
    Ok(answer)
}

pub(super) async fn develop(args: PluginArgs) -> Result<()> {
    match args.what {
        Developed::Init(args) => init(&args),
        Developed::RunLocal(args) => run_local(*args).await,
    }
}

/// Runs a plugin of this machine; fails if the run has errors, so that scripts can tell.
async fn run_local(args: RunLocalArgs) -> Result<()> {
    let event = match (args.lines.event()?, args.schedule, args.request) {
        (Some(event), ..) => event,
        (None, Some(schedule), _) => of_schedule(Some(schedule)),
        (None, None, true) => args.of_request.event(),
        (None, None, false) => {
            let text = "one of --lp, --file, --schedule and --request must be provided";
            return Err(Failure::usage(text).into());
        }
    };
    let name = args.plugin.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plugin = json!({ "filename": name, "code": read_file(&args.plugin)? });
    let answer = run(event, args.tested, plugin).await?;
    let errors = answer["errors"].as_array().map_or(0, Vec::len);
    ensure!(errors == 0, "the run of {name} had {errors} errors");
    Ok(())
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    match begins && text.chars().all(is_part) {
        true => Ok(text.to_owned()),
        false => Err("must be letters, digits and underscores, not a digit first".to_owned()),
    }
}

fn init(args: &InitArgs) -> Result<()> {
    let InitArgs { kind, directory, name } = args;
    let files = [
        (directory.join(format!("{name}.py")), kind.plugin(name)),
        (directory.join(format!("test_{name}.py")), kind.test(name)),
    ];
    for (file, _) in &files {
        ensure!(!file.exists(), "{} is there already", file.display());
    }
    for (file, text) in &files {
        let opened = OpenOptions::new().write(true).create_new(true).open(file);
        let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", file.display()))?;
        print_line(&format!("{} written", file.display()))?;
    }
    Ok(())
}
