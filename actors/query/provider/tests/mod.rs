//! SQL over a real shard and real files, against a plain map of rows.

mod blocks;
mod buffer;
mod decoded;
mod deferred;
mod files;
mod merged;
mod newest;
mod series;
mod store;
mod values;
mod world;

use super::{ParquetFiles, ReadNewest, Remembered, ScanContext, StoredTable};
use crate::cache_directory::CacheFeeds;
use crate::dedup::sort_dedup;
use crate::file_writer::keys_of;
use crate::parquet_cache::HeldRows;
use crate::parquet_cache::ParquetCache;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Guardian};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::{Published, Publisher};
use crate::runtime::shared::Shared;
use crate::store::Shard;
use crate::store::{ShardFiles, Store, StoreShards};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    TimestampNanosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, Schema, TimestampNanosecondType,
};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::metadata::KeyValue;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use proptest::prelude::*;
use protocols::catalog::CatalogSnapshot;
use protocols::file_blocks::{self, BlockChecksums, LISTED_BYTES_MIN};
use protocols::ids::{ColumnId, DbId, TableId};
use protocols::messages::store::{ApplyRows, EndSnapshot, FrozenChunks, SwapChunk, TableBatch};
use protocols::paths;
use protocols::schema::{
    ColumnKind, ColumnSchema, DatabaseSchema, FieldType, TableSchema, time_type,
};
use protocols::series_blocks::{self, SeriesBlocks};
use protocols::snapshot::{Compacted, ParquetFile, PlacedMark, SnapshotMark, Stamps};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use store::CountingStore;
use tokio::time::Instant;
use uuid::Uuid;
use world::World;

const TABLE: TableId = TableId(3);
const COLUMNS: [(&str, ColumnKind); 4] = [
    ("t0", ColumnKind::Tag),
    ("f", ColumnKind::Field(FieldType::Float)),
    ("g", ColumnKind::Field(FieldType::Integer)),
    ("t1", ColumnKind::Tag),
];
/// Rows of a page of a file.
const PAGE_ROWS: usize = 512;
/// Width of a chunk in the tests.
const GEN1_NS: i64 = 16;

fn table(columns: usize) -> Arc<TableSchema> {
    let columns = COLUMNS[..columns].iter().enumerate().map(|(i, (name, kind))| ColumnSchema {
        id: ColumnId(i as u32),
        name: Arc::from(*name),
        kind: *kind,
    });
    Arc::new(TableSchema::new(TABLE, Arc::from("m"), columns.collect(), None))
}

/// A row: t0, f, g, t1, and time.
#[derive(Clone, Debug)]
struct Row {
    values: [Option<u8>; 4],
    time: i64,
}

fn text(v: u8) -> String {
    ["b", "a", "c"][usize::from(v % 3)].to_owned()
}

