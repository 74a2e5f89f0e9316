//! Tables with Parquet files.

use super::decoded::{start_cache, warm};
use super::*;
use crate::query::errors;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use object_store::ObjectStore;
use protocols::error::ErrorKind;
use protocols::messages::parquet_cache::Insert;
use std::sync::atomic::Ordering;

/// What happens to a table.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Row>),
    /// A snapshot of the chunks before an instant begins, and so many of them become files.
    Begin(i64, usize),
    /// The snapshot that runs ends.
    End,
    /// At most so many of the oldest files become one.
    Merge(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => rows(0..60).prop_map(Step::Write),
        2 => (0..64_i64, 0..4_usize).prop_map(|(end, chunks)| Step::Begin(end, chunks)),
        1 => Just(Step::End),
        2 => (2..6_usize).prop_map(Step::Merge),
    ];
    prop::collection::vec(step, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn answers_equal_the_model(
        early in rows(1..80),
        columns_then in 1..=4_usize,
        asks_then: bool,
        stays_unsorted: bool,
        decodes: bool,
        steps in steps(),
    ) {
        run(async {
            let mut world = World::start().await;
            world.stays_unsorted = stays_unsorted;
            let mut model = Model::new();
            world.write(&early, columns_then).await;
            add(&mut model, &early, columns_then);
            if asks_then {
                world.sql(columns_then, "SELECT time FROM m ORDER BY time").await;
            }
            let mut columns = columns_then;
            let mut running = None;
            for step in steps {
                match step {
                    Step::Write(rows) => {
                        columns = 4;
                        world.write(&rows, columns).await;
                        add(&mut model, &rows, columns);
                    }
                    Step::Begin(end, chunks) if running.is_none() => {
                        let placed = world.freeze(end).await;
                        world.swap(placed, chunks, columns).await;
                        running = Some(placed);
                    }
                    Step::Merge(files) if running.is_none() => {
                        world.merge_oldest(files).await;
                    }
                    Step::End | Step::Begin(..) | Step::Merge(_) => {
                        if let Some(placed) = running.take() {
                            world.swap(placed, usize::MAX, columns).await;
                            world.end(placed, vec![]).await;
                        }
                    }
                }
            }
            if decodes {
                warm(&mut world, &["t0", "f", "g", "t1", "time"]).await;
            }
            check(&mut world, &model).await;
        });
    }
}

/// So many files of one row each series, one file a chunk.
pub(super) async fn many_files(world: &mut World, files: i64) {
    let mut shown = Vec::new();
    for i in 0..files {
        let rows: Vec<Row> = (0..3_u8)
            .map(|s| Row { values: [Some(s), Some(1), None, None], time: i * GEN1_NS + 3 })
            .filter(|row| row.values[0] != Some(2) || i == 10)
            .collect();
        let sorted = sort_dedup(&[batch(&rows, 4)], &table(4)).expect("sorts").rows;
        shown.push(world.put(&sorted, i * GEN1_NS).await);
    }
    world.show(shown).await;
}

#[test]
fn files_whose_keys_exclude_a_tag_are_not_opened() {
    run(async {
        let mut world = World::start().await;
        let mut shown = Vec::new();
        for t0 in 0..3 {
            let sorted = sort_dedup(&[batch(&series(t0, 0..9), 4)], &table(4)).expect("sorts").rows;
            shown.push(world.put(&sorted, 0).await);
        }
        let unknown = Arc::make_mut(&mut shown[2]);
        unknown.keys = Default::default(); // as of a file from before there were bounds
        world.show(shown).await;
        for (condition, rows, opened_max) in [
            ("t0 = 'b'", 9, 2),
            ("t0 IN ('a', 'c')", 18, 2),
            ("t0 = 'b' AND time > '1970-01-01'", 8, 2),
            ("t0 = 'zz'", 0, 1),
            ("t0 = 'b' AND t1 = 'x'", 0, 2),
            ("t0 >= 'a'", 27, 3),
        ] {
            let query = format!("SELECT f FROM m WHERE {condition}");
            let found = world.sql(4, &query).await.iter().map(RecordBatch::num_rows).sum::<usize>();
            let (opened, _) = world.objects.take_reads();
            assert_eq!(found, rows, "{query}");
            assert!(opened <= opened_max, "{query}: {opened} files");
        }
    });
}

