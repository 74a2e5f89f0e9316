//! Files in decoded form.

use super::*;
use arrow::array::TimestampNanosecondArray;
use arrow::array::{ArrayRef, AsArray, DictionaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::ArrowWriter;
use protocols::ids::{DbId, TableId};
use protocols::messages::parquet_cache::{LookUpRows, WantedFile};
use protocols::messages::store::SortedRows;
use protocols::snapshot::{ParquetFile, Stamps};

const MIB: usize = 1 << 20;

/// A file with so many rows of each of the hosts `a` and `b`, and two fields.
fn parquet(rows: i64) -> Bytes {
    let hosts: DictionaryArray<Int32Type> =
        ["a", "b"].iter().flat_map(|host| (0..rows).map(move |_| *host)).collect();
    let times = TimestampNanosecondArray::from_iter_values((0..2 * rows).map(|i| i % rows));
    let values = |by: i64| Arc::new(Int64Array::from_iter_values((0..2 * rows).map(|i| i * by)));
    let columns: [(&str, ArrayRef); 4] =
        [("host", Arc::new(hosts)), ("x", values(1)), ("y", values(10)), ("time", Arc::new(times))];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap().into()
}

fn wanted(id: u64, bytes: &Bytes, row_count: u64) -> WantedFile {
    let file = ParquetFile {
        id,
        db: DbId(1),
        table: TableId(1),
        chunk_time_ns: 0,
        wal_file: id,
        part: 0,
        size_bytes: bytes.len() as u64,
        row_count,
        min_time_ns: 0,
        max_time_ns: 0,
        crc32: crc32fast::hash(bytes),
        order: Stamps::at(1),
        keys: Default::default(),
        compacted: None,
    };
    WantedFile { path: id.to_string().into(), file: Arc::new(file) }
}

impl World {
    async fn rows(&self, files: &[&WantedFile], columns: &[&str]) -> Vec<Option<Arc<SortedRows>>> {
        let ask = LookUpRows {
            files: files.iter().map(|file| (*file).clone()).collect(),
            columns: columns.iter().map(|name| Arc::from(*name)).collect(),
        };
        self.cache.ask_from_edge(ask, Instant::now() + Duration::from_secs(30)).await.unwrap()
    }

    /// Asks until the file is decoded.
    async fn decoded(&self, file: &WantedFile, columns: &[&str]) -> Arc<SortedRows> {
        let begun = Instant::now();
        loop {
            if let Some(rows) = self.rows(&[file], columns).await.pop().flatten() {
                return rows;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it is not decoded");
            tokio::task::yield_now().await;
        }
    }

    async fn holds(&self, id: u64, rows: i64) -> WantedFile {
        let bytes = parquet(rows);
        let file = wanted(id, &bytes, 2 * rows as u64);
        let insert = Insert { path: Arc::clone(&file.path), bytes, in_place_of: Vec::new() };
        self.cache.ask_from_edge(insert, Instant::now() + Duration::from_secs(30)).await.unwrap();
        file
    }
}

fn names(rows: &SortedRows) -> Vec<String> {
    rows.rows.schema().fields().iter().map(|field| field.name().clone()).collect()
}

#[actix_rt::test]
async fn what_is_asked_for_again_is_decoded_with_the_columns_that_are_wanted() {
    let world = World::start(MIB).await;
    let file = world.holds(1, 5).await;
    assert!(world.rows(&[&file], &["y"]).await[0].is_none());
    let rows = world.decoded(&file, &["y", "no such column"]).await;
    assert_eq!(names(&rows), ["host", "y", "time"]);
    assert_eq!(rows.series_starts, [0, 5]);
    assert_eq!(rows.key, [Arc::from("host")]);
    let y = rows.rows["y"].as_primitive::<Int64Type>();
    assert_eq!(y.values().to_vec(), (0..10).map(|i| i * 10).collect::<Vec<_>>());
    let rows = world.decoded(&file, &["x"]).await;
    assert_eq!(names(&rows), ["host", "x", "y", "time"]);
    assert_eq!(rows.series_starts, [0, 5]);
    assert!(world.rows(&[&file], &["x", "y", "host"]).await[0].is_some());
    assert_eq!(world.reads(), 0);
}

#[actix_rt::test]
async fn a_file_that_is_not_held_or_is_damaged_is_not_decoded() {
    let world = World::start(MIB).await;
    let held = world.holds(1, 5).await;
    let absent = wanted(2, &parquet(6), 12);
    let mut damaged = world.holds(3, 7).await;
    Arc::make_mut(&mut damaged.file).crc32 ^= 1;
    for _ in 0..3 {
        world.rows(&[&absent, &damaged], &["x"]).await;
    }
    world.decoded(&held, &["x"]).await;
    let found = world.rows(&[&absent, &held, &damaged], &["x"]).await;
    let found: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(found, [false, true, false]);
    assert_eq!(world.reads(), 0);
}

#[actix_rt::test]
async fn an_evicted_file_is_forgotten_in_both_forms() {
    let world = World::start(MIB).await;
    let file = world.holds(1, 5).await;
    world.decoded(&file, &["x"]).await;
    world.evict("1").await;
    for _ in 0..3 {
        assert!(world.rows(&[&file], &["x"]).await[0].is_none());
    }
}

#[actix_rt::test]
async fn files_take_the_room_of_decoded_rows() {
    let world = World::start(MIB).await;
    let file = world.holds(1, 500).await;
    world.decoded(&file, &["x"]).await;
    let left = MIB - parquet(500).len();
    world.insert("other", left).await;
    assert!(world.rows(&[&file], &["x"]).await[0].is_none());
    assert_eq!(world.held(&[("other", left)]).await, ["other"]);
}

#[actix_rt::test]
async fn rows_in_use_do_not_make_room_for_others() {
    let world = World::start(MIB).await;
    let first = world.holds(1, 800).await;
    let rows = world.decoded(&first, &["x"]).await;
    assert!(rows.rows.get_array_memory_size() > MIB / 50);
    let mut files = Vec::new();
    for id in 2..12 {
        files.push(world.holds(id, 800).await);
    }
    assert!(12 * parquet(800).len() < MIB * 3 / 4, "there is room beside the files");
    let all: Vec<&WantedFile> = files.iter().collect();
    for _ in 0..50 {
        world.rows(&all, &["x"]).await;
        assert!(world.rows(&[&first], &["x"]).await[0].is_some());
        tokio::task::yield_now().await;
    }
}
