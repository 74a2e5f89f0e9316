//! How long a start waits for the file index: 40,000 snapshots (nine months of ten minutes each)
//! that left 100,000 Parquet files, read from a local directory.
//!
//! `cargo bench --bench file_index`. The objects are those that the server itself would have left,
//! with as many segments behind the newest base as there can be.

#![expect(clippy::disallowed_methods, reason = "it measures from outside")]

use actors::index::log::{IndexChange, IndexLog, load};
use actors::storage::objects::Objects;
use criterion::{Criterion, criterion_group, criterion_main};
use futures::TryStreamExt;
use object_store::{GetOptions, PutMode};
use protocols::ids::{DbId, TableId};
use protocols::snapshot::{ParquetFile, PlacedMark, SnapshotMark, Stamps};
use std::path::Path;

const NODE: &str = "node0";
const SNAPSHOTS: u64 = 40_000;
const FILES: u64 = 100_000;
const TABLES: u64 = 5;
/// Empty steps, as starts of the server take them: they move the bases, which come each 100 steps,
/// to where the most segments are left behind the last one.
const EMPTY_STEPS: u64 = 99;
const CHUNK_NS: i64 = 600_000_000_000;
const START_NS: i64 = 2_900_000 * CHUNK_NS;

/// The files of one snapshot: those of some tables, with sizes and times that vary.
fn files(snapshot: u64) -> Vec<ParquetFile> {
    let from = (snapshot - 1) * FILES / SNAPSHOTS;
    let to = snapshot * FILES / SNAPSHOTS;
    let chunk_time_ns = START_NS + snapshot as i64 * CHUNK_NS;
    let file = |i: u64| {
        let noise = i.wrapping_mul(6_364_136_223_846_793_005) >> 33;
        ParquetFile {
            id: i + 1,
            db: DbId((i % 2) as u32 + 1),
            table: TableId((i % TABLES) as u32),
            chunk_time_ns,
            wal_file: snapshot * 600 + noise % 3,
            part: 0,
            size_bytes: 4_000_000 + noise % 1_000_000,
            row_count: 600_000 + noise % 100_000,
            min_time_ns: chunk_time_ns + (noise % 1_000_000_000) as i64,
            max_time_ns: chunk_time_ns + CHUNK_NS - 1 - (noise % 1_000_000_007) as i64,
            crc32: noise as u32,
            order: Stamps {
                lo: snapshot as i64 * CHUNK_NS,
                hi: (snapshot as i64 + 1) * CHUNK_NS - 1,
            },
            keys: Default::default(),
            compacted: None,
        }
    };
    (from..to).map(file).collect()
}

fn change(number: u64) -> IndexChange {
    let end_time_ns = START_NS + (number as i64 + 1) * CHUNK_NS;
    let wal_through = number * 600;
    let mark = SnapshotMark {
        number,
        end_time_ns,
        wal_through,
        forced: false,
        durable_stamp: end_time_ns - CHUNK_NS,
    };
    let snapshot = Some(PlacedMark { mark, sequence: number * 601, stamp: end_time_ns });
    IndexChange { snapshot, added: files(number), ..IndexChange::default() }
}

/// Writes the index step by step in memory, then what is left of it into `folder`: the same
/// objects, without 40,000 syncs.
async fn generate(folder: &Path) -> anyhow::Result<Objects> {
    let memory = Objects::memory();
    let mut log = IndexLog::open(&memory, NODE, 1).await?;
    for _ in 0..EMPTY_STEPS {
        log.append(IndexChange::default()).await?;
    }
    for number in 1..=SNAPSHOTS {
        log.append(change(number)).await?;
    }
    let directory = Objects::directory(folder.to_owned())?;
    let listed: Vec<_> = memory.store.list(None).try_collect().await?;
    for object in &listed {
        let at = &object.location;
        let bytes = memory.store.get_opts(at, GetOptions::default()).await?.bytes().await?;
        directory.store.put_opts(at, bytes.into(), PutMode::Create.into()).await?;
    }
    let bytes: u64 = listed.iter().map(|object| object.size).sum();
    eprintln!("{} objects, {bytes} bytes", listed.len());
    Ok(directory)
}

fn load_index(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let objects = runtime.block_on(generate(folder.path())).expect("an index");
    let index = runtime.block_on(load(&objects, NODE)).expect("the index that was written");
    assert_eq!((index.files().len() as u64, index.last_snapshot()), (FILES, SNAPSHOTS));
    let mut group = criterion.benchmark_group("file_index");
    group.sample_size(10);
    group.bench_function("load_100k_files", |bencher| {
        bencher.iter(|| runtime.block_on(load(&objects, NODE)).expect("the same index"));
    });
    group.finish();
}

criterion_group!(benches, load_index);
criterion_main!(benches);
