//! The answer: statement after statement, on its way while rows come.

use super::super::access::Who;
use super::super::failure::Failure;
use super::super::format::v1::{Change, Epoch, Layout, Rows, Series, WriteError, WriteV1, writer};
use super::super::limits::ENCODE_ROWS_MAX;
use super::changes;
use super::request::{self, Request};
use crate::edge;
use crate::edge::state::ServerState;
use actix_web::{HttpResponse, web};
use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use protocols::error::ErrorKind;
use protocols::influxql::Statement;
use protocols::messages::query::{Delivery, QueryError, RunStatement, Statement as Asked};
use std::collections::VecDeque;

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes that are held back at first: what fails before they are full is told in the place of
/// everything else.
const HELD_BYTES: usize = 1024 * 1024;
/// Of what may not leave yet, so many bytes are put aside at once.
const ASIDE_BYTES: usize = 512 * 1024;
/// Limit: bytes of an answer that has to be complete before its first byte leaves.
const WHOLE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A statement that has yet to run.
pub(super) struct Pending {
    pub(super) db: String,
    pub(super) work: Work,
}

/// What there is to do.
pub(super) enum Work {
    /// Rows are asked for.
    Ask(Box<Asked>),
    /// Something is to be changed.
    Change(Box<Statement>, Who),
}

/// An answer that is being written.
pub(super) struct Answer {
    state: web::Data<ServerState>,
    pending: VecDeque<(usize, Result<Pending, String>)>,
    running: Option<Running>,
    writer: Box<dyn WriteV1>,
    form: super::super::format::v1::Form,
    epoch: Epoch,
    chunked: bool,
    chunk_rows: usize,
    may_change: bool,
    out: Vec<u8>,
    /// What comes before that: of a document that is not complete, or ready to be sent.
    aside: VecDeque<Vec<u8>>,
    aside_bytes: usize,
    /// True once bytes have left.
    sent: bool,
    /// True once all is written.
    finished: bool,
    succeeded: bool,
    /// Why the first statement failed that did.
    failed: Option<String>,
}

/// A statement whose rows come.
struct Running {
    statement: usize,
    layout: Layout,
    batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
    parts: VecDeque<RecordBatch>,
    open: Option<Series>,
    /// Rows in the series or its part.
    rows: usize,
    /// What the last part of a batch took.
    bytes_last: usize,
}

/// Why an answer ends before it is complete.
enum Cut {
    /// Nothing else is told.
    Instead(String),
    Query(QueryError),
}

impl Answer {
    pub(super) fn new(
        state: web::Data<ServerState>,
        request: &Request,
        pending: Vec<Result<Pending, String>>,
        fault: Option<String>,
        may_change: bool,
    ) -> Self {
        let pending = match fault {
            Some(fault) => vec![Err(fault)],
            None => pending,
        };
        Self {
            state,
            pending: pending.into_iter().enumerate().collect(),
            running: None,
            writer: writer(request.form, request.chunked),
            form: request.form,
            epoch: request.epoch,
            chunked: request.chunked,
            chunk_rows: request.chunk_rows,
            may_change,
            out: Vec::new(),
            aside: VecDeque::new(),
            aside_bytes: 0,
            sent: false,
            finished: false,
            succeeded: false,
            failed: None,
        }
    }

    /// Answers. The first bytes wait until it is clear that the answer is one.
    pub(super) async fn respond(mut self) -> Result<HttpResponse, Failure> {
        use super::super::format::v1::Form;
        let content_type = self.form.content_type();
        let first = match self.next().await {
            Ok(first) => first,
            Err(Cut::Instead(message)) => {
                let body = serde_json::json!({ "error": message }).to_string();
                return Ok(HttpResponse::Ok().content_type("application/json").body(body));
            }
            Err(Cut::Query(error)) => return Err(Failure::from(error)),
        };
        if let (Form::Csv, false, true, Some(error)) =
            (self.form, self.succeeded, self.finished, &self.failed)
        {
            return Err(request::bad(error.clone()));
        }
        let mut answer = HttpResponse::Ok();
        answer.content_type(content_type);
        let first = first.unwrap_or_default();
        if self.finished && self.aside.is_empty() && self.out.is_empty() {
            return Ok(answer.body(first));
        }
        let rest = stream::try_unfold(self, |mut answer| async {
            match answer.next().await {
                Ok(Some(piece)) => Ok(Some((piece, answer))),
                Ok(None) => Ok(None),
                // The end is missing, and nobody takes the answer for complete.
                Err(Cut::Query(error)) => Err(error),
                Err(Cut::Instead(message)) => {
                    Err(QueryError { kind: ErrorKind::InvalidInput, message })
                }
            }
        });
        Ok(answer.streaming(stream::once(async { Ok(first) }).chain(rest.into_stream())))
    }

