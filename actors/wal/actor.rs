//! The actor: gathers groups, has the log sync them, feeds the store, answers the writers.

use super::config::WalConfig;
use super::feed::Feed;
use super::log::{Log, LogError, WalGroup};
use super::tracker::{Due, Period, Tracker};
use super::write::append;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::canary;
use crate::runtime::faults;
use crate::runtime::guardian::EXIT_UNSAFE;
use crate::runtime::mailbox::Responder;
use protocols::messages::wal::{
    AppendRows, CutRows, Drain, PeriodDue, Receipt, SnapshotDone, SnapshotWanted, SyncMode,
    TakeSnapshot, WalError,
};
use protocols::messages::{Command, rank};
use protocols::row_deletes::RowCut;
use protocols::snapshot::{PlacedMark, SnapshotMark};
use protocols::wal_frame::mark;
use std::collections::BTreeSet;

/// A period that is one object is put early when it has so many bytes.
const PERIOD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The entries of one group take no more bytes together: a group is copied, synced and read back as
/// a whole. Writes beyond go with the next one.
const GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A write in the open group.
pub(super) struct Waiting {
    pub(super) rows: AppendRows,
    /// Where nobody waits any more (`no_sync`), it only holds the room in the mailbox: what is on
    /// its way to the shards counts until they have it.
    pub(super) reply: Responder<AppendRows>,
}

/// A cut on its way, and who waits for it.
pub(super) type WaitingCut = (RowCut, Responder<CutRows>);

/// What goes to the log together.
struct OpenGroup {
    waiting: Vec<Waiting>,
    /// Behind the writes.
    cuts: Vec<WaitingCut>,
    /// Between which times their rows lie, the file they are meant for, and their stamp.
    span: Period,
}

impl OpenGroup {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.cuts.is_empty()
    }
}

/// See the module's page.
pub struct Wal {
    pub(super) config: WalConfig,
    /// `None` while it syncs, or makes the next file.
    log: Option<Box<dyn Log>>,
    next_sequence: u64,
    /// The largest stamp that was given, here or by former writers.
    last_stamp: i64,
    open_group: Vec<Waiting>,
    open_bytes: usize,
    /// Cuts that go with the next group.
    open_cuts: Vec<WaitingCut>,
    pub(super) feeds: Vec<Feed>,
    /// What each shard said that it holds, in bytes.
    pub(super) held_bytes: Vec<usize>,
    period_over: bool,
    /// The period under way, once it has a group.
    pub(super) period: Option<Period>,
    pub(super) tracker: Tracker,
    /// The snapshot under way, and whether all shards know of it.
    pub(super) snapshot: Option<(PlacedMark, bool)>,
    /// The next one is of all rows, and begins at the end of the period.
    snapshot_wanted: bool,
    /// Number of the newest snapshot that is durable.
    pub(super) last_snapshot: u64,
    fenced: bool,
    draining: Vec<Responder<Drain>>,
    stopping: bool,
    /// Groups that are durable but not visible everywhere yet.
    pub(super) applying: BTreeSet<u64>,
}

/// What is known of rows that the log did not confirm.
const OUTCOME_UNKNOWN: &str = "outcome unknown: the rows are not visible, and may be after a restart; \
                               writing the same points again does no harm";

impl Wal {
    /// `last` are the number and the stamp of the last group.
    pub(super) fn with_log(config: WalConfig, log: Box<dyn Log>, last: (u64, i64)) -> Self {
        let shards = config.stores.all().len();
        let tracker = Tracker::new(config.snapshot_size, config.gen1_duration_ns);
        Self {
            period: None,
            tracker,
            snapshot: None,
            snapshot_wanted: false,
            last_snapshot: 0,
            config,
            log: Some(log),
            next_sequence: last.0 + 1,
            last_stamp: last.1,
            open_group: Vec::new(),
            open_bytes: 0,
            open_cuts: Vec::new(),
            feeds: Vec::new(),
            held_bytes: vec![0; shards],
            period_over: false,
            fenced: false,
            draining: Vec::new(),
            stopping: false,
            applying: BTreeSet::new(),
        }
    }

    /// Why nothing is taken any more.
    fn refusal_at_end(&self) -> Option<WalError> {
        match self.fenced {
            true => Some(WalError::Fenced),
            false => self.stopping.then_some(WalError::Shutdown),
        }
    }

