//! `/health`: whether the server should go on as it is or be started anew. `/ready`: whether it can
//! serve. Both in a word, or as version 2 tells it.

use super::accept;
use super::failure::Failure;
use super::limits::{
    QUERY_LAG_ALIVE_MAX, QUERY_LAG_READY_MAX, WAL_STALL_ALIVE_MAX, WAL_STALL_READY_MAX,
};
use crate::edge::state::ServerState;
use crate::version::COMPAT_VERSION;
use actix_web::body::BoxBody;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use actors::runtime::pulse::Stall;
use actors::triggers::TriggerDirectory;
use protocols::error::ErrorKind;
use protocols::http::health::{HealthBody, HealthCheck};

/// How a part of the server is.
#[derive(Debug)]
struct Part {
    name: &'static str,
    /// Why it does not serve.
    fault: Option<String>,
    /// A new start would help.
    is_lost: bool,
    /// What else there is to know, where nothing is wrong.
    detail: Option<String>,
}

/// What is asked about.
#[derive(Clone, Copy)]
enum Question {
    Alive,
    Ready,
}

impl Part {
    fn passes(&self, question: Question) -> bool {
        match question {
            Question::Alive => !self.is_lost,
            Question::Ready => self.fault.is_none(),
        }
    }
}

/// `/health`
pub(super) async fn health(state: web::Data<ServerState>, req: HttpRequest) -> HttpResponse {
    tell(&parts(&state), Question::Alive, &req)
}

/// `/ready`
pub(super) async fn ready(state: web::Data<ServerState>, req: HttpRequest) -> HttpResponse {
    tell(&parts(&state), Question::Ready, &req)
}

/// True while the server can serve: what gRPC clients are told in one word.
pub(crate) fn is_ready(state: &ServerState) -> bool {
    parts(state).iter().all(|part| part.passes(Question::Ready))
}

fn tell(parts: &[Part], question: Question, req: &HttpRequest) -> HttpResponse {
    let failing = parts.iter().find(|part| !part.passes(question));
    let fault = failing.and_then(|part| part.fault.as_deref());
    let failure = fault.map(|text| Failure::of_kind(ErrorKind::Unavailable, text));
    let response = match &failure {
        Some(failure) => failure.error_response(),
        None => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK"),
    };
    if !accept::prefers_json(req.headers()) {
        return response;
    }
    let check = |part: &Part| HealthCheck {
        name: part.name,
        message: part
            .fault
            .clone()
            .or_else(|| part.detail.clone())
            .unwrap_or_else(|| "as it should be".to_owned()),
        status: if part.passes(question) { "pass" } else { "fail" },
    };
    let body = HealthBody {
        name: "influxdb",
        message: fault.unwrap_or("ready for queries and writes"),
        status: if failing.is_none() { "pass" } else { "fail" },
        checks: parts.iter().map(check).collect(),
        version: COMPAT_VERSION,
    };
    let text = serde_json::to_string(&body).unwrap_or_default();
    let mut response = response.set_body(BoxBody::new(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn parts(state: &ServerState) -> Vec<Part> {
    if *state.stopping.borrow() {
        let fault = Some("the server is shutting down".to_owned());
        return vec![Part { name: "server", fault, is_lost: true, detail: None }];
    }
    let (actors, pulses) = (state.roster.actors(), &state.pulses);
    let actors = actors.iter().map(|actor| (actor.name.as_str(), actor.vital, actor.state()));
    vec![
        of_actors(actors),
        of_queries(pulses.queries.stall()),
        of_writes(pulses.wal.stall()),
        of_triggers(&state.plugins.directory.load(), state.clock.now_ns()),
    ]
}

/// A trigger that lags is its owner's business, and no reason to start the server anew.
fn of_triggers(directory: &TriggerDirectory, now_ns: i64) -> Part {
    let lags = directory.running().iter().map(|running| (running.standing.lag(now_ns), running));
    let detail = lags.max_by_key(|(lag, _)| *lag).map(|(lag, of)| {
        let (seconds, name, database) = (lag.as_secs_f64(), &of.trigger, &of.database);
        format!("the trigger that lags most is {name} of {database}, by {seconds:.1} s")
    });
    Part { name: "triggers", fault: None, is_lost: false, detail }
}

/// Only those that the server does not go on without count. One of them that is being rebuilt keeps
/// the server from serving; one that was given up ends it.
fn of_actors<'a>(actors: impl Iterator<Item = (&'a str, bool, &'a str)>) -> Part {
    let away: Vec<_> = actors.filter(|(_, vital, state)| *vital && *state != "running").collect();
    let told: Vec<_> = away.iter().map(|(name, _, state)| format!("{name} is {state}")).collect();
    let fault = (!told.is_empty()).then(|| format!("actors are away: {}", told.join(", ")));
    Part {
        name: "actors",
        fault,
        is_lost: away.iter().any(|(_, _, state)| *state == "failed"),
        detail: None,
    }
}

fn of_queries(stall: Stall) -> Part {
    let late = stall.no_progress;
    let text = || format!("queries have not been answered for {} s", late.as_secs());
    let fault = (late >= QUERY_LAG_READY_MAX).then(text);
    Part { name: "queries", fault, is_lost: late >= QUERY_LAG_ALIVE_MAX, detail: None }
}

/// A store that refuses is no reason for a new start, which could not even read it: one that does
/// not even refuse is.
fn of_writes(stall: Stall) -> Part {
    let late = stall.no_progress;
    let text = || format!("no write has become durable and visible for {} s", late.as_secs());
    let fault = (late >= WAL_STALL_READY_MAX).then(text);
    Part { name: "writes", fault, is_lost: stall.no_sign >= WAL_STALL_ALIVE_MAX, detail: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn is(part: &Part) -> (bool, bool) {
        (part.passes(Question::Alive), part.passes(Question::Ready))
    }

    #[test]
    fn only_actors_that_the_server_needs_count() {
        let with_wal = |state| {
            let cache = ("last-cache-1-0", false, "failed");
            of_actors([("wal", true, state), cache].into_iter())
        };
        assert_eq!(is(&with_wal("running")), (true, true));
        assert_eq!(is(&with_wal("rebuilding")), (true, false));
        let lost = with_wal("failed");
        assert_eq!(is(&lost), (false, false));
        assert_eq!(lost.fault.as_deref(), Some("actors are away: wal is failed"));
    }

    #[test]
    fn who_is_late_does_not_serve_and_who_is_very_late_is_lost() {
        let stall = |no_progress, no_sign| Stall {
            no_progress: Duration::from_secs(no_progress),
            no_sign: Duration::from_secs(no_sign),
        };
        assert_eq!(is(&of_queries(stall(2, 2))), (true, true));
        assert_eq!(is(&of_queries(stall(6, 6))), (true, false));
        assert_eq!(is(&of_queries(stall(31, 31))), (false, false));
        assert_eq!(is(&of_writes(stall(10, 10))), (true, true));
        assert_eq!(is(&of_writes(stall(600, 9))), (true, false), "the store refuses");
        assert_eq!(is(&of_writes(stall(61, 61))), (false, false), "it does not even refuse");
    }
}
