//! How sorted rows become Parquet files, and how these are stored: shared by snapshots, which write
//! a chunk at once, and the compaction, which writes rows as they come.

mod encode;
mod index;
mod keys;
mod put;
mod stream;

pub(crate) use encode::{ROW_GROUP_ROWS, encode};
#[cfg(test)]
pub(crate) use index::with_filters;
pub(crate) use keys::{key_at, keys_of};
#[cfg(test)]
pub(crate) use put::ONE_PIECE_BYTES_MAX;
pub(crate) use put::{put, put_until_stored};
pub(crate) use stream::Encoder;
