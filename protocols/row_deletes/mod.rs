//! Deletes of single rows: which rows they take away, and how they stand.
//!
//! A delete is about the rows of a table that lie in a span of time, have certain tags, and were
//! written up to a bound in the order of writes. What is written later stays, whatever its times. The
//! rows are hidden as soon as the delete is accepted, and go for good when the files that have them
//! are written anew.

mod predicate;

pub use predicate::{PredicateError, parse, text};

use crate::ids::{DbId, TableId};
use crate::key_bounds::WantedKeys;
use crate::schema::TableSchema;
use crate::snapshot::{ParquetFile, Stamps};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Limit: deletes whose rows have not gone yet. Every query of a table looks at those of the table.
pub const PENDING_MAX: usize = 1_000;
/// Limit: deletes that are remembered after they have come to their end; the oldest are forgotten.
pub const ENDED_KEPT: usize = 1_000;
/// Limit: conditions on tags.
pub const CONDITIONS_MAX: usize = 64;

/// Tags and the values that they have.
pub type TagValues = Vec<(Arc<str>, Arc<str>)>;

/// A delete of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowDelete {
    /// Its number: 1, 2, 3 and so on.
    pub sequence: u64,
    /// Made up for the request that it comes from, which knows it again by that.
    pub request: Uuid,
    /// The database.
    pub db: DbId,
    /// The table.
    pub table: TableId,
    /// What the database was called at the time.
    pub db_name: Arc<str>,
    /// What the table was called at the time.
    pub table_name: Arc<str>,
    /// The first instant, nanoseconds since 1970; `None` for the oldest row.
    pub min_time_ns: Option<i64>,
    /// The instant behind the last one, nanoseconds since 1970; `None` for the newest row.
    pub max_time_ns: Option<i64>,
    /// Tags and the values that they have: all of them.
    pub tags: TagValues,
    /// When it was asked for, nanoseconds since 1970.
    pub created_at_ns: i64,
    /// Rows with this stamp or an older one are deleted. `None` until it is accepted.
    pub bound: Option<i64>,
    /// How it stands.
    pub state: RowDeleteState,
}

/// How a delete stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RowDeleteState {
    /// The rows may still be somewhere.
    Pending,
    /// They are gone.
    Completed {
        /// Since when, nanoseconds since 1970.
        at_ns: i64,
    },
    /// It was taken back. What is left of the rows is there again.
    Aborted {
        /// Since when, nanoseconds since 1970.
        at_ns: i64,
        /// Why.
        reason: Option<Arc<str>>,
    },
}

impl RowDelete {
    /// True while rows are hidden on account of it.
    pub fn is_in_force(&self) -> bool {
        self.state == RowDeleteState::Pending && self.bound.is_some()
    }

    /// True if rows are hidden, or gone, on account of it.
    pub fn has_effect(&self) -> bool {
        self.bound.is_some() && !matches!(self.state, RowDeleteState::Aborted { .. })
    }

    /// The first and the last instant, nanoseconds since 1970.
    pub fn times_ns(&self) -> (i64, i64) {
        let max = self.max_time_ns.map_or(i64::MAX, |max| max.saturating_sub(1));
        (self.min_time_ns.unwrap_or(i64::MIN), max)
    }

    /// True if rows between these instants, both included, may be deleted.
    pub fn overlaps(&self, min_time_ns: i64, max_time_ns: i64) -> bool {
        let (min, max) = self.times_ns();
        min <= max_time_ns && min_time_ns <= max
    }

    /// True if it is about rows of that stretch of writes. No stretch has rows from both sides of
    /// the bound, but for those of files that the delete was applied to.
    pub fn is_about(&self, order: Stamps) -> bool {
        self.bound.is_some_and(|bound| order.hi <= bound)
    }

    /// True if rows of the file, which is one of `table`, may be deleted.
    pub fn may_touch(&self, file: &ParquetFile, table: &TableSchema) -> bool {
        self.is_about(file.order)
            && file.deletes_through() < self.sequence
            && self.overlaps(file.min_time_ns, file.max_time_ns)
            && (self.tags.is_empty() || self.wanted_keys(table).may_be_in(&file.keys))
    }

    fn wanted_keys(&self, table: &TableSchema) -> WantedKeys {
        let tags = self.tags.iter().map(|(tag, value)| (tag.as_ref(), [value.as_ref()]));
        WantedKeys::new(table, tags)
    }
}

/// All deletes that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowDeletes {
    /// Number of the last one that was asked for; 0 for none.
    last: u64,
    all: BTreeMap<u64, Arc<RowDelete>>,
    /// Those in force, by their table.
    in_force: HashMap<TableId, Arc<[Arc<RowDelete>]>>,
}

impl RowDeletes {
    /// These, the last of all having had that number.
    pub fn new(last: u64, all: impl IntoIterator<Item = Arc<RowDelete>>) -> Self {
        let all: BTreeMap<_, _> = all.into_iter().map(|delete| (delete.sequence, delete)).collect();
        let mut deletes = Self { last, all, in_force: HashMap::new() };
        let tables: Vec<TableId> = deletes.all.values().map(|delete| delete.table).collect();
        tables.into_iter().for_each(|table| deletes.note(table));
        deletes
    }

