//! The actor: gathers groups, has the log sync them, feeds the store, answers the writers.

use super::config::WalConfig;
use super::feed::Feed;
use super::log::{self, Group, Log, LogError};
use super::replay::{Replay, ReplayError, ReplayStats, replay};
use super::tracker::{Due, Period, Tracker};
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::canary;
use crate::runtime::faults;
use crate::runtime::guardian::EXIT_UNSAFE;
use crate::runtime::mailbox::Responder;
use futures::future::try_join_all;
use futures::{FutureExt, TryFutureExt};
use protocols::messages::persist::SnapshotDue;
use protocols::messages::rank;
use protocols::messages::store::{ApplyRows, TableBatch};
use protocols::messages::wal::{
    AppendRows, Drain, PeriodDue, Receipt, SnapshotDone, SyncMode, TakeSnapshot, WalError,
};
use protocols::snapshot::{PlacedMark, SnapshotMark};
use protocols::wal_frame::mark;
use std::time::Duration;
use tokio::time::Instant;

/// Pause before a failed write to the log is tried again, and how often it is.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRIES_MAX: u32 = 100;

/// Below the number of any group, so that every shard skips it and only says what it holds.
const PROBE: u64 = 0;

/// How often the log is read again because it has names that the catalog did not have yet.
const CATCH_UPS_MAX: u32 = 3;

/// Each file that a process takes over with opens a range of so many group numbers, far more than
/// one file ever holds.
const NUMBERS_A_FILE: u64 = 1 << 27;

/// How long a shard may take for one replayed group.
const APPLY_DEADLINE: Duration = Duration::from_secs(60);

/// A period that is one object is put early when it has so many bytes.
const PERIOD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A write in the open group.
struct Waiting {
    rows: AppendRows,
    /// `None` when it was answered already (`no_sync`).
    reply: Option<Responder<AppendRows>>,
}

/// The writes that go to the log together.
struct OpenGroup {
    waiting: Vec<Waiting>,
    /// Between which times their rows lie, and the file they are meant for.
    span: Period,
}

/// See the module's page.
pub struct Wal {
    config: WalConfig,
    /// `None` while a sync runs.
    log: Option<Box<dyn Log>>,
    next_sequence: u64,
    open_group: Vec<Waiting>,
    open_bytes: usize,
    feeds: Vec<Feed>,
    /// What each shard said that it holds, in bytes.
    held_bytes: Vec<usize>,
    period_over: bool,
    /// The period under way, once it has a group.
    period: Option<Period>,
    tracker: Tracker,
    /// The snapshot under way, and whether all shards know of it.
    snapshot: Option<(PlacedMark, bool)>,
    /// Number of the newest snapshot that is durable.
    last_snapshot: u64,
    fenced: bool,
    draining: Vec<Responder<Drain>>,
    stopping: bool,
    /// Groups that are durable but not visible everywhere yet.
    applying: usize,
}

impl Wal {
    /// Takes the log over from whoever wrote it before, reads it back into the store shards, and
    /// is ready for new rows. The shards skip what they have already, so this serves the start of
    /// the server and the rebuilding after a panic alike. `what` is asked after the takeover, so
    /// that its catalog has all names that the former writer could use.
    ///
    /// # Errors
    /// When the log cannot be read or written, or is damaged and that is to stop the start.
    pub async fn open(
        config: WalConfig,
        what: impl AsyncFn() -> anyhow::Result<Replay>,
    ) -> anyhow::Result<Self> {
        // First the takeover, then the reading: the former writer cannot acknowledge anything
        // that the reading would miss.
        let log = log::open(config.owner.clone(), config.above_file).await?;
        let mut held_bytes = vec![0; config.stores.all().len()];
        let mut catch_ups = 1;
        let (stats, last_snapshot) = loop {
            let what = what().await?;
            match read_back(&config, log.as_ref(), &what, &mut held_bytes).await {
                // The former writer named something, and wrote to it, after `what` had its names.
                Err(ReplayError::Unknown { .. }) if catch_ups < CATCH_UPS_MAX => catch_ups += 1,
                read => break (read?, what.index.last_snapshot()),
            }
        };
        // A former writer may still bring a group into its own file. It will never acknowledge it,
        // so the number of such a group must not hide one of ours when the log is read again: each
        // takeover numbers its groups from a range above those of all earlier ones.
        let range = log.first_own_file().checked_mul(NUMBERS_A_FILE).ok_or_else(|| {
            anyhow::anyhow!("the number of WAL file {} is too large", log.first_own_file())
        })?;
        let mut wal = Self::with_log(config, log, stats.last_sequence.max(range));
        wal.held_bytes = held_bytes;
        wal.last_snapshot = last_snapshot;
        wal.snapshot = stats.pending.map(|mark| (mark, true));
        for period in stats.periods {
            wal.tracker.add(period);
        }
        Ok(wal)
    }

