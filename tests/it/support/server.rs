//! A server process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::client::Client;
use super::eventually;
use super::limit::Limit;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_influxdb3");

/// Node id of every server: a second one on the same directory is a rival.
pub(crate) const NODE: &str = "node-1";

/// How servers on one directory are started.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    directory: Arc<TempDir>,
    /// Counts starts, so that no two share a log or a listener file.
    starts: Arc<AtomicU32>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    bind: String,
}

impl Setup {
    /// Everything in memory.
    pub(crate) fn memory() -> Self {
        Self::new(&["--object-store", "memory"])
    }

    /// On the local disk, in a directory that lives as long as this and its servers.
    pub(crate) fn disk() -> Self {
        let mut setup = Self::new(&["--object-store", "file"]);
        setup.arguments.push("--data-dir".to_owned());
        setup.arguments.push(setup.data_dir().display().to_string());
        setup
    }

    fn new(store: &[&str]) -> Self {
        Self::of(&["serve", "--node-id", NODE, "--without-auth"]).with(store)
    }

    /// Exactly this command line, apart from the address to listen on.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("influxdb3-it-").tempdir();
        Self {
            directory: Arc::new(directory.expect("a temporary directory")),
            starts: Arc::default(),
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            variables: Vec::new(),
            bind: "127.0.0.1:0".to_owned(),
        }
    }

    /// The same with more options.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|a| (*a).to_owned()));
        self
    }

    /// The same without one option.
    pub(crate) fn without(mut self, argument: &str) -> Self {
        self.arguments.retain(|a| a != argument);
        self
    }

    /// The same on this address.
    pub(crate) fn with_bind(mut self, address: &str) -> Self {
        address.clone_into(&mut self.bind);
        self
    }

    /// The same with an environment variable.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where the server keeps its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn start(&self) -> Server {
        let mut server = self.spawn();
        let address = eventually("the server listens", || {
            if let Some(status) = server.process.try_wait().expect("a child process") {
                panic!("the server ended at start with {status}:\n{}", server.log());
            }
            let text = fs::read_to_string(&server.listener_file).ok()?;
            (!text.trim().is_empty()).then(|| text.trim().to_owned())
        });
        server.client = Client::new(&address);
        server
    }

    /// Starts a server that has to end by itself; returns how, and what it said.
    pub(crate) fn start_refused(&self) -> (ExitStatus, String) {
        let mut server = self.spawn();
        (server.wait(), server.log())
    }

    fn spawn(&self) -> Server {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        let log_file = self.directory.path().join(format!("{number}.log"));
        let listener_file = self.directory.path().join(format!("{number}.address"));
        let log = File::create(&log_file).expect("a log file");
        let process = clean_command()
            .args(&self.arguments)
            .args(["--http-bind", &self.bind])
            .arg("--tcp-listener-file-path")
            .arg(&listener_file)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        Server {
            setup: self.clone(),
            process: process.expect("the binary runs"),
            log_file,
            listener_file,
            client: Client::new("127.0.0.1:0"),
            _limit: Limit::begin(),
        }
    }
}

/// The binary with nothing of the caller's own settings.
pub(crate) fn clean_command() -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        let settings = ["INFLUXDB3_", "LOG_FILTER", "http_proxy", "HTTP_PROXY"];
        if settings.iter().any(|s| name.to_string_lossy().starts_with(s)) {
            command.env_remove(name);
        }
    }
    command
}

/// A running server; ends with the value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) setup: Setup,
    pub(crate) client: Client,
    process: Child,
    log_file: PathBuf,
    listener_file: PathBuf,
    _limit: Limit,
}

impl Server {
    /// Everything in memory, no further options.
    pub(crate) fn memory() -> Self {
        Setup::memory().start()
    }

    /// On a disk directory of its own, no further options.
    pub(crate) fn disk() -> Self {
        Setup::disk().start()
    }

    /// What it has written to standard output and standard error.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(&self.log_file).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The number of its process.
    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL: no handler runs, no buffer is flushed.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("a child process");
        self.process.wait().expect("a child process");
    }

    /// Sends a signal by its name, `TERM` for example.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status();
        assert!(status.expect("a shell").success(), "cannot send {name}");
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the server ends", || self.process.try_wait().expect("a child process"))
    }

    /// SIGKILL, then a new process on the same directory.
    pub(crate) fn killed_and_restarted(mut self) -> Self {
        self.kill();
        self.setup.start()
    }

    /// SIGTERM and a wait, so that the files are at rest; returns how to start again.
    pub(crate) fn stopped(mut self) -> Setup {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status}:\n{}", self.log());
        self.setup.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if the process has ended already.
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- last lines of {}:\n{last}\n---", self.log_file.display());
        }
    }
}

/// The log files of a stopped server, oldest first.
pub(crate) fn wal_files(data_dir: &Path) -> Vec<PathBuf> {
    let folder = data_dir.join(NODE).join("wal");
    let entries = fs::read_dir(&folder).expect("the server has a WAL");
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "wal"));
    files.sort();
    files
}
