//! Servers that are started for a measurement: in directories of their own, on loopback, ended with
//! the measurement.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, bail, ensure};

use crate::http::{Connection, ServerOptions, Target, ask_once, percent_encode};
use crate::queries::answer::Answer;

const READY_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const STARTS_MAX: usize = 3;
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A kind of server that this program can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Influxdb3,
    VictoriaMetrics,
    Influxdb1,
}

impl Product {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Influxdb3 => "influxdb3",
            Self::VictoriaMetrics => "VictoriaMetrics",
            Self::Influxdb1 => "InfluxDB 1",
        }
    }

    /// The fastest way in.
    pub(crate) fn target(self) -> Target {
        match self {
            Self::Influxdb3 => Target::Influxdb3V3,
            Self::VictoriaMetrics | Self::Influxdb1 => Target::V1,
        }
    }

    fn health_path(self) -> &'static str {
        match self {
            Self::Influxdb3 | Self::VictoriaMetrics => "/health",
            Self::Influxdb1 => "/ping",
        }
    }

    fn arguments(self, address: SocketAddr, directory: &Path) -> Result<Vec<String>> {
        let data = directory.join("data").display().to_string();
        Ok(match self {
            Self::Influxdb3 => {
                let fixed = "serve --node-id bench --object-store file --data-dir";
                let mut arguments: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
                arguments.extend([data, "--http-bind".to_owned(), address.to_string()]);
                arguments
            }
            // The data lie in 2016; the default keeps one month and would drop them.
            Self::VictoriaMetrics => vec![
                format!("-storageDataPath={data}"),
                format!("-httpListenAddr={address}"),
                "-retentionPeriod=100y".to_owned(),
            ],
            Self::Influxdb1 => {
                let config = directory.join("influxdb.conf");
                fs::write(&config, influxdb1_config(address, &data))
                    .with_context(|| format!("cannot write {}", config.display()))?;
                vec!["run".to_owned(), "-config".to_owned(), config.display().to_string()]
            }
        })
    }
}

/// Defaults but for places, limits that stop queries, and reports to its makers.
fn influxdb1_config(address: SocketAddr, data: &str) -> String {
    format!(
        "reporting-disabled = true\nbind-address = \"127.0.0.1:0\"\n\
         [meta]\ndir = \"{data}/meta\"\n\
         [data]\ndir = \"{data}/data\"\nwal-dir = \"{data}/wal\"\nquery-log-enabled = false\n\
         [http]\nbind-address = \"{address}\"\nlog-enabled = false\n\
         [monitor]\nstore-enabled = false\n"
    )
}

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) product: Product,
    pub(crate) binary: PathBuf,
    /// Besides the necessary ones.
    pub(crate) arguments: Vec<String>,
    /// Once there is a token, requests need one.
    asks_for_tokens: bool,
    /// A control group that it starts in: the file that takes process ids.
    pub(crate) control_group: Option<PathBuf>,
}

impl Launch {
    pub(crate) fn new(product: Product, binary: &Path) -> Self {
        Self {
            product,
            binary: binary.to_owned(),
            arguments: Vec::new(),
            asks_for_tokens: false,
            control_group: None,
        }
    }

    /// Everybody is served.
    fn is_open(&self) -> bool {
        self.product == Product::Influxdb3 && !self.asks_for_tokens
    }

    /// With more options, separated by blanks.
    pub(crate) fn with(mut self, options: &str) -> Self {
        self.arguments.extend(options.split_whitespace().map(str::to_owned));
        self
    }

    /// Asks for tokens once there is one, or not.
    pub(crate) fn asking_for_tokens(self, asks_for_tokens: bool) -> Self {
        Self { asks_for_tokens, ..self }
    }

    /// What the program says of its version.
    pub(crate) fn version(&self) -> String {
        let argument = match self.product {
            Product::Influxdb3 => "--version",
            Product::VictoriaMetrics => "-version",
            Product::Influxdb1 => "version",
        };
        let output = Command::new(&self.binary).arg(argument).output();
        let output = output.map(|output| [output.stdout, output.stderr].concat());
        let text = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
        // Debian's build of VictoriaMetrics does not know its version.
        if line.chars().any(|c| c.is_ascii_digit()) { line.to_owned() } else { self.package() }
    }

    fn package(&self) -> String {
        let package =
            if self.product == Product::Influxdb1 { "influxdb" } else { "victoria-metrics" };
        let arguments = ["-W", "-f", "${Package} ${Version}", package];
        let output = Command::new("dpkg-query").args(arguments).output();
        output.map_or("version unknown".to_owned(), |o| String::from_utf8_lossy(&o.stdout).into())
    }

    /// Starts the server in a directory that may have its earlier data, and waits until it answers.
    pub(crate) fn start(&self, directory: &Path) -> Result<Server> {
        let mut attempts = 0;
        loop {
            let mut server = self.spawn(directory)?;
            attempts += 1;
            match server.await_ready() {
                Ok(()) => return Ok(server),
                // Somebody else took the port before the server did.
                Err(_) if attempts < STARTS_MAX && server.log().contains("in use") => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts the server and does not wait.
    pub(crate) fn spawn(&self, directory: &Path) -> Result<Server> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let address = free_address().context("there is no free port")?;
        let log = directory.join("log");
        let file =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = match &self.control_group {
            None => Command::new(&self.binary),
            // In the group before the program begins, so that it sees its limit.
            Some(processes) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]);
                shell.arg(processes).arg(&self.binary);
                shell
            }
        };
        let child = command
            .args(self.product.arguments(address, directory)?)
            .args(self.is_open().then_some("--without-auth"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stderr(file.try_clone().context("cannot share the log")?)
            .stdout(file)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let product = self.product;
        Ok(Server { product, child, address, directory: directory.to_owned() })
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) product: Product,
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) directory: PathBuf,
}

