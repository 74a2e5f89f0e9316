//! The processing engine: plugins, triggers, their files and packages, and requests to them.

pub(super) mod engine;
pub(super) mod files;
pub(super) mod test_runs;
pub(super) mod triggers;

use super::failure::Failure;
use crate::edge::state::ServerState;
use actix_web::http::StatusCode;
use actors::packages::DISABLED;
use actors::plugin_files::NO_DIRECTORY;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::plugins::PluginError;
use std::time::Duration;
use tokio::time::Instant;

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        match error.message == DISABLED {
            true => Self::text(StatusCode::FORBIDDEN, error.message),
            false => Self::of_kind(error.kind, error.message),
        }
    }
}

/// The same error with a word before it on where it came up.
fn wrapped(prefix: &str, error: PluginError) -> Failure {
    let PluginError { kind, message } = error;
    PluginError { kind, message: format!("{prefix}: {message}") }.into()
}

/// Refuses everything when there is no engine.
fn expect_engine(state: &ServerState) -> Result<(), Failure> {
    match state.plugin_settings.is_enabled {
        true => Ok(()),
        false => Err(Failure::text(StatusCode::INTERNAL_SERVER_ERROR, NO_DIRECTORY)),
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS)
}