    fn refusal(&self, bytes: usize) -> Option<WalError> {
        if let Some(error) = self.refusal_at_end() {
            return Some(error);
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
            for waiting in self.open_group.drain(..) {
                waiting.reply.answer(Err(WalError::Fenced));
            }
            for (_, reply) in self.open_cuts.drain(..) {
                reply.answer(Err(WalError::Fenced));
            }
        }
        let Some(mut log) = self.log.take() else { return };
        let ends = std::mem::take(&mut self.period_over) && !self.fenced;
        let group = self.next_group(log.as_ref(), ends);
        let begins = if ends { self.snapshot_due(log.as_ref(), &group) } else { None };
        self.snapshot_wanted &= begins.is_none_or(|begins| !begins.forced);
        if group.is_empty() && begins.is_none() {
            let period_ends = ends && self.period.is_some();
            if period_ends {
                self.close_period();
                log.end_period();
            }
            self.log = Some(log);
            self.rest();
            if period_ends {
                self.prepare(cx);
            }
            return;
        }
        let (sequence, stamp) = (self.next_sequence, group.span.last_stamp);
        self.next_sequence += 1;
        self.last_stamp = stamp;
        let mut entries: Vec<_> = group.waiting.iter().map(|w| w.rows.entry.clone()).collect();
        entries.extend(group.cuts.iter().map(|(cut, _)| mark::encode_cut(cut).into()));
        entries.extend(begins.map(|begins| mark::encode(&begins).into()));
        let written = WalGroup { sequence, stamp, entries };
        self.config.pulse.begins();
        faults::fails("wal-before-put");
        cx.then(append(log, written), move |wal, (mut log, result), cx| {
            faults::fails("wal-after-put");
            if result.is_ok() {
                wal.place(&group, log.as_ref());
            }
            if ends {
                wal.close_period();
                log.end_period();
            }
            // What it held is lost with it. Opened anew, the log is what is stored.
            assert!(result != Err(LogError::Lost), "{}", LogError::Lost);
            wal.log = Some(log);
            wal.synced((sequence, stamp), group, begins, result, cx);
            if ends && wal.open_group.is_empty() && wal.open_cuts.is_empty() {
                wal.prepare(cx);
            } else {
                wal.sync(cx);
            }
        });
    }

    /// Has the log make the file of the next period, so that its first writers need not wait for it.
    fn prepare(&mut self, cx: &mut Cx<'_, Self>) {
        if self.fenced || self.stopping {
            return self.rest();
        }
        let Some(mut log) = self.log.take() else { return };
        self.config.pulse.begins();
        let prepared = async move {
            let result = log.prepare().await;
            (log, result)
        };
        cx.then(prepared, |wal, (log, result), cx| {
            assert!(result != Err(LogError::Lost), "{}", LogError::Lost);
            if let Err(error) = result {
                // The next group tries it as well, and is told what is wrong.
                tracing::warn!(%error, "the next WAL file could not be made beforehand");
            }
            wal.log = Some(log);
            wal.sync(cx);
        });
    }

    /// The writes that go to the log now: all that wait, or none while a period gathers.
    fn next_group(&mut self, log: &dyn Log, ends: bool) -> OpenGroup {
        let gathers = self.config.put_by_period
            && !ends
            && !self.stopping
            && self.open_cuts.is_empty()
            && self.open_bytes < PERIOD_BYTES_MAX;
        let span = Period::empty(log.next_file());
        let cuts = std::mem::take(&mut self.open_cuts);
        let mut group = OpenGroup { waiting: Vec::new(), cuts, span };
        group.span.add_group(self.next_stamp());
        if !gathers {
            let mut entry_bytes = 0;
            let mut fits = |waiting: &Waiting| {
                entry_bytes += waiting.rows.entry.len();
                entry_bytes <= GROUP_BYTES_MAX
            };
            // One that does not fit into any group goes alone.
            let count = self.open_group.iter().take_while(|w| fits(w)).count().max(1);
            let rest = self.open_group.split_off(count.min(self.open_group.len()));
            group.waiting = std::mem::replace(&mut self.open_group, rest);
            self.open_bytes = self.open_group.iter().map(|w| w.rows.cost_bytes()).sum();
        }
        for batch in group.waiting.iter().flat_map(|w| &w.rows.batches) {
            group.span.add(batch.min_time_ns, batch.max_time_ns);
        }
        group
    }

    /// The stamp of a group that is closed now. It rises whatever the wall clock does: what was
    /// written later has to win.
    fn next_stamp(&self) -> i64 {
        let now_ns = self.config.clock.now_ns();
        if canary::is("stamp-is-the-clock") {
            return now_ns;
        }
        now_ns.max(self.last_stamp.saturating_add(1))
    }