impl Server {
    pub(crate) fn options(&self) -> ServerOptions {
        ServerOptions::at(self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn await_ready(&mut self) -> Result<()> {
        let request = self.options().get(self.product.health_path());
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline && self.is_running() {
            let answer = Connection::open(self.address).and_then(|mut c| c.exchange(&request));
            if answer.is_ok_and(|answer| answer.is_success()) {
                return self.create_database();
            }
            thread::sleep(POLL_INTERVAL);
        }
        let log = self.log();
        let tail: Vec<&str> = log.lines().rev().take(10).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{} did not come up: {}", self.product.name(), tail.join("\n"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn create_database(&self) -> Result<()> {
        if self.product == Product::Influxdb1 {
            let server = self.options();
            let statement = percent_encode(&format!("CREATE DATABASE \"{}\"", server.db));
            ask_once(&server, &server.post(&format!("/query?q={statement}"), b""))?;
        }
        Ok(())
    }

    /// Rows of `cpu` that the server says it has.
    pub(crate) fn cpu_rows(&self) -> Result<u64> {
        let server = self.options();
        match self.product {
            Product::Influxdb3 => self.count("SELECT count(*) AS n FROM cpu"),
            Product::VictoriaMetrics => {
                ask_once(&server, &server.get("/internal/force_flush"))?;
                // A sample a field.
                Ok(self.metric("vm_rows_inserted_total{type=\"influx\"}")? as u64 / 10)
            }
            Product::Influxdb1 => {
                let q = percent_encode("SELECT count(usage_user) FROM cpu");
                let path = format!("/query?db={}&epoch=ns&q={q}", server.db);
                let body = ask_once(&server, &server.get(&path))?;
                let body: serde_json::Value = serde_json::from_slice(&body)?;
                let count = &body["results"][0]["series"][0]["values"][0][1];
                count.as_u64().with_context(|| format!("no count in {body}"))
            }
        }
    }

    /// The number that a SQL statement answers.
    pub(crate) fn count(&self, sql: &str) -> Result<u64> {
        let server = self.options();
        let body = serde_json::json!({ "db": server.db, "q": sql, "format": "json" });
        let request = server.post_json("/api/v3/query_sql", &body);
        let answer = Answer::of_objects(&ask_once(&server, &request)?)?;
        let number = answer.number().with_context(|| format!("{sql} did not answer a number"))?;
        Ok(number as u64)
    }

    /// The sum of a metric over its labels, or of the series that is given with its labels.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        Ok(self.metrics()?.sum(name))
    }

    /// All metrics at this moment.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        let server = self.options();
        let body = ask_once(&server, &server.get("/metrics"))?;
        Ok(Metrics(String::from_utf8_lossy(&body).into_owned()))
    }

    /// Below which the server keeps its Parquet files.
    pub(crate) fn parquet_folder(&self) -> PathBuf {
        self.directory.join("data/bench/dbs")
    }

    /// Ends the server in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().context("no kill")?;
        ensure!(status.success(), "{} has ended by itself", self.product.name());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.is_running() {
            ensure!(Instant::now() < deadline, "{} does not end", self.product.name());
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Ends the server as a power cut would.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill the server")?;
        self.child.wait().context("cannot wait for the server")?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a server answers to `/metrics`.
pub(crate) struct Metrics(String);

impl Metrics {
    /// As [`Server::metric`].
    pub(crate) fn sum(&self, name: &str) -> f64 {
        metric_sum(&self.0, name)
    }
}

fn metric_sum(text: &str, name: &str) -> f64 {
    let is_named = |series: &str| {
        series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
    };
    text.lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| is_named(series))
        .filter_map(|(_, value)| value.parse::<f64>().ok())
        .fold(0.0, |sum, value| sum + value)
}

/// All Parquet files below a folder; none if there is no such folder.
pub(crate) fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry.context("cannot list a folder")?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_their_labels() {
        let text = "# HELP a b\nrows{actor=\"0\"} 2\nrows{actor=\"1\"} 3\nrows_total 7\nup 1\n";
        assert_eq!(metric_sum(text, "rows"), 5.0);
        assert_eq!(metric_sum(text, "rows{actor=\"1\"}"), 3.0);
        assert_eq!(metric_sum(text, "rows_total"), 7.0);
        assert_eq!(metric_sum(text, "none"), 0.0);
    }

    #[test]
    fn a_missing_folder_has_no_files() {
        assert!(parquet_files(Path::new("/nonexistent/folder")).unwrap().is_empty());
    }

    #[test]
    fn a_missing_program_is_named() {
        let launch = Launch::new(Product::Influxdb3, Path::new("/nonexistent/server"));
        let directory = std::env::temp_dir().join(format!("load-tests-{}", std::process::id()));
        let error = format!("{:#}", launch.start(&directory).err().unwrap());
        fs::remove_dir_all(&directory).unwrap();
        assert!(error.contains("/nonexistent/server"), "{error}");
    }
}
