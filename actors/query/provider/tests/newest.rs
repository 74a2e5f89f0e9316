//! Queries for the newest row of each group.

use super::*;
use protocols::row_deletes::{RowDelete, RowDeleteState, RowDeletes};
use std::collections::BTreeSet;

/// Compares with the newest rows among those that are expected of a scan with condition `text`.
pub(super) async fn check(world: &World, text: &str, expected: &[(Key, Fields)]) {
    let series = "SELECT DISTINCT ON (t0, t1) * FROM m";
    let query = format!("{series} WHERE {text} ORDER BY t0, t1, time DESC");
    let mut got = read(&world.sql(4, &query).await);
    got.sort();
    let mut newest: BTreeMap<_, (Key, Fields)> = BTreeMap::new();
    for (key, fields) in expected {
        newest.insert((key.0.clone(), key.1.clone()), (key.clone(), *fields));
    }
    assert_eq!(got, newest.into_values().collect::<Vec<_>>(), "{query}");

    let mut times: BTreeMap<Option<String>, i64> = BTreeMap::new();
    for (key, _) in expected {
        let newest = times.entry(key.0.clone()).or_insert(i64::MIN);
        *newest = key.2.max(*newest);
    }
    let query = format!("SELECT t0, max(time) AS time FROM m WHERE {text} GROUP BY t0");
    let got: BTreeSet<i64> = world.sql(4, &query).await.iter().flat_map(times_of).collect();
    assert_eq!(got, times.values().copied().collect(), "{query}");

    // The first of all rows in the order of SQL, of which no other is newer.
    let query = format!("SELECT last_value(time ORDER BY time) AS time FROM m WHERE {text}");
    let got = world.sql(4, &query).await;
    let got = got[0]["time"].as_primitive::<TimestampNanosecondType>();
    let got = got.is_valid(0).then(|| got.value(0));
    assert_eq!(got, times.into_values().max(), "{query}");
    series::check(world, text, expected).await;
}

#[test]
fn files_without_a_group_of_their_own_are_read_once_at_most() {
    run(async {
        let mut world = World::start().await;
        files::many_files(&mut world, 60).await;
        let session = world.session(4, None, 0);
        let query = "SELECT DISTINCT ON (t0) t0, f, time FROM m ORDER BY t0, time DESC";
        for opened_max in [61, 2] {
            let rows = session.sql(query).await.expect("plans").collect().await.expect("runs");
            let times: Vec<i64> = rows.iter().flat_map(times_of).collect();
            let newest = 59 * GEN1_NS + 3;
            assert_eq!(times, [newest, newest, 10 * GEN1_NS + 3]);
            let (opened, _) = world.objects.take_reads();
            assert!(opened <= opened_max, "{opened} files");
        }
    });
}

#[test]
fn only_aggregates_of_newest_rows_are_read_so() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..5), 4).await;
        for (query, is_newest) in [
            ("SELECT DISTINCT ON (t0) f FROM m ORDER BY t0, time DESC", true),
            ("SELECT t1, t0, last_value(f ORDER BY time) FROM m GROUP BY t0, t1", true),
            ("SELECT last_value(f ORDER BY time), first_value(g ORDER BY time DESC) FROM m", true),
            ("SELECT t0, max(time) FROM m WHERE t1 = 'a' GROUP BY t0", true),
            ("SELECT max(time) FROM m", false),
            ("SELECT t0 FROM m GROUP BY t0", true),
            ("SELECT DISTINCT ON (t0) f FROM m ORDER BY t0, time", false),
            ("SELECT DISTINCT ON (t0) f FROM m ORDER BY t0, f, time DESC", false),
            ("SELECT last_value(f ORDER BY time) FROM m GROUP BY g", false),
            ("SELECT last_value(f ORDER BY time) FILTER (WHERE f > 1) FROM m", false),
            ("SELECT last_value(f IGNORE NULLS ORDER BY time) FROM m", false),
            ("SELECT last_value(f ORDER BY time), count(*) FROM m", false),
            ("SELECT DISTINCT ON (t0) f FROM m WHERE f > 1 ORDER BY t0, time DESC", false),
            ("SELECT max(time), max(f) FROM m GROUP BY t0", false),
        ] {
            let plan = world.explain(query).await;
            // Of groups alone no row is read.
            let reads_newest = plan.contains("NewestExec") || plan.contains("GroupNamesExec");
            assert_eq!(reads_newest, is_newest, "{query}\n{plan}");
        }
    });
}

