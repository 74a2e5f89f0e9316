//! Which files are to become one: worked out from the list of files, the catalog and the time alone.
//!
//! Time is divided into windows, those of a generation lying side by side and each consisting of
//! several of the generation below. Once a window is over and all that was written by then is in
//! files, these are merged, in the widest window that can be had in one go; windows of little become
//! part of still wider ones later. Generations in between are passed over, so that a row is written
//! anew but two or three times over its life, unless more files than can be open at once are there.
//! Rows that come late make a window due again once they are worth it, and so do deletes of rows at
//! once. What is merged is always such that nobody has rows of the same times that were written in
//! between.

use super::runs::{Run, runs};
use crate::runtime::canary;
use protocols::catalog::CatalogSnapshot;
use protocols::file_index::may_be_one;
use protocols::ids::{DbId, TableId};
use protocols::messages::index::FileList;
use protocols::row_deletes::RowDelete;
use protocols::schema::TableSchema;
use protocols::snapshot::{ParquetFile, chunk_time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Windows wider than this are only for few rows: whoever wants an hour of such a window has to
/// decode all of it.
const SORT_WIDTH_NS: i64 = 24 * 3_600 * 1_000_000_000;
/// What counts as little.
const SMALL_BYTES: u64 = 64 * 1024 * 1024;
const SMALL_ROWS: u64 = 2_000_000;
/// So many files of a chunk, or of a window that was merged before, are merged with each other.
const LATE_FILES: usize = 8;
/// Files with this part of the bytes of the one before them, if they came late, are merged with it.
const LATE_PART: u64 = 8;
/// After so long any late file makes its window due, unless that is larger than this.
const LATE_AGE_NS: i64 = 24 * 3_600 * 1_000_000_000;
const LATE_BYTES: u64 = 256 * 1024 * 1024;
/// From one station to the next a window has room for so many of those before.
const STATION_FACTOR: i64 = 32;
/// Tables with more files of the first generation than this go first, and windows with more files do
/// not wait until no more rows come.
const MANY_FILES: usize = 64;
/// A table's widest windows are this part of its retention period, so that whole files can go when
/// their time has come.
const RETENTION_PART: i64 = 6;

/// What the plan depends on besides files and tables.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Widths of the windows, by generation; the first is that of a chunk.
    pub(super) widths: Vec<i64>,
    /// How long after its end a window is left alone.
    pub(super) settle_ns: i64,
    /// And how long after its newest rows were written.
    pub(super) quiet_ns: i64,
    /// Files that one job takes in.
    pub(super) files_max: usize,
    /// Memory for what is open at once.
    pub(super) open_bytes_max: u64,
}

/// Files that are to become fewer.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) db: DbId,
    pub(super) table: TableId,
    /// That of what comes out.
    pub(super) generation: u8,
    pub(super) window_start_ns: i64,
    /// In the order in which they were written.
    pub(super) runs: Vec<Run>,
    is_urgent: bool,
}

impl Job {
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<ParquetFile>> {
        self.runs.iter().flat_map(|run| &run.files)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files().map(|file| file.size_bytes).sum()
    }
}

/// What is to be done for `wanted` tables, or for all: the most urgent first. Jobs do not share
/// files. With `at_once` everything is due that can be done.
pub(super) fn plan(
    list: &FileList,
    catalog: &CatalogSnapshot,
    now_ns: i64,
    rules: &Rules,
    wanted: Option<&BTreeSet<TableId>>,
    at_once: bool,
) -> Vec<Job> {
    let mut tables: BTreeMap<TableId, Vec<Arc<ParquetFile>>> = BTreeMap::new();
    let is_wanted = |table: &TableId| wanted.is_none_or(|wanted| wanted.contains(table));
    for file in list.files.iter().filter(|file| is_wanted(&file.table)) {
        tables.entry(file.table).or_default().push(Arc::clone(file));
    }
    let mut jobs = Vec::new();
    for (table, files) in tables {
        let Some((db, schema)) = catalog.table_by_id(table) else { continue };
        let removed = [db.deletion, schema.deletion].iter().flatten().any(|d| d.rows_removed);
        let deletes = catalog.row_deletes.of(table);
        if removed || (files.len() < 2 && deletes.is_empty()) {
            continue;
        }
        let first_generation = files.iter().filter(|file| file.generation() == 1).count();
        let durable_stamp = list.durable_stamp;
        let retention_ns = db.retention_of(schema);
        let horizon_ns = retention_ns.map(|retention| now_ns.saturating_sub(retention));
        let width_max = retention_ns.map_or(i64::MAX, |retention| retention / RETENTION_PART);
        let stations = stations(&rules.widths, width_max);
        let top = stations.last().copied().unwrap_or(0);
        let mut planner = Planner {
            rules,
            now_ns,
            at_once,
            durable_stamp,
            horizon_ns,
            stations,
            is_urgent: first_generation > MANY_FILES,
            files: &files,
            jobs: Vec::new(),
        };
        planner.windows(top, runs(&files));
        planner.rewrite(&deletes, schema);
        jobs.extend(planner.jobs);
    }
    jobs.sort_by_key(|job| (!job.is_urgent, job.window_start_ns, job.table));
    jobs
}

