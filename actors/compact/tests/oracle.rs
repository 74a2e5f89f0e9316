//! Random writes, also late and repeated ones, deletes of rows, some of which are taken back, snapshots
//! of some of the chunks, and compactions: at every step the files and what is not in files yet have
//! the rows that were written and not deleted.

use super::super::plan::plan;
use super::*;
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampNanosecondType;
use proptest::collection::vec;
use proptest::prelude::*;
use protocols::file_index::{FileIndex, Removal, RemovedFile, Segment, may_be_one};
use protocols::messages::index::FileList;
use protocols::row_deletes::{RowDelete, RowDeleteState, RowDeletes};
use protocols::snapshot::{PlacedMark, SnapshotMark, chunk_time};
use std::collections::{BTreeMap, BTreeSet};

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    /// Rows are written: host, rack, time in minutes, fields.
    Write(Vec<Row>),
    /// Chunks become files, but for those whose bit is set.
    Snapshot(u8),
    /// Rows of a host and a rack, if these are said, and between two minutes are deleted.
    Delete { host: Option<u8>, rack: Option<u8>, minutes: Option<(i64, i64)> },
    /// One of the deletes that no file was written anew for is taken back.
    Abort(usize),
    /// Files are compacted: what is due, or all that can be.
    Compact { at_once: bool, hours: i64 },
}

fn any_event() -> impl Strategy<Value = Event> {
    let row = (
        0..4_u8,
        proptest::option::weighted(0.2, 0..2_u8),
        0..150_i64,
        any::<[bool; 2]>(),
        0..100_i64,
    );
    let row = row.prop_map(|(host, rack, minute, [has_i, has_f], value)| {
        let i = (has_i || !has_f).then_some(value);
        (host, rack, minute, i, has_f.then_some(value as f64 / 2.0))
    });
    prop_oneof![
        4 => vec(row, 1..12).prop_map(Event::Write),
        2 => any::<u8>().prop_map(|kept| Event::Snapshot(kept & (kept >> 3))),
        2 => (
            proptest::option::of(0..4_u8),
            proptest::option::weighted(0.2, 0..2_u8),
            proptest::option::of((0..150_i64, 1..60_i64).prop_map(|(min, n)| (min, min + n))),
        )
            .prop_map(|(host, rack, minutes)| Event::Delete { host, rack, minutes }),
        1 => any::<usize>().prop_map(Event::Abort),
        2 => (any::<bool>(), 0..200_i64).prop_map(|(at_once, hours)| Event::Compact { at_once, hours }),
    ]
}

/// A store, an index, and what is not in files yet.
struct World {
    store: Arc<dyn ObjectStore>,
    index: FileIndex,
    /// By chunk time, and divided by deletes: the stamps of the writes, and their rows.
    buffer: BTreeMap<i64, Vec<Vec<(i64, RecordBatch)>>>,
    written: Vec<(i64, RecordBatch)>,
    deletes: RowDeletes,
    /// Those that a file was written anew for.
    applied: BTreeSet<u64>,
    stamp: i64,
    snapshots: u64,
    rows_max: Option<usize>,
    batch_rows: u64,
}

impl World {
    fn write(&mut self, rows: &[Row]) {
        self.stamp += 1;
        let rows = rows
            .iter()
            .map(|(host, rack, minute, i, f)| (*host, *rack, minute * MINUTE_NS, *i, *f));
        let rows: Vec<Row> = rows.collect();
        self.written.push((self.stamp, batch(&rows)));
        let mut chunks: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
        for row in rows {
            chunks.entry(chunk_time(row.2, GEN1_NS)).or_default().push(row);
        }
        for (time, rows) in chunks {
            let divisions = self.buffer.entry(time).or_insert_with(|| vec![Vec::new()]);
            divisions.last_mut().unwrap().push((self.stamp, batch(&rows)));
        }
    }

