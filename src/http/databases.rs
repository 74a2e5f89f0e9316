//! Listing, creating, changing and deleting databases.

use super::access::Who;
use super::failure::Failure;
use super::{body, format, params};
use crate::edge::state::ServerState;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::catalog::Catalog;
use actors::runtime::actor::Receive;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use futures::StreamExt;
use protocols::catalog::CatalogSnapshot;
use protocols::http::management::{
    DatabaseBody, DatabaseParams, DeleteDatabaseParams, ListDatabasesParams, RetentionPeriod,
    SetRetentionParams,
};
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::Command;
use protocols::messages::catalog::{
    By, CatalogError, CreateDatabase, DeleteDatabase, SetRetention, UndeleteDatabase,
};
use protocols::names::check_database_name;
use protocols::principal::Visible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Has the catalog make a change, and waits until it is durable.
pub(super) async fn change<M>(
    state: &ServerState,
    Who(principal, origin): Who,
    change: M,
) -> Result<Arc<CatalogSnapshot>, Failure>
where
    M: Command<Reply = Result<Arc<CatalogSnapshot>, CatalogError>>,
    Catalog: Receive<By<M>>,
{
    let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
    Ok(state.catalog.ask_from_edge(By { principal, origin, change }, deadline).await??)
}

/// Refuses a name that no database can have.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    check_database_name(name).map_err(|text| Failure::json(StatusCode::BAD_REQUEST, text))
}

pub(super) async fn list(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let params: ListDatabasesParams = params::from_query(&req)?;
    let rows = rows(&state.visible(&who.0), params.show_deleted)
        .map_err(|e| Failure::text(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    let schema = rows.schema();
    format::respond(params.format, schema, futures::stream::iter([Ok(rows)]).boxed()).await
}

/// Live databases by name, then deleted ones by name.
fn rows(visible: &Visible, show_deleted: bool) -> arrow::error::Result<RecordBatch> {
    let mut databases: Vec<(bool, &str)> = visible
        .databases()
        .map(|db| (db.deletion.is_some(), db.name.as_ref()))
        .filter(|(deleted, _)| show_deleted || !deleted)
        .collect();
    databases.sort_unstable();
    let names = databases.iter().map(|(_, name)| Some(*name));
    let mut fields = vec![Field::new("iox::database", DataType::Utf8, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(names.collect::<StringArray>())];
    if show_deleted {
        let deleted = databases.iter().map(|(deleted, _)| Some(*deleted));
        fields.push(Field::new("deleted", DataType::Boolean, false));
        columns.push(Arc::new(deleted.collect::<BooleanArray>()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

pub(super) async fn create(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let DatabaseBody { db, retention_period } = read_body(&state, &req, payload).await?;
    check_name(&db)?;
    let retention_ns = retention_period.map(|period| period.0);
    change(&state, who, CreateDatabase { name: db, retention_ns }).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn update(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let DatabaseBody { db, retention_period } = read_body(&state, &req, payload).await?;
    let retention_ns = retention_period.map(|period| period.0);
    change(&state, who, SetRetention { name: db, retention_ns }).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn delete(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let params: DeleteDatabaseParams = params::from_query(&req)?;
    let when = params::hard_delete(params.hard_delete_at.as_deref(), state.clock.now_ns())?;
    change(&state, who, DeleteDatabase { name: params.db, when }).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn undelete(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let params: DatabaseParams = params::from_query(&req)?;
    change(&state, who, UndeleteDatabase { name: params.db }).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn set_retention(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let params: SetRetentionParams = params::from_query(&req)?;
    let retention_ns = Some(period_ns(&params.duration)?);
    change(&state, who, SetRetention { name: params.db, retention_ns }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A retention period as people write it, in nanoseconds.
pub(super) fn period_ns(duration: &str) -> Result<i64, Failure> {
    let period = RetentionPeriod::parse(duration);
    let wrong = |error| Failure::bad_request(format!("Cannot parse the given human time: {error}"));
    Ok(period.map_err(wrong)?.0)
}

pub(super) async fn clear_retention(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let params: DatabaseParams = params::from_query(&req)?;
    change(&state, who, SetRetention { name: params.db, retention_ns: None }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A JSON body, which has to say that it is one.
pub(super) async fn read_body<T: serde::de::DeserializeOwned>(
    state: &ServerState,
    req: &HttpRequest,
    payload: web::Payload,
) -> Result<T, Failure> {
    params::expect_json(req)?;
    params::from_json(&body::read(state, req, payload).await?)
}

/// What is in the query string, or in a JSON body where there is none.
pub(super) async fn read_query_or_body<T: serde::de::DeserializeOwned>(
    state: &ServerState,
    req: &HttpRequest,
    payload: web::Payload,
) -> Result<T, Failure> {
    match req.query_string() {
        "" => read_body(state, req, payload).await,
        _ => params::from_query(req),
    }
}
