//! Streams that hold something until their end.

use datafusion::arrow::array::RecordBatch;
use datafusion::error::Result;
use futures::{Stream, StreamExt};

/// `rows`, with which `guard` is dropped.
pub(super) fn held(
    rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    guard: impl Send + 'static,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    rows.inspect(move |_| _ = &guard)
}
