//! Rows of a result into the bytes of an answer, batch by batch.

mod cells;
mod csv;
mod json;
mod parquet;
mod pretty;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod type_tests;
pub(super) mod v1;

use super::failure::Failure;
use super::limits::{ENCODE_AT_ONCE, ENCODE_INLINE_VALUES_MAX, ENCODE_ROWS_MAX};
use actix_web::error::BlockingError;
use actix_web::{HttpResponse, web};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::{BoxStream, StreamExt};
use protocols::error::ErrorKind;
use protocols::http::query::ResultFormat;
use protocols::messages::query::QueryError;
use std::collections::VecDeque;

/// One format. Both calls return the bytes that are ready, possibly none.
trait Encode: Send {
    fn batch(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, QueryError>;
    /// Called once, after the last batch.
    fn finish(&mut self) -> Result<Vec<u8>, QueryError>;
    /// Another encoder for a batch behind those that this one was given, whose bytes go behind
    /// theirs. `None` if they depend on what this one wrote, or is still to write.
    fn fork(&self) -> Option<Box<dyn Encode>> {
        None
    }
}

fn encoder(format: ResultFormat, schema: &SchemaRef) -> Result<Box<dyn Encode>, QueryError> {
    Ok(match format {
        ResultFormat::Json => Box::new(json::Json::array(schema)?),
        ResultFormat::JsonLines => Box::new(json::Json::lines(schema)?),
        ResultFormat::Csv => Box::new(csv::Csv::new(SchemaRef::clone(schema))),
        ResultFormat::Pretty => Box::new(pretty::Pretty::new(SchemaRef::clone(schema))),
        ResultFormat::Parquet => Box::new(parquet::Parquet::new(schema)?),
    })
}

/// A value that cannot be shown, such as a time beyond what a calendar has, is the query's fault.
fn encode_error(error: &ArrowError) -> QueryError {
    let kind = match error {
        ArrowError::CastError(_) | ArrowError::ParseError(_) => ErrorKind::InvalidInput,
        ArrowError::InvalidArgumentError(_) | ArrowError::ArithmeticOverflow(_) => {
            ErrorKind::InvalidInput
        }
        ArrowError::JsonError(_) | ArrowError::NotYetImplemented(_) => ErrorKind::NotImplemented,
        _ => ErrorKind::Internal,
    };
    QueryError { kind, message: format!("error while writing the result: {error}") }
}

fn internal(message: String) -> QueryError {
    QueryError { kind: ErrorKind::Internal, message }
}

/// The bytes of a whole result.
///
/// # Errors
/// When a value cannot be shown in this format.
pub fn encode(
    format: ResultFormat,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<Vec<u8>, QueryError> {
    let mut encoder = encoder(format, schema)?;
    let mut bytes = Vec::new();
    for part in batches.iter().cloned().flat_map(parts) {
        bytes.append(&mut encoder.batch(&part)?);
    }
    bytes.append(&mut encoder.finish()?);
    Ok(bytes)
}

/// Answers with the rows of `batches`. The status line waits for the first bytes, so that a query
/// which fails early is told by its status; one that fails later cuts the connection.
///
/// Dropping the answer drops `batches`, which cancels the query.
pub(super) async fn respond(
    format: ResultFormat,
    schema: SchemaRef,
    batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
) -> Result<HttpResponse, Failure> {
    let encoder = encoder(format, &schema)?;
    let gathers = matches!(format, ResultFormat::Pretty | ResultFormat::Parquet);
    let (pending, under_way) = (VecDeque::new(), VecDeque::new());
    let rows = Rows { encoder: Some(encoder), batches, pending, under_way, gathers };
    let mut answer = HttpResponse::Ok();
    answer.content_type(format.content_type());
    Ok(match Box::pin(rows.next()).await? {
        (first, None) => answer.body(first),
        (first, Some(rows)) => {
            let rest = futures::stream::try_unfold(Some(rows), async |rows| {
                Ok::<_, QueryError>(match rows {
                    Some(rows) => Some(rows.next().await?),
                    None => None,
                })
            });
            answer.streaming(futures::stream::once(async { Ok(first) }).chain(rest))
        }
    })
}

/// A result on its way into bytes.
struct Rows {
    /// `None` while it is on the blocking pool itself.
    encoder: Option<Box<dyn Encode>>,
    batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
    /// Parts of the last batch that are still to be encoded.
    pending: VecDeque<RecordBatch>,
    /// Parts on the blocking pool, in order.
    under_way: VecDeque<LocalBoxFuture<'static, Result<Encoded, BlockingError>>>,
    /// True when the work of encoding is left for the end.
    gathers: bool,
}

/// The bytes of a part, and the encoder if it was the only one.
type Encoded = Result<(Option<Box<dyn Encode>>, Vec<u8>), QueryError>;

impl Rows {
    /// The next bytes, and what follows them. The end goes along with the last ones if it is there at
    /// once, so that a small answer is one piece.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), QueryError> {
        loop {
            let mut bytes = match (self.under_way.pop_front(), &mut self.encoder) {
                (Some(encoded), _) => {
                    let (encoder, bytes) = encoded.await.map_err(blocking_error)??;
                    self.encoder = encoder.or(self.encoder);
                    bytes
                }
                (None, None) => return Err(internal("the encoder is gone".to_owned())),
                (None, Some(encoder)) => match self.pending.pop_front() {
                    Some(part) => encoder.batch(&part)?,
                    None => match self.batches.next().await {
                        Some(batch) => {
                            self.pending = parts(batch?);
                            Vec::new()
                        }
                        None => return Ok((finish(self.encoder, self.gathers).await?, None)),
                    },
                },
            };
            self.encode_ahead();
            if bytes.is_empty() {
                continue;
            }
            if self.under_way.is_empty()
                && self.pending.is_empty()
                && let Some(next) = self.batches.next().now_or_never()
            {
                match next.transpose()? {
                    Some(batch) => self.pending = parts(batch),
                    None => {
                        bytes.extend_from_slice(&finish(self.encoder, self.gathers).await?);
                        return Ok((Bytes::from(bytes), None));
                    }
                }
            }
            return Ok((Bytes::from(bytes), Some(self)));
        }
    }

    /// Has the next large parts encoded on the blocking pool, while those before are on their way
    /// to the client.
    fn encode_ahead(&mut self) {
        while self.under_way.len() < ENCODE_AT_ONCE
            && self.pending.front().is_some_and(is_large)
            && let Some(encoder) = self.encoder.take()
            && let Some(part) = self.pending.pop_front()
        {
            let encoded = match encoder.fork() {
                Some(mut fork) => {
                    self.encoder = Some(encoder);
                    web::block(move || fork.batch(&part).map(|bytes| (None, bytes))).boxed_local()
                }
                None => encode_away(encoder, part),
            };
            self.under_way.push_back(encoded);
        }
    }
}

/// Whether encoding the part would keep the worker's other requests waiting.
fn is_large(part: &RecordBatch) -> bool {
    part.num_rows() * part.num_columns() > ENCODE_INLINE_VALUES_MAX
}

/// Begins to encode a part on the blocking pool, with the encoder itself.
fn encode_away(
    mut encoder: Box<dyn Encode>,
    part: RecordBatch,
) -> LocalBoxFuture<'static, Result<Encoded, BlockingError>> {
    web::block(move || encoder.batch(&part).map(|bytes| (Some(encoder), bytes))).boxed_local()
}

async fn finish(encoder: Option<Box<dyn Encode>>, gathers: bool) -> Result<Bytes, QueryError> {
    let Some(mut encoder) = encoder else { return Ok(Bytes::new()) };
    let bytes = match gathers {
        true => web::block(move || encoder.finish()).await.map_err(blocking_error)?,
        false => encoder.finish(),
    };
    bytes.map(Bytes::from)
}

fn blocking_error(error: BlockingError) -> QueryError {
    internal(error.to_string())
}

/// The batch in parts of bounded size. An empty batch is one part.
fn parts(batch: RecordBatch) -> VecDeque<RecordBatch> {
    if batch.num_rows() <= ENCODE_ROWS_MAX {
        return VecDeque::from([batch]);
    }
    (0..batch.num_rows())
        .step_by(ENCODE_ROWS_MAX)
        .map(|start| batch.slice(start, ENCODE_ROWS_MAX.min(batch.num_rows() - start)))
        .collect()
}
