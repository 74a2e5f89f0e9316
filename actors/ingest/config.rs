//! How an `Ingest` is set up.

use crate::catalog::Catalog;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::Published;
use crate::wal::Wal;
use protocols::catalog::CatalogSnapshot;
use protocols::line_protocol::SchemaLimits;
use std::time::Duration;

/// How an [`Ingest`](super::Ingest) is set up.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Where new tables and columns are made.
    pub catalog: Mailbox<Catalog>,
    /// What exists already.
    pub snapshot: Published<CatalogSnapshot>,
    /// Where rows go.
    pub wal: Mailbox<Wal>,
    /// Limits on new tables and columns.
    pub limits: SchemaLimits,
    /// Refuse tags that an existing table does not have yet.
    pub immutable_tags: bool,
    /// Refuse rows of existing tables that are older than this.
    pub write_window: Option<Duration>,
}