    pub(super) fn with_log(config: WalConfig, log: Box<dyn Log>, last_sequence: u64) -> Self {
        let shards = config.stores.all().len();
        let tracker = Tracker::new(config.snapshot_size, config.gen1_duration_ns);
        Self {
            period: None,
            tracker,
            snapshot: None,
            last_snapshot: 0,
            config,
            log: Some(log),
            next_sequence: last_sequence + 1,
            open_group: Vec::new(),
            open_bytes: 0,
            feeds: Vec::new(),
            held_bytes: vec![0; shards],
            period_over: false,
            fenced: false,
            draining: Vec::new(),
            stopping: false,
            applying: 0,
        }
    }

    fn refusal(&self, bytes: usize) -> Option<WalError> {
        if self.fenced {
            return Some(WalError::Fenced);
        }
        if self.stopping {
            return Some(WalError::Shutdown);
        }
        let held_bytes = self.held_bytes.iter().sum();
        let max_bytes = self.config.held_bytes_max;
        if held_bytes > max_bytes {
            return Some(WalError::BufferFull { held_bytes, max_bytes });
        }
        let full = self.open_group.len() >= self.config.waiting_writes_max
            || (self.open_bytes > 0 && self.open_bytes + bytes > self.config.waiting_bytes_max);
        full.then_some(WalError::Full(self.open_group.len()))
    }

