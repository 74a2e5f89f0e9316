//! Which intervals are to be computed, as it is stored. Pure.

use super::board::DownsampleRef;
use crate::wal::LogPlace;
use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampNanosecondType;
use hashbrown::HashMap;
use protocols::catalog::CatalogSnapshot;
use protocols::downsamples::{DownsampleDef, Spans};
use protocols::ids::{DbId, TableId};
use protocols::messages::store::TableBatch;
use protocols::row_deletes::{RowDelete, RowDeleteState};
use protocols::schema::{DatabaseSchema, TIME_COLUMN};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// All rows of a table.
pub(super) const EVER_NS: i64 = i64::MIN;

/// What is stored of all downsamples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// What the WAL has before it is in `all`; `None` while there are no downsamples.
    pub(super) place: Option<LogPlace>,
    /// Each downsample.
    pub(super) all: Vec<Progress>,
}

/// How far a downsample has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    pub(super) db: DbId,
    pub(super) id: u32,
    /// The table that is read, as it was when it was seen last: it may be deleted, and come back.
    pub(super) source: Option<TableId>,
    /// The intervals that are to be computed once they are over.
    pub(super) pending: Spans,
    /// Since when rows are to be taken that were there before, until it is known which intervals
    /// these are.
    pub(super) history_from_ns: Option<i64>,
    /// The first and the one behind the last interval of these, until all are computed.
    pub(super) backfill: Option<(i64, i64)>,
    /// Deletes of rows that were taken into account.
    pub(super) deletes: Vec<u64>,
}

/// A downsample, possibly of a deleted database.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) db: Arc<DatabaseSchema>,
    pub(super) def: Arc<DownsampleDef>,
}

impl Wanted {
    /// False while its database is deleted.
    pub(super) fn is_live(&self) -> bool {
        self.db.deletion.is_none()
    }

    /// The table that is read, if it is there.
    pub(super) fn source(&self) -> Option<TableId> {
        self.db.table(&self.def.source).map(|table| table.id)
    }
}

/// The downsamples of the catalog, those of deleted databases included: they may come back.
pub(super) fn wanted(catalog: &CatalogSnapshot) -> HashMap<DownsampleRef, Wanted> {
    let all = catalog
        .databases
        .values()
        .flat_map(|db| db.downsamples.all.iter().map(move |def| (db, def)));
    all.map(|(db, def)| {
        let wanted = Wanted { db: Arc::clone(db), def: Arc::clone(def) };
        ((db.id, def.id), wanted)
    })
    .collect()
}

impl State {
    /// Makes the downsamples those of the catalog. True if some have come or gone.
    pub(super) fn adopt(&mut self, catalog: &CatalogSnapshot, now_ns: i64) -> bool {
        let (before, mut wanted) = (self.all.len(), wanted(catalog));
        let left = std::mem::take(&mut self.all).into_iter().filter_map(|mut known| {
            let wanted = wanted.remove(&(known.db, known.id))?;
            known.source = wanted.source().or(known.source);
            Some(known)
        });
        self.all = left.collect();
        let mut changed = self.all.len() != before || !wanted.is_empty();
        let new = wanted.into_iter();
        self.all.extend(new.map(|(of, wanted)| Progress::new(catalog, of, &wanted, now_ns)));
        if self.all.is_empty() && self.place.take().is_some() {
            changed = true;
        }
        changed
    }

    /// Notes which intervals the rows are in, and those of deletes that have come or gone.
    pub(super) fn note(
        &mut self,
        catalog: &CatalogSnapshot,
        batches: &[TableBatch],
        now_ns: i64,
    ) -> bool {
        let wanted = wanted(catalog);
        let mut changed = false;
        for known in &mut self.all {
            let Some(wanted) = wanted.get(&(known.db, known.id)) else { continue };
            // One that was made anew since the WAL was read, or the one that was there before.
            known.source = wanted.source().or(known.source);
            let Some(source) = known.source else { continue };
            for batch in batches.iter().filter(|batch| batch.table == source) {
                known.note_rows(&wanted.def, batch);
                changed = true;
            }
            changed |= known.note_deletes(catalog, source, &wanted.def, now_ns);
        }
        changed
    }

    /// Nobody knows which rows were written: all are looked at again.
    pub(super) fn start_over(&mut self) {
        self.all.iter_mut().for_each(|known| known.history_from_ns = Some(EVER_NS));
    }
}

/// Deletes of rows of a table that have hidden rows, and whether they do.
fn deletes(
    catalog: &CatalogSnapshot,
    table: TableId,
) -> impl Iterator<Item = (&Arc<RowDelete>, bool)> {
    let of_table = move |delete: &&Arc<RowDelete>| delete.table == table && delete.bound.is_some();
    catalog.row_deletes.all().filter(of_table).map(|delete| {
        let is_aborted = matches!(delete.state, RowDeleteState::Aborted { .. });
        (delete, !is_aborted)
    })
}

impl Progress {
    /// A new one: the intervals that are open are computed with all their rows.
    fn new(
        catalog: &CatalogSnapshot,
        (db, id): DownsampleRef,
        wanted: &Wanted,
        now_ns: i64,
    ) -> Self {
        let def = &wanted.def;
        let (mut pending, since_ns) = (Spans::default(), def.created_at_ns.min(now_ns));
        pending.add(def.open_at(since_ns), def.interval_at(now_ns).saturating_add(1));
        let known = wanted.source().into_iter().flat_map(|table| deletes(catalog, table));
        let deletes = known.filter(|(_, hides)| *hides).map(|(delete, _)| delete.sequence);
        Self {
            db,
            id,
            source: wanted.source(),
            pending,
            history_from_ns: def.from_ns,
            backfill: None,
            deletes: deletes.collect(),
        }
    }

