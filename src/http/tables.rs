//! Creating and deleting tables, bringing them back, and their settings.

use super::access::Who;
use super::databases::{change, check_name, period_ns, read_body, read_query_or_body};
use super::failure::Failure;
use super::params;
use crate::edge::state::ServerState;
use actix_web::{HttpRequest, HttpResponse, web};
use protocols::http::management::{
    CreateTableBody, DeleteTableParams, FileIndexBody, FileIndexParams, SetTableRetentionParams,
    TableParams,
};
use protocols::messages::catalog::{
    CreateTable, DeleteTable, SetIndexedColumns, SetTableRetention, UndeleteTable,
};

pub(super) async fn create(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let CreateTableBody { db, table, tags, fields } = read_body(&state, &req, payload).await?;
    check_name(&db)?;
    let fields = fields.into_iter().map(|field| (field.name, field.kind.into())).collect();
    change(&state, who, CreateTable { db, table, tags, fields }).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn delete(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let DeleteTableParams { db, table, hard_delete_at } = params::from_query(&req)?;
    let when = params::hard_delete(hard_delete_at.as_deref(), state.clock.now_ns())?;
    change(&state, who, DeleteTable { db, table, when }).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn undelete(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let TableParams { db, table } = params::from_query(&req)?;
    change(&state, who, UndeleteTable { db, table }).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn set_retention(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let SetTableRetentionParams { db, table, duration } = params::from_query(&req)?;
    let retention_ns = Some(period_ns(&duration)?);
    change(&state, who, SetTableRetention { db, table, retention_ns }).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn clear_retention(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let TableParams { db, table } = params::from_query(&req)?;
    change(&state, who, SetTableRetention { db, table, retention_ns: None }).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn create_file_index(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let FileIndexBody { db, table, columns } = read_body(&state, &req, payload).await?;
    change(&state, who, SetIndexedColumns { db, table, columns: Some(columns) }).await?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn delete_file_index(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let FileIndexParams { db, table } = read_query_or_body(&state, &req, payload).await?;
    change(&state, who, SetIndexedColumns { db, table, columns: None }).await?;
    Ok(HttpResponse::Ok().finish())
}
