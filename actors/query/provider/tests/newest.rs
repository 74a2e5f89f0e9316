//! Queries for the newest row of each group.

use super::*;
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
