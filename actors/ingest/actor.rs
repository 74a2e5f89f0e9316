//! The actor: parses on its own thread, then waits for catalog and log beside it.

use super::request;
use crate::catalog::Catalog;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::{Mailbox, Responder};
use crate::runtime::published::Published;
use crate::wal::Wal;
use protocols::line_protocol::SchemaLimits;
use protocols::messages::ingest::WriteLines;
use protocols::messages::rank;
use protocols::schema::CatalogSnapshot;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How an [`Ingest`] is set up.
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

/// See the module's page.
#[derive(Debug)]
pub struct Ingest(Arc<IngestConfig>);

impl Ingest {
    /// A member of the pool.
    pub fn new(config: IngestConfig) -> Self {
        Self(Arc::new(config))
    }
}

impl Service for Ingest {
    const RANK: u8 = rank::INGEST;
}

impl Receive<WriteLines> for Ingest {
    fn receive(&mut self, lines: WriteLines, reply: Responder<WriteLines>, cx: &mut Cx<'_, Self>) {
        if reply.is_abandoned() {
            return; // the client went away before its request was looked at
        }
        let deadline = reply.deadline().unwrap_or_else(Instant::now);
        let snapshot = self.0.snapshot.load();
        match request::parse(&self.0, &lines, &snapshot) {
            Err(error) => reply.answer(Err(error)),
            Ok(parsed) => {
                let config = Arc::clone(&self.0);
                let store = request::store(config, lines, parsed, snapshot, deadline);
                cx.then(store, |_, report, _| reply.answer(report));
            }
        }
    }
}