    /// Has the log sync the open group, unless it is busy or there is nothing to sync.
    fn sync(&mut self, cx: &mut Cx<'_, Self>) {
        if self.fenced {
            // Not one byte more into a log that is another's.
            self.open_bytes = 0;
            for reply in self.open_group.drain(..).filter_map(|w| w.reply) {
                reply.answer(Err(WalError::Fenced));
            }
        }
        let Some(mut log) = self.log.take() else { return };
        let ends = std::mem::take(&mut self.period_over) && !self.fenced;
        let group = self.next_group(log.as_ref(), ends);
        let begins = if ends { self.snapshot_due(log.as_ref(), &group) } else { None };
        if group.waiting.is_empty() && begins.is_none() {
            if ends && self.period.is_some() {
                self.close_period();
                log.end_period();
            }
            self.log = Some(log);
            self.finish_drain();
            return;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let mut entries: Vec<_> = group.waiting.iter().map(|w| w.rows.entry.clone()).collect();
        entries.extend(begins.map(|begins| mark::encode(&begins).into()));
        let written = Group { sequence, entries };
        record_group(&written);
        faults::fails("wal-before-put");
        cx.then(append(log, written), move |wal, (mut log, result), cx| {
            faults::fails("wal-after-put");
            wal.place(&group, log.as_ref());
            if ends {
                wal.close_period();
                log.end_period();
            }
            wal.log = Some(log);
            wal.synced(sequence, group.waiting, begins, result, cx);
            wal.sync(cx);
        });
    }

    /// The writes that go to the log now: all that wait, or none while a period gathers.
    fn next_group(&mut self, log: &dyn Log, ends: bool) -> OpenGroup {
        let gathers = self.config.put_by_period
            && !ends
            && !self.stopping
            && self.open_bytes < PERIOD_BYTES_MAX;
        let mut group = OpenGroup { waiting: Vec::new(), span: Period::empty(log.next_file()) };
        if !gathers {
            self.open_bytes = 0;
            group.waiting = std::mem::take(&mut self.open_group);
        }
        for batch in group.waiting.iter().flat_map(|w| &w.rows.batches) {
            group.span.add(batch.min_time_ns, batch.max_time_ns);
        }
        group
    }

    /// The snapshot that begins at the end of a period whose last writes are `group`.
    fn snapshot_due(&self, log: &dyn Log, group: &OpenGroup) -> Option<SnapshotMark> {
        if self.snapshot.is_some() {
            return None; // one at a time: this one is decided again at the next end of a period
        }
        let mut newest = self.period;
        if !group.waiting.is_empty() {
            let newest = newest.get_or_insert(group.span);
            newest.add(group.span.min_time_ns, group.span.max_time_ns);
            newest.through = group.span.through;
        }
        let forced = self.held_bytes.iter().sum::<usize>() > self.config.force_snapshot_bytes;
        let due = if forced {
            let mut newest = newest.unwrap_or(group.span);
            // Where the mark goes, if only for itself.
            newest.through = log.next_file();
            self.tracker.everything(newest)
        } else {
            self.tracker.due(newest?)?
        };
        let Due { end_time_ns, wal_through } = due;
        Some(SnapshotMark { number: self.last_snapshot + 1, end_time_ns, wal_through, forced })
    }

    /// Notes where a group went. Whether the write succeeded is all the same: rows of a failed one
    /// may be in the log nevertheless.
    fn place(&mut self, group: &OpenGroup, log: &dyn Log) {
        let period = self.period.get_or_insert(group.span);
        period.add(group.span.min_time_ns, group.span.max_time_ns);
        period.through = log.newest_file();
    }

    fn close_period(&mut self) {
        if let Some(period) = self.period.take() {
            self.tracker.add(period);
            metrics::gauge!("wal_periods_tracked").set(self.tracker.len() as f64);
        }
    }

    fn synced(
        &mut self,
        sequence: u64,
        waiting: Vec<Waiting>,
        begins: Option<SnapshotMark>,
        result: Result<(), LogError>,
        cx: &mut Cx<'_, Self>,
    ) {
        if let Err(error) = result {
            let error = match error {
                LogError::Fenced => {
                    self.fenced = true;
                    let text = "another process has written to the WAL ahead of this one";
                    self.config.fatal.raise(EXIT_UNSAFE, text.to_owned());
                    WalError::Fenced
                }
                LogError::Io(cause) => WalError::Io(format!("{cause}; outcome unknown")),
            };
            for reply in waiting.into_iter().filter_map(|w| w.reply) {
                reply.answer(Err(error.clone()));
            }
            return;
        }
        if let Some(mark) = begins {
            faults::fails("snap-after-marker");
            tracing::info!(snapshot = mark.number, forced = mark.forced, "snapshot begins");
            self.snapshot = Some((PlacedMark { mark, sequence }, false));
        }
        self.apply(sequence, waiting, begins, cx);
    }

    /// Makes a durable group visible, then answers its writers.
    fn apply(
        &mut self,
        sequence: u64,
        waiting: Vec<Waiting>,
        begins: Option<SnapshotMark>,
        cx: &mut Cx<'_, Self>,
    ) {
        let mut batches: Vec<Vec<TableBatch>> = vec![Vec::new(); self.feeds.len()];
        let mut replies = Vec::with_capacity(waiting.len());
        for Waiting { rows, reply } in waiting {
            for batch in rows.batches {
                batches[self.config.stores.index_of(batch.table)].push(batch);
            }
            replies.extend(reply);
        }
        let visible = self.deliver(sequence, batches, begins);
        self.applying += 1;
        let answered = async move {
            let held = if canary::is("ack-before-visible") { Some(vec![]) } else { visible.await };
            faults::fails("wal-before-ack");
            for reply in replies {
                reply.answer(match held {
                    Some(_) => Ok(Receipt::Durable { sequence }),
                    None => Err(WalError::NotApplied("the server is stopping".to_owned())),
                });
            }
            held
        };
        cx.then(answered, move |wal, held, _| {
            wal.applying -= 1;
            if begins.is_some() && held.is_some() {
                wal.offer_snapshot();
            }
            wal.note_held(held);
            wal.finish_drain();
        });
    }

    /// All shards have frozen the chunks of the snapshot: `Persist` can take them.
    fn offer_snapshot(&mut self) {
        if let Some((_, known)) = &mut self.snapshot {
            *known = true;
            // Should there be no room, its ticker has it ask all the same.
            self.config.persist.tell(SnapshotDue);
        }
    }

    /// Hands the shards their rows. Resolves when all have them, to the bytes that each of these
    /// shards holds then; to nothing when the server is stopping.
    fn deliver(
        &self,
        sequence: u64,
        batches: Vec<Vec<TableBatch>>,
        mark: Option<SnapshotMark>,
    ) -> impl Future<Output = Option<Vec<(usize, usize)>>> + use<> {
        let to_all = sequence == PROBE || mark.is_some();
        let visible: Vec<_> = (self.feeds.iter().zip(batches).enumerate())
            .filter(|(_, (_, batches))| !batches.is_empty() || to_all)
            .map(|(shard, (feed, batches))| {
                let group = ApplyRows { sequence, batches, mark };
                feed.deliver(group).map_ok(move |bytes| (shard, bytes))
            })
            .collect();
        try_join_all(visible).map(Result::ok)
    }

    /// Asks every shard what it holds.
    fn probe(&self, cx: &mut Cx<'_, Self>) {
        let empty = vec![Vec::new(); self.feeds.len()];
        cx.then(self.deliver(PROBE, empty, None), |wal, held, _| wal.note_held(held));
    }

    fn note_held(&mut self, held: Option<Vec<(usize, usize)>>) {
        for (shard, bytes) in held.into_iter().flatten() {
            if let Some(known) = self.held_bytes.get_mut(shard) {
                *known = bytes;
            }
        }
    }

    fn finish_drain(&mut self) {
        let idle = self.open_group.is_empty() && self.log.is_some() && self.applying == 0;
        if idle {
            for reply in self.draining.drain(..) {
                reply.answer(if self.fenced { Err(WalError::Fenced) } else { Ok(()) });
            }
        }
    }
}

/// Has the shards take everything that earlier writers left, and notes what they hold then.
async fn read_back(
    config: &WalConfig,
    log: &dyn Log,
    what: &Replay,
    held_bytes: &mut [usize],
) -> Result<ReplayStats, ReplayError> {
    replay(what, Some(log.first_own_file()), async |shard, group| {
        let deadline = Instant::now() + APPLY_DEADLINE;
        let asked = config.stores.all()[shard].ask::<{ rank::WAL }, _>(group, deadline).await;
        held_bytes[shard] = asked.map_err(|e| ReplayError::Apply(e.to_string()))?;
        Ok(())
    })
    .await
}

/// Appends until it succeeds, the log is fenced, or it was tried often enough.
async fn append(mut log: Box<dyn Log>, group: Group) -> (Box<dyn Log>, Result<(), LogError>) {
    let begun = Instant::now();
    let mut result = log.append(&group).await;
    let mut tries = 0;
    while let Err(LogError::Io(cause)) = &result
        && tries < RETRIES_MAX
    {
        if tries == 0 {
            tracing::error!(cause, group = group.sequence, "error writing wal file, trying again");
        }
        metrics::counter!("wal_write_errors_total").increment(1);
        tries += 1;
        tokio::time::sleep(RETRY_PAUSE).await;
        result = log.append(&group).await;
    }
    metrics::histogram!("wal_sync_seconds").record(begun.elapsed().as_secs_f64());
    (log, result)
}

fn record_group(group: &Group) {
    let bytes: usize = group.entries.iter().map(bytes::Bytes::len).sum();
    metrics::histogram!("wal_group_writes").record(group.entries.len() as f64);
    metrics::counter!("wal_groups_total").increment(1);
    metrics::counter!("wal_bytes_total").increment(bytes as u64);
}

impl Service for Wal {
    const RANK: u8 = rank::WAL;

