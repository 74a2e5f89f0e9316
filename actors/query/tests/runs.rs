//! Groups that are aggregated by runs are those of the rows.

use super::*;
use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use std::collections::BTreeMap;

#[actix_rt::test]
async fn groups_of_several_threads_are_those_of_the_rows() {
    let server = Fixture::new().await;
    let rooms = ["attic", "cellar", "hall"];
    let row = |n: i64| {
        let temp = (n % 7 != 0).then_some((n * 13 % 101) as f64);
        (rooms[(n * n % 3) as usize], temp, n * 3)
    };
    let rows: Vec<_> = (0..12_000).map(row).collect();
    for (number, part) in rows.chunks(3_000).enumerate() {
        server.write(number as u64 + 1, part).await;
    }
    // Of the minute and room: rows, rows with a high temperature, the sum of temperatures.
    let mut wanted: BTreeMap<(i64, &str), (i64, i64, f64)> = BTreeMap::new();
    for (room, temp, at) in &rows {
        let group = wanted.entry((at / 60 * 60, room)).or_default();
        group.0 += 1;
        group.1 += i64::from(temp.is_some_and(|temp| temp > 50.0));
        group.2 += temp.unwrap_or_default();
    }
    let text = "SELECT CAST(minute AS BIGINT) / 1000000000, CAST(room AS TEXT), n, high, \
                coalesce(total, 0) FROM (SELECT date_bin(INTERVAL '1 minute', time) AS minute, room, \
                count(*) AS n, count(*) FILTER (WHERE temp > 50) AS high, sum(temp) AS total FROM \
                home GROUP BY 1, 2)";
    let plan = server.rows(&format!("EXPLAIN {text}"), &[]).await.unwrap();
    let plan = plan[0].column_by_name("plan").unwrap().as_string::<i32>().value(1).to_owned();
    assert!(plan.contains("by runs"), "{plan}");

    let mut found = BTreeMap::new();
    for batch in server.rows(text, &[]).await.unwrap() {
        let number =
            |column: usize, row| batch.column(column).as_primitive::<Int64Type>().value(row);
        for row in 0..batch.num_rows() {
            let room = batch.column(1).as_string::<i32>().value(row);
            let room = *rooms.iter().find(|known| **known == room).unwrap();
            let sum = batch.column(4).as_primitive::<Float64Type>().value(row);
            found.insert((number(0, row), room), (number(2, row), number(3, row), sum));
        }
    }
    assert_eq!(found, wanted);
}
