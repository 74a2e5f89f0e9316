//! What a server may answer, given what it was told and has answered before.
//!
//! The driver sees sending and answer of each request as two moments. A write that was answered as
//! stored is *certain* from that moment on; one that failed, or was never answered, may be there
//! or not. What a query has shown is certain too: it must have been durable. Every value names the
//! line that wrote it, so a result says which lines it is made of.

use super::deletions::Deletions;
use super::lines::{Line, RowKey, TableKey};
use super::retention::{Moment, Retention};
use std::collections::{BTreeMap, BTreeSet};

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer yet.
    Pending,
    /// It may have been stored.
    Unknown,
    /// It was acknowledged.
    Stored,
    /// It must not have left a trace.
    Refused,
}

/// A write request.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its lines, in order.
    pub lines: Vec<Line>,
    sent: Moment,
    answered: Moment,
    outcome: Outcome,
}

/// A line of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    write: usize,
    line: usize,
}

/// A row of a result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observed {
    /// Its key.
    pub key: RowKey,
    /// Its fields as text, without those that are null.
    pub values: BTreeMap<String, String>,
}

/// A query and what it has shown.
#[derive(Clone, Debug)]
pub struct Look {
    /// What was looked at.
    pub table: TableKey,
    /// When it was asked and answered.
    pub asked: Moment,
    /// When the last row was there.
    pub answered: Moment,
    /// Rows that it must show lie in this span of time, both ends included.
    pub covers_ns: (i64, i64),
    /// The wall clock when it was asked.
    pub clock_ns: i64,
    /// False for a server that has been replaced: it need not show what others have taken.
    pub current: bool,
    /// The rows.
    pub rows: Vec<Observed>,
}

