//! The three write endpoints. They differ in their parameters and in how they tell errors.

use super::access::Who;
use super::failure::Failure;
use super::{body, params};
use crate::edge::state::ServerState;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use protocols::access::rights::Right;
use protocols::http::errors::{RefusedLine, RefusedLines};
use protocols::http::write::{WriteV1Params, WriteV2Params, WriteV3Params};
use protocols::limits::WRITE_DEADLINE_MS;
use protocols::line_protocol::{LineError, Precision};
use protocols::messages::catalog::CatalogError;
use protocols::messages::ingest::{WriteError, WriteLines, WriteReport};
use protocols::messages::wal::{SyncMode, WalError};
use protocols::names::{check_database_name, v1_database};
use protocols::principal::Action;
use std::time::Duration;
use tokio::time::Instant;

/// Where the lines of a request go, and how.
#[derive(Debug)]
struct Target {
    db: String,
    precision: Precision,
    accept_partial: bool,
    makes_empty_database: bool,
    sync: SyncMode,
}

/// `/api/v3/write_lp`.
pub(super) async fn v3(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let target = target_v3(&req)?;
    let report = write(&state, who, &req, payload, target)
        .await?
        .map_err(|error| refusal(error, "parsing failed for write_lp endpoint"))?;
    partial_write(report)
}

/// `/write`.
pub(super) async fn v1(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let target = target_v1(&req)?;
    let report = write(&state, who, &req, payload, target)
        .await?
        .map_err(|error| refusal(error, "line protocol parsing error"))?;
    match dropped(&report) {
        None => Ok(HttpResponse::NoContent().finish()),
        Some((_, text)) => Err(Failure::json(StatusCode::BAD_REQUEST, text)),
    }
}

/// `/api/v2/write`.
pub(super) async fn v2(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let target = target_v2(&req).map_err(Failure::into_v2)?;
    let outcome = write(&state, who, &req, payload, target).await.map_err(Failure::into_v2)?;
    match dropped(&outcome.map_err(refusal_v2)?) {
        None => Ok(HttpResponse::NoContent().finish()),
        Some((line, text)) => Err(Failure::bad_request(text).into_v2().at_line(line)),
    }
}

fn target_v3(req: &HttpRequest) -> Result<Target, Failure> {
    if req.query_string().is_empty() {
        return Err(Failure::bad_request("missing query parameter 'db'"));
    }
    let params: WriteV3Params = params::from_query(req)?;
    check_database_name(&params.db).map_err(|text| Failure::json(StatusCode::BAD_REQUEST, text))?;
    Ok(Target {
        db: params.db,
        precision: params.precision,
        accept_partial: params.accept_partial,
        makes_empty_database: true,
        sync: if params.no_sync { SyncMode::Buffered } else { SyncMode::Durable },
    })
}

fn target_v1(req: &HttpRequest) -> Result<Target, Failure> {
    let invalid = |text| Failure::json(StatusCode::BAD_REQUEST, text);
    if req.query_string().is_empty() {
        return Err(invalid("no db destination provided".to_owned()));
    }
    let params: WriteV1Params = params::decode_query(req.query_string()).map_err(|error| {
        invalid(format!("failed to deserialize db/rp/precision in request: {error}"))
    })?;
    let db = v1_database(&params.db, params.rp.as_deref());
    check_database_name(&db).map_err(invalid)?;
    Ok(durable(db, params.precision, params.accept_partial))
}

fn target_v2(req: &HttpRequest) -> Result<Target, Failure> {
    if req.query_string().is_empty() {
        return Err(Failure::bad_request("no org/bucket destination provided"));
    }
    let params: WriteV2Params = params::decode_query(req.query_string()).map_err(|error| {
        let text = format!("failed to deserialize org/bucket/precision in request: {error}");
        Failure::bad_request(text)
    })?;
    let db = params.bucket;
    if db.is_empty() {
        return Err(Failure::bad_request("missing bucket value"));
    }
    check_database_name(&db).map_err(Failure::bad_request)?;
    Ok(durable(db, params.precision, params.accept_partial))
}

/// The older endpoints always wait until the rows are durable, and what has no good line leaves
/// nothing.
fn durable(db: String, precision: Precision, accept_partial: bool) -> Target {
    let sync = SyncMode::Durable;
    Target { db, precision, accept_partial, makes_empty_database: false, sync }
}

