//! `influxdb3 create|delete|enable|disable|update trigger`.

use std::path::{Path, PathBuf};

use actors::trigger::check_cron;
use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use protocols::plugins::TriggerSpec;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::{Client, Refused};
use super::connection::{ConnectionArgs, DatabaseArg};
use super::downsamples::{self, DownsampleArgs};
use super::failure::Failure;
use super::input::read_file;
use super::output::print_line;
use super::paths::path;

/// Where triggers are administered.
const PATH: &str = "/api/v3/configure/processing_engine_trigger";
/// Where the files of plugins go.
const FILES_PATH: &str = "/api/v3/plugins/files";
/// Where the directory of a plugin is replaced.
const DIRECTORY_PATH: &str = "/api/v3/plugins/directory";

/// What happens when a run fails.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ErrorBehavior {
    /// It is logged
    Log,
    /// It is tried again
    Retry,
    /// The trigger is disabled
    Disable,
}

/// Where a trigger runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Isolation {
    /// In the process of all triggers
    Shared,
    /// In a process of its own; its global cache is its own too
    Process,
}

/// What becomes of rows that a trigger could not be given when they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Delivery {
    /// They are dropped
    AtMostOnce,
    /// They are read from the WAL again, also after a restart, as long as the WAL has them
    AtLeastOnce,
}

#[derive(Args, Debug)]
pub(super) struct CreateTriggerArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Plugin file or directory, relative to the plugin directory of the server, or `gh:` and a path
    /// in the repository of plugins
    #[arg(long, value_name = "PATH", conflicts_with_all = ["plugin_filename", "plugin"])]
    path: Option<String>,

    /// The same as `--path`
    #[arg(long, value_name = "FILE", conflicts_with = "plugin", hide_short_help = true)]
    plugin_filename: Option<String>,

    /// Plugin that was made by `create plugin`, by its name
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,

    /// When the plugin runs: `table:NAME`, `all_tables`, `every:DURATION`, `cron:EXPRESSION` (with
    /// seconds), `request:PATH` or `snapshot`
    #[arg(long, value_name = "SPEC", value_parser = parse_spec)]
    trigger_spec: String,

    /// What the plugin is given: comma-separated `key=value`
    #[arg(long, value_name = "ARGUMENTS", value_delimiter = ',', value_parser = parse_pair)]
    trigger_arguments: Vec<(String, String)>,

    /// Do not run it yet
    #[arg(long)]
    disabled: bool,

    /// Runs may overlap
    #[arg(long)]
    run_asynchronous: bool,

    /// What happens when a run fails
    #[arg(long, value_enum, default_value = "log")]
    error_behavior: ErrorBehavior,

    /// Where it runs
    #[arg(long, value_enum, default_value = "shared")]
    isolation: Isolation,

    /// What becomes of rows that it could not be given when they were written
    #[arg(long, value_enum, default_value = "at-most-once")]
    delivery: Delivery,

    /// The path is one of this machine: send the file, or the Python files of the directory, first
    #[arg(long)]
    upload: bool,

    /// Name of the trigger
    #[arg(value_name = "TRIGGER_NAME")]
    trigger: String,
}

#[derive(Args, Debug)]
pub(super) struct DeleteTriggerArgs {
    #[command(flatten)]
    deleted: TriggerArgs,

    /// Also if it is enabled
    #[arg(long)]
    force: bool,
}

/// A trigger by its name.
#[derive(Args, Debug)]
pub(super) struct TriggerArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Name of the trigger
    #[arg(value_name = "TRIGGER_NAME")]
    trigger: String,
}

#[derive(Args, Debug)]
pub(super) struct UpdateTriggerArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    database: DatabaseArg,

    /// Name of the trigger whose plugin is replaced
    #[arg(short, long, value_name = "TRIGGER_NAME")]
    trigger_name: String,

    /// File or directory of this machine with the new plugin
    #[arg(short, long, value_name = "PATH", value_parser = path())]
    path: PathBuf,
}

/// Options of `enable` and `disable`.
#[derive(Args, Debug)]
pub struct SwitchArgs {
    #[command(subcommand)]
    what: Switched,
}

#[derive(Debug, Subcommand)]
enum Switched {
    /// Switch a trigger
    Trigger(TriggerArgs),
    /// Switch a downsample
    Downsample(DownsampleArgs),
}

/// Checks when a trigger is to run before the server is asked.
fn parse_spec(text: &str) -> Result<String, String> {
    TriggerSpec::parse(text, check_cron).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Reads `key=value`; the value may have further `=`.
pub(super) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be formatted as \"key=value\"".to_owned()),
    }
}

