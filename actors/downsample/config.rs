//! What the actor needs, and for how long it can rely on rows.

use super::state::Wanted;
use crate::ingest::Ingest;
use crate::query::Query;
use crate::runtime::clock::{self, Clock};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::mailbox_pool::MailboxPool;
use crate::wal::LogReader;
use protocols::catalog::CatalogSnapshot;
use protocols::schema::DatabaseSchema;
use std::time::Duration;

/// Rows may go while a batch is computed: so long before they do, their interval is not begun any more.
const RETENTION_MARGIN: Duration = Duration::from_secs(60);

/// What the actor needs, in all its lives.
#[derive(Clone)]
pub struct DownsamplesConfig {
    /// Reads the WAL again, and knows the catalog.
    pub log: LogReader,
    /// Reads tables.
    pub query: Mailbox<Query>,
    /// Writes them.
    pub ingest: MailboxPool<Ingest>,
    /// Wall-clock time.
    pub clock: Clock,
    /// Rows of existing tables that are older are neither taken nor read for certain.
    pub write_window: Option<Duration>,
}

impl DownsamplesConfig {
    /// For how long rows are there for certain, in the source and in the target, less a margin;
    /// `None` for ever.
    pub(super) fn kept_ns(&self, wanted: &Wanted, catalog: &CatalogSnapshot) -> Option<i64> {
        let Wanted { db, def } = wanted;
        let period = |db: &DatabaseSchema, table: &str| match db.table(table) {
            Some(table) => db.retention_of(table),
            None => db.retention_ns,
        };
        let target = catalog.database(&def.target_db).and_then(|db| period(db, &def.target));
        let write_window = self.write_window.map(clock::as_nanos);
        let limits = [period(db, &def.source), target, write_window];
        let shortest = limits.into_iter().flatten().min()?;
        Some(shortest.saturating_sub(clock::as_nanos(RETENTION_MARGIN)))
    }
}
