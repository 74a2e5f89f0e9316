//! Parquet files as clients see them.

use super::{Fixture, GEN1_NS};
use protocols::error::ErrorKind;
use protocols::ids::{DbId, TableId};
use protocols::messages::store::EndSnapshot;
use protocols::snapshot::{ParquetFile, PlacedMark, SnapshotMark, Stamps};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn file(id: u64, chunk: i64, row_count: u64) -> Arc<ParquetFile> {
    let begin = chunk * GEN1_NS;
    Arc::new(ParquetFile {
        id,
        db: DbId(1),
        table: TableId(1),
        chunk_time_ns: begin,
        wal_file: 10 + id,
        part: 0,
        size_bytes: 100,
        row_count,
        min_time_ns: begin + 1,
        max_time_ns: begin + 9,
        crc32: 0,
        order: Stamps::at(id as i64),
        keys: Default::default(),
        compacted: None,
    })
}

#[actix_rt::test]
async fn files_are_listed_and_counted_without_being_read() {
    let server = Fixture::new().await;
    let mark = SnapshotMark {
        number: 1,
        end_time_ns: GEN1_NS,
        wal_through: 1,
        forced: false,
        ..Default::default()
    };
    let snapshot = PlacedMark { mark, sequence: 1, stamp: 1 };
    // The objects do not exist: whatever reads them fails.
    let end = EndSnapshot { snapshot, files: vec![file(1, 0, 5), file(2, 1, 6)] };
    let deadline = Instant::now() + Duration::from_secs(300);
    server.store.ask_from_edge(end, deadline).await.unwrap();

    let newer =
        "home,n/dbs/1/1/1970-01-01/00-10/0000000012.parquet,100,6,600000000001,600000000009";
    let older = "home,n/dbs/1/1/1970-01-01/00-00/0000000011.parquet,100,5,1,9";
    let both = format!("{newer}\n{older}");
    for (text, want) in [
        ("SELECT * FROM system.parquet_files", both.as_str()),
        ("SELECT * FROM system.parquet_files WHERE table_name = 'home'", both.as_str()),
        ("SELECT * FROM system.parquet_files WHERE table_name = 'nope'", ""),
        ("SELECT * FROM system.parquet_files WHERE 'home' = table_name AND row_count < 6", older),
        ("SELECT sum(size_bytes) FROM system.parquet_files", "200"),
        ("SELECT count(*) FROM home", "11"),
        ("SELECT count(*) FROM home WHERE time < '1970-01-01T00:10:00Z'", "5"),
        ("SELECT max(time) FROM home", "1970-01-01T00:10:00.000000009"),
    ] {
        server.check(text, &[], want).await;
    }
    let error = server.error("SELECT sum(temp) FROM home").await;
    assert_eq!(error.kind, ErrorKind::Internal, "{error}");
}
