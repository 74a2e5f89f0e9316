//! What is planned, what comes of it, and that no answer changes by it.

mod merging;
mod oracle;
mod planning;

use super::CompactionOptions;
use super::job::Tools;
use super::plan::Rules;
use crate::dedup::sort_dedup;
use crate::file_writer::{encode, keys_of};
use crate::runtime::pools::Pool;
use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, TimestampNanosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int32Type, Schema};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::{ColumnId, DbId, TableId};
use protocols::paths;
use protocols::schema::{
    ColumnKind, ColumnSchema, DatabaseSchema, FieldType, TableSchema, time_field,
};
use protocols::snapshot::{ParquetFile, Stamps};
use std::sync::Arc;
use std::time::Duration;

const NODE: &str = "n";
const MINUTE_NS: i64 = 60_000_000_000;
const GEN1_NS: i64 = 10 * MINUTE_NS;
const HOUR_NS: i64 = 60 * MINUTE_NS;

/// Two tags, the second of which came later, and two fields.
fn table() -> TableSchema {
    let column = |id, name: &str, kind| ColumnSchema { id: ColumnId(id), name: name.into(), kind };
    let columns = vec![
        column(0, "host", ColumnKind::Tag),
        column(1, "i", ColumnKind::Field(FieldType::Integer)),
        column(2, "f", ColumnKind::Field(FieldType::Float)),
        column(3, "rack", ColumnKind::Tag),
    ];
    TableSchema::new(TableId(1), "m".into(), columns, None)
}

fn catalog(retention_ns: Option<i64>) -> CatalogSnapshot {
    let table = Arc::new(table());
    let db = DatabaseSchema {
        id: DbId(1),
        name: "d".into(),
        retention_ns,
        tables: [(Arc::clone(&table.name), table)].into_iter().collect(),
        deletion: None,
        plugins: Default::default(),
        downsamples: Default::default(),
        indexed: None,
    };
    let mut catalog = CatalogSnapshot {
        uuid: uuid::Uuid::nil(),
        sequence: 1,
        databases: Default::default(),
        gen1_duration_ns: GEN1_NS,
        next_db_id: 2,
        next_table_id: 2,
        index: Default::default(),
        tokens: Arc::default(),
        row_deletes: Arc::default(),
    };
    catalog.databases.insert("d".into(), Arc::new(db));
    catalog
}

fn options() -> CompactionOptions {
    CompactionOptions {
        is_automatic: true,
        gen2_duration_ns: 20 * MINUTE_NS,
        multipliers: vec![3, 4, 6, 5, 6],
        rows_max: None,
        files_max: 500,
        check_interval: Duration::from_secs(10),
        cleanup_wait: Duration::ZERO,
        reads_at_once: 4,
        cache_age: Duration::ZERO,
        bytes_max: 64 * 1024 * 1024,
        settle: Duration::from_secs(60),
        quiet: Duration::ZERO,
    }
}

fn rules() -> Rules {
    Rules {
        widths: options().widths(GEN1_NS).unwrap(),
        settle_ns: MINUTE_NS,
        quiet_ns: MINUTE_NS,
        files_max: 500,
        open_bytes_max: 128 * 1024 * 1024,
    }
}

fn tools(store: &Arc<dyn ObjectStore>, rows_max: Option<usize>, batch_rows: u64) -> Tools {
    Tools {
        node: NODE.into(),
        store: Arc::clone(store),
        pool: Pool::new("test", 1, 1).unwrap(),
        options: Arc::new(CompactionOptions { rows_max, ..options() }),
        batch_rows,
    }
}

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

/// A row: host, rack, time, and two fields.
type Row = (u8, Option<u8>, i64, Option<i64>, Option<f64>);

/// Rows in order of arrival, with no column `rack` if none of them has one.
fn batch(rows: &[Row]) -> RecordBatch {
    let host: DictionaryArray<Int32Type> = rows
        .iter()
        .map(|row| Some(format!("h{}", row.0)))
        .collect::<Vec<_>>()
        .iter()
        .map(Option::as_deref)
        .collect();
    let racks: Vec<Option<String>> =
        rows.iter().map(|row| row.1.map(|r| format!("r{r}"))).collect();
    let rack: DictionaryArray<Int32Type> = racks.iter().map(Option::as_deref).collect();
    let schema = table();
    let mut fields: Vec<_> = schema.columns[..3].iter().map(ColumnSchema::arrow_field).collect();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(host),
        Arc::new(rows.iter().map(|row| row.3).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.4).collect::<Float64Array>()),
    ];
    if racks.iter().any(Option::is_some) {
        fields.push(schema.columns[3].arrow_field());
        columns.push(Arc::new(rack));
    }
    fields.push(time_field());
    columns.push(Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|r| r.2))));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// All rows, sorted and merged, as text: one line a row.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let sorted = sort_dedup(batches, &table()).unwrap().rows;
    let shown = arrow::util::pretty::pretty_format_batches(&[sorted]).unwrap().to_string();
    shown.lines().skip(3).filter(|line| line.starts_with('|')).map(str::to_owned).collect()
}

/// Stores rows as the file of a snapshot.
async fn stored(
    store: &Arc<dyn ObjectStore>,
    id: u64,
    chunk_time_ns: i64,
    order: Stamps,
    batches: &[RecordBatch],
) -> Arc<ParquetFile> {
    let rows = sort_dedup(batches, &table()).unwrap().rows;
    let times = rows.column(rows.num_columns() - 1);
    let times =
        arrow::array::AsArray::as_primitive::<arrow::datatypes::TimestampNanosecondType>(times);
    let bytes = encode(&rows).unwrap();
    let file = ParquetFile {
        id,
        db: DbId(1),
        table: TableId(1),
        chunk_time_ns,
        wal_file: id,
        part: 0,
        size_bytes: bytes.len() as u64,
        row_count: rows.num_rows() as u64,
        min_time_ns: times.values().iter().copied().min().unwrap(),
        max_time_ns: times.values().iter().copied().max().unwrap(),
        crc32: crc32fast::hash(&bytes),
        order,
        keys: keys_of(&rows, 0, &table()).unwrap(),
        compacted: None,
    };
    let path = Path::from(paths::parquet_file(NODE, &file));
    store.put(&path, bytes.into()).await.unwrap();
    Arc::new(file)
}

/// The rows of a file, in the order in which they stand there.
async fn read(store: &Arc<dyn ObjectStore>, file: &ParquetFile) -> RecordBatch {
    let path = Path::from(paths::parquet_file(NODE, file));
    let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!((bytes.len() as u64, crc32fast::hash(&bytes)), (file.size_bytes, file.crc32));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}
