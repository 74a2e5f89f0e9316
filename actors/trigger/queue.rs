//! The events that wait for a trigger.

use crate::runtime::mailbox::Responder;
use crate::wal::LogPlace;
use bytes::Bytes;
use protocols::limits::TRIGGER_EVENTS_MAX;
use protocols::messages::plugins::{HandleRequest, PluginError, WriteEvent};
use protocols::plugins::host::Response;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is told that events were lost.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Something that happened.
pub(super) enum Event {
    /// Rows were written.
    Writes(Arc<WriteEvent>),
    /// An instant has come, nanoseconds since 1970.
    Schedule(i64),
    /// A snapshot is durable.
    Snapshot(serde_json::Value),
    /// Somebody asks.
    Request(HandleRequest, Option<Responder<HandleRequest>>),
}

impl Event {
    /// Answers, if somebody asks.
    pub(super) fn answer(&mut self, answer: Result<(Response, Bytes), PluginError>) {
        if let Self::Request(_, reply) = self
            && let Some(reply) = reply.take()
        {
            reply.answer(answer);
        }
    }

    /// Rows that a trigger for this table, or for all, is given.
    pub(super) fn rows(&self, table: Option<&str>) -> u64 {
        let Self::Writes(event) = self else { return 0 };
        let tables = event.tables.iter().filter(|t| table.is_none_or(|name| *t.name == *name));
        tables.flat_map(|table| &table.batches).map(|rows| rows.num_rows() as u64).sum()
    }

    /// True when the one who asked has gone.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(self, Self::Request(_, reply) if reply.as_ref().is_none_or(Responder::is_abandoned))
    }
}

/// An event and how often it has been tried.
pub(super) struct Waiting {
    pub(super) event: Event,
    pub(super) attempts: u32,
    /// When it came, nanoseconds since 1970.
    pub(super) came_ns: i64,
    /// The place behind it, if it was read from the log.
    pub(super) place: Option<LogPlace>,
}

/// The newest events in order.
#[derive(Default)]
pub(super) struct Queue {
    events: VecDeque<Waiting>,
    lost: u64,
    told_at: Option<Instant>,
}

impl Queue {
    /// Adds an event. Requests wait in the mailbox's bound; of others the oldest go.
    pub(super) fn push(&mut self, event: Event, came_ns: i64) {
        let is_request = matches!(event, Event::Request(..));
        self.events.push_back(Waiting { event, attempts: 0, came_ns, place: None });
        if !is_request && self.events.len() > TRIGGER_EVENTS_MAX {
            self.events.pop_front();
            self.lost += 1;
        }
    }

    /// Adds rows that were read from the log, and written at `came_ns`.
    pub(super) fn push_read(&mut self, event: Arc<WriteEvent>, came_ns: i64, place: LogPlace) {
        let (event, place) = (Event::Writes(event), Some(place));
        self.events.push_back(Waiting { event, attempts: 0, came_ns, place });
    }

    /// Adds an event that is tried again.
    pub(super) fn push_again(&mut self, waiting: Waiting) {
        self.events.push_front(waiting);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.events.pop_front()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// When the first of them came, the oldest unless some are tried again.
    pub(super) fn oldest_ns(&self) -> Option<i64> {
        self.events.front().map(|waiting| waiting.came_ns)
    }

    /// How many were lost since it was told last, if it is time to tell.
    pub(super) fn lost_to_tell(&mut self) -> Option<u64> {
        let is_due = self.told_at.is_none_or(|at| at.elapsed() >= TOLD_EVERY);
        if self.lost == 0 || !is_due {
            return None;
        }
        self.told_at = Some(Instant::now());
        Some(std::mem::take(&mut self.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_go_and_it_is_told_now_and_then() {
        let mut queue = Queue::default();
        for second in 0..70 {
            queue.push(Event::Schedule(second), second);
        }
        assert_eq!((queue.len(), queue.oldest_ns()), (TRIGGER_EVENTS_MAX, Some(10)));
        assert!(matches!(queue.pop().map(|w| w.event), Some(Event::Schedule(10))));
        assert_eq!(queue.lost_to_tell(), Some(10));
        for second in 0..2 {
            queue.push(Event::Schedule(second), second);
        }
        assert_eq!(queue.lost_to_tell(), None);
        tokio::time::advance(TOLD_EVERY).await;
        assert_eq!(queue.lost_to_tell(), Some(1));
        assert_eq!(queue.lost_to_tell(), None);
    }
}