/// Reads the body and has it stored.
async fn write(
    state: &ServerState,
    Who(principal, origin): Who,
    req: &HttpRequest,
    payload: web::Payload,
    target: Target,
) -> Result<Result<WriteReport, WriteError>, Failure> {
    if *state.stopping.borrow() {
        return Ok(Err(WalError::Shutdown.into()));
    }
    // What may not be written is not kept. `Ingest` looks again, at the catalog of its moment.
    let write = Action::In(Right::Write, &target.db);
    if let Err(denied) = state.authorize(&principal, write) {
        body::pass_over(req, payload).await;
        return Ok(Err(CatalogError::from(denied).into()));
    }
    let received_at_ns = state.clock.now_ns();
    let announced = body::announced(req);
    if let Err(too_much) = state.quota.begin_write(&principal, announced) {
        body::pass_over(req, payload).await;
        return Err(too_much.into());
    }
    let body = body::read(state, req, payload).await?;
    // What was compressed is more than it was announced as.
    state.quota.wrote_more(&principal, body.bytes.len().saturating_sub(announced));
    let deadline = Instant::now() + Duration::from_millis(WRITE_DEADLINE_MS);
    let Target { db, precision, accept_partial, makes_empty_database, sync } = target;
    let lines = WriteLines {
        db: db.clone(),
        principal,
        origin,
        body: body.bytes.clone(),
        precision,
        accept_partial,
        makes_empty_database,
        sync,
        received_at_ns,
    };
    let outcome = match state.ingest.ask_from_edge(lines, deadline).await {
        Ok(outcome) => outcome,
        Err(error) => Err(WriteError::Undelivered(error.kind(), error.to_string())),
    };
    count(state, db, &outcome);
    Ok(outcome)
}

fn count(state: &ServerState, db: String, outcome: &Result<WriteReport, WriteError>) {
    let (lines, bytes, rejected) = match outcome {
        Ok(report) => (report.accepted_lines, report.accepted_bytes, report.rejected_lines),
        Err(WriteError::Line(_)) => (0, 0, 1),
        Err(_) => return,
    };
    state.writes.add(&state.snapshot.load(), &db, [lines, bytes, rejected]);
}

/// The answer to a request whose good lines are stored.
fn partial_write(report: WriteReport) -> Result<HttpResponse, Failure> {
    if report.rejected.is_empty() {
        return Ok(HttpResponse::NoContent().finish());
    }
    let status = match report.rejected.iter().any(|line| line.is_limit) {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::BAD_REQUEST,
    };
    let lines: Vec<_> = report.rejected.into_iter().map(RefusedLine::from).collect();
    let is_cut = lines.len() < report.rejected_lines;
    let lines = RefusedLines::All(lines);
    let failure = Failure::lines(status, "partial write of line protocol occurred", lines);
    Err(if is_cut { failure.of_refused_lines(report.rejected_lines) } else { failure })
}

/// The first line that is not stored, and what versions 1 and 2 say when others are.
fn dropped(report: &WriteReport) -> Option<(usize, String)> {
    let LineError { line_number, message, .. } = report.rejected.first()?;
    let lines = report.rejected_lines;
    Some((*line_number, format!("partial write: line {line_number}: {message} dropped={lines}")))
}

