//! Compaction on request, and how it is.

use super::databases::read_body;
use super::failure::Failure;
use super::params;
use crate::edge::state::ServerState;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::compact::Compact;
use actors::runtime::mailbox::Mailbox;
use protocols::http::compaction::{CompactBody, CompactionRunParams, CompactionRunShown};
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::compact::{CompactNow, CompactionRun, ReadCompactionRun};
use std::time::Duration;
use tokio::time::Instant;

const NOT_KNOWN: &str = "there is no such compaction, or the server has forgotten it";
const TOO_MANY: &str = "too many compactions wait already";

/// Begins to compact a table, or all of a database.
pub(super) async fn begin(
    state: web::Data<ServerState>,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let CompactBody { db, table } = read_body(&state, &req, payload).await?;
    let snapshot = state.snapshot.load();
    let missing = |what: String| Failure::text(StatusCode::NOT_FOUND, &what);
    let found = snapshot.database(&db).filter(|db| db.deletion.is_none());
    let found = found.ok_or_else(|| missing(format!("database not found: {db}")))?;
    let tables = match &table {
        None => found.live_tables().iter().map(|table| table.id).collect(),
        Some(name) => {
            let table = found.table(name).filter(|table| table.deletion.is_none());
            let table = table.ok_or_else(|| missing(format!("table not found: {name}")))?;
            [table.id].into()
        }
    };
    let run = mailbox(&state)?.ask_from_edge(CompactNow { tables }, deadline()).await?;
    let run = run.ok_or_else(|| Failure::text(StatusCode::TOO_MANY_REQUESTS, TOO_MANY))?;
    Ok(HttpResponse::Accepted().json(shown(run)))
}

/// Shows how it is with a compaction that was begun.
pub(super) async fn show(
    state: web::Data<ServerState>,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let CompactionRunParams { run } = params::from_query(&req)?;
    let found = mailbox(&state)?.ask_from_edge(ReadCompactionRun { run }, deadline()).await?;
    let found = found.ok_or_else(|| Failure::text(StatusCode::NOT_FOUND, NOT_KNOWN))?;
    Ok(HttpResponse::Ok().json(shown(found)))
}

fn mailbox(state: &ServerState) -> Result<&Mailbox<Compact>, Failure> {
    let compact = state.compact.as_ref();
    compact.ok_or_else(|| Failure::text(StatusCode::NOT_FOUND, NOT_KNOWN))
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS)
}

fn shown(run: CompactionRun) -> CompactionRunShown {
    CompactionRunShown {
        run: run.run,
        status: if run.is_done { "done" } else { "running" },
        windows_left: run.windows_left,
        windows_done: run.windows_done,
        files_in: run.files_in,
        files_out: run.files_out,
        bytes_in: run.bytes_in,
        bytes_out: run.bytes_out,
        error: run.error,
    }
}