    async fn snapshot(&mut self, kept: u8) {
        let is_kept = |time: i64| kept >> (time / GEN1_NS % 8) & 1 == 1;
        let taken: Vec<i64> = self.buffer.keys().copied().filter(|time| !is_kept(*time)).collect();
        let mut added = Vec::new();
        let taken = taken.into_iter().map(|time| (time, self.buffer.remove(&time).unwrap()));
        let taken: Vec<_> = taken
            .flat_map(|(time, divisions)| divisions.into_iter().map(move |rows| (time, rows)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect();
        for (time, rows) in taken {
            let order = Stamps { lo: rows[0].0, hi: rows[rows.len() - 1].0 };
            let batches: Vec<_> = rows.into_iter().map(|(_, rows)| rows).collect();
            let id = self.index.next_file_id() + added.len() as u64;
            added.push(stored(&self.store, id, time, order, &batches).await.as_ref().clone());
        }
        self.snapshots += 1;
        let oldest = self.buffer.values().flatten().flatten().map(|(stamp, _)| *stamp).min();
        let durable_stamp = oldest.map_or(self.stamp, |oldest| oldest - 1);
        let mark = SnapshotMark { number: self.snapshots, durable_stamp, ..Default::default() };
        let snapshot = Some(PlacedMark { mark, sequence: self.snapshots, stamp: self.stamp });
        self.step(Segment { snapshot, added, ..Segment::default() });
    }

    fn step(&mut self, segment: Segment) {
        let sequence = self.index.sequence() + 1;
        self.index.apply(&Segment { sequence, ..segment }).unwrap();
    }

    async fn compact(&mut self, at_once: bool, now_ns: i64) {
        let files = self.index.files().map(Arc::clone).collect();
        let list = FileList { files, durable_stamp: self.index.durable_stamp() };
        let catalog = self.catalog();
        let jobs = plan(&list, &catalog, now_ns, &rules(), None, at_once);
        let tools = tools(&self.store, self.rows_max, self.batch_rows);
        for job in jobs {
            let inputs: Vec<&ParquetFile> = job.files().map(AsRef::as_ref).collect();
            assert!(
                inputs.iter().all(|file| self.index.file(file.id).is_some()),
                "jobs share a file"
            );
            let others = self.index.files().map(AsRef::as_ref);
            assert!(may_be_one(&inputs, others), "{inputs:?}");
            let is_one = inputs.iter().all(|file| file.order == inputs[0].order);
            let durable_stamp = self.index.durable_stamp();
            assert!(is_one || inputs.iter().all(|file| file.order.hi <= durable_stamp));
            let compaction = tools.run(&job, &catalog, now_ns).await.unwrap();
            self.applied.extend(&compaction.deletes);
            let ids = self.index.next_compacted_id()..;
            let added = ids.zip(compaction.outputs).map(|(id, file)| ParquetFile { id, ..file });
            let why = Removal::Superseded { by: 1 };
            let removed =
                inputs.iter().map(|file| RemovedFile { id: file.id, removed_at_ns: 0, why });
            let (added, removed) = (added.collect(), removed.collect());
            self.step(Segment { added, removed, ..Segment::default() });
        }
    }

    fn catalog(&self) -> CatalogSnapshot {
        CatalogSnapshot { row_deletes: Arc::new(self.deletes.clone()), ..catalog(None) }
    }

    fn delete(&mut self, host: Option<u8>, rack: Option<u8>, minutes: Option<(i64, i64)>) {
        let sequence = self.deletes.last() + 1;
        let times = minutes.map(|(min, max)| (min * MINUTE_NS, max * MINUTE_NS)).unzip();
        let host = host.map(|host| ("host".into(), format!("h{host}").into()));
        let rack = rack.map(|rack| ("rack".into(), format!("r{rack}").into()));
        let delete = RowDelete {
            sequence,
            request: uuid::Uuid::nil(),
            db: DbId(1),
            table: TableId(1),
            db_name: "d".into(),
            table_name: "m".into(),
            min_time_ns: times.0,
            max_time_ns: times.1,
            tags: host.into_iter().chain(rack).collect(),
            created_at_ns: 0,
            bound: Some(self.stamp),
            state: RowDeleteState::Pending,
        };
        let (first, last) = delete.times_ns();
        for (time, divisions) in &mut self.buffer {
            if *time <= last && first < time + GEN1_NS {
                divisions.push(Vec::new());
            }
        }
        self.deletes.put(Arc::new(delete));
    }

    fn abort(&mut self, which: usize) {
        let untouched =
            |d: &&Arc<RowDelete>| d.is_in_force() && !self.applied.contains(&d.sequence);
        let untouched: Vec<_> = self.deletes.all().filter(untouched).map(Arc::clone).collect();
        if let Some(delete) = untouched.get(which % untouched.len().max(1)) {
            let state = RowDeleteState::Aborted { at_ns: 0, reason: None };
            self.deletes.put(Arc::new(RowDelete { state, ..RowDelete::clone(delete) }));
        }
    }

    /// The deletes in force that say something about rows of a stretch of writes.
    fn about(&self, is_about: impl Fn(&RowDelete) -> bool) -> Vec<&RowDelete> {
        let in_force = self.deletes.all().filter(|delete| delete.is_in_force());
        in_force.map(AsRef::as_ref).filter(|delete| is_about(delete)).collect()
    }

    /// The rows as a query has them: what was written later wins.
    async fn check(&self) {
        let mut sources: Vec<(Stamps, u64, RecordBatch)> = Vec::new();
        for file in self.index.files() {
            let deletes = self.about(|delete| delete.may_touch(file, &table()));
            let rows = kept(&read(&self.store, file).await, &deletes);
            sources.push((file.order, file.id, rows));
        }
        for rows in self.buffer.values().flatten().filter(|rows| !rows.is_empty()) {
            let order = Stamps { lo: rows[0].0, hi: rows[rows.len() - 1].0 };
            let deletes = self.about(|delete| delete.is_about(order));
            sources.extend(rows.iter().map(|(_, rows)| (order, u64::MAX, kept(rows, &deletes))));
        }
        sources.sort_by_key(|(order, id, _)| (*order, *id));
        let found: Vec<_> = sources.into_iter().map(|(_, _, rows)| rows).collect();
        let expected = self.written.iter().map(|(stamp, rows)| {
            kept(rows, &self.about(|delete| delete.bound.is_some_and(|bound| bound >= *stamp)))
        });
        assert_eq!(all_lines(&found), all_lines(&expected.collect::<Vec<_>>()));
    }
}

/// The rows that no delete is about, looked at one by one.
fn kept(rows: &RecordBatch, deletes: &[&RowDelete]) -> RecordBatch {
    let times = rows.column(rows.num_columns() - 1).as_primitive::<TimestampNanosecondType>();
    let text = |name: &str, row: usize| {
        let column = rows.column_by_name(name)?.as_dictionary::<Int32Type>();
        let texts = column.values().as_string::<i32>();
        column.keys().is_valid(row).then(|| texts.value(column.keys().value(row) as usize))
    };
    let is_deleted = |row: usize, delete: &&RowDelete| {
        delete.min_time_ns.is_none_or(|min| times.value(row) >= min)
            && delete.max_time_ns.is_none_or(|max| times.value(row) < max)
            && delete.tags.iter().all(|(tag, value)| text(tag, row) == Some(value))
    };
    let is_kept = |row| !deletes.iter().any(|delete| is_deleted(row, delete));
    let mask: BooleanArray = (0..rows.num_rows()).map(|row| Some(is_kept(row))).collect();
    filter_record_batch(rows, &mask).unwrap()
}

fn all_lines(batches: &[RecordBatch]) -> Vec<String> {
    let batches: Vec<_> = batches.iter().filter(|rows| rows.num_rows() > 0).cloned().collect();
    if batches.is_empty() { Vec::new() } else { lines(&batches) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn answers_do_not_change(
        events in vec(any_event(), 1..24),
        rows_max in proptest::option::of(1..20_usize),
        batch_rows in prop_oneof![1..5_u64, Just(8_192)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World {
                store: memory(),
                index: FileIndex::default(),
                buffer: BTreeMap::new(),
                written: Vec::new(),
                deletes: RowDeletes::default(),
                applied: BTreeSet::new(),
                stamp: 100,
                snapshots: 0,
                rows_max,
                batch_rows,
            };
            for event in events {
                match event {
                    Event::Write(rows) => world.write(&rows),
                    Event::Snapshot(kept) => world.snapshot(kept).await,
                    Event::Delete { host, rack, minutes } => world.delete(host, rack, minutes),
                    Event::Abort(which) => world.abort(which),
                    Event::Compact { at_once, hours } => world.compact(at_once, hours * HOUR_NS).await,
                }
                if !world.written.is_empty() {
                    world.check().await;
                }
            }
            // In the end everything can be one.
            world.snapshot(0).await;
            for _ in 0..8 {
                world.compact(true, 100_000 * HOUR_NS).await;
            }
            if !world.written.is_empty() {
                world.check().await;
            }
            for delete in world.about(|_| true) {
                let touched = world.index.files().find(|file| delete.may_touch(file, &table()));
                assert_eq!(touched, None, "what was deleted is gone from all files");
            }
            let runs = super::super::runs::runs(&world.index.files().map(Arc::clone).collect::<Vec<_>>());
            assert!(runs.len() <= 1, "{runs:?}");
        });
    }
}
