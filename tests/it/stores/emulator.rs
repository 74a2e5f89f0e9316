//! Programs that play S3, Google Cloud Storage and Azure Blob Storage on this machine.

use crate::support::server::{BINARY, NODE, Setup};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/stores/emulator.py");

/// Amazon's store; checks signatures.
pub(super) static S3: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Kind::S3));
/// The same, but for a condition that it does not know.
pub(super) static UNFENCED_S3: LazyLock<Emulator> =
    LazyLock::new(|| Emulator::start(Kind::UnfencedS3));
/// Google's store.
pub(super) static GOOGLE: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Kind::Google));
/// Microsoft's store.
pub(super) static AZURE: LazyLock<Emulator> = LazyLock::new(|| Emulator::start(Kind::Azure));

/// Which store is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    S3,
    UnfencedS3,
    Google,
    Azure,
}

/// A program that plays a store. It ends when its input does, which the end of the tests closes.
#[derive(Debug)]
pub(super) struct Emulator {
    pub(super) kind: Kind,
    pub(super) address: String,
    pub(super) account: String,
    pub(super) secret: String,
    dialogue: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    buckets: AtomicU32,
    /// Kept, because nobody else may be given its number while it runs.
    _process: Child,
}

/// Where `deploy/test` installs the programs: beside the binary under test.
fn folder() -> PathBuf {
    let target = Path::new(BINARY).ancestors().nth(2).expect("target/debug/influxdb3");
    let folder = target.join("emulators");
    assert!(folder.join("versions").exists(), "no emulators in {folder:?}: run deploy/test once");
    folder
}

impl Emulator {
    fn start(kind: Kind) -> Self {
        let folder = folder();
        let mut command = Command::new(folder.join("python/bin/python"));
        command.arg(SCRIPT);
        match kind {
            Kind::S3 => command.arg("s3"),
            Kind::UnfencedS3 => command.arg("unfenced-s3"),
            Kind::Google => command.arg("google"),
            Kind::Azure => {
                command.arg("azure").arg(folder.join("npm/node_modules/.bin/azurite-blob"))
            }
        };
        for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(proxy);
        }
        command.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the emulator runs");
        let stdin = process.stdin.take().expect("a pipe");
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a pipe");
        let [port, account, secret] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{kind:?} did not start: {line}");
        };
        Self {
            kind,
            address: format!("http://127.0.0.1:{port}"),
            account: account.to_owned(),
            secret: secret.to_owned(),
            dialogue: Mutex::new((stdin, stdout)),
            buckets: AtomicU32::new(0),
            _process: process,
        }
    }

    /// Gives a command; returns the answer.
    pub(super) fn ask(&self, command: &str) -> String {
        let mut dialogue = self.dialogue.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(dialogue.0, "{command}").expect("the emulator lives");
        let mut line = String::new();
        dialogue.1.read_line(&mut line).expect("the emulator lives");
        let is_done = line.ends_with('\n') && !line.starts_with("failed: ");
        assert!(is_done, "{command}: {line}");
        line.trim_end().to_owned()
    }

    /// A new bucket of its own for a test.
    pub(super) fn bucket(&'static self) -> Bucket {
        let number = self.buckets.fetch_add(1, Ordering::Relaxed);
        let name = format!("bucket-{number}");
        self.ask(&format!("bucket {name}"));
        let files = TempDir::new().expect("a directory");
        Bucket { emulator: self, name, files }
    }
}

/// A bucket and what servers need to use it.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) emulator: &'static Emulator,
    pub(super) name: String,
    files: TempDir,
}

impl Bucket {
    /// A server that keeps its data here.
    pub(super) fn setup(&self) -> Setup {
        self.setup_with(&self.name, &self.emulator.address, &self.emulator.secret)
    }

    /// The same with another bucket, address or secret.
    pub(super) fn setup_with(&self, bucket: &str, address: &str, secret: &str) -> Setup {
        let store = match self.emulator.kind {
            Kind::S3 | Kind::UnfencedS3 => "s3",
            Kind::Google => "google",
            Kind::Azure => "azure",
        };
        let account = &self.emulator.account;
        let setup = Setup::of(&["serve", "--node-id", NODE, "--without-auth"]);
        let setup = setup.with(&["--object-store", store, "--bucket", bucket]);
        match self.emulator.kind {
            Kind::S3 | Kind::UnfencedS3 => setup
                .with(&["--aws-access-key-id", account, "--aws-endpoint", address])
                .with(&["--aws-allow-http"])
                .with_variable("AWS_SECRET_ACCESS_KEY", secret),
            Kind::Google => {
                let file = self.files.path().join("account.json");
                let text = format!(
                    r#"{{"gcs_base_url": "{address}", "disable_oauth": true,
                    "client_email": "", "private_key": "", "private_key_id": ""}}"#
                );
                fs::write(&file, text).expect("a file");
                setup.with(&["--google-service-account", &file.display().to_string()])
            }
            Kind::Azure => setup
                .with(&["--azure-storage-account", account, "--azure-allow-http"])
                .with(&["--azure-endpoint", &format!("{address}/{account}")])
                .with_variable("AZURE_STORAGE_ACCESS_KEY", secret),
        }
    }

    /// The names of all objects with this prefix.
    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        let answer = self.emulator.ask(&format!("keys {} {prefix}", self.name));
        answer.split_whitespace().map(str::to_owned).collect()
    }

    /// A file that lives as long as this.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }
}
