//! Runs of plugins that write nothing.

use super::files::DIRECTORY_ONLY;
use super::{expect_engine, wrapped};
use crate::edge::state::ServerState;
use crate::http::databases::read_body;
use crate::http::failure::Failure;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, SecondsFormat};
use protocols::http::plugins::{
    TestAnswer, TestRequestBody, TestResponse, TestScheduleBody, TestWritesBody,
};
use protocols::limits::PLUGIN_CODE_BYTES_MAX;
use protocols::messages::plugins::{TestEvent, TestPlugin, TestReport, TestedPlugin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than a test may take.
const TEST_TIME: Duration = Duration::from_secs(365 * 24 * 3600);

pub(in crate::http) async fn writes(
    state: web::Data<ServerState>,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_engine(&state)?;
    let body: TestWritesBody = read_body(&state, &req, payload).await?;
    let test = TestPlugin {
        plugin: plugin(&state, body.filename, body.code)?,
        database: body.database,
        event: TestEvent::Lines(body.input_lp),
        arguments: body.input_arguments.unwrap_or_default(),
        cache: body.cache_name,
    };
    run(&state, test).await
}

pub(in crate::http) async fn schedule(
    state: web::Data<ServerState>,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_engine(&state)?;
    let body: TestScheduleBody = read_body(&state, &req, payload).await?;
    let test = TestPlugin {
        plugin: plugin(&state, body.filename, body.code)?,
        database: body.database,
        event: TestEvent::Schedule(body.schedule.unwrap_or_default()),
        arguments: body.input_arguments.unwrap_or_default(),
        cache: body.cache_name,
    };
    run(&state, test).await
}

pub(in crate::http) async fn request(
    state: web::Data<ServerState>,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_engine(&state)?;
    let body: TestRequestBody = read_body(&state, &req, payload).await?;
    let headers = body.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value));
    let test = TestPlugin {
        plugin: plugin(&state, body.filename, body.code)?,
        database: body.database,
        event: TestEvent::Request {
            query: body.query_params,
            headers: headers.collect(),
            body: body.body.into(),
        },
        arguments: body.input_arguments.unwrap_or_default(),
        cache: body.cache_name,
    };
    run(&state, test).await
}

/// The plugin that is meant. The text of one is refused where none may come over HTTP.
fn plugin(
    state: &ServerState,
    path: String,
    code: Option<Arc<str>>,
) -> Result<TestedPlugin, Failure> {
    let Some(code) = code else { return Ok(TestedPlugin::Path(path)) };
    if state.plugin_settings.directory_only {
        return Err(Failure::text(StatusCode::FORBIDDEN, DIRECTORY_ONLY));
    }
    if code.len() > PLUGIN_CODE_BYTES_MAX {
        let text = format!("invalid request: a plugin has at most {PLUGIN_CODE_BYTES_MAX} bytes");
        return Err(Failure::bad_request(text));
    }
    Ok(TestedPlugin::Code(code))
}

async fn run(state: &ServerState, test: TestPlugin) -> Result<HttpResponse, Failure> {
    let deadline = Instant::now() + TEST_TIME;
    let report = state.plugins.triggers.ask_from_edge(test, deadline).await?;
    let report = report.map_err(|error| wrapped("Plugin error", error))?;
    let TestReport { log_lines, writes, errors, trigger_time_ns, response } = report;
    let instant =
        |ns| DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(HttpResponse::Ok().json(TestAnswer {
        trigger_time: trigger_time_ns.map(instant),
        log_lines,
        database_writes: writes,
        errors,
        response: response.map(|(response, body)| TestResponse {
            status: response.status,
            headers: response.headers.into_iter().collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        }),
    }))
}