#[test]
fn only_files_that_can_matter_are_opened() {
    run(async {
        let mut world = World::start().await;
        many_files(&mut world, 300).await;
        let early = format!("time < {}", instant(5 * GEN1_NS));
        let newest = 299 * GEN1_NS + 3;
        for (query, times, opened_max) in [
            (format!("SELECT time FROM m WHERE {early} AND f > 0"), vec![], 5),
            ("SELECT time FROM m ORDER BY time DESC LIMIT 1".to_owned(), vec![newest], 4),
            ("SELECT time FROM m ORDER BY time LIMIT 1".to_owned(), vec![3], 4),
            (
                "SELECT time FROM m WHERE t0 = 'b' ORDER BY time DESC LIMIT 1".to_owned(),
                vec![newest],
                4,
            ),
            (
                "SELECT time FROM m WHERE f > 0 ORDER BY time DESC LIMIT 2".to_owned(),
                vec![newest, newest],
                8,
            ),
            ("SELECT max(time) AS time FROM m".to_owned(), vec![newest], 0),
            (format!("SELECT f FROM m WHERE time = {}", instant(newest)), vec![], 1),
            ("SELECT f FROM m LIMIT 5".to_owned(), vec![], 3),
            ("SELECT f FROM m WHERE f > 0 LIMIT 5".to_owned(), vec![], 8),
            ("SELECT count(*) FROM m".to_owned(), vec![], 0),
        ] {
            let batches = world.sql(4, &query).await;
            let (opened, _) = world.objects.take_reads();
            assert!(opened <= opened_max, "{query}: {opened} files");
            assert!(batches.iter().any(|b| b.num_rows() > 0), "{query}");
            if !times.is_empty() {
                let got: Vec<i64> = batches.iter().flat_map(times_of).collect();
                assert_eq!(got, times, "{query}");
            }
        }
        // The newest row of a series that is in one old file only.
        let batches =
            world.sql(4, "SELECT time FROM m WHERE t0 = 'c' ORDER BY time DESC LIMIT 1").await;
        assert_eq!(batches.iter().flat_map(times_of).collect::<Vec<_>>(), [10 * GEN1_NS + 3]);
    });
}

#[test]
fn a_store_that_fails_is_not_the_querys_fault() {
    run(async {
        let mut world = World::start().await;
        many_files(&mut world, 3).await;
        world.objects.fail();
        for query in ["SELECT sum(f) FROM m", "SELECT * FROM m ORDER BY time DESC LIMIT 1"] {
            let frame = world.session(4, None, 0).sql(query).await.expect("plans");
            let error = errors::from_engine(&frame.collect().await.expect_err(query));
            assert_eq!(error.kind, ErrorKind::Timeout, "{query}: {}", error.message);
            assert!(error.message.contains("try again later"), "{query}: {}", error.message);
        }
    });
}

#[test]
fn of_several_spans_of_time_each_is_read() {
    run(async {
        let mut world = World::start().await;
        many_files(&mut world, 100).await;
        let between = |a: i64, b: i64| {
            format!("(time >= {} AND time < {})", instant(a * GEN1_NS), instant(b * GEN1_NS))
        };
        let spans = [between(0, 2), between(40, 41), between(43, 44), between(90, 95)].join(" OR ");
        for order in ["", "ORDER BY time", "ORDER BY time DESC"] {
            let query = format!("SELECT time FROM m WHERE {spans} {order}");
            let rows: usize = world.sql(4, &query).await.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(rows, 2 * (2 + 1 + 1 + 5), "{query}");
            let (opened, _) = world.objects.take_reads();
            assert!(opened <= 9, "{query}: {opened} files");
        }
    });
}

#[test]
fn newest_rows_in_the_buffer_keep_files_closed() {
    run(async {
        let mut world = World::start().await;
        many_files(&mut world, 50).await;
        world.write(&series(0, 900..910), 4).await;
        let query = "SELECT time FROM m ORDER BY time DESC LIMIT 2";
        let got: Vec<i64> = world.sql(4, query).await.iter().flat_map(times_of).collect();
        assert_eq!(got, [909, 908]);
        assert!(world.objects.take_reads().0 <= 2);
    });
}

#[test]
fn counts_read_no_more_files_than_overlap() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..64), 4).await;
        world.persist(64, 4).await;
        let plan = world.explain("SELECT count(*) FROM m").await;
        assert!(!plan.contains("ScanExec"), "{plan}");
        world.write(&series(0, 20..22), 4).await;
        world.write(&series(1, 20..22), 4).await;
        assert_eq!(count(&world.sql(4, "SELECT count(*) FROM m").await), 66);
        assert_eq!(world.objects.take_reads().0, 1, "the file that shares its time with the rows");
    });
}