    /// The next bytes. `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        if self.aside.is_empty() {
            self.write_some().await?;
        }
        self.sent = true;
        let piece = match self.aside.pop_front() {
            Some(piece) => piece,
            None => std::mem::take(&mut self.out),
        };
        Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
    }

    /// Writes as much as is sent at once, or a whole document if nothing of it may leave before.
    async fn write_some(&mut self) -> Result<(), Cut> {
        let enough = if self.sent { PIECE_BYTES } else { HELD_BYTES };
        while !self.finished && (self.out.len() < enough || !self.writer.is_complete()) {
            self.step().await?;
            if !self.writer.is_complete() && self.out.len() >= ASIDE_BYTES {
                self.put_aside();
            }
            if self.aside_bytes + self.out.len() > WHOLE_BYTES_MAX {
                return Err(Cut::Query(too_large()));
            }
        }
        for Change { mut at, bytes } in self.writer.changes() {
            for piece in &mut self.aside {
                if let Some(place) = piece.get_mut(at..at + bytes.len()) {
                    place.copy_from_slice(&bytes);
                    break;
                }
                at -= piece.len();
            }
        }
        self.aside_bytes = 0;
        Ok(())
    }

    /// Puts what is written aside. To let it grow would copy it again and again.
    fn put_aside(&mut self) {
        let room = Vec::with_capacity(self.out.capacity());
        self.writer.put_aside(self.out.len());
        self.aside_bytes += self.out.len();
        self.aside.push_back(std::mem::replace(&mut self.out, room));
    }

    async fn step(&mut self) -> Result<(), Cut> {
        let Some(running) = &mut self.running else { return self.begin().await };
        let Some(part) = running.parts.pop_front() else {
            match running.batches.next().await {
                Some(Ok(batch)) => running.parts = parts(&batch),
                Some(Err(error)) => {
                    let is_untold = running.open.is_none() && !self.sent;
                    let statement = running.statement;
                    self.running = None;
                    match is_untold {
                        true => self.fail(statement, &told(&error)),
                        false => return Err(Cut::Query(error)),
                    }
                }
                None => self.end(),
            }
            return Ok(());
        };
        self.write(&part).map_err(|error| match error {
            WriteError::Infinite(sign) => Cut::Instead(format!("json: unsupported value: {sign}")),
            WriteError::Query(error) => Cut::Query(error),
        })?;
        if part.num_rows() == ENCODE_ROWS_MAX {
            tokio::task::yield_now().await; // other requests have their turn
        }
        Ok(())
    }

    /// Begins the next statement.
    async fn begin(&mut self) -> Result<(), Cut> {
        let Some((statement, pending)) = self.pending.pop_front() else {
            self.writer.finish(&mut self.out);
            self.finished = true;
            return Ok(());
        };
        let pending = match pending {
            Ok(pending) => pending,
            Err(error) => {
                self.fail(statement, &error);
                return Ok(());
            }
        };
        match pending.work {
            Work::Change(change, who) => {
                let made = match self.may_change {
                    true => changes::make(&self.state, who, pending.db, *change).await,
                    false => Err(format!("{change} changes something: send it with POST")),
                };
                match made {
                    Ok(()) => {
                        self.succeeded = true;
                        self.writer.end(statement, false, &mut self.out);
                    }
                    Err(error) => self.fail(statement, &error),
                }
            }
            Work::Ask(asked) => {
                let run = RunStatement { statement: *asked, delivery: Delivery::WithRows };
                match edge::query::ask(&self.state, run, None).await {
                    Ok(result) => {
                        self.running = Some(Running {
                            statement,
                            layout: Layout::of(&result.schema, self.epoch),
                            batches: result.batches,
                            parts: VecDeque::new(),
                            open: None,
                            rows: 0,
                            bytes_last: 0,
                        });
                    }
                    // To be tried again as it is, if nothing of it is done.
                    Err(error) if error.kind == ErrorKind::RateLimited && statement == 0 => {
                        return Err(Cut::Query(error));
                    }
                    Err(error) => self.fail(statement, &told(&error)),
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, statement: usize, error: &str) {
        self.failed.get_or_insert_with(|| error.to_owned());
        self.writer.fail(statement, error, &mut self.out);
    }

    fn end(&mut self) {
        let Some(running) = self.running.take() else { return };
        self.succeeded = true;
        if running.open.is_some() {
            self.writer.close(false, &mut self.out);
        }
        self.writer.end(running.statement, false, &mut self.out);
    }

    fn write(&mut self, part: &RecordBatch) -> Result<(), WriteError> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let (writer, out, statement) = (&mut self.writer, &mut self.out, running.statement);
        // A part is about as large as the one before it.
        out.reserve(running.bytes_last);
        let start = out.len();
        let columns = running.layout.arrays(part)?;
        let rows = Rows::of(&running.layout, &columns)?;
        for (series, range) in running.layout.series(part)? {
            if running.open.as_ref() != Some(&series) {
                if running.open.is_some() {
                    writer.close(false, out);
                    if self.chunked {
                        writer.end(statement, true, out);
                    }
                }
                writer.open(statement, &series, &running.layout.columns, out);
                (running.open, running.rows) = (Some(series.clone()), 0);
            }
            for row in range {
                if self.chunked && self.chunk_rows > 0 && running.rows == self.chunk_rows {
                    writer.close(true, out);
                    writer.end(statement, true, out);
                    writer.open(statement, &series, &running.layout.columns, out);
                    running.rows = 0;
                }
                writer.row(&rows, row, out)?;
                running.rows += 1;
            }
        }
        running.bytes_last = out.len() - start;
        Ok(())
    }
}

/// A batch in parts that are written at once.
fn parts(batch: &RecordBatch) -> VecDeque<RecordBatch> {
    let rows = batch.num_rows();
    let part = |from: usize| batch.slice(from, ENCODE_ROWS_MAX.min(rows - from));
    (0..rows).step_by(ENCODE_ROWS_MAX).map(part).collect()
}

/// What a statement's entry says of an error.
fn told(error: &QueryError) -> String {
    match error.kind {
        ErrorKind::NotFound => {
            format!("Cannot retrieve database: External error: {}", error.message)
        }
        _ => format!("datafusion error: {}", error.message),
    }
}

fn too_large() -> QueryError {
    let message = format!(
        "the answer has more than {WHOLE_BYTES_MAX} bytes, which this format has to hold at once: \
         ask for it with chunked=true"
    );
    QueryError { kind: ErrorKind::InvalidInput, message }
}