fn batch(rows: &[Row], columns: usize) -> RecordBatch {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (c, (name, kind)) in COLUMNS[..columns].iter().enumerate() {
        let values = rows.iter().map(|r| r.values[c]);
        let array: ArrayRef = match kind {
            ColumnKind::Tag => {
                let texts: Vec<Option<String>> = values.map(|v| v.map(text)).collect();
                let tags = texts.iter().map(Option::as_deref);
                Arc::new(tags.collect::<DictionaryArray<Int32Type>>())
            }
            ColumnKind::Field(FieldType::Float) => {
                Arc::new(values.map(|v| v.map(f64::from)).collect::<Float64Array>())
            }
            ColumnKind::Field(_) => {
                Arc::new(values.map(|v| v.map(i64::from)).collect::<Int64Array>())
            }
        };
        fields.push(Field::new(*name, kind.arrow_type(), true));
        arrays.push(array);
    }
    fields.push(Field::new("time", time_type(), false));
    let times: Vec<i64> = rows.iter().map(|r| r.time).collect();
    arrays.push(Arc::new(TimestampNanosecondArray::from(times)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns fit")
}

type Key = (Option<String>, Option<String>, i64);
type Fields = (Option<u8>, Option<u8>);
type Model = BTreeMap<Key, Fields>;

fn add(model: &mut Model, rows: &[Row], columns: usize) {
    for row in rows {
        let value = |c: usize| row.values[c].filter(|_| c < columns);
        let fields = model.entry((value(0).map(text), value(3).map(text), row.time)).or_default();
        fields.0 = value(1).or(fields.0);
        fields.1 = value(2).or(fields.1);
    }
}

fn catalog() -> CatalogSnapshot {
    let table = table(COLUMNS.len());
    let db = DatabaseSchema {
        id: DbId(1),
        name: "d".into(),
        retention_ns: None,
        tables: std::iter::once((Arc::clone(&table.name), table)).collect(),
        deletion: None,
        plugins: Default::default(),
        downsamples: Default::default(),
        indexed: None,
    };
    CatalogSnapshot {
        uuid: Uuid::nil(),
        sequence: 1,
        databases: std::iter::once(("d".into(), Arc::new(db))).collect(),
        gen1_duration_ns: GEN1_NS,
        next_db_id: 2,
        next_table_id: 4,
        index: Default::default(),
        tokens: Arc::default(),
        row_deletes: Arc::default(),
    }
}

/// A file with small pages, and without the columns that have no value. Its footer says how the times
/// of its series run, which is looked at where files were merged.
fn encode(rows: &RecordBatch) -> Vec<u8> {
    let sorted = sort_dedup(std::slice::from_ref(rows), &table(4)).expect("sorts");
    let times = sorted.rows["time"].as_primitive::<TimestampNanosecondType>().values();
    let starts = sorted.series_starts.iter().map(|start| *start as usize);
    let ends = starts.clone().skip(1).chain([times.len()]);
    let mut blocks = SeriesBlocks::default();
    starts.zip(ends).for_each(|(start, end)| blocks.add(true, &times[start..end]));
    let has_values = |i: &usize| rows.column(*i).logical_null_count() < rows.num_rows();
    let columns: Vec<usize> = (0..rows.num_columns()).filter(has_values).collect();
    let rows = rows.project(&columns).expect("columns of its own");
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_max_row_group_row_count(Some(16 * PAGE_ROWS))
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).expect("fits");
    writer.write(&rows).expect("encodes");
    writer.flush().expect("encodes");
    writer.sync().expect("writes");
    let series = KeyValue::new(series_blocks::KEY.to_owned(), blocks.encode());
    writer.append_key_value_metadata(series);
    if writer.inner().len() >= LISTED_BYTES_MIN {
        let blocks = BlockChecksums::of(writer.inner()).encode();
        writer.append_key_value_metadata(KeyValue::new(file_blocks::KEY.to_owned(), blocks));
    }
    writer.into_inner().expect("encodes")
}

fn read(batches: &[RecordBatch]) -> Vec<(Key, Fields)> {
    let mut rows = Vec::new();
    for batch in batches {
        let tag = |name: &str, r: usize| {
            let texts = cast(&batch[name], &DataType::Utf8).expect("casts");
            let texts = texts.as_string::<i32>();
            texts.is_valid(r).then(|| texts.value(r).to_owned())
        };
        let f = batch["f"].as_primitive::<Float64Type>();
        let g = batch["g"].as_primitive::<Int64Type>();
        let times = batch["time"].as_primitive::<TimestampNanosecondType>();
        for r in 0..batch.num_rows() {
            rows.push((
                (tag("t0", r), tag("t1", r), times.value(r)),
                (f.is_valid(r).then(|| f.value(r) as u8), g.is_valid(r).then(|| g.value(r) as u8)),
            ));
        }
    }
    rows
}

/// A figure that the scan of a plan has counted.
fn metric(plan: &str, name: &str) -> usize {
    let scan = plan.lines().find(|line| line.contains("ScanExec")).expect("a scan");
    let (_, value) = scan.split_once(&format!("{name}=")).expect(name);
    let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

fn count(batches: &[RecordBatch]) -> i64 {
    batches.iter().map(|b| b.column(0).as_primitive::<Int64Type>().value(0)).sum()
}

fn instant(ns: i64) -> String {
    format!("TIMESTAMP '1970-01-01T00:00:00.{ns:09}'")
}

type Holds = fn(&Key, &Fields) -> bool;

/// Conditions in SQL and in Rust.
fn conditions() -> Vec<(String, Holds)> {
    vec![
        ("true".to_owned(), |_, _| true),
        ("t0 = 'a'".to_owned(), |k, _| k.0.as_deref() == Some("a")),
        ("t0 IS NULL AND t1 IS NOT NULL".to_owned(), |k, _| k.0.is_none() && k.1.is_some()),
        (format!("t0 <> 'b' AND time >= {}", instant(9)), |k, _| {
            k.0.as_deref().is_some_and(|t| t != "b") && k.2 >= 9
        }),
        (format!("time BETWEEN {} AND {}", instant(5), instant(20)), |k, _| {
            (5..=20).contains(&k.2)
        }),
        (format!("time > {} AND {} > time", instant(2), instant(33)), |k, _| k.2 > 2 && k.2 < 33),
        (format!("time = {}", instant(7)), |k, _| k.2 == 7),
        ("f = 2.0".to_owned(), |_, v| v.0 == Some(2)),
        ("t0 IN ('a', NULL)".to_owned(), |k, _| k.0.as_deref() == Some("a")),
        // The optimizer makes constants of these, the first after the scan has accepted it.
        ("t0 NOT IN ('a', NULL)".to_owned(), |_, _| false),
        ("t0 = ANY(make_array('a'))".to_owned(), |k, _| k.0.as_deref() == Some("a")),
        ("t0 IN ('a') AND 1 = 1 AND NULL IS NULL".to_owned(), |k, _| k.0.as_deref() == Some("a")),
        ("g IS NULL".to_owned(), |_, v| v.1.is_none()),
        (format!("t0 = 'a' OR time < {}", instant(10)), |k, _| {
            k.0.as_deref() == Some("a") || k.2 < 10
        }),
        (format!("t1 IN ('a', 'c') AND g > 1 AND time < {}", instant(30)), |k, v| {
            matches!(k.1.as_deref(), Some("a" | "c")) && v.1.is_some_and(|g| g > 1) && k.2 < 30
        }),
        ("t1 = 'b' AND t0 IN ('a', 'c')".to_owned(), |k, _| {
            matches!(k.0.as_deref(), Some("a" | "c")) && k.1.as_deref() == Some("b")
        }),
        ("t0 LIKE 'a%' OR t1 = t0".to_owned(), |k, _| {
            k.0.as_deref() == Some("a") || (k.0.is_some() && k.0 == k.1)
        }),
    ]
}

async fn check(world: &mut World, model: &Model) {
    for (text, holds) in conditions() {
        if world.stays_unsorted {
            world.write_last_again().await;
        }
        let expected: Vec<(Key, Fields)> =
            model.iter().filter(|(k, v)| holds(k, v)).map(|(k, v)| (k.clone(), *v)).collect();
        let order = "ORDER BY t0 NULLS FIRST, t1 NULLS FIRST, time";
        let ordered = world.sql(4, &format!("SELECT * FROM m WHERE {text} {order}")).await;
        assert_eq!(read(&ordered), expected, "{text}");
        let mut unordered = read(&world.sql(4, &format!("SELECT * FROM m WHERE {text}")).await);
        unordered.sort();
        assert_eq!(unordered, expected, "{text}");
        newest::check(world, &text, &expected).await;
        let counted = world.sql(4, &format!("SELECT count(*) FROM m WHERE {text}")).await;
        assert_eq!(count(&counted), expected.len() as i64, "{text}");
        let limited = world.sql(4, &format!("SELECT f FROM m WHERE {text} LIMIT 5")).await;
        let rows: usize = limited.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, expected.len().min(5), "{text}");
        for (order, newest_first) in [("DESC", true), ("ASC", false)] {
            let query = format!("SELECT time FROM m WHERE {text} ORDER BY time {order} LIMIT 3");
            let got: Vec<i64> = world.sql(4, &query).await.iter().flat_map(times_of).collect();
            let mut times: Vec<i64> = expected.iter().map(|(k, _)| k.2).collect();
            times.sort_unstable();
            if newest_first {
                times.reverse();
            }
            times.truncate(3);
            assert_eq!(got, times, "{query}");
        }
    }
}

fn times_of(batch: &RecordBatch) -> Vec<i64> {
    batch["time"].as_primitive::<TimestampNanosecondType>().values().to_vec()
}

fn rows(many: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Row>> {
    let row = (prop::array::uniform4(prop::option::weighted(0.7, 0..4_u8)), 0..40_i64)
        .prop_map(|(values, time)| Row { values, time });
    prop::collection::vec(row, many)
}

fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(test);
}

fn series(t0: u8, times: impl Iterator<Item = i64>) -> Vec<Row> {
    times.map(|time| Row { values: [Some(t0), Some(1), Some(2), None], time }).collect()
}