/// Why a whole request was refused, as `/write` and `/api/v3/write_lp` tell it.
fn refusal(error: WriteError, bad_line: &str) -> Failure {
    let kind = error.kind();
    match error {
        WriteError::NotUtf8(text) => Failure::bad_request(text),
        WriteError::Empty => Failure::bad_request(error.to_string()),
        WriteError::Line(line) => {
            Failure::lines(StatusCode::BAD_REQUEST, bad_line, RefusedLines::First(line.into()))
        }
        WriteError::Catalog(error @ CatalogError::Storage(_)) => {
            Failure::of_kind(kind, format!("write buffer error: {error}"))
        }
        WriteError::Catalog(error @ CatalogError::Limit(_)) => {
            Failure::json(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
        }
        WriteError::Catalog(error) if kind.http_status() == 400 => {
            Failure::json(StatusCode::BAD_REQUEST, error.to_string())
        }
        WriteError::Catalog(error) => Failure::of_kind(kind, error.to_string()),
        WriteError::Wal(error) => {
            Failure::of_kind(kind, format!("write buffer error: error from wal: {error}"))
        }
        WriteError::Undelivered(_, text) => Failure::of_kind(kind, text),
    }
}

/// The same as `/api/v2/write` tells it.
fn refusal_v2(error: WriteError) -> Failure {
    let invalid = |text: String| Failure::bad_request(format!("write buffer error: {text}"));
    let failure = match error {
        WriteError::Empty => invalid(error.to_string()),
        WriteError::Line(line) => invalid(format!("line protocol parse failed: {}", line.message))
            .at_line(line.line_number),
        WriteError::Catalog(error @ CatalogError::Limit(_)) => {
            invalid(format!("catalog update error: {error}"))
        }
        other => refusal(other, ""),
    };
    failure.into_v2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use actix_web::body::MessageBody;
    use actix_web::test::TestRequest;
    use protocols::error::ErrorKind;

    fn told(failure: &Failure) -> (u16, String) {
        let body = failure.error_response().into_body().try_into_bytes().expect("a short body");
        let body = String::from_utf8(body.to_vec()).expect("text");
        (failure.status_code().as_u16(), body)
    }

    fn check<T: std::fmt::Debug>(outcome: Result<T, Failure>, status: u16, body: &str) {
        assert_eq!(told(&outcome.expect_err("a refusal")), (status, body.to_owned()));
    }

    fn asked(query: &str) -> HttpRequest {
        TestRequest::with_uri(&format!("/write{query}")).to_http_request()
    }

    #[test]
    fn parameters_of_v3() {
        let target = target_v3(&asked("?db=a/b&precision=ms&no_sync=true&x=y")).expect("good");
        assert_eq!((target.db.as_str(), target.precision), ("a/b", Precision::Millisecond));
        assert!(target.accept_partial && target.sync == SyncMode::Buffered);
        let target = target_v3(&asked("?db=a&accept_partial=false")).expect("good");
        assert!(!target.accept_partial && target.sync == SyncMode::Durable);
        assert_eq!(target.precision, Precision::Auto);

        check(target_v3(&asked("")), 400, "missing query parameter 'db'");
        check(target_v3(&asked("?")), 400, "missing query parameter 'db'");
        check(target_v3(&asked("?bucket=a")), 400, "serde error: missing field `db`");
        check(target_v3(&asked("?db=")), 400, r#"{"error":"db name cannot be empty"}"#);
        check(
            target_v3(&asked("?db=d&precision=fortnight")),
            400,
            "serde error: unknown variant `fortnight`, expected one of `auto`, `s`, `second`, \
             `millisecond`, `ms`, `microsecond`, `u`, `us`, `n`, `nanosecond`, `ns`",
        );
        check(
            target_v3(&asked("?db=d&no_sync=1")),
            400,
            "serde error: provided string was not `true` or `false`",
        );
    }

    #[test]
    fn parameters_of_v1() {
        let target = target_v1(&asked("?db=a&rp=Weekly&precision=s&accept_partial=false"));
        let target = target.expect("good");
        assert_eq!((target.db.as_str(), target.precision), ("a/weekly", Precision::Second));
        assert!(!target.accept_partial);
        let target = target_v1(&asked("?db=a&rp=autogen")).expect("good");
        assert_eq!((target.db.as_str(), target.precision), ("a", Precision::Nanosecond));
        assert!(target.accept_partial);
        for (precision, expected) in [
            ("", Precision::Nanosecond),
            ("h", Precision::Hour),
            ("m", Precision::Minute),
            ("%C2%B5", Precision::Microsecond),
        ] {
            let target = target_v1(&asked(&format!("?db=a&precision={precision}"))).expect("good");
            assert_eq!(target.precision, expected, "{precision}");
        }

        check(target_v1(&asked("")), 400, r#"{"error":"no db destination provided"}"#);
        let start = r#"{"error":"failed to deserialize db/rp/precision in request: "#;
        check(target_v1(&asked("?rp=a")), 400, &format!("{start}missing field `db`\"}}"));
        let body = told(&target_v1(&asked("?db=a&precision=auto")).expect_err("no auto")).1;
        assert!(body.starts_with(&format!("{start}unknown variant `auto`, expected")), "{body}");
        check(target_v1(&asked("?db=")), 400, r#"{"error":"db name cannot be empty"}"#);
    }

    #[test]
    fn parameters_of_v2() {
        let v2 = |query| target_v2(&asked(query)).map_err(Failure::into_v2);
        let target = v2("?bucket=a&org=o&orgID=1&precision=us").expect("good");
        assert_eq!((target.db.as_str(), target.precision), ("a", Precision::Microsecond));
        assert!(target.accept_partial);
        let target = v2("?bucket=a&precision=&accept_partial=false").expect("good");
        assert!(target.precision == Precision::Nanosecond && !target.accept_partial);
        assert!(v2("?bucket=a&precision=m").is_err());
        let long = format!("?bucket={}", "x".repeat(511));
        assert_eq!(v2(&long).expect("good").db.len(), 511);
        let body = |text| format!(r#"{{"code":"invalid","message":"{text}"}}"#);
        check(v2(""), 400, &body("no org/bucket destination provided"));
        check(v2("?bucket="), 400, &body("missing bucket value"));
        check(v2("?bucket=_a"), 400, &body("db name did not start with a number or letter"));
    }

    fn line(is_limit: bool) -> LineError {
        LineError {
            line_number: 2,
            original_line: "bad \"line".to_owned(),
            message: "No fields were provided".to_owned(),
            is_limit,
        }
    }

    #[test]
    fn refused_lines() {
        let data = r#"{"error_message":"No fields were provided","line_number":2,"original_line":"bad \"line"}"#;
        let report = |rejected: Vec<_>| {
            let rejected_lines = rejected.len();
            WriteReport { accepted_lines: 1, accepted_bytes: 5, rejected, rejected_lines }
        };
        assert!(partial_write(report(vec![])).is_ok());
        let body =
            format!(r#"{{"error":"partial write of line protocol occurred","data":[{data}]}}"#);
        check(partial_write(report(vec![line(false)])), 400, &body);
        check(partial_write(report(vec![line(true)])), 422, &body);
        let cut = WriteReport { rejected_lines: 70_000, ..report(vec![line(false)]) };
        let told_of = body.replace("}]}", r#"}],"refused_lines":70000}"#);
        check(partial_write(cut), 400, &told_of);

        let body = format!(r#"{{"error":"line protocol parsing error","data":{data}}}"#);
        for is_limit in [false, true] {
            let failure = refusal(WriteError::Line(line(is_limit)), "line protocol parsing error");
            assert_eq!(told(&failure), (400, body.clone()));
        }
        let text = "write buffer error: line protocol parse failed: No fields were provided";
        let body = format!(r#"{{"code":"invalid","message":"{text}","line":2}}"#);
        assert_eq!(told(&refusal_v2(WriteError::Line(line(false)))), (400, body));
        assert_eq!(dropped(&report(vec![])), None);
        let text = "partial write: line 2: No fields were provided dropped=2".to_owned();
        assert_eq!(dropped(&report(vec![line(false), line(true)])), Some((2, text)));
    }

    #[test]
    fn refused_requests() {
        let limit = || CatalogError::Limit("too many databases".to_owned());
        let gone = || CatalogError::SoftDeleted("d".to_owned());
        let cases = [
            (WriteError::Empty, 400, "incoming write was empty"),
            (limit().into(), 422, r#"{"error":"too many databases"}"#),
            (
                gone().into(),
                400,
                r#"{"error":"cannot write to soft-deleted database 'd' - it is marked for deletion"}"#,
            ),
            (
                WalError::Full(3).into(),
                503,
                r#"{"error":"write buffer error: error from wal: wal buffer full with 3 ops"}"#,
            ),
            (
                WalError::Io("the disk is gone".to_owned()).into(),
                503,
                r#"{"error":"write buffer error: error from wal: error writing wal file: the disk is gone"}"#,
            ),
            (
                CatalogError::Storage("the disk is gone".to_owned()).into(),
                503,
                r#"{"error":"write buffer error: catalog update error: the disk is gone"}"#,
            ),
            (
                WriteError::Undelivered(ErrorKind::Overloaded, "wal is overloaded".to_owned()),
                503,
                r#"{"error":"wal is overloaded"}"#,
            ),
        ];
        for (error, status, body) in cases {
            assert_eq!(told(&refusal(error, "")), (status, body.to_owned()));
        }
        let v2 = [
            (WriteError::Empty, 400, "invalid", "write buffer error: incoming write was empty"),
            (
                limit().into(),
                400,
                "invalid",
                "write buffer error: catalog update error: too many databases",
            ),
            (
                WalError::Fenced.into(),
                500,
                "internal error",
                "write buffer error: error from wal: another process has written to the WAL ahead \
                 of this one",
            ),
            (
                WriteError::Undelivered(ErrorKind::Overloaded, "full".to_owned()),
                503,
                "unavailable",
                "full",
            ),
        ];
        for (error, status, code, message) in v2 {
            let body = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
            assert_eq!(told(&refusal_v2(error)), (status, body));
        }
    }

    #[test]
    fn a_refusal_for_lack_of_room_says_when_to_try_again() {
        let error = WriteError::Undelivered(ErrorKind::Overloaded, String::new());
        let response = refusal_v2(error).error_response();
        assert_eq!(response.headers().get("retry-after").expect("the header"), "1");
        assert!(response.headers().get("content-type").is_none());
    }
}