/// Pairs as a JSON object.
pub(super) fn object(pairs: Vec<(String, String)>) -> Value {
    let pairs = pairs.into_iter().map(|(key, value)| (key, Value::String(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

pub(super) async fn create(args: CreateTriggerArgs) -> Result<()> {
    let client = Client::new(args.connection, None)?;
    let (mut path, plugin) = (args.path.or(args.plugin_filename), args.plugin);
    if path.is_none() && plugin.is_none() {
        let text = "Either --path or --plugin-filename must be provided";
        return Err(Failure::usage(text).into());
    }
    if let (true, Some(local)) = (args.upload, &mut path) {
        *local = upload(&client, Path::new(local.as_str())).await?;
    }
    let mut body = json!({
        "db": args.database.name,
        "trigger_name": args.trigger,
        "trigger_settings": {
            "run_async": args.run_asynchronous,
            "error_behavior": args.error_behavior.to_possible_value().map(|v| v.get_name().to_owned()),
        },
        "trigger_specification": args.trigger_spec,
        "disabled": args.disabled,
    });
    if args.isolation == Isolation::Process {
        body["trigger_settings"]["isolation"] = "process".into();
    }
    if args.delivery == Delivery::AtLeastOnce {
        body["trigger_settings"]["delivery"] = "at-least-once".into();
    }
    if !args.trigger_arguments.is_empty() {
        body["trigger_arguments"] = object(args.trigger_arguments);
    }
    match (path, plugin) {
        (Some(path), _) => body["plugin_filename"] = path.into(),
        (None, Some(plugin)) => body["plugin_name"] = plugin.into(),
        (None, None) => {}
    }
    if let Err(error) = client.send_json(Method::POST, PATH, &body).await {
        if error.is::<Refused>() {
            eprintln!("Failed to create trigger: {error}");
        }
        return Err(error);
    }
    print_line(&format!("Trigger {} created successfully", args.trigger))
}

/// Sends a file, or the files of a directory; returns what the server knows it by.
async fn upload(client: &Client, local: &Path) -> Result<String> {
    anyhow::ensure!(local.exists(), "File not found: {}", local.display());
    let name = local.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.with_context(|| format!("Invalid path: {}", local.display()))?;
    if !local.is_dir() {
        send_file(client, &name, &read_file(local)?).await?;
        return Ok(name);
    }
    let files = python_files(local)?;
    anyhow::ensure!(
        files.iter().any(|(relative, _)| relative == "__init__.py"),
        "Multi-file plugin directory must contain __init__.py: {}",
        local.display()
    );
    for (relative, content) in files {
        send_file(client, &format!("{name}/{relative}"), &content).await?;
    }
    Ok(name)
}

async fn send_file(client: &Client, name: &str, content: &str) -> Result<()> {
    let body = json!({ "plugin_name": name, "content": content });
    client.send_json(Method::POST, FILES_PATH, &body).await.map(drop)
}

/// The Python files below a folder with their relative paths.
fn python_files(folder: &Path) -> Result<Vec<(String, String)>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = folders.pop() {
        let entries = std::fs::read_dir(&next);
        for entry in entries.with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("__pycache__") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                let relative = path.strip_prefix(folder)?.to_string_lossy().replace('\\', "/");
                files.push((relative, read_file(&path)?));
            }
        }
    }
    files.sort();
    Ok(files)
}

pub(super) async fn delete(args: DeleteTriggerArgs) -> Result<()> {
    let TriggerArgs { connection, database, trigger: name } = args.deleted;
    let force = if args.force { "true" } else { "false" };
    let parameters =
        [("db", database.name.as_str()), ("trigger_name", name.as_str()), ("force", force)];
    Client::new(connection, None)?.send(Method::DELETE, PATH, &parameters).await?;
    print_line(&format!("Trigger {name} deleted successfully"))
}

pub(super) async fn enable(args: SwitchArgs) -> Result<()> {
    match args.what {
        Switched::Trigger(args) => switch(args, "enable").await,
        Switched::Downsample(args) => downsamples::enable(args).await,
    }
}

pub(super) async fn disable(args: SwitchArgs) -> Result<()> {
    match args.what {
        Switched::Trigger(args) => switch(args, "disable").await,
        Switched::Downsample(args) => downsamples::disable(args).await,
    }
}

async fn switch(args: TriggerArgs, verb: &str) -> Result<()> {
    let TriggerArgs { connection, database, trigger: name } = args;
    let parameters = [("db", database.name.as_str()), ("trigger_name", name.as_str())];
    let client = Client::new(connection, None)?;
    client.send(Method::POST, &format!("{PATH}/{verb}"), &parameters).await?;
    print_line(&format!("Trigger {name} {verb}d successfully"))
}

pub(super) async fn update(args: UpdateTriggerArgs) -> Result<()> {
    let UpdateTriggerArgs { connection, trigger_name, path, .. } = args;
    let client = Client::new(connection, None)?;
    anyhow::ensure!(path.exists(), "Path does not exist: {}", path.display());
    if path.is_dir() {
        let files = python_files(&path)?;
        anyhow::ensure!(!files.is_empty(), "No Python files found in directory");
        let files = files.into_iter().map(|(relative_path, content)| {
            json!({ "relative_path": relative_path, "content": content })
        });
        let body = json!({ "plugin_name": trigger_name, "files": files.collect::<Vec<_>>() });
        client.send_json(Method::PUT, DIRECTORY_PATH, &body).await?;
        return print_line(&format!(
            "Trigger '{trigger_name}' updated successfully (atomic directory replacement)"
        ));
    }
    let body = json!({ "plugin_name": trigger_name, "content": read_file(&path)? });
    client.send_json(Method::PUT, FILES_PATH, &body).await?;
    print_line(&format!("Trigger '{trigger_name}' updated successfully"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_cut_at_the_first_sign() {
        assert_eq!(parse_pair("b=x=y"), Ok(("b".to_owned(), "x=y".to_owned())));
        assert_eq!(parse_pair("b="), Ok(("b".to_owned(), String::new())));
        assert!(parse_pair("b").is_err());
        assert!(parse_pair("=b").is_err());
    }
}
