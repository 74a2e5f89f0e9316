//! `/health`: whether the server can do its work.

use super::failure::Failure;
use super::limits::HEALTH_MS_MAX;
use crate::edge::state::ServerState;
use actix_web::{HttpResponse, web};
use protocols::error::ErrorKind;
use protocols::messages::supervisor::{ActorStatus, ListActors};
use std::time::Duration;
use tokio::time::Instant;

pub(super) async fn health(state: web::Data<ServerState>) -> Result<HttpResponse, Failure> {
    if *state.stopping.borrow() {
        return Err(Failure::stopping());
    }
    let deadline = Instant::now() + Duration::from_millis(HEALTH_MS_MAX);
    judge(&state.supervisor.ask_from_edge(ListActors, deadline).await?)
}

/// True while the server does its work: what gRPC clients are told in one word.
pub(crate) async fn is_healthy(state: &ServerState) -> bool {
    let deadline = Instant::now() + Duration::from_millis(HEALTH_MS_MAX);
    let asked = state.supervisor.ask_from_edge(ListActors, deadline);
    !*state.stopping.borrow() && asked.await.is_ok_and(|actors| judge(&actors).is_ok())
}

/// An actor that is being rebuilt is no reason to take the server away; one given up is.
fn judge(actors: &[ActorStatus]) -> Result<HttpResponse, Failure> {
    let failed: Vec<&str> =
        actors.iter().filter(|a| a.state == "failed").map(|a| a.actor.as_str()).collect();
    match failed.is_empty() {
        true => Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK")),
        false => Err(Failure::of_kind(
            ErrorKind::Unavailable,
            format!("actors failed: {}", failed.join(", ")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_actor_is_named() {
        let actor = |actor: &str, state| ActorStatus { actor: actor.into(), state, restarts: 1 };
        assert!(judge(&[actor("wal", "running"), actor("query", "rebuilding")]).is_ok());
        let error = judge(&[actor("wal", "running"), actor("store-1", "failed")]).unwrap_err();
        assert_eq!(error.to_string(), "actors failed: store-1");
    }
}
