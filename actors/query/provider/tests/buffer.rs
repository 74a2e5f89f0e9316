//! Tables whose rows are all in the buffer.

use super::*;
use protocols::messages::store::ViewTable;

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn answers_equal_the_model(
        early in rows(0..120),
        late in prop::collection::vec(rows(0..6), 0..3),
        columns_then in 1..=4_usize,
        stays_unsorted: bool,
        batch_rows in prop::sample::select(vec![1, 4]),
    ) {
        run(async {
            let mut world = World::start().await;
            world.batch_rows = batch_rows;
            world.stays_unsorted = stays_unsorted;
            let mut model = Model::new();
            world.write(&early, columns_then).await;
            add(&mut model, &early, columns_then);
            // Leaves a sorted form of the table as it was then.
            let then = world.sql(columns_then, "SELECT time FROM m ORDER BY time").await;
            assert_eq!(then.iter().map(RecordBatch::num_rows).sum::<usize>(), model.len());
            check(&mut world, &model).await;
            for batch in &late {
                world.write(batch, 4).await;
                add(&mut model, batch, 4);
                check(&mut world, &model).await;
            }
        });
    }
}

#[test]
fn an_empty_table_has_no_rows() {
    run(async {
        let world = World::start().await;
        assert!(read(&world.sql(4, "SELECT * FROM m").await).is_empty());
        assert_eq!(count(&world.sql(4, "SELECT count(*) FROM m").await), 0);
    });
}

#[test]
fn a_count_of_all_rows_reads_none() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..40), 4).await;
        world.write(&series(0, 10..30), 4).await;
        // Whoever comes first has the rows sorted: only then is known how many there are.
        for is_known in [false, true] {
            let plan = world.explain("SELECT count(*) FROM m").await;
            assert_eq!(!plan.contains("AggregateExec"), is_known, "{plan}");
            assert_eq!(count(&world.sql(4, "SELECT count(*) FROM m").await), 40);
        }
    });
}

#[test]
fn several_threads_read_a_large_chunk() {
    run(async {
        let mut world = World::start().await;
        let row = |i: i64| Row { values: [Some((i % 3) as u8), Some(1), None, None], time: i / 3 };
        let rows: Vec<Row> = (0..48).map(row).collect();
        world.write(&rows, 4).await;
        let mut model = Model::new();
        add(&mut model, &rows, 4);
        let ask = "SELECT * FROM m ORDER BY t0 NULLS FIRST, t1 NULLS FIRST, time";
        world.batch_rows = 16;
        for is_sorted in [false, true] {
            let plan = world.explain(ask).await;
            let partitions = if is_sorted { "partitions=2" } else { "partitions=1" };
            assert!(plan.contains("segments=1,") && plan.contains(partitions), "{plan}");
            assert!(!plan.contains("SortExec"), "{plan}");
            let got = read(&world.sql(4, ask).await);
            assert_eq!(got, model.clone().into_iter().collect::<Vec<_>>());
        }
        let plan = world.explain("SELECT t0, t1, time, f, g FROM m WHERE t0 = 'a'").await;
        assert!(plan.contains("partitions=1"), "too few for two: {plan}");
        let got = world.sql(4, "SELECT count(*) FROM (SELECT t0 FROM m WHERE t0 <> 'a')").await;
        assert_eq!(count(&got), 32);
        let newest = "SELECT DISTINCT ON (t1) time FROM m ORDER BY t1, time DESC";
        let newest: Vec<i64> = world.sql(4, newest).await.iter().flat_map(times_of).collect();
        assert_eq!(newest, [15]);
    });
}

#[test]
fn the_sorted_form_is_kept_and_later_rows_are_merged_with_it() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..16), 4).await;
        world.sql(4, "SELECT * FROM m").await;
        let question = ViewTable { table: TABLE, min_time_ns: 0, max_time_ns: 99 };
        let view = world.store.ask_from_edge(question, World::deadline()).await.expect("views");
        assert!(view.chunks.iter().all(|c| c.sorted.is_some() && c.unsorted.is_empty()));

        world.write(&[Row { values: [Some(0), Some(3), None, None], time: 4 }], 4).await;
        let plan = world.analyze("SELECT * FROM m WHERE f = 1.0").await;
        assert_eq!(metric(&plan, "rows_merged"), 2, "{plan}");
        assert_eq!(metric(&plan, "chunks_sorted"), 1, "{plan}");
        let filter = plan.find("FilterExec: f").expect("fields are filtered above the scan");
        assert!(plan.find("ScanExec").is_some_and(|scan| filter < scan), "{plan}");
        assert_eq!(read(&world.sql(4, "SELECT * FROM m WHERE f = 1.0").await).len(), 15);
        // Nothing to merge where the newer rows are not looked at.
        let early = format!("SELECT * FROM m WHERE t0 = 'b' AND time < {}", instant(4));
        let plan = world.analyze(&early).await;
        assert_eq!(metric(&plan, "rows_merged"), 0, "{plan}");
        assert!(!plan.contains("FilterExec"), "{plan}");
        assert_eq!(read(&world.sql(4, &early).await).len(), 4);
    });
}

#[test]
fn rows_past_retention_are_invisible() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..40), 4).await;
        let session = world.session(4, Some(10), 35);
        for (text, expected) in [
            ("SELECT count(*) FROM m", 15),
            ("SELECT count(*) FROM m WHERE t0 = 'b'", 15),
            ("SELECT count(*) FROM m WHERE time < TIMESTAMP '1970-01-01T00:00:00.000000026'", 1),
        ] {
            let frame = session.sql(text).await.expect("plans");
            assert_eq!(count(&frame.collect().await.expect("runs")), expected, "{text}");
        }
    });
}

#[test]
fn an_answer_that_comes_too_late_is_an_error() {
    run(async {
        let world = World::start().await;
        let mut context = world.context(0);
        // A shard that is asked, as one is that is at work.
        context.stores = StoreShards::new(vec![world.store.clone()]);
        context.view_time = Duration::ZERO;
        let config = SessionConfig::new().with_extension(Arc::new(context));
        let session = SessionContext::new_with_config(config);
        let provider = StoredTable::new(table(4), None);
        session.register_table("m", Arc::new(provider)).expect("registers");
        let frame = session.sql("SELECT * FROM m").await.expect("plans");
        frame.collect().await.expect_err("the deadline has passed");
    });
}
