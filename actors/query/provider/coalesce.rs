//! Joining short batches.
//!
//! A series has few rows in a chunk. What stands above a scan takes about as long for a batch of
//! few rows as for one of a thousand.

use super::selection::ROWS_PER_SLICE_MIN;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::Result;
use futures::{Stream, TryStreamExt, stream};

/// True if copying rows costs less than handing on a batch. Dictionaries would have to be merged.
pub(super) fn is_cheap(schema: &Schema) -> bool {
    let fields = schema.fields();
    !fields.is_empty() && fields.iter().all(|field| field.data_type().is_primitive())
}

/// `batches` with neighbours joined that are short. The order of rows stays.
pub(super) fn join_short(
    batches: impl Stream<Item = Result<RecordBatch>> + Unpin,
    schema: SchemaRef,
    batch_rows: usize,
) -> impl Stream<Item = Result<RecordBatch>> {
    let joined = BatchCoalescer::new(schema, batch_rows.max(1))
        .with_biggest_coalesce_batch_size(Some(ROWS_PER_SLICE_MIN));
    stream::try_unfold(
        (batches, joined, false),
        |(mut batches, mut joined, mut ended)| async move {
            loop {
                if let Some(batch) = joined.next_completed_batch() {
                    return Ok(Some((batch, (batches, joined, ended))));
                }
                if ended {
                    return Ok(None);
                }
                match batches.try_next().await? {
                    Some(batch) => joined.push_batch(batch)?,
                    None => {
                        joined.finish_buffered_batch()?;
                        ended = true;
                    }
                }
            }
        },
    )
}