impl Look {
    fn moments(&self) -> (Moment, Moment) {
        (self.asked, self.answered)
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Model {
    writes: Vec<Write>,
    rows: BTreeMap<TableKey, BTreeMap<RowKey, BTreeMap<&'static str, Vec<Version>>>>,
    /// When a query first showed the line.
    shown: BTreeMap<Version, Moment>,
    /// What the last full look at each table has shown, since they are noted.
    surveyed: BTreeMap<TableKey, BTreeSet<Version>>,
    /// Deletions of tables and rows.
    pub deletions: Deletions,
    /// Retention periods.
    pub retention: Retention,
}

/// Lines of a write, at most, plus one.
pub const LINES_MAX: usize = 64;

/// What stands in the fields of a line.
pub fn stamp(write: usize, line: usize) -> u64 {
    (write * LINES_MAX + line) as u64
}

/// The line whose stamp a value is.
fn version_of(value: &str) -> Option<Version> {
    let digits = value.trim_start_matches('v');
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    let stamp: usize = digits.parse().ok()?;
    Some(Version { write: stamp / LINES_MAX, line: stamp % LINES_MAX })
}

impl Model {
    /// Number of the next write.
    pub fn next_write(&self) -> usize {
        self.writes.len()
    }

    /// Notes a write that is sent now.
    pub fn send(&mut self, lines: Vec<Line>, now: Moment) -> usize {
        let write = self.writes.len();
        for (line, sent) in lines.iter().enumerate() {
            let row = self.rows.entry(sent.table).or_default().entry(sent.key).or_default();
            for field in &sent.fields {
                row.entry(field).or_default().push(Version { write, line });
            }
        }
        self.writes.push(Write { lines, sent: now, answered: 0, outcome: Outcome::Pending });
        write
    }

    /// The lines of a write.
    pub fn lines(&self, write: usize) -> &[Line] {
        &self.writes[write].lines
    }

    /// Notes the answer. `refused` has the numbers of refused lines, counted from one.
    pub fn answer(&mut self, write: usize, outcome: Outcome, refused: &[usize], now: Moment) {
        let write = &mut self.writes[write];
        write.outcome = outcome;
        write.answered = now;
        for number in refused {
            if let Some(line) = write.lines.get_mut(number.wrapping_sub(1)) {
                line.refused = true;
            }
        }
    }

    /// A row key of the table that was used before, chosen by `dice`.
    pub fn used_key(&self, table: TableKey, dice: usize) -> Option<RowKey> {
        let rows = self.rows.get(&table)?;
        rows.keys().nth(dice % rows.len().max(1)).copied()
    }

    /// How many writes were acknowledged.
    pub fn stored(&self) -> usize {
        self.writes.iter().filter(|w| w.outcome == Outcome::Stored).count()
    }

    /// From when on the line was certainly there: it was acknowledged, or seen.
    fn settled(&self, version: Version) -> Option<Moment> {
        let write = &self.writes[version.write];
        let stored = (write.outcome == Outcome::Stored).then_some(write.answered);
        let shown = self.shown.get(&version).copied();
        [stored, shown].into_iter().flatten().min()
    }

    /// True when a look between these moments must find the line, unless a later one has taken its place.
    fn is_certain(&self, version: Version, (asked, answered): (Moment, Moment)) -> bool {
        let (write, line) = self.line(version);
        let settled = self.settled(version).is_some_and(|moment| moment < asked);
        !line.refused
            && settled
            && self.deletions.surely_keep(line, write.sent, answered)
            && self.retention.surely_keeps(line.table.db, line.key.time_ns)
    }

    /// True when a look must not find the line, because a deletion has surely taken it.
    fn is_deleted(&self, version: Version, moments: (Moment, Moment)) -> bool {
        let (_, line) = self.line(version);
        let takes = |settled| self.deletions.surely_take(line, settled, moments);
        self.settled(version).is_some_and(takes)
    }

    fn line(&self, version: Version) -> (&Write, &Line) {
        let write = &self.writes[version.write];
        (write, &write.lines[version.line])
    }

    /// Compares what a query has shown with what it may and must show.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn check(&mut self, look: &Look) -> Result<(), String> {
        let mut shown: BTreeSet<Version> = BTreeSet::new();
        let mut keys: BTreeSet<RowKey> = BTreeSet::new();
        for row in &look.rows {
            if !keys.insert(row.key) {
                return Err(format!("{:?} is there twice in {:?}", row.key, look.table));
            }
            self.check_row(look, row, &mut shown)?;
        }
        if look.current {
            self.check_nothing_is_missing(look, &keys)?;
        }
        self.check_whole(look, &shown)?;
        for version in &shown {
            self.shown.entry(*version).or_insert(look.answered);
        }
        if look.current && look.covers_ns == (i64::MIN, i64::MAX) {
            self.surveyed.insert(look.table, shown);
        }
        Ok(())
    }

    /// From now on full looks at tables are noted. To be called when no write is under way.
    pub fn begin_survey(&mut self) {
        self.surveyed.clear();
    }

    /// Each write is in all tables that were looked at, or in none.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn end_survey(&self) -> Result<(), String> {
        for (number, write) in self.writes.iter().enumerate() {
            let mut seen = [None, None];
            for (line, sent) in write.lines.iter().enumerate() {
                let version = Version { write: number, line };
                let Some(shown) = self.surveyed.get(&sent.table) else { continue };
                let doubtful = sent.refused || sent.disputed || self.is_overwritten(version);
                let removable = self.deletions.concern(sent)
                    || !self.retention.surely_keeps(sent.table.db, sent.key.time_ns);
                if !doubtful && !removable {
                    seen[usize::from(shown.contains(&version))] = Some(version);
                }
            }
            if let [Some(missing), Some(shown)] = seen {
                return Err(format!("of one write {shown:?} is there and {missing:?} is not"));
            }
        }
        Ok(())
    }

    /// Every value of the row was written, and none is older than it may be.
    fn check_row(
        &self,
        look: &Look,
        row: &Observed,
        shown: &mut BTreeSet<Version>,
    ) -> Result<(), String> {
        let place = || format!("{:?} of {:?}", row.key, look.table);
        let written = self.rows.get(&look.table).and_then(|rows| rows.get(&row.key));
        let written = written.ok_or_else(|| format!("nobody wrote {}", place()))?;
        if let Some(oldest_ns) = self.retention.oldest_ns(look.table.db, look.asked, look.clock_ns)
            && row.key.time_ns < oldest_ns
        {
            return Err(format!("{} is past its retention period", place()));
        }
        for (field, value) in &row.values {
            let known = written.get(field.as_str()).map_or(&[][..], Vec::as_slice);
            let version = version_of(value).filter(|version| known.contains(version));
            let what = || format!("{field}={value} in {}", place());
            let version = version.ok_or_else(|| format!("nobody wrote {}", what()))?;
            let (write, line) = self.line(version);
            if line.refused || write.outcome == Outcome::Refused {
                return Err(format!("{} was refused", what()));
            }
            if look.current && self.is_deleted(version, look.moments()) {
                return Err(format!("{} was deleted", what()));
            }
            let newer = |other: &&Version| self.surely_replaces(**other, version, look.moments());
            if look.current
                && let Some(newer) = known.iter().find(newer)
            {
                return Err(format!("{} is older than {newer:?}", what()));
            }
            shown.insert(version);
        }
        for (field, versions) in written {
            let must = versions.iter().find(|version| self.is_certain(**version, look.moments()));
            if look.current
                && let Some(version) = must
                && !row.values.contains_key(*field)
            {
                return Err(format!("{field} of {version:?} is lost in {}", place()));
            }
        }
        Ok(())
    }