    /// Number of the last one that was asked for; 0 for none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// All of them by number, those included that are not accepted yet.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<RowDelete>> {
        self.all.values()
    }

    /// The one of that number.
    pub fn get(&self, sequence: u64) -> Option<&Arc<RowDelete>> {
        self.all.get(&sequence)
    }

    /// Those in force for a table, by number.
    pub fn of(&self, table: TableId) -> Arc<[Arc<RowDelete>]> {
        self.in_force.get(&table).map(Arc::clone).unwrap_or_default()
    }

    /// True if one of the table was asked for and is not accepted yet: nobody knows its bound.
    pub fn is_awaited(&self, table: TableId) -> bool {
        self.all.values().any(|delete| delete.table == table && delete.bound.is_none())
    }

    /// How many have not come to their end.
    pub fn pending(&self) -> usize {
        self.all.values().filter(|delete| delete.state == RowDeleteState::Pending).count()
    }

    /// Adds the next one, or puts it in the place of what was known of it.
    pub fn put(&mut self, delete: Arc<RowDelete>) {
        let table = delete.table;
        self.last = self.last.max(delete.sequence);
        self.all.insert(delete.sequence, delete);
        let ended = |delete: &&Arc<RowDelete>| delete.state != RowDeleteState::Pending;
        if self.all.values().filter(ended).count() > ENDED_KEPT
            && let Some(oldest) = self.all.values().find(ended).map(|delete| delete.sequence)
        {
            self.all.remove(&oldest);
        }
        self.note(table);
    }

    /// Forgets one. True if it was known.
    pub fn remove(&mut self, sequence: u64) -> bool {
        let removed = self.all.remove(&sequence);
        removed.iter().for_each(|delete| self.note(delete.table));
        removed.is_some()
    }

    fn note(&mut self, table: TableId) {
        let of_table = |delete: &&Arc<RowDelete>| delete.table == table && delete.is_in_force();
        let in_force: Arc<[_]> = self.all.values().filter(of_table).map(Arc::clone).collect();
        match in_force.is_empty() {
            true => self.in_force.remove(&table),
            false => self.in_force.insert(table, in_force),
        };
    }
}

/// Divides the rows of a table: those of these times that were written before from those that are
/// written later. It stands in the WAL, so that whoever reads that again divides them alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCut {
    /// The table.
    pub table: TableId,
    /// The first instant, nanoseconds since 1970.
    pub min_time_ns: i64,
    /// The last instant, nanoseconds since 1970.
    pub max_time_ns: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delete(sequence: u64, bound: Option<i64>, state: RowDeleteState) -> Arc<RowDelete> {
        Arc::new(RowDelete {
            sequence,
            request: Uuid::nil(),
            db: DbId(1),
            table: TableId(2),
            db_name: "d".into(),
            table_name: "t".into(),
            min_time_ns: Some(10),
            max_time_ns: Some(20),
            tags: Vec::new(),
            created_at_ns: 0,
            bound,
            state,
        })
    }

    #[test]
    fn a_delete_is_about_times_up_to_its_end_and_writes_up_to_its_bound() {
        let delete = delete(1, Some(7), RowDeleteState::Pending);
        assert!(delete.overlaps(0, 10) && delete.overlaps(19, 30));
        assert!(!delete.overlaps(0, 9) && !delete.overlaps(20, 30));
        assert!(delete.is_about(Stamps { lo: 3, hi: 7 }));
        assert!(!delete.is_about(Stamps::at(8)));
        let all = RowDelete { min_time_ns: None, max_time_ns: None, ..RowDelete::clone(&delete) };
        assert!(all.overlaps(i64::MAX, i64::MAX) && all.overlaps(i64::MIN, i64::MIN));
    }

    #[test]
    fn only_accepted_ones_are_in_force_and_only_until_their_end() {
        let mut deletes = RowDeletes::default();
        deletes.put(delete(1, None, RowDeleteState::Pending));
        assert!(deletes.is_awaited(TableId(2)) && deletes.of(TableId(2)).is_empty());
        deletes.put(delete(1, Some(7), RowDeleteState::Pending));
        deletes.put(delete(2, None, RowDeleteState::Pending));
        assert_eq!((deletes.of(TableId(2)).len(), deletes.pending(), deletes.last()), (1, 2, 2));
        assert!(deletes.remove(2) && !deletes.remove(2) && !deletes.is_awaited(TableId(2)));
        assert_eq!(deletes.last(), 2, "its number is not given again");
        assert_eq!(RowDeletes::new(2, deletes.all().cloned()), deletes);
        deletes.put(delete(1, Some(7), RowDeleteState::Completed { at_ns: 1 }));
        assert_eq!((deletes.of(TableId(2)).len(), deletes.pending()), (0, 0));
    }

    #[test]
    fn of_those_that_have_ended_the_oldest_are_forgotten() {
        let mut deletes = RowDeletes::default();
        deletes.put(delete(1, Some(1), RowDeleteState::Pending));
        for sequence in 2..=ENDED_KEPT as u64 + 3 {
            deletes.put(delete(sequence, Some(1), RowDeleteState::Completed { at_ns: 1 }));
        }
        assert_eq!(deletes.all().count(), ENDED_KEPT + 1);
        assert!(deletes.get(1).is_some() && deletes.get(2).is_none() && deletes.get(4).is_some());
    }
}