    fn note_rows(&mut self, def: &DownsampleDef, batch: &TableBatch) {
        let Some(times) = batch.rows.column_by_name(TIME_COLUMN) else { return };
        let Some(times) = times.as_primitive_opt::<TimestampNanosecondType>() else { return };
        debug_assert_eq!(times.null_count(), 0, "each row has a time");
        let mut intervals: Vec<i64> = Vec::new();
        for time_ns in times.values() {
            let interval = def.interval_at(*time_ns);
            if intervals.last() != Some(&interval) {
                intervals.push(interval);
            }
        }
        intervals.sort_unstable();
        intervals.dedup();
        for interval in intervals {
            self.pending.add(interval, interval.saturating_add(1));
        }
    }

    fn note_deletes(
        &mut self,
        catalog: &CatalogSnapshot,
        table: TableId,
        def: &DownsampleDef,
        now_ns: i64,
    ) -> bool {
        let mut changed = false;
        for (delete, hides) in deletes(catalog, table) {
            if self.deletes.contains(&delete.sequence) == hides {
                continue;
            }
            let (min_ns, max_ns) = delete.times_ns();
            let behind = def.interval_at(max_ns.min(now_ns)).saturating_add(1);
            self.pending.add(def.interval_at(min_ns), behind);
            match hides {
                true => self.deletes.push(delete.sequence),
                false => self.deletes.retain(|known| *known != delete.sequence),
            }
            changed = true;
        }
        self.deletes.retain(|known| catalog.row_deletes.get(*known).is_some());
        changed
    }

    /// What is to be computed of what was there: rows from the first to the last instant.
    pub(super) fn found_history(&mut self, def: &DownsampleDef, times_ns: Option<(i64, i64)>) {
        let from_ns = self.history_from_ns.take().unwrap_or(EVER_NS);
        let Some((min_ns, max_ns)) = times_ns else { return };
        let start = def.interval_at(min_ns.max(from_ns));
        let end = def.interval_at(max_ns).saturating_add(1);
        self.pending.add(start, end);
        self.backfill = (start < end).then_some((start, end));
    }

    /// How much of what was there is computed, in percent; `running` is not yet.
    pub(super) fn backfill_percent(
        &mut self,
        def: &DownsampleDef,
        running: Option<(i64, i64)>,
        open: i64,
    ) -> Option<f64> {
        if self.history_from_ns.is_some() {
            return Some(0.0);
        }
        let Some((start, end)) = self.backfill else { return def.from_ns.map(|_| 100.0) };
        let end = end.min(open);
        let mut left = self.pending.clone();
        running.into_iter().for_each(|(from, to)| left.add(from, to));
        let left = left.count(start, end);
        if left == 0 {
            self.backfill = None;
            return Some(100.0);
        }
        Some(100.0 * (1.0 - left as f64 / end.abs_diff(start) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::downsamples::Aggregate;

    const NOW_NS: i64 = 1_005;

    fn def(from_ns: Option<i64>) -> DownsampleDef {
        DownsampleDef {
            id: 0,
            name: "n".into(),
            source: "s".into(),
            target_db: "d".into(),
            target: "t".into(),
            interval_ns: 10,
            offset_ns: 0,
            aggregates: vec![Aggregate::Avg],
            from_ns,
            created_at_ns: NOW_NS,
            disabled: false,
        }
    }

    fn progress(from_ns: Option<i64>) -> Progress {
        Progress {
            db: DbId(1),
            id: 0,
            source: Some(TableId(1)),
            pending: Spans::default(),
            history_from_ns: from_ns,
            backfill: None,
            deletes: Vec::new(),
        }
    }

    #[test]
    fn history_is_done_when_its_intervals_are_over_and_computed() {
        let def = def(Some(EVER_NS));
        let (mut known, open) = (progress(def.from_ns), def.open_at(NOW_NS));
        assert_eq!(known.backfill_percent(&def, None, open), Some(0.0));
        known.found_history(&def, Some((900, NOW_NS)));
        assert_eq!((known.history_from_ns, known.backfill), (None, Some((90, 101))));
        known.pending.remove(95, 100);
        assert_eq!(known.backfill_percent(&def, None, open), Some(50.0));
        known.pending.remove(90, 95);
        assert_eq!(known.backfill_percent(&def, Some((90, 95)), open), Some(50.0));
        // The interval that is not over yet does not count, and late rows do not later.
        assert_eq!(known.backfill_percent(&def, None, open), Some(100.0));
        known.pending.add(90, 91);
        assert_eq!(known.backfill_percent(&def, None, open), Some(100.0));
    }

    #[test]
    fn history_begins_where_it_is_wanted() {
        let def = def(Some(955));
        let mut known = progress(def.from_ns);
        known.found_history(&def, Some((955, 971)));
        assert_eq!(known.pending, Spans::from(vec![(95, 98)]));
        let mut empty = progress(def.from_ns);
        empty.found_history(&def, None);
        assert!(empty.pending.is_empty());
        assert_eq!(empty.backfill_percent(&def, None, 100), Some(100.0));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let mut known = progress(Some(EVER_NS));
        known.pending.add(-3, 5);
        let state = State { place: Some(LogPlace { file: 3, group: 7 }), all: vec![known] };
        let stored = serde_json::to_string(&state).unwrap();
        assert_eq!(
            stored,
            concat!(
                r#"{"place":{"file":3,"group":7},"all":[{"db":1,"id":0,"source":1,"#,
                r#""pending":[[-3,5]],"history_from_ns":-9223372036854775808,"backfill":null,"#,
                r#""deletes":[]}]}"#
            )
        );
        assert_eq!(serde_json::from_str::<State>(&stored).unwrap(), state);
    }
}
