//! Deletions in the model, of tables, databases and rows: what must be gone, and what may be.

use super::lines::{Line, RowKey, TableKey};
use super::retention::Moment;

/// A deletion of a table, or of a whole database.
#[derive(Clone, Debug)]
struct Deletion {
    db: u8,
    table: Option<u8>,
    sent: Moment,
    answered: Option<Moment>,
}

/// What a delete of rows is about.
#[derive(Clone, Copy, Debug)]
pub struct RowFilter {
    /// The table.
    pub table: TableKey,
    /// The times, both ends included.
    pub span_ns: (i64, i64),
    /// The host, if only rows of one go.
    pub host: Option<u8>,
    /// The rack, likewise.
    pub rack: Option<u8>,
}

impl RowFilter {
    fn matches(&self, table: TableKey, key: RowKey) -> bool {
        self.table == table
            && (self.span_ns.0..=self.span_ns.1).contains(&key.time_ns)
            && self.host.is_none_or(|host| host == key.host)
            && self.rack.is_none_or(|rack| key.rack == Some(rack))
    }
}

/// A delete of rows.
#[derive(Clone, Debug)]
struct RowDeletion {
    filter: RowFilter,
    sent: Moment,
    accepted: Option<Moment>,
    /// When somebody began to take it back. Then nobody knows which rows are there again.
    taken_back: Option<Moment>,
}

/// All deletions of a run.
#[derive(Debug, Default)]
pub struct Deletions {
    of_tables: Vec<Deletion>,
    of_rows: Vec<RowDeletion>,
}

impl Deletions {
    /// Notes a deletion that is sent now; `table` is `None` for the whole database.
    pub fn delete(&mut self, db: u8, table: Option<u8>, now: Moment) -> usize {
        self.of_tables.push(Deletion { db, table, sent: now, answered: None });
        self.of_tables.len() - 1
    }

    /// Notes that the deletion has taken effect.
    pub fn deleted(&mut self, deletion: usize, now: Moment) {
        self.of_tables[deletion].answered = Some(now);
    }

    /// Notes that there was nothing to delete.
    pub fn nothing_deleted(&mut self, deletion: usize) {
        self.of_tables[deletion].sent = Moment::MAX;
    }

    /// Notes a delete of rows that is sent now.
    pub fn delete_rows(&mut self, filter: RowFilter, now: Moment) -> usize {
        self.of_rows.push(RowDeletion { filter, sent: now, accepted: None, taken_back: None });
        self.of_rows.len() - 1
    }

    /// Notes that the delete of rows was accepted.
    pub fn rows_deleted(&mut self, deletion: usize, now: Moment) {
        self.of_rows[deletion].accepted = Some(now);
    }

    /// Notes that the delete of rows was refused.
    pub fn no_rows_deleted(&mut self, deletion: usize) {
        self.of_rows[deletion].sent = Moment::MAX;
    }

    /// Notes that from now on the delete of rows may be without effect.
    pub fn take_back(&mut self, deletion: usize, now: Moment) {
        self.of_rows[deletion].taken_back = Some(now);
    }

    fn of_table(&self, table: TableKey) -> impl Iterator<Item = &Deletion> {
        let hits =
            move |d: &&Deletion| d.db == table.db && d.table.is_none_or(|t| t == table.table);
        self.of_tables.iter().filter(hits)
    }

    fn of_line(&self, line: &Line) -> impl Iterator<Item = &RowDeletion> {
        let (table, key) = (line.table, line.key);
        self.of_rows.iter().filter(move |d| d.filter.matches(table, key))
    }

    /// True when no deletion may have taken the line, sent at that moment, until that other one.
    pub fn surely_keep(&self, line: &Line, sent: Moment, until: Moment) -> bool {
        let keeps = |deleted: Moment, accepted: Option<Moment>| {
            deleted > until || accepted.is_some_and(|accepted| accepted < sent)
        };
        self.of_table(line.table).all(|d| keeps(d.sent, d.answered)) && self.rows_keep(line, keeps)
    }

    /// True when no delete of rows may have taken the line until that moment, so that the other lines
    /// of its write show up with it.
    pub fn rows_surely_keep(&self, line: &Line, until: Moment) -> bool {
        self.rows_keep(line, |deleted, _| deleted > until)
    }

    fn rows_keep(&self, line: &Line, keeps: impl Fn(Moment, Option<Moment>) -> bool) -> bool {
        self.of_line(line).all(|d| keeps(d.sent, d.accepted))
    }

    /// True when a deletion has surely taken the line, certain since `settled`, for who looks in
    /// between of these moments.
    pub fn surely_take(
        &self,
        line: &Line,
        settled: Moment,
        (asked, answered): (Moment, Moment),
    ) -> bool {
        let takes = |sent: Moment, accepted: Option<Moment>| {
            accepted.is_some_and(|accepted| accepted < asked) && settled < sent
        };
        self.of_table(line.table).any(|d| takes(d.sent, d.answered))
            || self.of_line(line).any(|d| {
                takes(d.sent, d.accepted) && d.taken_back.is_none_or(|back| back > answered)
            })
    }

    /// True when there was a deletion that the line may have been subject to.
    pub fn concern(&self, line: &Line) -> bool {
        self.of_table(line.table).next().is_some()
            || self.of_line(line).any(|d| d.sent != Moment::MAX)
    }
}