    fn started(&mut self, _: &mut Cx<'_, Self>) {
        self.feeds = self.config.stores.all().iter().cloned().map(Feed::start).collect();
    }
}

impl Receive<AppendRows> for Wal {
    fn receive(&mut self, rows: AppendRows, reply: Responder<AppendRows>, cx: &mut Cx<'_, Self>) {
        let bytes = rows.entry.len() + rows.batches.iter().map(|b| b.size_bytes).sum::<usize>();
        if let Some(error) = self.refusal(bytes) {
            reply.answer(Err(error));
            return;
        }
        let reply = match rows.sync {
            SyncMode::Durable if !canary::is("ack-before-sync") => Some(reply),
            SyncMode::Durable | SyncMode::Buffered => {
                reply.answer(Ok(Receipt::Buffered));
                None
            }
        };
        self.open_bytes += bytes;
        self.open_group.push(Waiting { rows, reply });
        self.sync(cx);
    }
}

impl Receive<PeriodDue> for Wal {
    fn receive(&mut self, _: PeriodDue, reply: Responder<PeriodDue>, cx: &mut Cx<'_, Self>) {
        self.period_over = true;
        let bound = self.config.held_bytes_max.min(self.config.force_snapshot_bytes);
        if self.held_bytes.iter().sum::<usize>() > bound {
            // Without writes nobody would notice that a deleted table or a snapshot made room.
            self.probe(cx);
        }
        self.sync(cx);
        reply.answer(());
    }
}

impl Receive<TakeSnapshot> for Wal {
    fn receive(&mut self, _: TakeSnapshot, reply: Responder<TakeSnapshot>, _: &mut Cx<'_, Self>) {
        let known = self.snapshot.filter(|(_, known)| *known && !self.fenced);
        reply.answer(known.map(|(mark, _)| mark));
    }
}

impl Receive<SnapshotDone> for Wal {
    fn receive(
        &mut self,
        done: SnapshotDone,
        reply: Responder<SnapshotDone>,
        cx: &mut Cx<'_, Self>,
    ) {
        if let Some((placed, _)) = self.snapshot
            && placed.mark.number == done.number
        {
            self.snapshot = None;
            self.last_snapshot = done.number;
            self.tracker.forget(placed.mark.wal_through);
            self.probe(cx);
        }
        reply.answer(());
    }
}

impl Receive<Drain> for Wal {
    fn receive(&mut self, _: Drain, reply: Responder<Drain>, cx: &mut Cx<'_, Self>) {
        self.stopping = true;
        self.draining.push(reply);
        self.sync(cx);
    }
}
