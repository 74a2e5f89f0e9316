//! What the `Ingest` actors accept.

use super::Command;
use super::catalog::CatalogError;
use super::wal::{SyncMode, WalError};
use crate::error::ErrorKind;
use crate::line_protocol::{LineError, Precision};
use crate::principal::{Origin, Principal};
use bytes::Bytes;

/// A request body of line protocol.
#[derive(Clone)]
pub struct WriteLines {
    /// Name of the database, created if it is unknown.
    pub db: String,
    /// On whose behalf they are written.
    pub principal: Principal,
    /// Where they come from.
    pub origin: Origin,
    /// The decompressed body.
    pub body: Bytes,
    /// Unit of its timestamps.
    pub precision: Precision,
    /// Keep the good lines when some are bad.
    pub accept_partial: bool,
    /// With `accept_partial`: make the database even when no line is good.
    pub makes_empty_database: bool,
    /// Whether the answer waits for durability.
    pub sync: SyncMode,
    /// Nanoseconds since 1970 at which the request arrived.
    pub received_at_ns: i64,
}

impl std::fmt::Debug for WriteLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteLines")
            .field("db", &self.db)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Command for WriteLines {
    type Reply = Result<WriteReport, WriteError>;
    const NAME: &'static str = "WriteLines";
    fn cost_bytes(&self) -> usize {
        256 + self.body.len()
    }
}

/// What became of a request that was not refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteReport {
    /// Lines that are stored.
    pub accepted_lines: usize,
    /// Their bytes.
    pub accepted_bytes: usize,
    /// The first of the lines that are not, in order. Only with `accept_partial`.
    pub rejected: Vec<LineError>,
    /// How many lines are not stored in all.
    pub rejected_lines: usize,
}

/// Why a request was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The body is not UTF-8.
    #[error("{0}")]
    NotUtf8(String),
    /// The body holds no line.
    #[error("incoming write was empty")]
    Empty,
    /// The first bad line of a request that does not accept partial writes.
    #[error("{}", .0.message)]
    Line(LineError),
    /// The catalog refused the database, a table or a column.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The rows could not be made durable.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// An actor on the way is being rebuilt, is full or did not answer in time.
    #[error("{1}")]
    Undelivered(ErrorKind, String),
}

impl WriteError {
    /// What the caller has to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotUtf8(_) | Self::Empty => ErrorKind::InvalidInput,
            Self::Line(line) if line.is_limit => ErrorKind::LimitReached,
            Self::Line(_) => ErrorKind::InvalidInput,
            Self::Catalog(e) => e.kind(),
            Self::Wal(e) => e.kind(),
            Self::Undelivered(kind, _) => *kind,
        }
    }
}
