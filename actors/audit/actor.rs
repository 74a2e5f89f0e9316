//! See the module's page.

use super::target::{AuditTarget, Sink};
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Responder;
use crate::runtime::pools::Pool;
use chrono::{DateTime, SecondsFormat};
use protocols::limits;
use protocols::messages::audit::{AuditEntry, FlushAudit, KeepAudit, Outcome, ReadAudit};
use protocols::messages::rank;
use protocols::principal::{Origin, Principal};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// That entries are lost is said this often: what is lost is lost in great numbers.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// See the module's page.
pub struct Audit {
    target: AuditTarget,
    clock: Clock,
    pool: Pool,
    recent: VecDeque<Arc<AuditEntry>>,
    recent_bytes: usize,
    waiting: Waiting,
    /// What is open, unless lines are being written with it.
    sink: Option<Sink>,
    is_writing: bool,
    is_failing: bool,
    /// Those who wait until all is written.
    flushes: Vec<Responder<FlushAudit>>,
    /// Entries whose lines were not written.
    unwritten: u64,
    /// So many entries were said to be lost.
    said: u64,
    said_at: Option<Instant>,
}

/// Lines that wait for the write under way.
#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    entries: u64,
    /// They hold the room in the mailbox.
    room: Vec<Responder<KeepAudit>>,
}

/// What came of a write.
struct Written {
    /// To go on with; `None` is opened anew.
    sink: Option<Sink>,
    result: io::Result<()>,
}

impl Audit {
    /// A log whose lines go to `target`, written by a thread of `pool`.
    pub fn new(target: AuditTarget, clock: Clock, pool: Pool) -> Self {
        Self {
            target,
            clock,
            pool,
            recent: VecDeque::new(),
            recent_bytes: 0,
            waiting: Waiting::default(),
            sink: None,
            is_writing: false,
            is_failing: false,
            flushes: Vec::new(),
            unwritten: 0,
            said: 0,
            said_at: None,
        }
    }

    pub(super) fn keep(&mut self, entry: AuditEntry) {
        if self.target != AuditTarget::None {
            let time = DateTime::from_timestamp_nanos(entry.time_ns);
            let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
            self.waiting.lines.extend(entry.line(&time));
            self.waiting.entries += 1;
        }
        self.recent_bytes += entry.size_bytes();
        self.recent.push_back(Arc::new(entry));
        while self.recent.len() > limits::AUDIT_ENTRIES_MAX
            || self.recent_bytes > limits::AUDIT_BYTES_MAX
        {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= oldest.size_bytes();
        }
    }

    /// Says how many entries are lost, if there are more of them than was said. `missed` found no
    /// room, in this life or a former one.
    pub(super) fn tell_of_losses(&mut self, missed: u64) {
        let lost = missed + self.unwritten;
        let is_soon = self.said_at.is_some_and(|at| at.elapsed() < SAY_EVERY);
        if lost <= self.said || is_soon {
            return;
        }
        (self.said, self.said_at) = (lost, Some(Instant::now()));
        tracing::warn!(lost, "entries of the audit log are lost");
        let who = (&Principal::Server, Origin::default());
        let entry = AuditEntry::new(self.clock.now_ns(), who, "lose_audit_entries", "audit");
        let told = format!(
            "{lost} entries are lost since the server started: there was no room, or they were not \
             written"
        );
        self.keep(entry.ended(Outcome::Failed).with_detail(told));
    }

    fn write(&mut self, cx: &mut Cx<'_, Self>) {
        if self.is_writing {
            return;
        }
        if self.waiting.entries == 0 {
            self.waiting.room.clear();
            self.flushes.drain(..).for_each(|flush| flush.answer(()));
            return;
        }
        self.is_writing = true;
        let Waiting { lines, entries, room } = std::mem::take(&mut self.waiting);
        let (sink, target) = (self.sink.take(), self.target.clone());
        let write = self.pool.run(move || write(sink, &target, &lines));
        cx.then(write, move |audit, written, cx| {
            audit.is_writing = false;
            drop(room);
            let written = written.map_err(io::Error::other);
            let Written { sink, result } =
                written.unwrap_or_else(|error| Written { sink: None, result: Err(error) });
            audit.sink = sink;
            audit.note(result, entries);
            if !audit.is_failing {
                audit.tell_of_losses(cx.mailbox().vitals().missed());
            }
            audit.write(cx);
        });
    }

    fn note(&mut self, result: io::Result<()>, entries: u64) {
        match result {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("the audit log is written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.unwritten += entries;
                metrics::counter!("influxdb3_audit_lost_total").increment(entries);
                if !self.is_failing {
                    tracing::error!(%error, "the audit log cannot be written");
                }
                self.is_failing = true;
            }
        }
    }
}

/// Writes on a thread of its own. After an error everything is opened anew.
fn write(sink: Option<Sink>, target: &AuditTarget, lines: &[u8]) -> Written {
    let opened = match sink {
        Some(sink) => Ok(Some(sink)),
        None => Sink::open(target),
    };
    let mut sink = match opened {
        Ok(sink) => sink,
        Err(error) => return Written { sink: None, result: Err(error) },
    };
    let result = sink.as_mut().map_or(Ok(()), |sink| sink.append(lines));
    Written { sink: sink.filter(|_| result.is_ok()), result }
}

impl Service for Audit {
    const RANK: u8 = rank::AUDIT;
}

impl Receive<KeepAudit> for Audit {
    fn receive(
        &mut self,
        KeepAudit(entry): KeepAudit,
        reply: Responder<KeepAudit>,
        cx: &mut Cx<'_, Self>,
    ) {
        // What was lost was lost before this, which waited.
        if !self.is_failing {
            self.tell_of_losses(cx.mailbox().vitals().missed());
        }
        self.keep(entry);
        self.waiting.room.push(reply);
        self.write(cx);
    }
}

impl Receive<ReadAudit> for Audit {
    fn receive(&mut self, _: ReadAudit, reply: Responder<ReadAudit>, _: &mut Cx<'_, Self>) {
        reply.answer(self.recent.iter().map(Arc::clone).collect());
    }
}

impl Receive<FlushAudit> for Audit {
    fn receive(&mut self, _: FlushAudit, reply: Responder<FlushAudit>, cx: &mut Cx<'_, Self>) {
        self.flushes.push(reply);
        self.write(cx);
    }
}

#[cfg(test)]
impl Audit {
    /// What the entries of the table are about.
    pub(super) fn objects(&self) -> Vec<&str> {
        self.recent.iter().map(|entry| entry.object.as_str()).collect()
    }
}
