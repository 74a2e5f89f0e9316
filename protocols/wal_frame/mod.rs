//! The bytes of the write-ahead log.
//!
//! A WAL file is a [`segment`]: a header that names its writer, then frames. A frame holds one
//! group of requests that became durable together; each request is one [`entry`], the columns of
//! its rows with the catalog's ids, or the [`mark`] of a snapshot. All numbers are little-endian.

pub mod entry;
pub mod mark;
pub mod segment;
#[cfg(test)]
mod tests;
mod wire;

/// Why bytes are not what they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The file ends before its header does.
    #[error("WAL file too small: expected at least {expected} bytes, but got {got} bytes")]
    TooSmall {
        /// Bytes of a header.
        expected: usize,
        /// Bytes of the file.
        got: usize,
    },
    /// The file is not one of ours.
    #[error("Invalid wal file identifier")]
    UnknownFormat,
    /// Written by a newer release.
    #[error("WAL format version {0} is newer than this release can read")]
    NewerVersion(char),
    /// A checksum does not match.
    #[error("crc32 checksum mismatch")]
    Checksum,
    /// What is to be written could not be read back: its length has no place in the format.
    #[error("{0} bytes are too many for one entry or group of the WAL")]
    TooLarge(usize),
    /// The checksum matches, but the content makes no sense.
    #[error("malformed WAL entry: {0}")]
    Malformed(&'static str),
}