    /// True when `newer` is certain, and was sent after `older` had settled.
    fn surely_replaces(&self, newer: Version, older: Version, moments: (Moment, Moment)) -> bool {
        if newer == older || !self.is_certain(newer, moments) {
            return false;
        }
        if newer.write == older.write {
            return newer.line > older.line;
        }
        self.settled(older).is_some_and(|settled| settled < self.writes[newer.write].sent)
    }

    fn check_nothing_is_missing(&self, look: &Look, keys: &BTreeSet<RowKey>) -> Result<(), String> {
        let (min_ns, max_ns) = look.covers_ns;
        let known = self.rows.get(&look.table).into_iter().flatten();
        let covered = known.filter(|(key, _)| (min_ns..=max_ns).contains(&key.time_ns));
        for (key, fields) in covered.filter(|(key, _)| !keys.contains(key)) {
            let must = |version: &&Version| self.is_certain(**version, look.moments());
            if let Some(version) = fields.values().flatten().find(must) {
                let how = self.writes[version.write].outcome;
                return Err(format!("{key:?} of {:?} is lost: {version:?}, {how:?}", look.table));
            }
        }
        Ok(())
    }

    /// The lines of one write to one table show up together.
    fn check_whole(&self, look: &Look, shown: &BTreeSet<Version>) -> Result<(), String> {
        let writes: BTreeSet<usize> = shown.iter().map(|version| version.write).collect();
        let (min_ns, max_ns) = look.covers_ns;
        for write in writes {
            for (line, sent) in self.writes[write].lines.iter().enumerate() {
                let version = Version { write, line };
                let here = sent.table == look.table
                    && (min_ns..=max_ns).contains(&sent.key.time_ns)
                    && self.retention.surely_keeps(look.table.db, sent.key.time_ns);
                let doubtful = sent.refused
                    || sent.disputed
                    || !self.deletions.rows_surely_keep(sent, look.answered);
                if here && !doubtful && !self.is_overwritten(version) && !shown.contains(&version) {
                    return Err(format!(
                        "{version:?} is missing from a write of which others show"
                    ));
                }
            }
        }
        Ok(())
    }

    /// True when another line writes to all of the row's fields, so that this one need not show.
    fn is_overwritten(&self, version: Version) -> bool {
        let (_, line) = self.line(version);
        let row = self.rows.get(&line.table).and_then(|rows| rows.get(&line.key));
        let alone = |field: &&'static str| {
            row.and_then(|row| row.get(*field)).is_some_and(|versions| versions.len() == 1)
        };
        !line.fields.iter().any(alone)
    }

    /// How many rows with times in `span_ns` a look between these moments may count: at least and at most.
    pub fn count_bounds(
        &self,
        table: TableKey,
        span_ns: (i64, i64),
        moments: (Moment, Moment),
    ) -> (u64, u64) {
        let known = self.rows.get(&table).into_iter().flatten();
        let mut bounds = (0, 0);
        for (_, fields) in known.filter(|(key, _)| (span_ns.0..=span_ns.1).contains(&key.time_ns)) {
            let certain = |version: &Version| self.is_certain(*version, moments);
            let possible = |version: &Version| {
                let (write, line) = self.line(*version);
                !line.refused
                    && write.outcome != Outcome::Refused
                    && !self.is_deleted(*version, moments)
            };
            bounds.0 += u64::from(fields.values().flatten().any(certain));
            bounds.1 += u64::from(fields.values().flatten().any(possible));
        }
        bounds
    }

    /// True when the table must exist.
    pub fn must_exist(&self, table: TableKey, moments: (Moment, Moment)) -> bool {
        self.count_bounds(table, (i64::MIN, i64::MAX), moments).0 > 0
    }

    /// Every table that was ever written to.
    pub fn tables(&self) -> Vec<TableKey> {
        self.rows.keys().copied().collect()
    }
}
