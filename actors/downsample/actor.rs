//! See the module's page.

use super::board::{Board, DownsampleRef, DownsampleStatus};
use super::compute::{compute, history};
use super::config::DownsamplesConfig;
use super::run::Run;
use super::state::{State, Wanted, wanted};
use super::storage::{Sources, load, read, store};
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::Responder;
use crate::runtime::published::Publisher;
use crate::wal::{LogPlace, Stretch};
use hashbrown::HashMap;
use protocols::messages::downsamples::SyncDownsamples;
use protocols::messages::rank;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the state is stored at most where that is cheap, and where it is a request over a network.
/// What comes after it is computed again after a kill.
const STORE_EVERY: Duration = Duration::from_secs(1);
const STORE_EVERY_REMOTE: Duration = Duration::from_secs(10);
/// The longest pause after a batch.
const REST_MAX: Duration = Duration::from_secs(60);

/// Why nothing can be computed: an interval that is over has lost rows.
const TOO_SHORT: &str =
    "the retention period or --write-window is shorter than the interval and the offset";

/// What is done next for a downsample.
enum Step {
    /// Find out since when there are rows.
    History(i64),
    /// Compute these intervals.
    Intervals(i64, i64),
}

/// What came of it.
enum Done {
    History(Option<(i64, i64)>),
    Rows(u64),
}

/// See the module's page.
pub struct Downsamples {
    config: Arc<DownsamplesConfig>,
    board: Publisher<Board>,
    /// `None` until it was read.
    state: Option<State>,
    runs: HashMap<DownsampleRef, Run>,
    /// The state differs from what is stored.
    changed: bool,
    /// Since it was stored, downsamples have come or gone: nobody is answered before it is.
    owed: bool,
    stored_at: Instant,
    /// The catalog and the WAL are being looked at.
    looking: bool,
    /// That has to be done once more.
    again: bool,
    /// A batch is being computed, or there is the pause after it.
    computing: bool,
    waiting: Vec<Responder<SyncDownsamples>>,
    /// The state of the catalog that was looked at last.
    seen: Option<u64>,
    /// The one that had its turn.
    last: Option<DownsampleRef>,
}

impl Downsamples {
    /// How the actor comes to life, now and after each death.
    pub fn lives(config: DownsamplesConfig, board: Publisher<Board>) -> Lives<Self> {
        let (config, board) = (Arc::new(config), Arc::new(board));
        Lives::of(move || {
            Ok(Self {
                config: Arc::clone(&config),
                board: board.again(),
                state: None,
                runs: HashMap::new(),
                changed: false,
                owed: false,
                stored_at: Instant::now(),
                looking: false,
                again: false,
                computing: false,
                waiting: Vec::new(),
                seen: None,
                last: None,
            })
        })
    }

