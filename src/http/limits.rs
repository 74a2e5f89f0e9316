//! Bounds of the HTTP edge, with their reasons.

use std::time::Duration;

/// How long a client may take to send a body, in milliseconds: 10 MB at 350 kB/s.
pub(super) const BODY_READ_MS_MAX: u64 = 30_000;

/// So much of a body is read before the rest of it is asked for from the budget, as a whole: who
/// sends slowly, or announces much and sends nothing, holds no more than what has come. Who sends
/// more than this gets the room for all of it, and so is not left with half of it.
pub(super) const BODY_FIRST_BYTES: usize = 64 * 1024;

/// So much of a body that nobody wants is read all the same, and waited for so long, because the
/// connection can be used again then: to open another costs both sides more.
pub(super) const UNWANTED_BYTES_MAX: usize = 64 * 1024;
/// See [`UNWANTED_BYTES_MAX`].
pub(super) const UNWANTED_WAIT: Duration = Duration::from_millis(100);

/// Compressed bodies up to this size are decompressed by the worker itself, which takes well under
/// a millisecond; larger ones would keep its other requests waiting.
pub(super) const GUNZIP_INLINE_BYTES_MAX: usize = 64 * 1024;

/// Memory for a decompressed body grows in steps of at least this many bytes.
pub(super) const GUNZIP_STEP_BYTES: usize = 64 * 1024;

/// Values (rows times columns) that the worker encodes itself; larger batches go to the blocking
/// pool, so that they do not keep the worker's other requests waiting.
pub(super) const ENCODE_INLINE_VALUES_MAX: usize = 2_048;

/// Rows that are encoded at a time, which bounds the bytes that are held for one answer. The next
/// ones are encoded while these are on their way, and some hundred kilobytes stay in the processor's
/// cache from one step to the next.
pub(super) const ENCODE_ROWS_MAX: usize = 1_024;

/// Such parts of one answer that are encoded at once: a client on the same machine reads one as
/// fast as a thread encodes the next, and no answer should take all threads.
pub(super) const ENCODE_AT_ONCE: usize = 2;

/// Memory of the rows that the `pretty` format may gather: it needs all of them for the widths of
/// its columns.
pub(super) const PRETTY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Rows in a row group of a Parquet answer, and its bytes: what is held for one answer.
pub(super) const PARQUET_GROUP_ROWS_MAX: usize = 128 * 1024;
/// Bytes in a row group of a Parquet answer.
pub(super) const PARQUET_GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;

/// So late an answer of the threads of queries makes the server not ready: queries would wait.
pub(super) const QUERY_LAG_READY_MAX: Duration = Duration::from_secs(5);
/// So late an answer of them is none any more: far beyond what a busy machine makes of it.
pub(super) const QUERY_LAG_ALIVE_MAX: Duration = Duration::from_secs(30);

/// Writes that wait so long make the server not ready: longer than one group is tried to be written.
pub(super) const WAL_STALL_READY_MAX: Duration = Duration::from_secs(15);
/// A log that has not even failed for so long does not come back.
pub(super) const WAL_STALL_ALIVE_MAX: Duration = Duration::from_secs(60);
