//! Deletes of rows, asked for over HTTP and in InfluxQL.

use super::state::ServerState;
use actix_web::web;
use actors::runtime::mailbox::AskError;
use actors::server::RowDeleteError;
use chrono::DateTime;
use protocols::http::row_deletes::{DeleteRowsBody, WrittenInstant};
use protocols::ids::TableId;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::caches::RefillCaches;
use protocols::messages::catalog::{AbortRowDelete, By, CatalogError, RequestRowDelete};
use protocols::row_deletes::RowDelete;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the keeper of caches is asked whether the caches have forgotten what was deleted.
const REFILLS_MAX: u32 = 10;
/// Pause in between.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads an instant: nanoseconds since 1970, or as RFC 3339 has it.
///
/// # Errors
/// When it is neither, or lies outside of what nanoseconds reach.
pub fn parse_instant(text: &str) -> Result<i64, String> {
    if let Ok(ns) = text.parse() {
        return Ok(ns);
    }
    let instant = DateTime::parse_from_rfc3339(text).map_err(|_| {
        format!("{text:?} is neither nanoseconds since 1970 nor of the form 2026-01-31T00:00:00Z")
    })?;
    let ns = instant.timestamp_nanos_opt();
    ns.ok_or_else(|| format!("{text:?} lies outside of 1677 to 2262"))
}

/// An instant as it is written in a body.
///
/// # Errors
/// As [`parse_instant`].
pub fn instant(written: &WrittenInstant) -> Result<i64, String> {
    match written {
        WrittenInstant::Number(ns) => Ok(*ns),
        WrittenInstant::Text(text) => parse_instant(text),
    }
}

/// The first instant of a delete, and the one behind the last.
///
/// # Errors
/// When the request does not say from when to when, or says it twice.
pub fn times(wanted: &DeleteRowsBody) -> Result<(Option<i64>, Option<i64>), String> {
    match (wanted.all_time, &wanted.min_time, &wanted.max_time) {
        (true, None, None) => Ok((None, None)),
        (false, Some(min), Some(max)) => Ok((Some(instant(min)?), Some(instant(max)?))),
        _ => Err("either min_time and max_time are needed, or all_time".to_owned()),
    }
}

/// Deletes rows. When it is answered no query sees them any more, whatever becomes of this process.
///
/// # Errors
/// When it is refused, or nobody knows what came of it.
pub async fn delete(
    state: &web::Data<ServerState>,
    wanted: By<RequestRowDelete>,
) -> Result<Arc<RowDelete>, RowDeleteError> {
    let of_state = state.clone();
    to_its_end(async move {
        let delete = of_state.row_deleter.delete(wanted).await?;
        refill(&of_state, delete.table).await?;
        Ok(delete)
    })
    .await
}

/// Takes a delete of rows back.
///
/// # Errors
/// When it is refused, or nobody knows what came of it.
pub async fn abort(
    state: &web::Data<ServerState>,
    wanted: By<AbortRowDelete>,
) -> Result<Arc<RowDelete>, RowDeleteError> {
    let of_state = state.clone();
    to_its_end(async move {
        let sequence = wanted.change.sequence;
        let snapshot = of_state.catalog.ask_from_edge(wanted, deadline()).await??;
        let known = snapshot.row_deletes.get(sequence).map(Arc::clone);
        let delete = known.ok_or(CatalogError::RowDeleteNotFound(sequence))?;
        refill(&of_state, delete.table).await?;
        Ok(delete)
    })
    .await
}

/// Has the caches of the table begin anew.
async fn refill(state: &ServerState, table: TableId) -> Result<(), AskError> {
    let mut tries = 0;
    loop {
        match state.caches.ask_from_edge(RefillCaches { table }, deadline()).await {
            Ok(()) => return Ok(()),
            Err(error) if tries >= REFILLS_MAX => return Err(error),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Does work that does not end when whoever asked for it is gone: half of it would be in force.
async fn to_its_end<T: 'static>(
    work: impl Future<Output = Result<T, RowDeleteError>> + 'static,
) -> Result<T, RowDeleteError> {
    // Each step of it has a deadline.
    let task = actix_web::rt::spawn(work);
    task.await.unwrap_or_else(|error| {
        Err(CatalogError::Storage(format!("a delete of rows failed: {error}")).into())
    })
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_time_is_said_once() {
        let times = |text: &str| {
            let text = format!(r#"{{"db":"d","table":"t"{text}}}"#);
            let body: DeleteRowsBody = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            times(&body)
        };
        assert_eq!(times(r#","all_time":true"#), Ok((None, None)));
        assert_eq!(times(r#","min_time":-1,"max_time":"5""#), Ok((Some(-1), Some(5))));
        let text = r#","min_time":"1970-01-01T00:00:01+00:00","max_time":"1970-01-01T00:00:02.5Z""#;
        assert_eq!(times(text), Ok((Some(1_000_000_000), Some(2_500_000_000))));
        for wrong in [
            "",
            r#","min_time":1"#,
            r#","max_time":1"#,
            r#","min_time":1,"max_time":2,"all_time":true"#,
            r#","min_time":"soon","max_time":2"#,
            r#","min_time":"1600-01-01T00:00:00Z","max_time":2"#,
            r#","all_time":true,"where":"x""#,
        ] {
            assert!(times(wrong).is_err(), "{wrong}");
        }
    }
}
