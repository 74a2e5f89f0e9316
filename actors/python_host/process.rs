//! Starting the process: where Python and the extension module are, and how they come together.

use super::control_group::ControlGroup;
use crate::packages::interpreter;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};
use serde_json::json;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

/// What Python is told to do: load the module, wherever it is, and serve.
const START: &str = "\
import sys
if sys.version_info < (3, 9):
    sys.exit('plugins need Python 3.9 or later, this is ' + sys.version.split()[0])
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
path, settings = sys.argv[1:3]
loader = ExtensionFileLoader('influxdb3_host', path)
module = module_from_spec(spec_from_file_location('influxdb3_host', path, loader=loader))
loader.exec_module(module)
sys.argv = ['influxdb3']
module.run(settings)
";

/// The file of the extension module.
const LIBRARY: &str =
    if cfg!(target_os = "macos") { "libinfluxdb3_host.dylib" } else { "libinfluxdb3_host.so" };

/// Where processors are scarce those who write and ask come before plugins.
const NICE: i32 = 10;

/// A process that has been started.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) socket: UnixStream,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    /// What bounds the memory of the process together with those that it starts, where it may be.
    pub(super) group: Option<ControlGroup>,
}

/// Starts the process.
///
/// # Errors
/// When Python or the module is missing; says what.
pub(super) fn start(
    environment: Option<&Path>,
    memory_bytes: Option<u64>,
) -> anyhow::Result<Started> {
    let library = library()?;
    let of_environment = environment.map(interpreter).filter(|python| python.exists());
    let python = of_environment.unwrap_or_else(|| PathBuf::from("python3"));
    let settings = json!({ "venv": environment, "memory": memory_bytes }).to_string();
    let (socket, theirs) = UnixStream::pair()?;
    let mut command = Command::new(&python);
    command.args(["-c", START]).arg(library).arg(settings);
    // Signals of a terminal are for the server.
    command.process_group(0);
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "Python is not available: there is no `{}`. Plugins need Python 3.9 or later",
            python.display()
        ),
        spawned => spawned.with_context(|| format!("cannot start {}", python.display()))?,
    };
    if let Some(pid) = pid(&child)
        && let Err(error) = setpriority_process(Some(pid), NICE)
    {
        tracing::warn!(%error, "plugins run as eagerly as the server");
    }
    let confined = memory_bytes.map(|bytes| ControlGroup::confine(child.id(), bytes)).transpose();
    let group = confined.unwrap_or_else(|error| {
        tracing::debug!(%error, "no control group for plugins: each process has the limit by itself");
        None
    });
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    Ok(Started { child, socket, stdout, stderr, group })
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Ends the process and those that it has started, as far as they have stayed in its group.
pub(super) fn kill_all(child: &mut Child) {
    // It leads a group of its own. An error says that nobody is left of it.
    if let Some(group) = pid(child) {
        kill_process_group(group, Signal::KILL).ok();
    }
    child.kill().ok();
}

/// The module: in a build directory beside what the program was linked from, else beside the
/// program, else where packages have it.
fn library() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().and_then(|program| program.canonicalize())?;
    let folder = program.parent().context("the program is in no folder")?;
    let places = [
        folder.join("deps").join(LIBRARY),
        folder.join(LIBRARY),
        folder.join("../lib/influxdb3").join(LIBRARY),
    ];
    match places.iter().find(|place| place.exists()) {
        Some(place) => Ok(place.clone()),
        None => bail!(
            "the extension module for Python is missing: no {LIBRARY} in {} or ../lib/influxdb3",
            folder.display()
        ),
    }
}
