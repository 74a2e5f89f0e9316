//! Asking the `Query` actor.

use super::state::ServerState;
use actors::query::Query;
use actors::runtime::actor::Receive;
use protocols::error::ErrorKind;
use protocols::messages::Command;
use protocols::messages::query::QueryError;
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is waited for when nobody says how long. The actor watches the limits of the
/// server itself and answers when one is reached.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(365 * 24 * 3600);

/// Asks, as long as the server runs and the client waits.
///
/// # Errors
/// Those of the statement; also when the server is about to end, has no room, or did not answer
/// before `deadline`.
pub async fn ask<M, T>(
    state: &ServerState,
    message: M,
    deadline: Option<Instant>,
) -> Result<T, QueryError>
where
    M: Command<Reply = Result<T, QueryError>>,
    Query: Receive<M>,
{
    if *state.stopping.borrow() {
        let message = "the server is shutting down".to_owned();
        return Err(QueryError { kind: ErrorKind::Unavailable, message });
    }
    let deadline = deadline.unwrap_or_else(|| Instant::now() + AS_LONG_AS_IT_TAKES);
    match state.query.ask_from_edge(message, deadline).await {
        Ok(answer) => answer,
        Err(error) => Err(QueryError { kind: error.kind(), message: error.to_string() }),
    }
}
