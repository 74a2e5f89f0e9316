//! `/query`: InfluxQL as version 1 takes and answers it.

mod answer;
mod changes;
mod request;

use super::access::{self, Who};
use super::body;
use super::failure::Failure;
use crate::edge::influxql::{self, database};
use crate::edge::state::ServerState;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use answer::{Answer, Pending, Work};
use protocols::access::rights::Right;
use protocols::influxql::Statement;
use protocols::messages::query::{Language, Statement as Asked};
use protocols::principal::{Action, Denied, Principal};
use request::Request;

/// Parameters in the query string.
pub(super) async fn get(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    if req.query_string().is_empty() {
        return Err(request::bad("missing query parameters 'db' and 'q'"));
    }
    run(state, who.0, &req, Request::read(&req, None)?).await
}

/// Parameters in the query string and in the body.
pub(super) async fn post(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body = body::read(&state, &req, payload).await?;
    if req.query_string().is_empty() && body.is_empty() {
        return Err(request::bad("missing query parameters 'db' and 'q'"));
    }
    let request = Request::read(&req, Some(&body))?;
    let principal = access::of_form(&req, who.0, request.token.as_deref()).await?;
    run(state, principal, &req, request).await
}

async fn run(
    state: web::Data<ServerState>,
    principal: Principal,
    req: &HttpRequest,
    request: Request,
) -> Result<HttpResponse, Failure> {
    let mut denied: Option<Denied> = None;
    let (pending, fault) = match influxql::parse(&request.q) {
        Ok(statements) => {
            let visible = state.visible(&principal);
            let origin = access::origin(req);
            let (db, rp) = (request.db.as_deref(), request.rp.as_deref());
            let pending = statements.into_iter().map(|parsed| {
                let db = database(&parsed.statement, db, rp, &visible)?;
                if is_change(&parsed.statement) {
                    for (right, db) in changes::rights(&parsed.statement, &db) {
                        denied = denied.take().or(visible.authorize(Action::In(right, &db)).err());
                    }
                    let who = Who(principal.clone(), origin.clone());
                    let work = Work::Change(Box::new(parsed.statement), who);
                    return Ok(Pending { db, work });
                }
                denied = denied.take().or(visible.authorize(Action::In(Right::Read, &db)).err());
                let asked = Asked {
                    language: Language::InfluxQlV1,
                    text: request.q[parsed.start..parsed.end].to_owned(),
                    params: request.params.0.clone(),
                    db: db.clone(),
                    principal: principal.clone(),
                    origin: origin.clone(),
                };
                Ok(Pending { db, work: Work::Ask(Box::new(asked)) })
            });
            (pending.collect(), None)
        }
        Err(fault) => (Vec::new(), Some(fault)),
    };
    // Nothing is done where not all of it is allowed.
    if let Some(denied) = denied {
        return Err(denied.into());
    }
    let may_change = req.method() == Method::POST;
    Answer::new(state, &request, pending, fault, may_change).respond().await
}

/// True for statements that are no questions.
fn is_change(statement: &Statement) -> bool {
    !matches!(statement, Statement::Select(_) | Statement::Show(_) | Statement::Explain(_))
}
