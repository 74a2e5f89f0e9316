//! Creating and deleting named plugins and triggers, and switching triggers.

use super::{deadline, expect_engine, wrapped};
use crate::edge::state::ServerState;
use crate::http::access::Who;
use crate::http::databases::read_query_or_body;
use crate::http::failure::Failure;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::catalog::Catalog;
use actors::plugin_files::REPOSITORY_MARK;
use actors::runtime::actor::Receive;
use actors::trigger::check_cron;
use protocols::catalog::CatalogSnapshot;
use protocols::http::plugins::{
    CreatePluginBody, CreateTriggerBody, DeleteTriggerParams, PluginParams, TriggerParams,
};
use protocols::limits::PLUGIN_CODE_BYTES_MAX;
use protocols::messages::Command;
use protocols::messages::catalog::{
    By, CatalogError, CreatePlugin, CreateTrigger, DeletePlugin, DeleteTrigger, SetTriggerDisabled,
};
use protocols::messages::plugins::{CheckHost, PluginError, ReadPlugin, SyncTriggers};
use protocols::plugins::{
    Delivery, ErrorBehavior, Isolation, PluginDef, PluginRef, PluginText, TriggerKind, TriggerSpec,
};
use std::sync::Arc;

/// Where a plugin's error comes up when something is created.
const CREATING: &str = "Processing engine error: plugin error";

/// Has the catalog make a change, and then the triggers that run those of the catalog.
async fn change<M>(state: &ServerState, who: Who, change: M) -> Result<HttpResponse, Failure>
where
    M: Command<Reply = Result<Arc<CatalogSnapshot>, CatalogError>>,
    Catalog: Receive<By<M>>,
{
    let deadline = deadline();
    let Who(principal, origin) = who;
    state.catalog.ask_from_edge(By { principal, origin, change }, deadline).await??;
    if let Err(error) = state.plugins.triggers.ask_from_edge(SyncTriggers, deadline).await {
        // The change is durable, and the ticker has it looked at again.
        tracing::warn!(%error, "the triggers that run are not those of the catalog yet");
    }
    Ok(HttpResponse::Ok().finish())
}

/// Makes sure that a plugin can be read.
async fn check_file(state: &ServerState, path: &str) -> Result<(), PluginError> {
    let is_remote = path.starts_with(REPOSITORY_MARK);
    if is_remote && state.plugin_settings.directory_only {
        return Err(PluginError::internal(super::files::DIRECTORY_ONLY));
    }
    let read = ReadPlugin { path: path.into(), known: None, or_copy: false };
    let answer = state.plugins.files.ask_from_edge(read, deadline()).await;
    answer.map_err(PluginError::from)?.map(drop)
}

pub(in crate::http) async fn create_plugin(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_engine(&state)?;
    let body: CreatePluginBody = read_query_or_body(&state, &req, payload).await?;
    let text = match (body.code, body.file_name) {
        (Some(code), None) if code.len() <= PLUGIN_CODE_BYTES_MAX => PluginText::Code(code.into()),
        (Some(_), None) => {
            let text =
                format!("invalid request: a plugin has {PLUGIN_CODE_BYTES_MAX} bytes at most");
            return Err(Failure::bad_request(text));
        }
        (None, Some(file)) => {
            let missing = |error: PluginError| match error.message.contains("not found") {
                true => {
                    let text = format!("plugin not found: {file}");
                    Failure::text(StatusCode::INTERNAL_SERVER_ERROR, text)
                }
                false => wrapped(CREATING, error),
            };
            check_file(&state, &file).await.map_err(missing)?;
            PluginText::File(file.into())
        }
        _ => {
            let text = "invalid request: a plugin has either a code or a file_name";
            return Err(Failure::bad_request(text));
        }
    };
    let plugin = PluginDef { name: body.plugin_name.into(), kind: body.plugin_type, text };
    change(&state, who, CreatePlugin { db: body.db, plugin }).await
}

pub(in crate::http) async fn delete_plugin(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_engine(&state)?;
    let PluginParams { db, plugin_name } = read_query_or_body(&state, &req, payload).await?;
    change(&state, who, DeletePlugin { db, plugin: plugin_name }).await
}

