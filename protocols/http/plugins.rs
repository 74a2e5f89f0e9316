//! Bodies, parameters and answers of the endpoints of the processing engine.

use crate::plugins::PluginKind;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Body or query string that creates a named plugin.
#[derive(Debug, Deserialize)]
pub struct CreatePluginBody {
    /// Name of the database.
    pub db: String,
    /// Name of the plugin.
    pub plugin_name: String,
    /// Its text.
    pub code: Option<String>,
    /// Its file in the plugin directory.
    pub file_name: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub plugin_type: PluginKind,
}

/// Body or query string that names a plugin.
#[derive(Debug, Deserialize)]
pub struct PluginParams {
    /// Name of the database.
    pub db: String,
    /// Name of the plugin.
    pub plugin_name: String,
}

/// Body that creates a trigger.
#[derive(Debug, Deserialize)]
pub struct CreateTriggerBody {
    /// Name of the database.
    pub db: String,
    /// Path of the plugin.
    pub plugin_filename: Option<String>,
    /// Name of a plugin, instead of a path.
    pub plugin_name: Option<String>,
    /// Name of the trigger.
    pub trigger_name: String,
    /// How it runs.
    #[serde(default)]
    pub trigger_settings: TriggerSettings,
    /// When it runs.
    pub trigger_specification: String,
    /// What the plugin is given.
    pub trigger_arguments: Option<BTreeMap<Arc<str>, Arc<str>>>,
    /// It does not run yet.
    #[serde(default, deserialize_with = "flag")]
    pub disabled: bool,
}

/// A flag, also as the text that a query string has.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Value(bool),
        Text(String),
    }
    match Flag::deserialize(deserializer)? {
        Flag::Value(value) => Ok(value),
        Flag::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// How a trigger runs.
#[derive(Debug, Default, Deserialize)]
pub struct TriggerSettings {
    /// Runs may overlap.
    #[serde(default)]
    pub run_async: bool,
    /// What happens when a run fails.
    pub error_behavior: Option<String>,
    /// Where it runs.
    pub isolation: Option<String>,
    /// What becomes of rows that it could not be given at once.
    pub delivery: Option<String>,
}

/// Body or query string that names a trigger.
#[derive(Debug, Deserialize)]
pub struct TriggerParams {
    /// Name of the database.
    pub db: String,
    /// Name of the trigger.
    pub trigger_name: String,
}

/// Body or query string that deletes a trigger.
#[derive(Debug, Deserialize)]
pub struct DeleteTriggerParams {
    /// Name of the database.
    pub db: String,
    /// Name of the trigger.
    pub trigger_name: String,
    /// Even if it is enabled.
    #[serde(default, deserialize_with = "flag")]
    pub force: bool,
}

/// Body of a test with written rows.
#[derive(Debug, Deserialize)]
pub struct TestWritesBody {
    /// Path of the plugin.
    pub filename: String,
    /// Its text, if the one in the plugin directory is not meant.
    pub code: Option<Arc<str>>,
    /// Name of the database.
    pub database: String,
    /// What is written.
    pub input_lp: String,
    /// Name of the cache.
    pub cache_name: Option<String>,
    /// What the plugin is given.
    pub input_arguments: Option<BTreeMap<Arc<str>, Arc<str>>>,
}

/// Body of a test of a schedule.
#[derive(Debug, Deserialize)]
pub struct TestScheduleBody {
    /// Path of the plugin.
    pub filename: String,
    /// Its text, if the one in the plugin directory is not meant.
    pub code: Option<Arc<str>>,
    /// Name of the database.
    pub database: String,
    /// Cron expression.
    pub schedule: Option<String>,
    /// Name of the cache.
    pub cache_name: Option<String>,
    /// What the plugin is given.
    pub input_arguments: Option<BTreeMap<Arc<str>, Arc<str>>>,
}

/// Body of a test with a request.
#[derive(Debug, Deserialize)]
pub struct TestRequestBody {
    /// Path of the plugin.
    pub filename: String,
    /// Its text, if the one in the plugin directory is not meant.
    pub code: Option<Arc<str>>,
    /// Name of the database.
    pub database: String,
    /// Parameters of its query string.
    #[serde(default)]
    pub query_params: BTreeMap<String, String>,
    /// Its headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its body.
    #[serde(default)]
    pub body: String,
    /// Name of the cache.
    pub cache_name: Option<String>,
    /// What the plugin is given.
    pub input_arguments: Option<BTreeMap<Arc<str>, Arc<str>>>,
}

/// What a test has shown.
#[derive(Debug, Serialize)]
pub struct TestAnswer {
    /// The instant of a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_time: Option<String>,
    /// What the plugin said.
    pub log_lines: Vec<String>,
    /// What it would have written, by database.
    pub database_writes: BTreeMap<String, Vec<String>>,
    /// What was wrong.
    pub errors: Vec<String>,
    /// What a request would have been answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<TestResponse>,
}

/// An answer to a request in a test.
#[derive(Debug, Serialize)]
pub struct TestResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Body, as text.
    pub body: String,
}

/// Body that uploads a file, or replaces the one of a trigger.
#[derive(Debug, Deserialize)]
pub struct PluginFileBody {
    /// Path of the file, or name of the trigger.
    pub plugin_name: String,
    /// Text of the file.
    pub content: String,
}

/// Body that replaces the directory of a trigger.
#[derive(Debug, Deserialize)]
pub struct PluginDirectoryBody {
    /// Name of the trigger.
    pub plugin_name: String,
    /// The files.
    pub files: Vec<DirectoryFile>,
}

/// A file of a directory.
#[derive(Debug, Deserialize)]
pub struct DirectoryFile {
    /// Path in the directory.
    pub relative_path: String,
    /// Text of the file.
    pub content: String,
}

/// Body that installs packages.
#[derive(Debug, Deserialize)]
pub struct InstallPackagesBody {
    /// Names, possibly with versions.
    pub packages: Vec<String>,
}

/// Body that installs what a file lists.
#[derive(Debug, Deserialize)]
pub struct InstallRequirementsBody {
    /// Path of the file on the server.
    pub requirements_location: String,
}
