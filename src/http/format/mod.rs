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

use super::failure::Failure;
use super::limits::{ENCODE_INLINE_VALUES_MAX, ENCODE_ROWS_MAX};
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
}

fn encoder(format: ResultFormat, schema: &SchemaRef) -> Result<Box<dyn Encode>, QueryError> {
    Ok(match format {
        ResultFormat::Json => Box::new(json::Json::array()),
        ResultFormat::JsonLines => Box::new(json::Json::lines()),
        ResultFormat::Csv => Box::new(csv::Csv::new()),
        ResultFormat::Pretty => Box::new(pretty::Pretty::default()),
        ResultFormat::Parquet => Box::new(parquet::Parquet::new(SchemaRef::clone(schema))?),
    })
}

/// A value that cannot be shown, such as a time beyond what a calendar has, is the query's fault.
fn encode_error(error: &ArrowError) -> QueryError {
    let kind = match error {
        ArrowError::CastError(_) | ArrowError::ParseError(_) => ErrorKind::InvalidInput,
        ArrowError::InvalidArgumentError(_) => ErrorKind::InvalidInput,
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
    let encoder = Encoder::Here(encoder);
    let rows = Rows { encoder, batches, pending: VecDeque::new(), gathers };
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
    encoder: Encoder,
    batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
    /// Parts of the last batch that are still to be encoded.
    pending: VecDeque<RecordBatch>,
    /// True when the work of encoding is left for the end.
    gathers: bool,
}

/// Where the encoder is.
enum Encoder {
    Here(Box<dyn Encode>),
    /// On the blocking pool, with a part.
    Away(LocalBoxFuture<'static, Result<Encoded, BlockingError>>),
}

/// The encoder and the bytes of the part.
type Encoded = Result<(Box<dyn Encode>, Vec<u8>), QueryError>;

impl Rows {
    /// The next bytes, and what follows them.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), QueryError> {
        loop {
            let (encoder, bytes) = match self.encoder {
                Encoder::Away(encoded) => encoded.await.map_err(blocking_error)??,
                Encoder::Here(mut encoder) => match self.pending.pop_front() {
                    Some(part) => {
                        let bytes = encoder.batch(&part)?;
                        (encoder, bytes)
                    }
                    None => match self.batches.next().await {
                        Some(batch) => {
                            self.pending = parts(batch?);
                            (encoder, Vec::new())
                        }
                        None => return Ok((finish(encoder, self.gathers).await?, None)),
                    },
                },
            };
            // A large part is encoded while the one before is on its way to the client.
            self.encoder = match self.pending.pop_front_if(|part| is_large(part)) {
                Some(part) => encode_away(encoder, part),
                None => Encoder::Here(encoder),
            };
            if !bytes.is_empty() {
                return Ok((Bytes::from(bytes), Some(self)));
            }
        }
    }
}

/// Whether encoding the part would keep the worker's other requests waiting.
fn is_large(part: &RecordBatch) -> bool {
    part.num_rows() * part.num_columns() > ENCODE_INLINE_VALUES_MAX
}

/// Begins to encode a part on the blocking pool.
fn encode_away(mut encoder: Box<dyn Encode>, part: RecordBatch) -> Encoder {
    let encoded = web::block(move || encoder.batch(&part).map(|bytes| (encoder, bytes)));
    Encoder::Away(encoded.boxed_local())
}

async fn finish(mut encoder: Box<dyn Encode>, gathers: bool) -> Result<Bytes, QueryError> {
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
