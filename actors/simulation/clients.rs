//! What clients do: send, wait, and have the model judge the answer.

use super::lines::TableKey;
use super::model::{Look, Model, Observed, Outcome};
use super::workload::{self, Ask, body, db_name};
use super::world::World;
use crate::runtime::mailbox::AskError;
use crate::server::Addresses;
use arrow::array::RecordBatch;
use futures::TryStreamExt;
use protocols::error::ErrorKind;
use protocols::limits::{ADMISSION_WAIT_MS_MAX, WRITE_DEADLINE_MS};
use protocols::line_protocol::Precision;
use protocols::messages::ingest::{WriteError, WriteLines, WriteReport};
use protocols::messages::query::{Delivery, QueryError, RunStatement, Statement};
use protocols::messages::wal::{SyncMode, WalError};
use protocols::principal::{Origin, Principal};
use rand::RngExt;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// An answer may come so much after the deadline.
const DEADLINE_SLACK: Duration = Duration::from_secs(1);
/// How long a query may take.
const QUERY_DEADLINE: Duration = Duration::from_secs(60);

/// Sends a write and notes what became of it.
pub(super) async fn write(world: Rc<World>, id: u64, server: Addresses) {
    let lines = workload::lines(&mut world.random(), &world.model.borrow(), world.present());
    let accept_partial = world.random().random_bool(0.8);
    let durable = world.random().random_bool(0.9);
    let request = WriteLines {
        db: db_name(lines[0].table.db),
        principal: Principal::Everybody,
        origin: Origin::default(),
        body: body(&lines).into(),
        precision: Precision::Nanosecond,
        accept_partial,
        makes_empty_database: true,
        sync: if durable { SyncMode::Durable } else { SyncMode::Buffered },
        received_at_ns: world.clock.now_ns(),
    };
    let sent = world.moment();
    let write = world.model.borrow_mut().send(lines, sent);
    let limit = Duration::from_millis(WRITE_DEADLINE_MS + ADMISSION_WAIT_MS_MAX);
    let begun = Instant::now();
    let answer = server.ingest.ask_from_edge(request, begun + limit).await;
    let answered = world.moment();
    if begun.elapsed() > limit + DEADLINE_SLACK {
        world.violated(format_args!("write {write} was answered after {:?}", begun.elapsed()));
    }
    world.log(format_args!("write {write} to {id}: {}", short(&answer)));
    let outcome = outcome(&answer, durable);
    let refused: Vec<usize> = match &answer {
        Ok(Ok(report)) => report.rejected.iter().map(|line| line.line_number).collect(),
        _ => vec![],
    };
    let mut model = world.model.borrow_mut();
    let fair = judge_refusals(&model, write, outcome, accept_partial, &refused, &answer);
    model.answer(write, outcome, &refused, answered);
    drop(model);
    if let Err(what) = fair {
        world.violated(what);
    }
    if outcome == Outcome::Stored && world.random().random_bool(0.15) {
        // What was acknowledged is there for the next one who asks.
        let table = world.model.borrow().lines(write)[0].table;
        world.start(query(Rc::clone(&world), id, server, table, Ask::All));
    }
    let no_excuse = world.is_calm() && world.is_current(id) && world.is_alive(id);
    if no_excuse && outcome == Outcome::Unknown && durable {
        world.violated(format_args!("write {write} failed in fair weather: {}", short(&answer)));
    }
}

fn short(answer: &Result<Result<WriteReport, WriteError>, AskError>) -> String {
    match answer {
        Ok(Ok(report)) => {
            format!("stored {}, refused {}", report.accepted_lines, report.rejected_lines)
        }
        Ok(Err(error)) => format!("{error}"),
        Err(error) => format!("{error}"),
    }
}

fn outcome(answer: &Result<Result<WriteReport, WriteError>, AskError>, durable: bool) -> Outcome {
    match answer {
        Ok(Ok(_)) if durable => Outcome::Stored,
        Ok(Ok(_)) => Outcome::Unknown,
        Ok(Err(error)) => match error {
            WriteError::NotUtf8(_) | WriteError::Empty | WriteError::Line(_) => Outcome::Refused,
            // The catalog comes before the log.
            WriteError::Catalog(_) => Outcome::Refused,
            WriteError::Wal(
                WalError::Full(_) | WalError::BufferFull { .. } | WalError::Shutdown,
            ) => Outcome::Refused,
            WriteError::Undelivered(ErrorKind::Overloaded, _) => Outcome::Refused,
            WriteError::Wal(_) | WriteError::Undelivered(..) => Outcome::Unknown,
        },
        Err(AskError::Full(_)) => Outcome::Refused,
        Err(AskError::Died(_) | AskError::Deadline(_)) => Outcome::Unknown,
    }
}