/// Refuses kinds of triggers that the operator does not want.
fn check_kind(state: &ServerState, kind: TriggerKind) -> Result<(), Failure> {
    let wanted = &state.plugin_settings.kinds;
    match wanted.is_empty() || wanted.contains(&kind) {
        true => Ok(()),
        false => Err(Failure::bad_request(format!(
            "invalid request: server is configured to reject {} plugin triggers",
            kind.name()
        ))),
    }
}

/// How rows reach a trigger of that kind.
fn delivery(name: Option<&str>, kind: TriggerKind) -> Result<Delivery, Failure> {
    let Some(name) = name else { return Ok(Delivery::default()) };
    match Delivery::named(name) {
        None => Err(Failure::bad_request(format!("invalid request: unknown delivery '{name}'"))),
        Some(Delivery::AtLeastOnce) if kind != TriggerKind::WalRows => {
            let text = "invalid request: only triggers for rows have the delivery 'at-least-once'";
            Err(Failure::bad_request(text))
        }
        Some(delivery) => Ok(delivery),
    }
}

pub(in crate::http) async fn create_trigger(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_engine(&state)?;
    let body: CreateTriggerBody = read_query_or_body(&state, &req, payload).await?;
    let spec = TriggerSpec::parse(&body.trigger_specification, check_cron)
        .map_err(|error| Failure::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    check_kind(&state, spec.kind())?;
    let error_behavior = match &body.trigger_settings.error_behavior {
        None => ErrorBehavior::default(),
        Some(name) => ErrorBehavior::named(name).ok_or_else(|| {
            Failure::bad_request(format!("invalid request: unknown error behavior '{name}'"))
        })?,
    };
    let isolation = match &body.trigger_settings.isolation {
        None => Isolation::default(),
        Some(name) => Isolation::named(name).ok_or_else(|| {
            Failure::bad_request(format!("invalid request: unknown isolation '{name}'"))
        })?,
    };
    let delivery = delivery(body.trigger_settings.delivery.as_deref(), spec.kind())?;
    let plugin = match (body.plugin_filename, body.plugin_name) {
        (Some(path), None) => {
            check_file(&state, &path).await.map_err(|error| wrapped(CREATING, error))?;
            PluginRef::Path(path.into())
        }
        (None, Some(name)) => PluginRef::Named(name.into()),
        _ => {
            let text = "invalid request: a trigger has either a plugin_filename or a plugin_name";
            return Err(Failure::bad_request(text));
        }
    };
    if !body.disabled {
        let checked = state.plugins.host.ask_from_edge(CheckHost, deadline()).await;
        checked?.map_err(|error| wrapped("Processing engine error", error))?;
    }
    let wanted = CreateTrigger {
        db: body.db,
        name: body.trigger_name,
        plugin,
        specification: body.trigger_specification,
        spec,
        arguments: body.trigger_arguments.unwrap_or_default(),
        run_async: body.trigger_settings.run_async,
        error_behavior,
        isolation,
        delivery,
        disabled: body.disabled,
    };
    change(&state, who, wanted).await
}

pub(in crate::http) async fn delete_trigger(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    expect_engine(&state)?;
    let DeleteTriggerParams { db, trigger_name, force } =
        read_query_or_body(&state, &req, payload).await?;
    change(&state, who, DeleteTrigger { db, trigger: trigger_name, force }).await
}

pub(in crate::http) async fn enable_trigger(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    set_disabled(&state, who, &req, payload, false).await
}

pub(in crate::http) async fn disable_trigger(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    set_disabled(&state, who, &req, payload, true).await
}

async fn set_disabled(
    state: &ServerState,
    who: Who,
    req: &HttpRequest,
    payload: web::Payload,
    disabled: bool,
) -> Result<HttpResponse, Failure> {
    expect_engine(state)?;
    let TriggerParams { db, trigger_name } = read_query_or_body(state, req, payload).await?;
    change(state, who, SetTriggerDisabled { db, trigger: trigger_name, disabled }).await
}