    /// The snapshot that begins at the end of a period whose last writes are `group`.
    fn snapshot_due(&self, log: &dyn Log, group: &OpenGroup) -> Option<SnapshotMark> {
        if self.snapshot.is_some() {
            return None; // one at a time: this one is decided again at the next end of a period
        }
        let mut newest = self.period;
        if !group.is_empty() {
            let newest = newest.get_or_insert(group.span);
            newest.add(group.span.min_time_ns, group.span.max_time_ns);
            newest.add_group(group.span.last_stamp);
            newest.through = group.span.through;
        }
        let forced = self.snapshot_wanted
            || self.held_bytes.iter().sum::<usize>() > self.config.force_snapshot_bytes;
        let due = if forced {
            let mut newest = newest.unwrap_or(group.span);
            // Where the mark goes, if only for itself.
            newest.through = log.next_file();
            newest.add_group(group.span.last_stamp);
            self.tracker.everything(newest)
        } else {
            self.tracker.due(newest?)?
        };
        let Due { end_time_ns, wal_through, durable_stamp } = due;
        let number = self.last_snapshot + 1;
        Some(SnapshotMark { number, end_time_ns, wal_through, forced, durable_stamp })
    }

    /// Notes where a group went. One that failed is nowhere, unless a successor finds it, who notes
    /// it then.
    fn place(&mut self, group: &OpenGroup, log: &dyn Log) {
        let period = self.period.get_or_insert(group.span);
        period.add(group.span.min_time_ns, group.span.max_time_ns);
        period.add_group(group.span.last_stamp);
        period.through = log.newest_file();
    }

    fn close_period(&mut self) {
        if let Some(period) = self.period.take() {
            self.tracker.add(period);
            self.measure_periods();
        }
    }

    fn measure_periods(&self) {
        metrics::gauge!("wal_periods_tracked").set(self.tracker.len() as f64);
    }

    fn synced(
        &mut self,
        (sequence, stamp): (u64, i64),
        group: OpenGroup,
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
                LogError::Io(_) | LogError::Lost => {
                    WalError::Io(format!("{error}; {OUTCOME_UNKNOWN}"))
                }
            };
            self.config.pulse.fails();
            for waiting in group.waiting {
                waiting.reply.answer(Err(error.clone()));
            }
            for (_, reply) in group.cuts {
                reply.answer(Err(error.clone()));
            }
            return;
        }
        self.config.owner.confirm(sequence);
        if let Some(mark) = begins {
            faults::fails("snap-after-marker");
            tracing::info!(snapshot = mark.number, forced = mark.forced, "snapshot begins");
            self.snapshot = Some((PlacedMark { mark, sequence, stamp }, false));
        }
        self.apply((sequence, stamp), (group.waiting, group.cuts), begins, cx);
    }

    /// Notes it when nothing is under way, and lets those go on who wait for that.
    pub(super) fn rest(&mut self) {
        let rests = self.log.is_some() && self.applying.is_empty();
        if rests {
            self.config.pulse.rests();
        }
        if rests && self.open_group.is_empty() && self.open_cuts.is_empty() {
            for reply in self.draining.drain(..) {
                reply.answer(if self.fenced { Err(WalError::Fenced) } else { Ok(()) });
            }
        }
    }
}

impl Service for Wal {
    const RANK: u8 = rank::WAL;

    fn started(&mut self, _: &mut Cx<'_, Self>) {
        self.feeds = self.config.stores.all().iter().cloned().map(Feed::start).collect();
    }
}

impl Receive<AppendRows> for Wal {
    fn receive(
        &mut self,
        rows: AppendRows,
        mut reply: Responder<AppendRows>,
        cx: &mut Cx<'_, Self>,
    ) {
        let bytes = rows.cost_bytes();
        if let Some(error) = self.refusal(bytes) {
            reply.answer(Err(error));
            return;
        }
        if rows.sync == SyncMode::Buffered || canary::is("ack-before-sync") {
            reply.answer_early(Ok(Receipt::Buffered));
        }
        self.open_bytes += bytes;
        self.open_group.push(Waiting { rows, reply });
        self.sync(cx);
    }
}

impl Receive<CutRows> for Wal {
    fn receive(&mut self, cut: CutRows, reply: Responder<CutRows>, cx: &mut Cx<'_, Self>) {
        if let Some(error) = self.refusal_at_end() {
            reply.answer(Err(error));
            return;
        }
        self.open_cuts.push((cut.0, reply));
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

impl Receive<SnapshotWanted> for Wal {
    fn receive(
        &mut self,
        _: SnapshotWanted,
        reply: Responder<SnapshotWanted>,
        _: &mut Cx<'_, Self>,
    ) {
        self.snapshot_wanted = true;
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
            self.measure_periods();
            self.config.owner.need_not(placed.mark.wal_through);
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
