//! Options of the processing engine.

use super::positive;
use crate::cli::paths::path;
use crate::sizes::MemorySize;
use actors::packages::PackageManager;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use protocols::durations::parse_duration;
use protocols::plugins::TriggerKind;
use std::path::PathBuf;
use std::time::Duration;

/// Where plugins of the public repository are.
const REPOSITORY: &str = "https://raw.githubusercontent.com/influxdata/influxdb3_plugins/main/";

/// What installs packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Installer {
    /// uv if it is there, else pip
    Discover,
    /// pip of the virtual environment
    Pip,
    /// uv
    Uv,
    /// Nothing: packages cannot be installed over HTTP
    Disabled,
}

impl From<Installer> for PackageManager {
    fn from(installer: Installer) -> Self {
        match installer {
            Installer::Discover => Self::Discover,
            Installer::Pip => Self::Pip,
            Installer::Uv => Self::Uv,
            Installer::Disabled => Self::Disabled,
        }
    }
}

/// A kind of triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Rows were written
    #[value(alias = "wal_flush")]
    Wal,
    /// An instant has come
    Schedule,
    /// A request
    Request,
    /// A snapshot is durable
    Snapshot,
}

impl From<Kind> for TriggerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Wal => Self::WalRows,
            Kind::Schedule => Self::Schedule,
            Kind::Request => Self::Request,
            Kind::Snapshot => Self::Snapshot,
        }
    }
}

/// Plugins in Python.
#[derive(Args, Debug)]
pub struct PluginArgs {
    /// Directory of plugins in Python; without it there are no plugins. They need Python 3.9 or
    /// later on the path
    #[arg(long, value_name = "DIR", env = "INFLUXDB3_PLUGIN_DIR", value_parser = path())]
    pub plugin_dir: Option<PathBuf>,

    /// Virtual environment of plugins [default: `.venv` in the plugin directory]
    #[arg(long, value_name = "DIR", env = "VIRTUAL_ENV", value_parser = path(), hide_short_help = true)]
    pub virtual_env_location: Option<PathBuf>,

    /// What installs packages into the virtual environment
    #[arg(
        long,
        value_enum,
        env = "INFLUXDB3_PACKAGE_MANAGER",
        default_value = "discover",
        hide_short_help = true
    )]
    pub package_manager: Installer,

    /// Packages cannot be installed over HTTP; the same as `--package-manager disabled`
    #[arg(long, env = "INFLUXDB3_DISABLE_PACKAGE_MANAGEMENT", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub disable_package_management: bool,

    /// Where plugins are fetched from whose path begins with `gh:`
    #[arg(
        long,
        value_name = "URL",
        env = "INFLUXDB3_PLUGIN_REPO",
        default_value = REPOSITORY,
        hide_short_help = true
    )]
    pub plugin_repo: String,

    /// Kinds of triggers that may be created, comma-separated [default: all]
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "KINDS",
        env = "INFLUXDB3_RESTRICT_PLUGIN_TRIGGERS_TO",
        hide_short_help = true
    )]
    pub restrict_plugin_triggers_to: Vec<Kind>,

    /// Only plugins that somebody has put into the plugin directory: no uploads, nothing fetched,
    /// no packages installed
    #[arg(long, env = "INFLUXDB3_PLUGIN_DIR_ONLY", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub plugin_dir_only: bool,

    /// How long a run of a plugin may take [default: no limit; 60s for requests and tests]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_PLUGIN_TIMEOUT", hide_short_help = true)]
    pub plugin_timeout: Option<Duration>,

    /// Memory that the process with all plugins may take
    #[arg(
        long,
        value_name = "SIZE",
        env = "INFLUXDB3_PLUGIN_MEMORY_LIMIT",
        default_value = "50%",
        hide_short_help = true
    )]
    pub plugin_memory_limit: MemorySize,

    /// Runs of one asynchronous trigger at once; other events wait
    #[arg(long, value_name = "N", value_parser = positive, env = "INFLUXDB3_ASYNC_TRIGGER_CONCURRENCY_LIMIT", default_value = "64", hide_short_help = true)]
    pub async_trigger_concurrency_limit: usize,
}