    /// Looks which downsamples there are, and what was written.
    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        if self.looking {
            self.again = true;
            return;
        }
        self.looking = true;
        let Some(state) = &mut self.state else {
            cx.then(load(self.config.log.clone()), |actor, loaded, cx| actor.loaded(loaded, cx));
            return;
        };
        let catalog = self.config.log.catalog();
        let is_new = self.seen.replace(catalog.sequence) != Some(catalog.sequence);
        if is_new || !state.all.is_empty() {
            self.owed |= state.adopt(&catalog, self.config.clock.now_ns());
        }
        let replies = std::mem::take(&mut self.waiting);
        if state.all.is_empty() {
            self.finish_look(replies, false, cx);
            return;
        }
        let work = read(self.config.log.clone(), state.place, Sources::of(state, &catalog));
        cx.then(work, move |actor, found, cx| match found {
            Ok((before, stretch)) => {
                let more = actor.found(before, &stretch);
                actor.finish_look(replies, more, cx);
            }
            // Who waited is told that it failed.
            Err(error) => {
                tracing::warn!(%error, "downsamples do not see for now what is written");
                actor.looking = false;
            }
        });
    }

    fn loaded(&mut self, loaded: anyhow::Result<Option<State>>, cx: &mut Cx<'_, Self>) {
        self.looking = false;
        match loaded {
            Ok(Some(state)) => self.state = Some(state),
            Ok(None) => {
                // What is not known of downsamples that are there is found out once more.
                let mut state = State::default();
                state.adopt(&self.config.log.catalog(), self.config.clock.now_ns());
                state.start_over();
                (self.state, self.owed) = (Some(state), true);
            }
            Err(error) => {
                tracing::warn!(%error, "what is stored of downsamples cannot be read for now");
                return;
            }
        }
        self.look(cx);
    }

    /// Notes what the WAL had. True if it may have more.
    fn found(&mut self, before: LogPlace, stretch: &Stretch) -> bool {
        let Some(state) = &mut self.state else { return false };
        let now_ns = self.config.clock.now_ns();
        let catalog = self.config.log.catalog();
        self.changed |= state.note(&catalog, &stretch.batches, now_ns);
        if stretch.missing_files > 0 {
            let files = stretch.missing_files;
            tracing::warn!(files, "files of the WAL are gone: all downsamples are computed anew");
            state.start_over();
        }
        self.changed |= state.place != Some(stretch.through);
        state.place = Some(stretch.through);
        before.file > 0 && stretch.through.file > before.file
    }

    /// Stores the state if that is due, then answers and goes on.
    fn finish_look(
        &mut self,
        replies: Vec<Responder<SyncDownsamples>>,
        more: bool,
        cx: &mut Cx<'_, Self>,
    ) {
        let is_remote = self.config.log.objects().remote;
        let every = if is_remote { STORE_EVERY_REMOTE } else { STORE_EVERY };
        let is_due = self.owed || (self.changed && self.stored_at.elapsed() >= every);
        let Some(stored) = is_due.then(|| self.stored()).flatten() else {
            self.end_look(replies, more, cx);
            return;
        };
        self.changed = false;
        cx.then(store(self.config.log.clone(), stored), move |actor, stored, cx| match stored {
            Ok(()) => {
                (actor.owed, actor.stored_at) = (false, Instant::now());
                actor.end_look(replies, more, cx);
            }
            // Who waited is told that it failed.
            Err(error) => {
                tracing::warn!(%error, "how far downsamples have come is not stored for now");
                (actor.changed, actor.looking) = (true, false);
            }
        });
    }

    fn end_look(
        &mut self,
        replies: Vec<Responder<SyncDownsamples>>,
        more: bool,
        cx: &mut Cx<'_, Self>,
    ) {
        replies.into_iter().for_each(|reply| reply.answer(()));
        self.looking = false;
        let are_there = self.state.as_ref().is_some_and(|state| !state.all.is_empty());
        if are_there || !self.board.load().is_empty() {
            self.publish();
            self.compute(cx);
        }
        if std::mem::take(&mut self.again) || more {
            self.look(cx);
        }
    }

    /// The state as it is to be found after a kill: what is being computed is yet to be.
    fn stored(&self) -> Option<State> {
        let mut state = self.state.clone()?;
        for known in &mut state.all {
            let run = self.runs.get(&(known.db, known.id));
            if let Some((start, end)) = run.and_then(|run| run.running) {
                known.pending.add(start, end);
            }
        }
        Some(state)
    }

    /// What is to be done next, for one after the other.
    fn next_step(&mut self) -> Option<(DownsampleRef, Wanted, Step)> {
        let (state, now) = (self.state.as_mut()?, Instant::now());
        let now_ns = self.config.clock.now_ns();
        let catalog = self.config.log.catalog();
        let (wanted, last) = (wanted(&catalog), self.last);
        let mut all: Vec<_> = state.all.iter_mut().collect();
        all.sort_by_key(|known| (Some((known.db, known.id)) <= last, known.db, known.id));
        for known in all {
            let of = (known.db, known.id);
            let Some(wanted) = wanted.get(&of).filter(|w| w.is_live() && !w.def.disabled) else {
                continue;
            };
            let run = self.runs.entry(of).or_insert_with(Run::new);
            if run.next > now {
                continue;
            }
            let def = &wanted.def;
            if let Some(kept_ns) = self.config.kept_ns(wanted, &catalog) {
                if def.interval_ns.saturating_add(def.offset_ns) > kept_ns {
                    run.last_error = Some(TOO_SHORT.to_owned());
                    continue;
                }
                known.pending.remove(i64::MIN, def.first_since(now_ns.saturating_sub(kept_ns)));
            }
            run.last_error.take_if(|error| error == TOO_SHORT);
            let intervals = known.pending.newest_before(def.open_at(now_ns), run.batch);
            let step = match (known.history_from_ns, intervals) {
                (Some(from_ns), _) => Step::History(from_ns),
                (None, Some((start, end))) => {
                    known.pending.remove(start, end);
                    run.running = Some((start, end));
                    Step::Intervals(start, end)
                }
                (None, None) => continue,
            };
            self.last = Some(of);
            return Some((of, wanted.clone(), step));
        }
        None
    }

    /// Begins the next batch, unless one is under way.
    fn compute(&mut self, cx: &mut Cx<'_, Self>) {
        if self.computing {
            return;
        }
        let Some((of, wanted, step)) = self.next_step() else { return };
        self.computing = true;
        let (config, for_whom) = (Arc::clone(&self.config), wanted.clone());
        let work = async move {
            let begun = Instant::now();
            let done = match step {
                Step::History(from_ns) => {
                    history(&config, &for_whom, from_ns).await.map(Done::History)
                }
                Step::Intervals(start, end) => {
                    compute(&config, &for_whom, (start, end)).await.map(Done::Rows)
                }
            };
            (done, begun.elapsed())
        };
        cx.then(work, move |actor, (done, took), cx| {
            actor.computed(of, &wanted, done, took);
            actor.publish();
            cx.then(tokio::time::sleep(took.min(REST_MAX)), |actor, (), cx| {
                actor.computing = false;
                actor.compute(cx);
            });
        });
    }

    fn computed(
        &mut self,
        of: DownsampleRef,
        wanted: &Wanted,
        done: Result<Done, String>,
        took: Duration,
    ) {
        let known = self.state.iter_mut().flat_map(|state| &mut state.all);
        let Some(known) = known.into_iter().find(|known| (known.db, known.id) == of) else {
            self.runs.remove(&of); // it was deleted meanwhile
            return;
        };
        let Some(run) = self.runs.get_mut(&of) else { return };
        let running = run.running.take();
        run.last_run_ns = Some(self.config.clock.now_ns());
        metrics::histogram!("downsample_batch_seconds").record(took.as_secs_f64());
        match done {
            Ok(Done::History(times_ns)) => {
                known.found_history(&wanted.def, times_ns);
                (run.failures, run.last_error) = (0, None);
            }
            Ok(Done::Rows(rows)) => {
                metrics::counter!("downsample_rows_written_total").increment(rows);
                run.has_written(rows, took);
            }
            Err(error) => {
                metrics::counter!("downsample_failures_total").increment(1);
                running.iter().for_each(|(start, end)| known.pending.add(*start, *end));
                if run.last_error.as_ref() != Some(&error) {
                    let (db, name) = (&wanted.db.name, &wanted.def.name);
                    tracing::warn!(%db, %name, error, "a downsample failed, and is tried again");
                }
                run.has_failed(error);
            }
        }
        self.changed = true;
    }

    /// Shows others how the downsamples are doing.
    fn publish(&mut self) {
        let Some(state) = &mut self.state else { return };
        let wanted = wanted(&self.config.log.catalog());
        self.runs.retain(|of, run| wanted.contains_key(of) || run.running.is_some());
        let now_ns = self.config.clock.now_ns();
        let mut board = Board::new();
        for known in &mut state.all {
            let of = (known.db, known.id);
            let Some(wanted) = wanted.get(&of).filter(|wanted| wanted.is_live()) else { continue };
            let def = &wanted.def;
            let run = self.runs.entry(of).or_insert_with(Run::new);
            let open = def.open_at(now_ns);
            let backfill_percent = known.backfill_percent(def, run.running, open);
            let mut left = known.pending.clone();
            run.running.iter().for_each(|(start, end)| left.add(*start, *end));
            let state = if def.disabled {
                "disabled"
            } else if run.last_error.is_some() {
                "failing"
            } else if known.history_from_ns.is_some() || known.backfill.is_some() {
                "backfilling"
            } else {
                "running"
            };
            let complete = left.first().unwrap_or(open).min(open);
            let status = DownsampleStatus {
                state,
                complete_through_ns: def.start_ns(complete),
                pending_intervals: left.count(i64::MIN, open),
                backfill_percent,
                rows_written: run.rows_written,
                last_run_ns: run.last_run_ns,
                last_error: run.last_error.clone(),
            };
            board.insert(of, status);
        }
        let pending: u64 = board.values().map(|status| status.pending_intervals).sum();
        metrics::gauge!("downsample_pending_intervals").set(pending as f64);
        self.board.publish(Arc::new(board));
    }
}

impl Service for Downsamples {
    const RANK: u8 = rank::DOWNSAMPLES;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.look(cx);
    }
}

impl Receive<SyncDownsamples> for Downsamples {
    fn receive(
        &mut self,
        _: SyncDownsamples,
        reply: Responder<SyncDownsamples>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.waiting.push(reply);
        self.look(cx);
    }
}
