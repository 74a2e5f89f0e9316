//! Encoding, snapshots and clean-up. The other actors are played by [`fake::Fake`].

mod clean_up;
mod encoding;
mod fake;
mod snapshots;
mod together;

use super::settings::Settings;
use super::worker::Worker;
use crate::runtime::published::{Published, Publisher};
use crate::storage::objects::Objects;
use arrow::array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
use arrow::array::{Float64Array, TimestampNanosecondArray};
use arrow::datatypes::{Int32Type, Schema};
use fake::Fake;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::{ColumnId, DbId, TableId};
use protocols::messages::store::{ChunkView, FrozenChunk};
use protocols::schema::{
    ColumnKind, ColumnSchema, DatabaseSchema, Deletion, FieldType, TableSchema, time_field,
};
use protocols::snapshot::{PlacedMark, SnapshotMark, Stamps};
use std::sync::Arc;
use std::time::Duration;

const NODE: &str = "n";
const HOUR_NS: i64 = 3_600_000_000_000;
const GEN1_NS: i64 = 600_000_000_000;
const LONG: Duration = Duration::from_secs(3600);

fn column(id: u32, name: &str, kind: ColumnKind) -> ColumnSchema {
    ColumnSchema { id: ColumnId(id), name: name.into(), kind }
}

/// A table with a tag `host` and the fields `value` and `text`.
fn table(id: u32) -> TableSchema {
    let columns = vec![
        column(0, "host", ColumnKind::Tag),
        column(1, "value", ColumnKind::Field(FieldType::Integer)),
        column(2, "text", ColumnKind::Field(FieldType::String)),
        column(3, "share", ColumnKind::Field(FieldType::Float)),
    ];
    TableSchema::new(TableId(id), format!("m{id}").into(), columns, None)
}

/// Rows of [`table`] in order of arrival: host, time and value. `share` is null throughout.
fn rows(values: &[(&str, i64, i64)]) -> RecordBatch {
    let hosts: DictionaryArray<Int32Type> = values.iter().map(|v| Some(v.0)).collect();
    let texts = values.iter().map(|v| (v.2 % 2 == 0).then(|| format!("text {}", v.2)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(hosts),
        Arc::new(values.iter().map(|v| Some(v.2)).collect::<Int64Array>()),
        Arc::new(texts.collect::<StringArray>()),
        Arc::new(Float64Array::new_null(values.len())),
        Arc::new(TimestampNanosecondArray::from_iter_values(values.iter().map(|v| v.1))),
    ];
    let mut fields: Vec<_> = table(1).columns.iter().map(ColumnSchema::arrow_field).collect();
    fields.push(time_field());
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// A chunk of batches that nobody has sorted.
fn chunk_of(chunk_time_ns: i64, batches: Vec<RecordBatch>) -> ChunkView {
    ChunkView {
        chunk_id: 1,
        chunk_time_ns,
        division: 0,
        sorted: None,
        sorted_batches: 0,
        arrived_batches: batches.len(),
        unsorted: batches,
        min_time_ns: chunk_time_ns,
        max_time_ns: chunk_time_ns + GEN1_NS - 1,
        order: Stamps { lo: 7, hi: 9 },
    }
}

/// A chunk of table `table` whose rows have the times `time + 1` and so on.
fn frozen(table: u32, time: i64, count: i64) -> FrozenChunk {
    let values: Vec<_> = (0..count).map(|i| ("a", time + 1 + i, i)).collect();
    FrozenChunk { db: DbId(1), table: TableId(table), chunk: chunk_of(time, vec![rows(&values)]) }
}

fn placed(number: u64, wal_through: u64) -> PlacedMark {
    let mark = SnapshotMark {
        number,
        end_time_ns: HOUR_NS,
        wal_through,
        forced: false,
        ..Default::default()
    };
    PlacedMark { mark, sequence: number * 10, stamp: number as i64 * 1000 }
}

/// A database with the tables 1 to 3, of which some are removed.
fn catalog(sequence: u64, removed: &[u32]) -> Arc<CatalogSnapshot> {
    let deletion = Deletion { deleted_at_ns: 0, hard_delete_at_ns: Some(0), rows_removed: true };
    let tables = (1..=3).map(|id| {
        let table = table(id);
        let deletion = removed.contains(&id).then_some(deletion);
        let table = TableSchema::new(table.id, table.name, table.columns, deletion);
        (Arc::clone(&table.name), Arc::new(table))
    });
    let db = DatabaseSchema {
        id: DbId(1),
        name: "d".into(),
        retention_ns: None,
        tables: tables.collect(),
        deletion: None,
        plugins: Default::default(),
        downsamples: Default::default(),
        indexed: None,
    };
    Arc::new(CatalogSnapshot {
        uuid: uuid::Uuid::nil(),
        sequence,
        databases: [("d".into(), Arc::new(db))].into_iter().collect(),
        gen1_duration_ns: GEN1_NS,
        next_db_id: 2,
        next_table_id: 4,
        index: Default::default(),
        tokens: Arc::default(),
        row_deletes: Arc::default(),
    })
}

/// Everything that outlives a worker.
struct World {
    objects: Objects,
    publisher: Publisher<CatalogSnapshot>,
    fake: Fake,
    settings: Settings,
}

impl World {
    fn new(objects: Objects) -> Self {
        let (publisher, catalog) = Published::new(catalog(1, &[]));
        let settings = Settings {
            node: NODE.to_owned(),
            objects: objects.clone(),
            catalog,
            concurrency: 2,
            bytes_max: 1 << 30,
            wal_files_kept: 0,
            wal_delete_delay: LONG,
            text_bytes_max: 1 << 20,
        };
        Self { fake: Fake::new(&objects), objects, publisher, settings }
    }

    fn in_memory() -> Self {
        Self::new(Objects::memory())
    }

    async fn worker(&self) -> Worker<Fake> {
        Worker::open(self.settings.clone(), self.fake.clone()).await.unwrap()
    }

    /// Runs a snapshot of `chunks` to its end.
    async fn snapshot(
        &self,
        worker: &mut Worker<Fake>,
        mark: PlacedMark,
        chunks: Vec<FrozenChunk>,
    ) {
        self.fake.freeze(mark, chunks);
        worker.take_snapshots().await.unwrap();
    }

    async fn exists(&self, path: &str) -> bool {
        self.objects.store.head(&Path::from(path)).await.is_ok()
    }

    async fn bytes(&self, path: &str) -> bytes::Bytes {
        self.objects.store.get(&Path::from(path)).await.unwrap().bytes().await.unwrap()
    }
}