#[test]
fn later_values_win_and_fields_are_filtered_after_the_merge() {
    run(async {
        let mut world = World::start().await;
        let row = |f, g, time| Row { values: [Some(0), f, g, None], time };
        world.write(&[row(Some(1), Some(1), 3), row(Some(1), Some(1), 5)], 4).await;
        world.persist(16, 4).await;
        world.write(&[row(Some(2), None, 3)], 4).await;
        world.persist(16, 4).await;
        world.write(&[row(None, Some(3), 3)], 4).await;
        let key = |time| (Some("b".to_owned()), None, time);
        let merged = (key(3), (Some(2), Some(3)));
        assert_eq!(
            read(
                &world.sql(4, "SELECT * FROM m WHERE time < '1970-01-01T00:00:00.000000004'").await
            ),
            std::slice::from_ref(&merged)
        );
        assert_eq!(
            read(&world.sql(4, "SELECT * FROM m WHERE f = 1.0").await),
            [(key(5), (Some(1), Some(1)))]
        );
        assert_eq!(read(&world.sql(4, "SELECT * FROM m WHERE g = 3").await), [merged]);
    });
}

#[test]
fn of_a_large_file_only_the_pages_that_can_matter_are_read() {
    run(async {
        let mut world = World::start().await;
        // Values that do not compress, or the file would be small enough to be read whole.
        let rows = 600_000;
        let value = |i: i64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64);
        let texts = (0..rows).map(|i| format!("s{:03}", i / 2000));
        let texts: Vec<String> = texts.collect();
        let schema = batch(&[], 4).schema().project(&[0, 2, 4]).expect("three columns");
        let columns: Vec<ArrayRef> = vec![
            Arc::new(texts.iter().map(String::as_str).collect::<DictionaryArray<Int32Type>>()),
            Arc::new(Int64Array::from_iter_values((0..rows).map(value))),
            Arc::new(TimestampNanosecondArray::from_iter_values((0..rows).map(|i| i % 2000))),
        ];
        let rows = RecordBatch::try_new(Arc::new(schema), columns).expect("fits");
        let file = world.put(&rows, 0).await;
        world.show(vec![Arc::clone(&file)]).await;
        let size = file.size_bytes;
        assert!(size > 4 << 20, "{size}");
        for (query, sum) in [
            ("SELECT sum(g & 1) FROM m", 300_000),
            ("SELECT sum(g & 1) FROM m WHERE t0 = 's123'", 1000),
            (
                "SELECT sum(g & 1) FROM m WHERE t0 = 's123' AND time < '1970-01-01T00:00:00.000000050'",
                25,
            ),
            ("SELECT sum(g & 1) FROM m WHERE t0 IN ('s001', 's299')", 2000),
            ("SELECT sum(g & 1) FROM m WHERE g = 0", 0),
        ] {
            let got = world.sql(4, query).await;
            assert_eq!(count(&got), sum, "{query}");
            let (_, bytes) = world.objects.take_reads();
            if query.contains("t0") {
                assert!(bytes < size / 4, "{query}: {bytes} of {size} bytes");
            }
        }
        let plan = world.analyze("SELECT sum(g & 1) FROM m WHERE t0 = 's123'").await;
        assert!(plan.contains("row_groups_pruned_statistics=74 total → 1 matched"), "{plan}");
        assert!(metric(&plan, "page_index_pages_pruned") > 0, "{plan}");
        assert!(metric(&plan, "pushdown_rows_pruned") > 0, "{plan}");
    });
}

#[test]
fn a_file_feeds_ordered_queries_without_a_sort() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..16), 4).await;
        world.write(&series(1, 0..16), 4).await;
        world.persist(16, 4).await;
        let query = "SELECT t0, t1, time FROM m ORDER BY t0 NULLS FIRST, t1 NULLS FIRST, time";
        let plan = world.explain(query).await;
        assert!(!plan.contains("SortExec"), "{plan}");
        assert_eq!(world.sql(4, query).await.iter().map(RecordBatch::num_rows).sum::<usize>(), 32);
    });
}

