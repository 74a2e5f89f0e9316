//! Making, replacing and deleting tokens. The text of a token is in the answer to its creation
//! and nowhere else.

use super::access::Who;
use super::databases::{change, read_body};
use super::failure::Failure;
use super::params;
use crate::edge::access::new_token;
use crate::edge::state::ServerState;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, SecondsFormat};
use protocols::access::rights::Permission;
use protocols::access::tokens::{OPERATOR, Secret, plain_hash};
use protocols::catalog::CatalogSnapshot;
use protocols::http::tokens::{
    CreateAdminBody, CreateLimitedBody, DeleteTokenParams, PermissionBody, TokenCreated,
};
use protocols::messages::catalog::{CreateToken, RegenerateToken, Wanted};
use std::sync::Arc;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The operator's token, once.
pub(super) async fn create_operator(
    state: web::Data<ServerState>,
    who: Who,
) -> Result<HttpResponse, Failure> {
    create(&state, who, OPERATOR.to_owned(), Wanted::Admin, None).await
}

/// Another text for the operator's token.
pub(super) async fn regenerate(
    state: web::Data<ServerState>,
    who: Who,
) -> Result<HttpResponse, Failure> {
    let text = text()?;
    let secret = Secret::of(state.snapshot.load().uuid, &text);
    let catalog = change(&state, who, RegenerateToken { secret }).await?;
    answer(&catalog, OPERATOR, &text)
}

/// A further token that may do everything.
pub(super) async fn create_admin(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let CreateAdminBody { token_name, expiry_secs } = read_body(&state, &req, payload).await?;
    create(&state, who, token_name, Wanted::Admin, expiry_secs).await
}

/// A token that may do what is listed.
pub(super) async fn create_limited(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body: CreateLimitedBody = read_body(&state, &req, payload).await?;
    let CreateLimitedBody { token_name, permissions, expiry_secs } = body;
    let permission = |body: &PermissionBody| {
        Permission::new(&body.resource_type, &body.resource_names, &body.actions)
    };
    let permissions: Result<Vec<_>, _> = permissions.iter().map(permission).collect();
    let permissions = permissions.map_err(|error| Failure::bad_request(error.to_string()))?;
    if permissions.is_empty() {
        return Err(Failure::bad_request("a token without permissions may do nothing"));
    }
    create(&state, who, token_name, Wanted::Permissions(permissions), expiry_secs).await
}

pub(super) async fn delete(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let DeleteTokenParams { token_name } = params::from_query(&req)?;
    change(&state, who, protocols::messages::catalog::DeleteToken { name: token_name }).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn create(
    state: &ServerState,
    who: Who,
    name: String,
    wanted: Wanted,
    expiry_secs: Option<u64>,
) -> Result<HttpResponse, Failure> {
    let text = text()?;
    let secret = Secret::of(state.snapshot.load().uuid, &text);
    let now_ns = state.clock.now_ns();
    let expires_at_ns = expiry_secs.map(|secs| {
        let ns = i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_SECOND);
        now_ns.saturating_add(ns)
    });
    let token = CreateToken { name: name.clone(), secret, wanted, expires_at_ns };
    let catalog = change(state, who, token).await?;
    answer(&catalog, &name, &text)
}

fn text() -> Result<String, Failure> {
    new_token().map_err(|error| {
        let text = format!("the system gives no random numbers: {error}");
        Failure::text(StatusCode::INTERNAL_SERVER_ERROR, text)
    })
}

fn answer(catalog: &Arc<CatalogSnapshot>, name: &str, text: &str) -> Result<HttpResponse, Failure> {
    let Some(token) = catalog.tokens.named(name) else {
        return Err(Failure::text(StatusCode::NOT_FOUND, "the token was deleted meanwhile"));
    };
    let told =
        |ns: i64| DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Millis, true);
    Ok(HttpResponse::Created().json(TokenCreated {
        id: token.id.0,
        name,
        token: text,
        hash: plain_hash(text),
        created_at: told(token.updated_at_ns.unwrap_or(token.created_at_ns)),
        expiry: token.expires_at_ns.map(told),
    }))
}