/// Rows of a tag and a span of time that are deleted, whenever they were written.
fn delete(t0: Option<u8>, min: i64, max: i64, state: RowDeleteState) -> RowDelete {
    RowDelete {
        sequence: 1,
        request: Uuid::nil(),
        db: DbId(1),
        table: TABLE,
        db_name: "d".into(),
        table_name: "m".into(),
        min_time_ns: Some(min),
        max_time_ns: Some(max),
        tags: t0.map(|t0| ("t0".into(), text(t0).into())).into_iter().collect(),
        created_at_ns: 0,
        bound: Some(i64::MAX),
        state,
    }
}

async fn check_all(world: &World, model: &Model) {
    for (text, holds) in conditions().into_iter().take(5) {
        let expected: Vec<(Key, Fields)> =
            model.iter().filter(|(k, v)| holds(k, v)).map(|(k, v)| (k.clone(), *v)).collect();
        // What the first one found out about files, the second one uses.
        check(world, &text, &expected).await;
        check(world, &text, &expected).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn late_rows_and_deleted_ones_are_no_surprise(
        writes in prop::collection::vec((rows(1..40), any::<bool>(), 0..4_usize), 1..5),
        t0 in prop::option::of(0..3_u8),
        (min, length) in (0..40_i64, 1..40_i64),
    ) {
        run(async {
            let mut world = World::start().await;
            let mut model = Model::new();
            for (rows, is_persisted, merged) in writes {
                world.write(&rows, 4).await;
                add(&mut model, &rows, 4);
                if is_persisted {
                    world.persist(64, 4).await;
                    world.merge_oldest(merged).await;
                }
                check_all(&world, &model).await;
            }
            let publish = |state| {
                let delete = delete(t0, min, min + length, state);
                let row_deletes = Arc::new(RowDeletes::new(1, [Arc::new(delete)]));
                world.publisher.publish(Arc::new(CatalogSnapshot { row_deletes, ..catalog() }));
            };
            publish(RowDeleteState::Pending);
            let is_left = |key: &Key| {
                !(min..min + length).contains(&key.2)
                    || t0.is_some_and(|t0| key.0.as_deref() != Some(text(t0).as_str()))
            };
            let left = model.iter().filter(|(key, _)| is_left(key));
            let left: Model = left.map(|(key, fields)| (key.clone(), *fields)).collect();
            check_all(&world, &left).await;
            publish(RowDeleteState::Aborted { at_ns: 0, reason: None });
            check_all(&world, &model).await;
        });
    }
}

#[test]
fn the_newest_rows_of_a_file_are_remembered() {
    run(async {
        let mut world = World::start().await;
        let ends = [2_000, 2_000, 500];
        let rows: Vec<Row> = (0..3).flat_map(|t0| series(t0, 0..ends[usize::from(t0)])).collect();
        let sorted = sort_dedup(&[batch(&rows, 4)], &table(4)).expect("sorts").rows;
        let file = world.put(&sorted, 0).await;
        world.show(vec![file]).await;
        let query = |condition: &str| {
            format!("SELECT DISTINCT ON (t0) t0, f, time FROM m {condition} ORDER BY t0, time DESC")
        };
        let all = query("");
        let since = query(&format!("WHERE time > {}", instant(1_000)));
        let until = query(&format!("WHERE time < {}", instant(1_000)));
        for (query, times, is_read) in [
            (&until, [999, 999, 499].as_slice(), true),
            (&until, &[999, 999, 499], true), // of a part of a file nothing is remembered
            (&since, &[1_999, 1_999], true),
            (&all, &[1_999, 1_999, 499], true),
            (&all, &[1_999, 1_999, 499], false),
            (&since, &[1_999, 1_999], false),
            (&until, &[999, 999, 499], true),
        ] {
            let found = world.sql(4, query).await;
            let found: Vec<i64> = found.iter().flat_map(times_of).collect();
            assert_eq!(found, times, "{query}");
            assert_eq!(world.objects.take_reads().0 > 0, is_read, "{query}");
        }
    });
}
