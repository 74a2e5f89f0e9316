//! The processing engine: its options, completed.

use crate::cli::serve::plugins::PluginArgs;
use crate::edge::state::PluginSettings;
use actors::packages::PackageManager;
use actors::server::{PluginOptions, ServerConfig};
use std::path::PathBuf;

/// The virtual environment in the plugin directory.
const ENVIRONMENT: &str = ".venv";

/// Threads that triggers share: they only wait.
const THREADS: usize = 2;

fn directory(args: &PluginArgs) -> Option<PathBuf> {
    args.plugin_dir.clone().filter(|directory| !directory.as_os_str().is_empty())
}

/// How plugins run.
pub(super) fn options(args: &PluginArgs, memory: usize, server: &ServerConfig) -> PluginOptions {
    let directory = directory(args);
    let environment = args.virtual_env_location.clone().filter(|path| !path.as_os_str().is_empty());
    let in_directory = || directory.as_ref().map(|directory| directory.join(ENVIRONMENT));
    PluginOptions {
        environment: environment.or_else(in_directory),
        package_manager: match args.disable_package_management {
            true => PackageManager::Disabled,
            false => args.package_manager.into(),
        },
        repository: args.plugin_repo.clone(),
        timeout: args.plugin_timeout,
        memory_bytes: Some(args.plugin_memory_limit.of(memory) as u64),
        async_max: args.async_trigger_concurrency_limit,
        flush_interval: server.wal_flush_interval,
        limits: server.schema_limits,
        threads: THREADS,
        directory,
    }
}

/// What may be done with them over HTTP.
pub(super) fn settings(args: &PluginArgs) -> PluginSettings {
    PluginSettings {
        is_enabled: directory(args).is_some(),
        directory_only: args.plugin_dir_only,
        kinds: args.restrict_plugin_triggers_to.iter().map(|kind| (*kind).into()).collect(),
    }
}
