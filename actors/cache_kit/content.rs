//! What the two kinds of caches have in common.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampNanosecondType;
use arrow::error::ArrowError;
use protocols::messages::caches::LookUpCache;
use protocols::schema::TIME_COLUMN;

/// The times of rows.
///
/// # Errors
/// When they have none.
pub fn times_of(rows: &RecordBatch) -> Result<&[i64], ArrowError> {
    let column = rows.column_by_name(TIME_COLUMN);
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
    let missing = || ArrowError::SchemaError("rows without a time column".to_owned());
    times.map(|times| times.values().as_ref()).ok_or_else(missing)
}

/// What a cache holds. Pure: no I/O, and the time is an argument.
pub trait Content: Send + Unpin + 'static {
    /// Takes rows in order of acceptance.
    ///
    /// # Errors
    /// When a column has a type that it cannot have.
    fn apply(&mut self, rows: &RecordBatch, now_ns: i64) -> Result<(), ArrowError>;

    /// Takes rows that were written before all that came by [`apply`](Self::apply).
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn fill(&mut self, rows: &RecordBatch, now_ns: i64) -> Result<(), ArrowError> {
        self.apply(rows, now_ns)
    }

    /// The rows that a question asks for.
    ///
    /// # Errors
    /// When the columns that it asks for cannot be built.
    fn look_up(&self, question: &LookUpCache, now_ns: i64) -> Result<RecordBatch, ArrowError>;

    /// Removes what is too old or too much. Returns how many keys went.
    fn evict(&mut self, now_ns: i64) -> usize;

    /// Removes the oldest keys until the rest takes at most so many bytes. Returns how many went.
    fn shrink(&mut self, max_bytes: usize) -> usize;

    /// Forgets everything.
    fn clear(&mut self);

    /// How many keys it holds.
    fn keys(&self) -> usize;

    /// How many rows it holds.
    fn rows(&self) -> usize;

    /// Memory that it takes.
    fn bytes(&self) -> usize;
}
