//! Rows as a stream of Arrow messages: the schema, then slices that fit into what clients take.

use super::status::{of_arrow, of_query};
use super::wire_types::{wire_batch, wire_schema};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::{FlightData, SchemaAsIpc};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use protocols::messages::query::{QueryError, QueryResult};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tonic::Status;

/// Data in a message: clients take messages up to 4 MB.
const SLICE_BYTES: usize = 2 * 1024 * 1024;
/// Rows that are made plain at a time, which bounds what is held: a dictionary may grow a lot.
const PLAIN_ROWS_MAX: usize = 64 * 1024;
/// After so long a silence an empty message is sent, so that proxies keep the connection.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The messages of a result. Rows are taken from the query as the client takes messages.
pub(super) fn messages(
    result: QueryResult,
    deadline: Option<Instant>,
) -> BoxStream<'static, Result<FlightData, Status>> {
    let encoder = Encoder::new(result, deadline);
    stream::unfold(encoder, |mut encoder| async {
        let message = encoder.next().await?;
        Some((message, encoder))
    })
    .boxed()
}

struct Encoder {
    /// As it is sent.
    schema: SchemaRef,
    batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
    deadline: Option<Instant>,
    /// Rows that have come and are not yet plain.
    rows: Option<Rows>,
    /// Plain rows and how many of them go into a message.
    plain: Option<(Rows, usize)>,
    begun: bool,
    ended: bool,
    generator: IpcDataGenerator,
    tracker: DictionaryTracker,
    context: IpcWriteContext,
    options: IpcWriteOptions,
}

/// What is left of a batch.
struct Rows {
    batch: RecordBatch,
    from: usize,
}

impl Rows {
    /// The next rows, at most so many.
    fn take(&mut self, rows_max: usize) -> Option<RecordBatch> {
        let length = rows_max.min(self.batch.num_rows() - self.from);
        let slice = (length > 0).then(|| self.batch.slice(self.from, length));
        self.from += length;
        slice
    }
}

impl Encoder {
    fn new(result: QueryResult, deadline: Option<Instant>) -> Self {
        Self {
            schema: wire_schema(&result.schema),
            batches: result.batches,
            deadline,
            rows: None,
            plain: None,
            begun: false,
            ended: false,
            generator: IpcDataGenerator::default(),
            tracker: DictionaryTracker::new(false),
            context: IpcWriteContext::default(),
            options: IpcWriteOptions::default(),
        }
    }

    async fn next(&mut self) -> Option<Result<FlightData, Status>> {
        if !self.begun {
            self.begun = true;
            return Some(Ok(SchemaAsIpc::new(&self.schema, &self.options).into()));
        }
        if self.ended {
            return None;
        }
        let message = self.rows_or_silence().await.transpose();
        self.ended = !matches!(message, Some(Ok(_)));
        message
    }

    /// The next message with rows, or an empty one after a long silence. `None` at the end.
    async fn rows_or_silence(&mut self) -> Result<Option<FlightData>, Status> {
        loop {
            if self.deadline.is_some_and(|at| at <= Instant::now()) {
                return Err(deadline_passed());
            }
            if let Some(slice) = self.slice().map_err(|error| of_arrow(&error))? {
                return self.encode(&slice).map(Some).map_err(|error| of_arrow(&error));
            }
            let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let patience = left.map_or(SILENCE_MAX, |left| left.min(SILENCE_MAX));
            match timeout(patience, self.batches.next()).await {
                Ok(Some(Ok(batch))) => self.rows = Some(Rows { batch, from: 0 }),
                Ok(Some(Err(error))) => return Err(of_query(&error)),
                Ok(None) => return Ok(None),
                Err(_) if left.is_some_and(|left| left <= SILENCE_MAX) => {
                    return Err(deadline_passed());
                }
                Err(_) => return Ok(Some(FlightData::default())),
            }
        }
    }

    /// The next plain rows that fit into a message, of those that are there.
    fn slice(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        loop {
            if let Some((plain, rows_max)) = &mut self.plain
                && let Some(slice) = plain.take(*rows_max)
            {
                return Ok(Some(slice));
            }
            let Some(rows) = self.rows.as_mut().and_then(|rows| rows.take(PLAIN_ROWS_MAX)) else {
                (self.plain, self.rows) = (None, None);
                return Ok(None);
            };
            let batch = wire_batch(&rows, &self.schema)?;
            let rows_max = rows_per_message(&batch);
            self.plain = Some((Rows { batch, from: 0 }, rows_max));
        }
    }

    fn encode(&mut self, slice: &RecordBatch) -> Result<FlightData, ArrowError> {
        let (tracker, context) = (&mut self.tracker, &mut self.context);
        let (_, encoded) = self.generator.encode(slice, tracker, &self.options, context)?;
        Ok(encoded.into())
    }
}

/// How many rows have the data of one message, if all are about as long.
fn rows_per_message(batch: &RecordBatch) -> usize {
    let size = |column: &dyn Array| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    let bytes: usize = batch.columns().iter().map(|column| size(column.as_ref())).sum();
    let messages = bytes.div_ceil(SLICE_BYTES).max(1);
    batch.num_rows().div_ceil(messages).max(1)
}

fn deadline_passed() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed")
}
