//! `/health`: whether the server can do its work, in a word or as version 2 tells it.

use super::accept;
use super::failure::Failure;
use super::limits::HEALTH_MS_MAX;
use crate::edge::state::ServerState;
use crate::version::COMPAT_VERSION;
use actix_web::{HttpRequest, HttpResponse, web};
use protocols::error::ErrorKind;
use protocols::http::health::HealthBody;
use protocols::messages::supervisor::{ActorStatus, ListActors};
use std::time::Duration;
use tokio::time::Instant;

pub(super) async fn health(
    state: web::Data<ServerState>,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let health = check(&state).await;
    if !accept::prefers_json(req.headers()) {
        health?;
        return Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK"));
    }
    health.map_err(Failure::into_health)?;
    Ok(HttpResponse::Ok().json(HealthBody::pass(COMPAT_VERSION)))
}

/// True while the server does its work: what gRPC clients are told in one word.
pub(crate) async fn is_healthy(state: &ServerState) -> bool {
    check(state).await.is_ok()
}

async fn check(state: &ServerState) -> Result<(), Failure> {
    if *state.stopping.borrow() {
        return Err(Failure::stopping());
    }
    let deadline = Instant::now() + Duration::from_millis(HEALTH_MS_MAX);
    judge(&state.supervisor.ask_from_edge(ListActors, deadline).await?)
}

/// An actor that is being rebuilt is no reason to take the server away; one given up is.
fn judge(actors: &[ActorStatus]) -> Result<(), Failure> {
    let failed: Vec<&str> =
        actors.iter().filter(|a| a.state == "failed").map(|a| a.actor.as_str()).collect();
    match failed.is_empty() {
        true => Ok(()),
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
