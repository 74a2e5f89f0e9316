//! Plans of the standard queries: how they read tables.
//!
//! What they are to be is in `plans.txt`.

use super::*;
use arrow::array::AsArray;
use protocols::messages::store::EndSnapshot;
use protocols::snapshot::{ParquetFile, PlacedMark, SnapshotMark, Stamps};
use std::fmt::Write;
use std::ops::Range;

const PLANS: &str = include_str!("plans.txt");

/// Names that are too long to read.
const SHORT: [(&str, &str); 2] = [
    (
        "date_bin(IntervalMonthDayNano(\"IntervalMonthDayNano { months: 0, days: 0, \
         nanoseconds: 60000000000 }\"),home.time)",
        "minute",
    ),
    ("IntervalMonthDayNano { months: 0, days: 0, nanoseconds: 60000000000 }", "1 minute"),
];

fn queries() -> [(&'static str, String); 9] {
    let window = "time >= '1970-01-01' AND time < '1970-01-01T01:00:00Z'";
    let bucket = "date_bin(INTERVAL '1 minute', time) AS time";
    [
        (
            "single-groupby-1-1-1",
            format!(
                "SELECT {bucket}, max(temp) AS max_temp FROM home \
                 WHERE room IN ('r1') AND {window} GROUP BY 1 ORDER BY 1"
            ),
        ),
        (
            "high-cpu-1",
            format!("SELECT * FROM home WHERE temp > 90 AND room IN ('r1') AND {window}"),
        ),
        ("lastpoint", "SELECT DISTINCT ON (room) * FROM home ORDER BY room, time DESC".to_owned()),
        (
            "groupby-orderby-limit",
            format!(
                "SELECT {bucket}, max(temp) AS max_temp FROM home \
                 WHERE time < '1970-01-01T01:00:00Z' GROUP BY 1 ORDER BY 1 DESC LIMIT 5"
            ),
        ),
        (
            "double-groupby-1",
            format!(
                "SELECT {bucket}, room, avg(temp) AS mean_temp FROM home \
                 WHERE {window} GROUP BY 1, 2 ORDER BY 1, 2"
            ),
        ),
        ("newest row", "SELECT * FROM home ORDER BY time DESC LIMIT 1".to_owned()),
        ("newest time", "SELECT max(time) FROM home".to_owned()),
        ("number of rows", "SELECT count(*) FROM home".to_owned()),
        ("any rows", "SELECT temp FROM home LIMIT 5".to_owned()),
    ]
}

impl Fixture {
    async fn plan(&self, text: &str) -> String {
        let batches = self.rows(&format!("EXPLAIN {text}"), &[]).await.unwrap();
        let plans = batches[0].column_by_name("plan").unwrap();
        let plan = plans.as_string::<i32>().value(1).to_owned();
        SHORT.iter().fold(plan, |plan, (long, short)| plan.replace(long, short))
    }

    /// Ten rows a room in each chunk.
    async fn write_chunks(&self, chunks: Range<i64>) {
        for chunk in chunks {
            let row = |i: i64| (["r0", "r1", "r2"][i as usize % 3], Some(i as f64), i / 3 * 60);
            let in_chunk = |(room, temp, seconds)| (room, temp, chunk * 600 + seconds);
            let rows: Vec<_> = (0..30).map(row).map(in_chunk).collect();
            self.write(10 + chunk as u64, &rows).await;
        }
    }

    /// Files of whole chunks. There are no such objects.
    async fn show_files(&self, chunks: Range<i64>, row_count: u64) {
        let file = |chunk: i64| {
            Arc::new(ParquetFile {
                id: 1 + chunk as u64,
                db: DbId(1),
                table: TableId(1),
                chunk_time_ns: chunk * GEN1_NS,
                wal_file: 1,
                part: 0,
                size_bytes: 100,
                row_count,
                min_time_ns: chunk * GEN1_NS,
                max_time_ns: chunk * GEN1_NS + 540 * SECOND_NS,
                crc32: 0,
                order: Stamps::at(1),
                keys: Default::default(),
                compacted: None,
            })
        };
        let mark = SnapshotMark {
            number: 1,
            end_time_ns: 0,
            wal_through: 1,
            forced: false,
            ..Default::default()
        };
        let snapshot = PlacedMark { mark, sequence: 1, stamp: 1 };
        let end = EndSnapshot { snapshot, files: chunks.map(file).collect() };
        let deadline = Instant::now() + Duration::from_secs(300);
        self.store.ask_from_edge(end, deadline).await.unwrap();
    }
}

#[actix_rt::test]
async fn standard_queries_are_planned_as_ever() {
    let buffered = Fixture::new().await;
    buffered.write_chunks(0..6).await;
    buffered.rows("SELECT temp FROM home", &[]).await.unwrap(); // sorts the rows
    let filed = Fixture::new().await;
    filed.show_files(0..6, 100_000).await;
    let both = Fixture::new().await;
    both.show_files(0..6, 100_000).await;
    both.write_chunks(5..8).await;
    let mut plans = String::new();
    for (name, text) in queries() {
        for (place, server) in [("buffer", &buffered), ("files", &filed), ("both", &both)] {
            writeln!(plans, "# {name}, {place}\n{}", server.plan(&text).await.trim_end()).unwrap();
        }
    }
    assert!(plans == PLANS, "the plans are:\n{plans}");
}
