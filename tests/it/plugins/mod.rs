//! Plugins in Python: a server with a plugin directory, and what its triggers do.

mod access;
mod additions;
mod admin;
mod containment;
mod delivery;
mod files;
mod library;
mod local;
#[cfg(target_os = "linux")]
mod processes;
mod requests;
mod test_runs;
mod writes;

use crate::support::client::{Answer, Client, with_query};
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// Where triggers are administered.
const TRIGGER_PATH: &str = "/api/v3/configure/processing_engine_trigger";

/// A server with a plugin directory, which lives as long as this.
struct Plugins {
    server: Server,
    directory: Arc<TempDir>,
}

impl Plugins {
    /// With these further options.
    fn with(options: &[&str]) -> Self {
        Self::of(Setup::disk().with(options))
    }

    fn of(setup: Setup) -> Self {
        let directory = Arc::new(TempDir::new().expect("a directory"));
        fs::create_dir(directory.path().join("plugins")).expect("a directory");
        let plugins = directory.path().join("plugins").display().to_string();
        let setup = setup.with(&["--plugin-dir", plugins.as_str()]);
        // An option may say otherwise.
        let server = setup.with_variable("INFLUXDB3_WAL_FLUSH_INTERVAL", "50ms").start();
        server.client.must_write("mydb", "cpu,host=foo v=1 1\ncpu,host=bar v=2 2");
        Self { server, directory }
    }

    fn start() -> Self {
        Self::with(&[])
    }

    /// With the environment of the client libraries, which has pyarrow and pandas.
    fn with_libraries() -> Self {
        let environment = crate::clients::folder().join("python").display().to_string();
        Self::with(&["--virtual-env-location", &environment])
    }

    fn client(&self) -> &Client {
        &self.server.client
    }

    /// Where a plugin is.
    fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join("plugins").join(name)
    }

    /// Writes a plugin.
    fn plugin(&self, name: &str, text: &str) {
        let place = self.place(name);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::write(place, text).expect("a file");
    }

    /// Asks for a trigger of `mydb`; further members of the body are `more`.
    fn create(&self, name: &str, file: &str, spec: &str, more: &Value) -> Answer {
        let mut body = json!({
            "db": "mydb", "plugin_filename": file, "trigger_name": name,
            "trigger_specification": spec,
        });
        for (key, value) in more.as_object().expect("an object") {
            body[key] = value.clone();
        }
        self.client().json("POST", TRIGGER_PATH, &body)
    }

    /// Creates a trigger of `mydb`.
    fn trigger(&self, name: &str, file: &str, spec: &str, more: &Value) {
        let answer = self.create(name, file, spec, more);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn switch(&self, name: &str, verb: &str) -> Answer {
        let parameters = [("db", "mydb"), ("trigger_name", name)];
        self.client().post(&with_query(&format!("{TRIGGER_PATH}/{verb}"), &parameters), "")
    }

    /// What was said, as `LEVEL text`.
    fn said(&self) -> Vec<String> {
        let sql = "SELECT log_level, log_text FROM system.processing_engine_logs";
        let rows = self.client().rows("mydb", sql);
        let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| format!("{} {}", text(row, "log_level"), text(row, "log_text"))).collect()
    }

    /// Waits until something was said that begins so.
    fn must_say(&self, beginning: &str) -> String {
        eventually(&format!("somebody says: {beginning}"), || {
            self.said().into_iter().find(|line| line.starts_with(beginning))
        })
    }

    /// How often something was said.
    fn times_said(&self, line: &str) -> usize {
        self.said().iter().filter(|said| *said == line).count()
    }

    /// Waits until a table has so many rows.
    fn must_have(&self, db: &str, table: &str, rows: u64) {
        eventually(&format!("{rows} rows of {table}"), || {
            (self.client().count(db, table) == rows).then_some(())
        });
    }
}