/// Plans for one table.
struct Planner<'a> {
    rules: &'a Rules,
    now_ns: i64,
    at_once: bool,
    durable_stamp: i64,
    /// Rows before this are past retention.
    horizon_ns: Option<i64>,
    stations: Vec<usize>,
    is_urgent: bool,
    files: &'a [Arc<ParquetFile>],
    jobs: Vec<Job>,
}

/// What is to be done about a window.
enum Verdict {
    /// Its files become one.
    Due,
    /// Not this one, but perhaps those of the station before in it.
    NotYet,
    /// It is too much for one go: narrower ones first.
    TooMuch,
    /// It is as it is to be for now.
    Rest,
}

impl Planner<'_> {
    /// Looks at the windows of a generation, counted from zero, that have any of `runs` wholly in
    /// them.
    fn windows(&mut self, level: usize, runs: Vec<Run>) {
        let Some(width) = self.rules.widths.get(level).copied() else { return };
        let mut windows: BTreeMap<i64, Vec<Run>> = BTreeMap::new();
        for run in runs {
            let start = chunk_time(run.min_time_ns, width);
            if run.max_time_ns <= end_of(start, width) {
                windows.entry(start).or_default().push(run);
            }
        }
        for (start, mut runs) in windows {
            if level == 0 {
                runs.retain(|run| run.order.hi <= self.durable_stamp);
            }
            runs.sort_by_key(|run| (run.order, run.first_id()));
            let first = self.first_worth_it(level, &runs);
            if runs.len() < first + 2 {
                continue;
            }
            match self.judge(level, start, width, &runs[first..]) {
                Verdict::Due => self.add(level, start, runs.split_off(first)),
                Verdict::NotYet => {
                    let before = self.stations.iter().rfind(|station| **station < level);
                    self.windows(before.copied().unwrap_or(0), runs);
                }
                Verdict::TooMuch => self.windows(level - 1, runs),
                Verdict::Rest => {}
            }
        }
    }

    /// Files that may have deleted rows are written anew, if they do not become part of others anyway.
    fn rewrite(&mut self, deletes: &[Arc<RowDelete>], table: &TableSchema) {
        if deletes.is_empty() {
            return;
        }
        let taken: BTreeSet<u64> =
            self.jobs.iter().flat_map(Job::files).map(|file| file.id).collect();
        for run in runs(self.files) {
            let is_touched =
                run.files.iter().any(|f| deletes.iter().any(|d| d.may_touch(f, table)));
            let is_taken = run.files.iter().any(|file| taken.contains(&file.id));
            let is_expired = self.horizon_ns.is_some_and(|horizon| run.max_time_ns < horizon);
            let first = run.files.first().filter(|_| is_touched && !is_taken && !is_expired);
            let Some(first) = first else { continue };
            self.jobs.push(Job {
                db: first.db,
                table: first.table,
                generation: run.generation,
                window_start_ns: first.chunk_time_ns,
                runs: vec![run],
                is_urgent: self.is_urgent,
            });
        }
    }

    fn judge(&self, level: usize, start: i64, width: i64, runs: &[Run]) -> Verdict {
        let end = end_of(start, width);
        if self.horizon_ns.is_some_and(|horizon| end < horizon) {
            return Verdict::Rest; // it goes as a whole
        }
        if level == 0 {
            return Verdict::Due; // all of it is in files
        }
        let settle_ns = match self.at_once {
            true => 0,
            false => self.rules.settle_ns.saturating_add(self.rules.widths[0]),
        };
        let is_over = end.saturating_add(settle_ns) < self.now_ns;
        let is_durable = runs.iter().all(|run| run.order.hi <= self.durable_stamp);
        // Where old rows come in bulk, a window waits until all of its own are there.
        let newest = runs.iter().map(|run| run.order.hi).max().unwrap_or(i64::MIN);
        let is_quiet = self.at_once
            || runs.len() > MANY_FILES
            || newest.saturating_add(self.rules.quiet_ns) <= self.now_ns;
        let bytes: u64 = runs.iter().map(|run| run.bytes).sum();
        let rows: u64 = runs.iter().map(|run| run.rows).sum();
        let is_small = bytes <= SMALL_BYTES && rows <= SMALL_ROWS;
        let is_wide = width > SORT_WIDTH_NS && !is_small;
        match (is_over && is_quiet && is_durable && !is_wide, self.fits(runs)) {
            (true, true) => Verdict::Due,
            (true, false) => Verdict::TooMuch,
            (false, _) => Verdict::NotYet,
        }
    }

    /// The first of a window's runs, in the order in which they were written, that is worth being
    /// merged with all later ones; behind the last one if none is.
    ///
    /// A window that was not merged before is merged as a whole. Late ones are merged with each
    /// other once they are many, and with what was there before only when they have a good part of
    /// its bytes, or when they will hardly become more: else rows would be written anew with each
    /// snapshot that has some late ones. So are the files of a chunk, even before its window is over.
    fn first_worth_it(&self, level: usize, runs: &[Run]) -> usize {
        let was_merged = runs.iter().any(|run| usize::from(run.generation) > level);
        if self.at_once || (level > 0 && !was_merged) {
            return 0;
        }
        let mut bytes = 0;
        let joins_later = |run: &&Run| {
            let joins = bytes == 0 || run.bytes <= bytes * LATE_PART;
            bytes += run.bytes;
            joins
        };
        let first = runs.len() - runs.iter().rev().take_while(joins_later).count();
        let all_bytes: u64 = runs.iter().map(|run| run.bytes).sum();
        let is_old = |run: &Run| self.now_ns.saturating_sub(run.order.hi) > LATE_AGE_NS;
        let has_old = || all_bytes <= LATE_BYTES && runs.iter().skip(1).any(is_old);
        if level > 0 && (first == 0 || has_old()) {
            0
        } else if runs.len() >= LATE_FILES {
            first
        } else {
            runs.len()
        }
    }

    /// Whether the files can be open at once.
    fn fits(&self, runs: &[Run]) -> bool {
        let files: usize = runs.iter().map(|run| run.files.len()).sum();
        let bytes: u64 = runs.iter().map(|run| run.open_bytes).sum();
        files <= self.rules.files_max.max(2) && bytes <= self.rules.open_bytes_max
    }

    /// Adds a job for these runs, or for the oldest of them if it is a chunk with too many.
    fn add(&mut self, level: usize, start: i64, mut runs: Vec<Run>) {
        if level == 0 {
            while runs.len() > 2 && !self.fits(&runs) {
                runs.pop();
            }
        }
        let has_hole = canary::is("compacts-with-a-hole") && runs.len() > 2;
        if has_hole {
            runs.remove(1);
        }
        let inputs: Vec<&ParquetFile> =
            runs.iter().flat_map(|run| &run.files).map(AsRef::as_ref).collect();
        let others = self.files.iter().map(AsRef::as_ref);
        let is_sound = may_be_one(&inputs, others) || has_hole;
        if runs.len() < 2 || !self.fits(&runs) || !is_sound {
            return;
        }
        let Some(first) = inputs.first() else { return };
        let (db, table) = (first.db, first.table);
        let generation = u8::try_from(level + 1).unwrap_or(u8::MAX);
        let is_urgent = self.is_urgent;
        self.jobs.push(Job { db, table, generation, window_start_ns: start, runs, is_urgent });
    }
}

/// The generations, counted from zero, that rows come to: after the first the widest that has not
/// too many windows of the one before, and of those for many rows the widest in any case. None is
/// wider than `width_max`.
fn stations(widths: &[i64], width_max: i64) -> Vec<usize> {
    let allowed =
        |level: &usize| *level <= 1 || widths.get(*level).is_some_and(|width| *width <= width_max);
    let levels: Vec<usize> = (0..widths.len()).take_while(allowed).collect();
    let sorted = levels.iter().rfind(|level| widths[**level] <= SORT_WIDTH_NS).copied();
    let mut stations = vec![0];
    loop {
        let last = stations.last().copied().unwrap_or(0);
        let reach = |level: &&usize| {
            let is_reached = widths[**level] / widths[last] <= STATION_FACTOR;
            **level == last + 1
                || (**level > last
                    && is_reached
                    && sorted.is_none_or(|s| last >= s || **level <= s))
        };
        match levels.iter().rfind(reach) {
            Some(next) => stations.push(*next),
            None => return stations,
        }
    }
}

/// The last instant of a window.
fn end_of(start: i64, width: i64) -> i64 {
    start.saturating_add(width - 1)
}
