//! What is a Python library, engines over Parquet files and the Flight client: a script runs it,
//! takes a query a line and measures it itself, so that only the library's time counts.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::kinds::Query;
use super::text::{Dialect, sql};
use super::{Asked, Backend};
use crate::http::ServerOptions;

/// The script; it stands in the binary so that this can run from anywhere.
const SCRIPT: &str = include_str!("../peers/engines.py");

/// What the script knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Over all Parquet files below a folder, which are one table, `cpu`
    Duckdb(PathBuf),
    Datafusion(PathBuf),
    /// A server, asked over Flight
    Flight(ServerOptions),
}

impl Engine {
    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Duckdb(folder) => vec!["duckdb".to_owned(), folder.display().to_string()],
            Self::Datafusion(folder) => vec!["datafusion".to_owned(), folder.display().to_string()],
            Self::Flight(server) => {
                vec!["flight".to_owned(), server.address.to_string(), server.db.clone()]
            }
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Duckdb(_) => Dialect::DuckDb,
            Self::Datafusion(_) | Self::Flight(_) => Dialect::DataFusion,
        }
    }

    fn name(&self, version: &str) -> String {
        match self {
            Self::Duckdb(_) => format!("DuckDB {version}"),
            Self::Datafusion(_) => format!("DataFusion {version}"),
            Self::Flight(_) => "influxdb3 Flight".to_owned(),
        }
    }
}

/// A running script with an engine in it.
pub(crate) struct PythonEngine {
    dialect: Dialect,
    name: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What the script says of a query, or of itself at its start.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    version: String,
    error: Option<String>,
    #[serde(default)]
    seconds: f64,
    columns: Option<Vec<String>>,
    rows: Option<Vec<Vec<Value>>>,
}

impl PythonEngine {
    pub(crate) fn start(engine: Engine, python: &Path) -> Result<Self> {
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .args(engine.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let dialect = engine.dialect();
        let mut started = Self { dialect, name: engine.name(""), child, input, output };
        let version = started.read()?.version;
        started.name = engine.name(&version);
        Ok(started)
    }

    fn read(&mut self) -> Result<Line> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("cannot read from the engine")?;
        if line.is_empty() {
            bail!("{} ended", self.name);
        }
        let line: Line = serde_json::from_str(&line).context("not a line of the script")?;
        match line.error {
            Some(error) => bail!("{}: {error}", self.name),
            None => Ok(line),
        }
    }
}

impl Backend for PythonEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask(&mut self, query: &Query, decode: bool) -> Result<Asked> {
        let sql = sql(query, self.dialect);
        let request = serde_json::json!({ "sql": sql, "rows": decode });
        writeln!(self.input, "{request}").context("the engine takes no more queries")?;
        let line = self.read().with_context(|| sql.clone())?;
        let answer = match (line.columns, line.rows) {
            (Some(columns), Some(rows)) => Some(Answer::of_table(&columns, &rows)?),
            _ => None,
        };
        Ok(Asked { took: Duration::from_secs_f64(line.seconds), answer })
    }
}

impl Drop for PythonEngine {
    fn drop(&mut self) {
        // It ends by itself when its input ends; nothing is lost if it is ended earlier.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queries::kinds::Kind;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A shell script in Python's place.
    fn with_script<T>(name: &str, script: &str, test: impl Fn(&Path) -> T) -> T {
        let file = format!("load-tests-{name}-{}.sh", std::process::id());
        let path = std::env::temp_dir().join(file);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let result = test(&path);
        fs::remove_file(&path).unwrap();
        result
    }

    const QUERY: Query = Query { kind: Kind::LastPoint, hosts: Vec::new(), from: 0, until: 1 };

    #[test]
    fn the_time_is_the_scripts_and_so_is_the_answer() {
        let script = r#"echo '{"version":"7"}'; read line
            echo '{"seconds":0.25,"columns":["a"],"rows":[[1]]}'"#;
        with_script("answers", script, |python| {
            let engine = Engine::Duckdb(PathBuf::from("/files"));
            let mut engine = PythonEngine::start(engine, python).unwrap();
            assert_eq!(engine.name(), "DuckDB 7");
            let asked = engine.ask(&QUERY, true).unwrap();
            assert_eq!(asked.took, Duration::from_millis(250));
            assert_eq!(asked.answer.unwrap().number(), Some(1.0));
        });
    }

    #[test]
    fn errors_and_ends_are_told() {
        let script = r#"echo '{"version":"7"}'; read line; echo '{"error":"no table"}'"#;
        with_script("fails", script, |python| {
            let engine = Engine::Datafusion(PathBuf::from("/files"));
            let mut engine = PythonEngine::start(engine, python).unwrap();
            let error = format!("{:#}", engine.ask(&QUERY, true).err().unwrap());
            assert!(error.contains("no table"), "{error}");
            assert!(engine.ask(&QUERY, true).is_err());
        });
        let failed = with_script("ends", "exit 1", |python| {
            PythonEngine::start(Engine::Duckdb(PathBuf::new()), python).is_err()
        });
        assert!(failed);
    }
}
