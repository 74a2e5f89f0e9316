//! Requests that triggers answer.

use crate::edge::state::ServerState;
use crate::http::absent::not_found;
use crate::http::access::Who;
use crate::http::body;
use crate::http::failure::Failure;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use protocols::access::rights::Right;
use protocols::error::ErrorKind;
use protocols::messages::catalog::CatalogError;
use protocols::messages::plugins::{HandleRequest, PluginError};
use protocols::principal::Action;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use url::form_urlencoded;

/// What an unknown path is answered. Clients know it as it is.
const NOT_FOUND: &str = r#"{error: "not found"}"#;

/// First parts of paths that are not for triggers under `/api/v3/plugins/`.
const RESERVED: [&str; 2] = ["files", "directory"];

/// The trigger knows how long it may take.
const ANSWER_TIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// The same under the path that was announced once.
pub(in crate::http) async fn handle_alias(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let first = path.split('/').next().unwrap_or_default();
    if RESERVED.contains(&first) {
        return not_found(req).await;
    }
    handle(state, who, req, path, payload).await
}

pub(in crate::http) async fn handle(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let directory = state.plugins.directory.load();
    let Some((database, trigger)) = directory.of_path(&path).cloned() else {
        return Err(Failure::text(StatusCode::NOT_FOUND, NOT_FOUND));
    };
    let visible = state.visible(&who.0);
    let may = |right| visible.authorize(Action::In(right, &database));
    if may(Right::Write).is_err() {
        may(Right::Read).map_err(CatalogError::from)?;
    }
    let query = form_urlencoded::parse(req.query_string().as_bytes()).into_owned();
    let headers = req.headers().iter().filter(|(name, _)| ![AUTHORIZATION, COOKIE].contains(name));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers: BTreeMap<_, _> =
        headers.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect();
    let body = body::read(&state, &req, payload).await?;
    let request = HandleRequest { query: query.collect(), headers, body: body.bytes.clone() };
    let (response, body) =
        match trigger.ask_from_edge(request, Instant::now() + ANSWER_TIME).await? {
            Ok(answered) => answered,
            Err(PluginError { kind: ErrorKind::Internal, message }) => {
                let error = format!("Python function call failed: {message}");
                return Ok(HttpResponse::InternalServerError().json(json!({ "error": error })));
            }
            Err(error) => return Err(error.into()),
        };
    let status = StatusCode::from_u16(response.status).ok().filter(|status| status.as_u16() >= 200);
    let Some(status) = status else {
        let error = format!("{} is not the status of an answer", response.status);
        return Ok(HttpResponse::InternalServerError().json(json!({ "error": error })));
    };
    let mut answer = HttpResponse::build(status);
    for header in response.headers {
        answer.append_header(header);
    }
    Ok(answer.body(body))
}
