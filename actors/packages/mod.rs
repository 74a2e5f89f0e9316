//! The `Packages` actor: the virtual environment that plugins import from.
//!
//! ## Owns
//! The virtual environment: it makes it when the first package is installed.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `InstallPackages` | HTTP handlers | whether they are installed; what the installer said if not |
//!
//! ## Emits
//! Processes of `python3`, `pip` and `uv`. It asks nobody.
//!
//! ## Invariants
//! One installer runs at a time. Nothing that a client names is taken for an option of it.
//!
//! ## On failure
//! Rebuilt; an installer that runs is left to end by itself.

use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::Responder;
use crate::runtime::pools::Pool;
use protocols::error::ErrorKind;
use protocols::limits;
use protocols::messages::plugins::{InstallPackages, PluginError};
use protocols::messages::rank;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Who may not install has a text of its own.
pub const DISABLED: &str =
    "Package installation has been disabled. Contact your administrator for more information.";

/// Lines of an installer's error that are told.
const LINES_TOLD: usize = 12;

/// What installs packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PackageManager {
    /// `uv` if it is there, else `pip`.
    #[default]
    Discover,
    /// `pip` of the environment.
    Pip,
    /// `uv`.
    Uv,
    /// Nothing.
    Disabled,
}

/// See the module's page.
#[derive(Debug)]
pub struct Packages {
    environment: Option<PathBuf>,
    manager: PackageManager,
    pool: Pool,
}

impl Packages {
    /// An installer for that virtual environment.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(environment: Option<PathBuf>, manager: PackageManager) -> anyhow::Result<Self> {
        let pool = Pool::new("packages", 1, limits::PACKAGES_MAILBOX_MESSAGES)?;
        Ok(Self { environment, manager, pool })
    }
}

impl Service for Packages {
    const RANK: u8 = rank::PACKAGES;
}

impl Receive<InstallPackages> for Packages {
    fn receive(
        &mut self,
        install: InstallPackages,
        reply: Responder<InstallPackages>,
        cx: &mut Cx<'_, Self>,
    ) {
        if self.manager == PackageManager::Disabled {
            reply.answer(Err(PluginError::new(ErrorKind::InvalidInput, DISABLED)));
            return;
        }
        let Some(environment) = self.environment.clone() else {
            reply.answer(Err(PluginError::internal(crate::plugin_files::NO_DIRECTORY)));
            return;
        };
        let arguments = match arguments(install) {
            Ok(arguments) => arguments,
            Err(error) => {
                reply.answer(Err(error));
                return;
            }
        };
        let manager = self.manager;
        let installed = self.pool.run(move || run(&environment, manager, &arguments));
        cx.then(installed, |_, installed, _| {
            let failed = |error: crate::runtime::pools::JobFailed| Err(error.to_string());
            let installed = installed.unwrap_or_else(failed);
            reply.answer(installed.map_err(|text| {
                PluginError::internal(format!("error installing python packages: {text}"))
            }));
        });
    }
}

/// What an installer is asked for.
fn arguments(install: InstallPackages) -> Result<Vec<String>, PluginError> {
    let (names, before) = match install {
        InstallPackages::Named(names) => (names, None),
        InstallPackages::Requirements(path) => (vec![path], Some("-r".to_owned())),
    };
    let is_wrong = |name: &String| name.is_empty() || name.starts_with('-') || name.contains('\0');
    if names.is_empty() || names.iter().any(is_wrong) {
        let message = "invalid request: packages are named, and a name does not begin with '-'";
        return Err(PluginError::new(ErrorKind::InvalidInput, message));
    }
    Ok(before.into_iter().chain(names).collect())
}

/// The interpreter of an environment.
pub(crate) fn interpreter(environment: &Path) -> PathBuf {
    match cfg!(windows) {
        true => environment.join("Scripts").join("python.exe"),
        false => environment.join("bin").join("python3"),
    }
}

fn run(environment: &Path, manager: PackageManager, arguments: &[String]) -> Result<(), String> {
    let has_uv =
        || matches!(output(Command::new("uv").arg("--version")), Ok(o) if o.status.success());
    let uv = match manager {
        PackageManager::Uv => true,
        PackageManager::Discover => has_uv(),
        PackageManager::Pip | PackageManager::Disabled => false,
    };
    let python = interpreter(environment);
    if !python.exists() {
        let mut make = if uv { Command::new("uv") } else { Command::new("python3") };
        if uv {
            make.args(["venv", "--allow-existing"]);
        } else {
            make.args(["-m", "venv"]);
        }
        done(output(make.arg(environment)))?;
    }
    let mut install = if uv { Command::new("uv") } else { Command::new(&python) };
    if uv {
        install.args(["pip", "install", "--python"]).arg(&python);
    } else {
        let pip = output(Command::new(&python).args(["-m", "pip", "--version"]));
        if !matches!(pip, Ok(pip) if pip.status.success()) {
            return Err(
                "pip package manager is not available. Please install Python with pip".to_owned()
            );
        }
        install.args(["-m", "pip", "install", "--disable-pip-version-check"]);
    }
    done(output(install.args(arguments).env("VIRTUAL_ENV", environment)))
}

fn output(command: &mut Command) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))
}

/// What went wrong: the last lines that the program said.
fn done(output: Result<Output, String>) -> Result<(), String> {
    let output = output?;
    if output.status.success() {
        return Ok(());
    }
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(lines[lines.len().saturating_sub(LINES_TOLD)..].join("\n"))
}
