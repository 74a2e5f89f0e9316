//! The actor: parses on its own thread, and has catalog and log do the rest.

use super::config::IngestConfig;
use super::request::{self, Checked};
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::Responder;
use protocols::messages::ingest::{WriteError, WriteLines};
use protocols::messages::rank;
use std::sync::Arc;
use tokio::time::Instant;

/// See the module's page.
#[derive(Debug)]
pub struct Ingest(Arc<IngestConfig>);

impl Ingest {
    /// A member of the pool.
    pub fn new(config: IngestConfig) -> Self {
        Self(Arc::new(config))
    }
}

impl Ingest {
    /// Has the rows made durable. The answer of `Wal` goes to the one who waits for it, and does
    /// not wait for what is parsed here meanwhile.
    fn append(&self, checked: Result<Checked, WriteError>, reply: Responder<WriteLines>) {
        let Checked { report, rows } = match checked {
            Ok(checked) => checked,
            Err(error) => return reply.answer(Err(error)),
        };
        let Some(rows) = rows else { return reply.answer(Ok(report)) };
        let deadline = reply.deadline();
        self.0.wal.ask_then::<{ rank::INGEST }, _>(rows, deadline, move |stored| {
            let stored = stored.map_err(WriteError::from).and_then(|s| s.map_err(WriteError::from));
            reply.answer(stored.map(|_| report));
        });
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
        let parsed = match request::parse(&self.0, &lines, &snapshot) {
            Ok(parsed) => parsed,
            Err(error) => return reply.answer(Err(error)),
        };
        if let Some(database) = request::known(&lines.db, &parsed.tables, &snapshot) {
            return self.append(Checked::new(&lines, &database, parsed), reply);
        }
        let config = Arc::clone(&self.0);
        let named = request::name(config, lines, parsed, snapshot, deadline);
        cx.then(named, |ingest, checked, _| ingest.append(checked, reply));
    }
}