/// Only lines with a fault may be refused, and those have to be.
fn judge_refusals(
    model: &Model,
    write: usize,
    outcome: Outcome,
    accept_partial: bool,
    refused: &[usize],
    answer: &Result<Result<WriteReport, WriteError>, AskError>,
) -> Result<(), String> {
    let lines = model.lines(write);
    let bad = lines.iter().any(|line| line.refused);
    if matches!(answer, Ok(Ok(_))) {
        for (number, line) in (1..).zip(lines) {
            let said = refused.contains(&number);
            if said != line.refused && !(said && line.disputed) {
                let text = &line.text;
                return Err(format!("write {write}: refused={said} for line {number}: {text}"));
            }
        }
        if bad && !accept_partial {
            return Err(format!("write {write} was taken in spite of its bad line"));
        }
    }
    let doubt = bad || lines.iter().any(|line| line.disputed);
    match answer {
        Ok(Err(WriteError::Line(line))) if outcome == Outcome::Refused && !doubt => {
            Err(format!("write {write} was refused without reason: {}", line.message))
        }
        _ => Ok(()),
    }
}

/// Asks something and has the model judge the result.
pub(super) async fn query(world: Rc<World>, id: u64, server: Addresses, table: TableKey, ask: Ask) {
    let clock_ns = world.clock.now_ns();
    let current = world.is_current(id);
    let asked = world.moment();
    let found = run(&server, table.db, ask.sql(table.table)).await;
    let answered = world.moment();
    let current = current && world.is_current(id);
    let batches = match found {
        Ok(batches) => batches,
        Err(error) => {
            world.log(format_args!("query {ask:?} {table:?} at {id}: {}", error.message));
            let absent = matches!(error.kind, ErrorKind::NotFound | ErrorKind::InvalidInput);
            let must_exist = world.model.borrow().must_exist(table, (asked, answered));
            if absent && current && must_exist {
                world.violated(format_args!("{table:?} is gone: {}", error.message));
            } else if !absent && current && world.is_calm() && world.is_alive(id) {
                world.violated(format_args!("a query failed in fair weather: {}", error.message));
            }
            return;
        }
    };
    let judged = match ask {
        Ask::Count(from, to) => workload::count(&batches).and_then(|count| {
            world.log(format_args!("query {ask:?} {table:?} at {id}: {count}"));
            let moments = (asked, answered);
            let (min, max) = world.model.borrow().count_bounds(table, (from, to), moments);
            if (current && count < min) || count > max {
                return Err(format!("{table:?} has {count} rows, not {min} to {max}"));
            }
            Ok(())
        }),
        _ => workload::rows(&batches).and_then(|rows| {
            world.log(format_args!("query {ask:?} {table:?} at {id}: {} rows", rows.len()));
            world.trace.borrow_mut().mix(&workload::digest_text(&rows));
            let covers_ns = covers(ask, &rows)?;
            let look = Look { table, asked, answered, covers_ns, clock_ns, current, rows };
            world.model.borrow_mut().check(&look)
        }),
    };
    if let Err(what) = judged {
        world.violated(format_args!("query {ask:?} at process {id}: {what}"));
    }
}

/// The span of time of which the result has to have every row.
fn covers(ask: Ask, rows: &[Observed]) -> Result<(i64, i64), String> {
    match ask {
        Ask::Span(from, to) => {
            let outside = rows.iter().find(|row| !(from..=to).contains(&row.key.time_ns));
            match outside {
                Some(row) => Err(format!("{:?} is not from {from} to {to}", row.key)),
                None => Ok((from, to)),
            }
        }
        Ask::Newest(limit) => {
            if !rows.is_sorted_by_key(|row| std::cmp::Reverse(row.key.time_ns)) {
                return Err("the newest rows are not in order".to_owned());
            }
            if rows.len() > limit {
                return Err(format!("{} rows instead of {limit}", rows.len()));
            }
            let last = rows.last().filter(|_| rows.len() == limit);
            Ok((last.map_or(i64::MIN, |row| row.key.time_ns.saturating_add(1)), i64::MAX))
        }
        Ask::All | Ask::Count(..) => Ok((i64::MIN, i64::MAX)),
    }
}

/// The rows that a statement yields.
pub(super) async fn run(
    server: &Addresses,
    db: u8,
    text: String,
) -> Result<Vec<RecordBatch>, QueryError> {
    let failed = |kind, message: String| QueryError { kind, message };
    let deadline = Instant::now() + QUERY_DEADLINE;
    let principal = Principal::Everybody;
    let statement = Statement { db: db_name(db), text, principal, ..Statement::default() };
    let ask = RunStatement { statement, delivery: Delivery::WithRows };
    let answer = server.query.ask_from_edge(ask, deadline).await;
    let result = answer.map_err(|e| failed(e.kind(), e.to_string()))??;
    match tokio::time::timeout_at(deadline, result.batches.try_collect()).await {
        Ok(batches) => batches,
        Err(_) => Err(failed(ErrorKind::Timeout, "the rows did not come in time".to_owned())),
    }
}