#[test]
fn a_missing_file_is_an_error_unless_it_is_past_retention() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..16), 4).await;
        world.write(&series(0, 32..40), 4).await;
        world.persist(16, 4).await;
        let paths: Vec<_> = world.objects.list(None).try_collect().await.expect("lists");
        world.objects.inner.delete(&paths[0].location).await.expect("deleted");
        let ask = async || -> Result<Vec<RecordBatch>, DataFusionError> {
            let session = world.session(4, Some(100), 100);
            session
                .sql("SELECT sum(g) FROM m WHERE time > '1970-01-01T00:00:00.000000002'")
                .await?
                .collect()
                .await
        };
        world.clock.store(115, Ordering::Relaxed);
        ask().await.expect_err("one row may still be seen");
        world.clock.store(116, Ordering::Relaxed);
        assert_eq!(count(&ask().await.expect("runs")), 16);
    });
}

#[test]
fn rows_of_files_past_retention_are_invisible() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..40), 4).await;
        world.persist(48, 4).await;
        let session = world.session(4, Some(10), 35);
        for (text, expected) in [
            ("SELECT count(*) FROM m", 15),
            ("SELECT count(f) FROM m WHERE t0 = 'b'", 15),
            ("SELECT count(*) FROM m WHERE time < TIMESTAMP '1970-01-01T00:00:00.000000026'", 1),
        ] {
            let frame = session.sql(text).await.expect("plans");
            assert_eq!(count(&frame.collect().await.expect("runs")), expected, "{text}");
        }
        assert_eq!(world.objects.take_reads().0, 2, "the first file has no visible row");
    });
}

#[test]
fn what_is_older_than_the_window_is_left_out_unless_it_overlaps_newer_rows() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..10), 4).await;
        world.persist(16, 4).await;
        world.write(&series(0, 32..40), 4).await;
        let seen = async |world: &World| count(&world.sql(4, "SELECT count(f) FROM m").await);
        world.groups_since_ns = 9;
        assert_eq!(seen(&world).await, 18);
        world.objects.take_reads();
        world.groups_since_ns = 10;
        assert_eq!(seen(&world).await, 8);
        assert_eq!(world.objects.take_reads().0, 0, "the file is not opened");
        world.groups_since_ns = 40;
        assert_eq!(seen(&world).await, 0);
        // Now rows of the file share their time with newer ones.
        world.write(&series(1, 5..12), 4).await;
        world.groups_since_ns = 11;
        assert_eq!(seen(&world).await, 10 + 7 + 8);
    });
}

#[test]
fn a_query_over_too_many_files_is_refused_before_it_reads() {
    run(async {
        let mut world = World::start().await;
        many_files(&mut world, 5).await;
        world.query_file_limit = Some(4);
        let session = world.session(4, None, 0);
        let ask = async |text: &str| session.sql(text).await?.collect().await;
        let error = ask("SELECT sum(f) FROM m").await.expect_err("five files");
        let error = crate::query::errors::from_engine(&error);
        assert!(
            error.message.starts_with("Query would scan 5 Parquet files, exceeding"),
            "{error}"
        );
        assert_eq!(world.objects.take_reads().0, 0);
        let narrow = format!("SELECT sum(f) FROM m WHERE time < {}", instant(4 * GEN1_NS));
        world.session(4, None, 0).sql(&narrow).await.expect("plans").collect().await.expect("runs");
    });
}

#[test]
fn cached_files_are_not_read_from_the_store() {
    run(async {
        let mut world = World::start().await;
        let mailbox = start_cache(&mut world).await;
        world.write(&series(0, 0..32), 4).await;
        world.persist(32, 4).await;
        let objects: Vec<_> = world.objects.list(None).try_collect().await.expect("lists");
        let object = world.objects.inner.get(&objects[0].location).await.expect("is there");
        let insert = Insert {
            path: Arc::from(objects[0].location.as_ref()),
            bytes: object.bytes().await.expect("reads"),
            in_place_of: Vec::new(),
        };
        mailbox.ask_from_edge(insert, World::deadline()).await.expect("inserted");
        assert_eq!(count(&world.sql(4, "SELECT sum(g) FROM m").await), 64);
        let (_, bytes) = world.objects.take_reads();
        let plan = world.analyze("SELECT sum(g) FROM m").await;
        assert_eq!(world.objects.take_reads(), (1, bytes), "the other one");
        let counted = ["files_opened", "files_cached", "chunks_read"];
        assert_eq!(counted.map(|name| metric(&plan, name)), [2, 1, 0], "{plan}");
        let bytes = ["bytes_fetched", "bytes_scanned"].map(|name| metric(&plan, name));
        assert!(!bytes.contains(&0), "{plan}");
    });
}
