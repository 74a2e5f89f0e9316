//! A partition of a scan that is being read.
//!
//! It opens one segment at a time, so that a table of any size takes little memory, and asks of
//! each before: does it still matter? It does not if there are rows enough, if its times lie outside
//! of what the conditions above the scan let through by now, or if nobody needs rows of the groups
//! that it has.

use super::decoder::Sparing;
use super::open::{Opener, SegmentRows};
use super::relevance::Relevance;
use super::segment::{Part, Segment};
use super::times::TimeRange;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::exec_datafusion_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::Result;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::VecDeque;
use std::sync::Arc;

/// See the module's page.
pub(super) struct Reading {
    pub(super) opener: Arc<Opener>,
    pub(super) sparing: Sparing,
    pub(super) relevance: Option<Relevance>,
    /// What was not opened yet.
    pub(super) queue: VecDeque<Part>,
    /// True if all segments are likely to be read.
    pub(super) reads_ahead: bool,
    /// Rows that may still be yielded.
    pub(super) rest: usize,
    pub(super) open: Option<Open>,
    /// The segment after that, on its way to its first rows: stores can be far away.
    pub(super) ahead: Option<SpawnedTask<Result<Open>>>,
}

/// A segment that is being read.
pub(super) struct Open {
    times: TimeRange,
    rows: SegmentRows,
}

impl Reading {
    /// The next rows, and what is left.
    pub(super) async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while self.rest > 0 {
            let Some(open) = &mut self.open else {
                if !self.advance().await? {
                    break;
                }
                continue;
            };
            // The rows of a query for the newest ones may have made this segment superfluous.
            let is_useless = match &mut self.relevance {
                Some(relevance) => {
                    relevance.has_changed() && relevance.matter(&[open.times])? == [false]
                }
                None => false,
            };
            let batch = if is_useless { None } else { open.rows.try_next().await? };
            match batch {
                None => self.open = None,
                Some(batch) if batch.num_rows() > 0 => {
                    let batch = batch.slice(0, batch.num_rows().min(self.rest));
                    self.rest -= batch.num_rows();
                    return Ok(Some((batch, self)));
                }
                Some(_) => {}
            }
        }
        self.opener.counts.segments.add_pruned(self.queue.len());
        Ok(None)
    }

    /// Goes to the next segment and, in a query that reads all of them, begins with the one after
    /// it. False if there is none.
    async fn advance(&mut self) -> Result<bool> {
        let open = match self.ahead.take() {
            Some(ahead) => {
                let open = ahead.join().await;
                open.map_err(|e| exec_datafusion_err!("reading a segment failed: {e}"))??
            }
            None => {
                let Some(next) = self.next_part().await? else { return Ok(false) };
                let rows = self.opener.open(next, &self.sparing).await?;
                Open { times: self.segment(next).times, rows }
            }
        };
        self.open = Some(open);
        let is_far = |next: &Part| {
            let segment = self.segment(*next);
            segment.files_to_open() > 0 && segment.unsorted == 0
        };
        if self.reads_ahead
            && self.queue.front().is_some_and(is_far)
            && let Some(next) = self.next_part().await?
        {
            let (opener, sparing) = (Arc::clone(&self.opener), self.sparing.clone());
            let times = self.segment(next).times;
            self.ahead = Some(SpawnedTask::spawn(async move {
                let mut rows = opener.open(next, &sparing).await?;
                let first = rows.next().await;
                Ok(Open { times, rows: stream::iter(first).chain(rows).boxed() })
            }));
        }
        Ok(true)
    }

    /// Goes to the next segment, or part of one, that may matter.
    async fn next_part(&mut self) -> Result<Option<Part>> {
        loop {
            if let Some(relevance) = &mut self.relevance {
                relevance.has_changed();
                let times = |part: Part| self.opener.scan.segments[part.segment].times;
                let skipped = relevance.skip(&mut self.queue, times)?;
                self.opener.counts.segments.add_pruned(skipped);
            }
            let Some(next) = self.queue.pop_front() else { return Ok(None) };
            if let Some(enough) = &self.sparing.enough
                && enough.met.cover(self.segment(next), &self.opener).await?
            {
                self.opener.counts.segments.add_pruned(1);
                continue;
            }
            self.opener.counts.segments.add_matched(1);
            return Ok(Some(next));
        }
    }

    fn segment(&self, part: Part) -> &Segment {
        &self.opener.scan.segments[part.segment]
    }
}
