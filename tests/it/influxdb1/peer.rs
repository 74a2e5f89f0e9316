//! An InfluxDB of version 1 in a directory of its own.

use crate::support::client::Client;
use crate::support::eventually;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running server; ends with the value.
pub(crate) struct Peer {
    pub(crate) client: Client,
    process: Child,
    _directory: TempDir,
}

/// A program of Debian's packages. `None`, and a word about it, where it is missing; under CI that
/// is a failure.
pub(crate) fn program(name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/bin".into(), "/usr/sbin".into()]);
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|file| {
        let version = if name == "influx" { "-version" } else { "version" };
        Command::new(file).arg(version).output().is_ok_and(|told| {
            let told = String::from_utf8_lossy(&told.stdout).to_lowercase();
            told.contains("influxdb") && told.contains(" v1.") || told.contains("version: 1.")
        })
    });
    if found.is_none() {
        let missing = format!("no {name} of version 1 here: Debian's package {package} has it");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
    }
    found
}

impl Peer {
    /// Starts a server and waits until it listens. `None` where the package is missing.
    pub(crate) fn start() -> Option<Self> {
        let program = program("influxd", "influxdb")?;
        let directory = tempfile::Builder::new().prefix("influxdb1-it-").tempdir();
        let directory = directory.expect("a temporary directory");
        let folder = directory.path();
        let settings = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:0\"\n\
             [meta]\ndir = \"{0}/meta\"\n\
             [data]\ndir = \"{0}/data\"\nwal-dir = \"{0}/wal\"\nquery-log-enabled = false\n\
             [http]\nbind-address = \"127.0.0.1:0\"\nlog-enabled = false\n\
             [monitor]\nstore-enabled = false\n",
            folder.display()
        );
        let (settings_file, log_file) = (folder.join("influxdb.conf"), folder.join("log"));
        fs::write(&settings_file, settings).expect("written");
        let log = File::create(&log_file).expect("a log file");
        let mut process = Command::new(program)
            .arg("-config")
            .arg(settings_file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the program runs");
        let address = eventually("version 1 listens", || {
            let log = fs::read_to_string(&log_file).unwrap_or_default();
            let ended = process.try_wait().expect("a child process");
            assert!(ended.is_none(), "version 1 ended at start: {log}");
            let line = log.lines().find(|line| line.contains("Listening on HTTP"))?;
            let (_, rest) = line.split_once("addr=")?;
            Some(rest.split(' ').next()?.to_owned())
        });
        Some(Self { client: Client::new(&address), process, _directory: directory })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Fails only if the process has ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
