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
use actix_web::{HttpResponse, web};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
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
    encoder: Box<dyn Encode>,
    batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
    /// Parts of the last batch that are still to be encoded.
    pending: VecDeque<RecordBatch>,
    /// True when the work of encoding is left for the end.
    gathers: bool,
}

impl Rows {
    /// The next bytes, and what follows them.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), QueryError> {
        loop {
            let part = match self.pending.pop_front() {
                Some(part) => part,
                None => match self.batches.next().await {
                    Some(batch) => {
                        self.pending = parts(batch?);
                        continue;
                    }
                    None => return Ok((self.finish().await?, None)),
                },
            };
            let values = part.num_rows() * part.num_columns();
            let bytes = if values <= ENCODE_INLINE_VALUES_MAX {
                self.encoder.batch(&part)?
            } else {
                let mut encoder = self.encoder;
                let encoded =
                    web::block(move || encoder.batch(&part).map(|bytes| (encoder, bytes)));
                let (encoder, bytes) = encoded.await.map_err(blocking_error)??;
                self.encoder = encoder;
                bytes
            };
            if !bytes.is_empty() {
                return Ok((Bytes::from(bytes), Some(self)));
            }
        }
    }

    async fn finish(mut self) -> Result<Bytes, QueryError> {
        let bytes = if self.gathers {
            web::block(move || self.encoder.finish()).await.map_err(blocking_error)?
        } else {
            self.encoder.finish()
        };
        bytes.map(Bytes::from)
    }
}

fn blocking_error(error: actix_web::error::BlockingError) -> QueryError {
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
