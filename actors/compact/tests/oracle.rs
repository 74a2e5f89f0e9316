//! Random writes, also late and repeated ones, snapshots of some of the chunks, and compactions: at
//! every step the files and what is not in files yet have the rows that were written.

use super::super::plan::plan;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use protocols::file_index::{FileIndex, Removal, RemovedFile, Segment, may_be_one};
use protocols::messages::index::FileList;
use protocols::snapshot::{PlacedMark, SnapshotMark, chunk_time};
use std::collections::BTreeMap;

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    /// Rows are written: host, rack, time in minutes, fields.
    Write(Vec<Row>),
    /// Chunks become files, but for those whose bit is set.
    Snapshot(u8),
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
        2 => (any::<bool>(), 0..200_i64).prop_map(|(at_once, hours)| Event::Compact { at_once, hours }),
    ]
}

/// A store, an index, and what is not in files yet.
struct World {
    store: Arc<dyn ObjectStore>,
    index: FileIndex,
    /// By chunk time: the stamps of the writes, and their rows.
    buffer: BTreeMap<i64, Vec<(i64, RecordBatch)>>,
    written: Vec<RecordBatch>,
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
        self.written.push(batch(&rows));
        let mut chunks: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
        for row in rows {
            chunks.entry(chunk_time(row.2, GEN1_NS)).or_default().push(row);
        }
        for (time, rows) in chunks {
            self.buffer.entry(time).or_default().push((self.stamp, batch(&rows)));
        }
    }

    async fn snapshot(&mut self, kept: u8) {
        let is_kept = |time: i64| kept >> (time / GEN1_NS % 8) & 1 == 1;
        let taken: Vec<i64> = self.buffer.keys().copied().filter(|time| !is_kept(*time)).collect();
        let mut added = Vec::new();
        for time in taken {
            let rows = self.buffer.remove(&time).unwrap();
            let order = Stamps { lo: rows[0].0, hi: rows[rows.len() - 1].0 };
            let batches: Vec<_> = rows.into_iter().map(|(_, rows)| rows).collect();
            let id = self.index.next_file_id() + added.len() as u64;
            added.push(stored(&self.store, id, time, order, &batches).await.as_ref().clone());
        }
        self.snapshots += 1;
        let oldest = self.buffer.values().map(|rows| rows[0].0).min();
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
        let jobs = plan(&list, &catalog(None), now_ns, &rules(), None, at_once);
        let tools = tools(&self.store, self.rows_max, self.batch_rows);
        for job in jobs {
            let inputs: Vec<&ParquetFile> = job.files().map(AsRef::as_ref).collect();
            assert!(
                inputs.iter().all(|file| self.index.file(file.id).is_some()),
                "jobs share a file"
            );
            let others = self.index.files().map(AsRef::as_ref);
            assert!(may_be_one(&inputs, others), "{inputs:?}");
            assert!(inputs.iter().all(|file| file.order.hi <= self.index.durable_stamp()));
            let compaction = tools.run(&job, &catalog(None)).await.unwrap();
            let ids = self.index.next_compacted_id()..;
            let added = ids.zip(compaction.outputs).map(|(id, file)| ParquetFile { id, ..file });
            let why = Removal::Superseded { by: 1 };
            let removed =
                inputs.iter().map(|file| RemovedFile { id: file.id, removed_at_ns: 0, why });
            let (added, removed) = (added.collect(), removed.collect());
            self.step(Segment { added, removed, ..Segment::default() });
        }
    }

    /// The rows as a query has them: what was written later wins.
    async fn check(&self) {
        let mut sources: Vec<(Stamps, u64, RecordBatch)> = Vec::new();
        for file in self.index.files() {
            sources.push((file.order, file.id, read(&self.store, file).await));
        }
        for rows in self.buffer.values() {
            let order = Stamps { lo: rows[0].0, hi: rows[rows.len() - 1].0 };
            sources.extend(rows.iter().map(|(_, rows)| (order, u64::MAX, rows.clone())));
        }
        sources.sort_by_key(|(order, id, _)| (*order, *id));
        let found: Vec<_> = sources.into_iter().map(|(_, _, rows)| rows).collect();
        assert_eq!(lines(&found), lines(&self.written));
    }
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
                stamp: 100,
                snapshots: 0,
                rows_max,
                batch_rows,
            };
            for event in events {
                match event {
                    Event::Write(rows) => world.write(&rows),
                    Event::Snapshot(kept) => world.snapshot(kept).await,
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
            let runs = super::super::runs::runs(&world.index.files().map(Arc::clone).collect::<Vec<_>>());
            assert!(runs.len() <= 1, "{runs:?}");
        });
    }
}
