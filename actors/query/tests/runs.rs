//! Groups that are aggregated by runs are those of the rows.

use super::*;
use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use std::collections::BTreeMap;

/// Of the minute and room: rows, rows with a high temperature, the sum of temperatures.
const GROUPS: &str = "SELECT CAST(minute AS BIGINT) / 1000000000, CAST(room AS TEXT), n, high, \
     coalesce(total, 0) FROM (SELECT date_bin(INTERVAL '1 minute', time) AS minute, room, \
     count(*) AS n, count(*) FILTER (WHERE temp > 50) AS high, sum(temp) AS total FROM \
     home GROUP BY 1, 2)";

type Groups = BTreeMap<(i64, String), (i64, i64, f64)>;

fn temp(n: i64) -> Option<f64> {
    (n % 7 != 0).then_some((n * 13 % 101) as f64)
}

fn groups_of(rows: &[(&str, Option<f64>, i64)]) -> Groups {
    let mut groups = Groups::new();
    for (room, temp, at) in rows {
        let group = groups.entry((at / 60 * 60, (*room).to_owned())).or_default();
        group.0 += 1;
        group.1 += i64::from(temp.is_some_and(|temp| temp > 50.0));
        group.2 += temp.unwrap_or_default();
    }
    groups
}

async fn found_groups(server: &Fixture) -> Groups {
    let mut found = Groups::new();
    for batch in server.rows(GROUPS, &[]).await.unwrap() {
        let number =
            |column: usize, row| batch.column(column).as_primitive::<Int64Type>().value(row);
        for row in 0..batch.num_rows() {
            let room = batch.column(1).as_string::<i32>().value(row).to_owned();
            let sum = batch.column(4).as_primitive::<Float64Type>().value(row);
            found.insert((number(0, row), room), (number(2, row), number(3, row), sum));
        }
    }
    found
}

async fn plan(server: &Fixture) -> String {
    let plan = server.rows(&format!("EXPLAIN {GROUPS}"), &[]).await.unwrap();
    plan[0].column_by_name("plan").unwrap().as_string::<i32>().value(1).to_owned()
}

#[actix_rt::test]
async fn groups_of_several_threads_are_those_of_the_rows() {
    let server = Fixture::new().await;
    let rooms = ["attic", "cellar", "hall"];
    let rows: Vec<_> = (0..12_000).map(|n| (rooms[(n * n % 3) as usize], temp(n), n * 3)).collect();
    for (number, part) in rows.chunks(3_000).enumerate() {
        server.write(number as u64 + 1, part).await;
    }
    let plan = plan(&server).await;
    assert!(plan.contains("by runs"), "{plan}");
    assert_eq!(found_groups(&server).await, groups_of(&rows));
}

#[actix_rt::test]
async fn groups_of_one_sorted_run_are_those_of_the_rows() {
    let server = Fixture::new().await;
    let rooms: Vec<String> = (0..40).map(|number| format!("room {number}")).collect();
    let rows: Vec<_> = (0..24_000).map(|n| (&*rooms[n as usize % 40], temp(n), n / 40)).collect();
    server.write(1, &rows).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    // The first query sorts the rows, and those who come after it find them so.
    let sorted = loop {
        assert_eq!(found_groups(&server).await, groups_of(&rows));
        let plan = plan(&server).await;
        if plan.contains("ordering_mode=Sorted") {
            break plan;
        }
        assert!(Instant::now() < deadline, "{plan}");
    };
    assert!(sorted.contains("by runs"), "{sorted}");
    assert_eq!(found_groups(&server).await, groups_of(&rows));
}
