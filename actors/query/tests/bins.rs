//! The newest bins of time are those of all rows, however the rows lie in time.

use super::*;
use arrow::array::AsArray;

/// Statements whose first column is the bin; each is asked for the first few rows.
const GROUPED: [&str; 9] = [
    "SELECT date_bin(INTERVAL '1 minute', time) AS t, max(temp) FROM home GROUP BY 1 ORDER BY 1 \
     DESC",
    "SELECT date_bin(INTERVAL '7 minutes', time) AS t, room, count(*), sum(temp) FROM home GROUP \
     BY 1, 2 ORDER BY 1 DESC, 2",
    "SELECT date_trunc('hour', time) AS t, avg(temp) FROM home WHERE temp > 3 GROUP BY 1 ORDER BY 1 \
     DESC",
    "SELECT date_bin(INTERVAL '1 minute', time) AS t, count(*) AS n FROM home GROUP BY 1 HAVING \
     count(*) > 1 ORDER BY 1 DESC",
    "SELECT date_bin(INTERVAL '1 minute', time, '1970-01-01T00:00:13Z') AS t, count(*) FROM home \
     WHERE room = 'attic' AND time < '1970-01-03T06:00:00Z' GROUP BY 1 ORDER BY 1 DESC",
    "SELECT t, n FROM (SELECT date_bin(INTERVAL '1 minute', time) AS t, count(*) AS n FROM home \
     GROUP BY 1 ORDER BY n, t LIMIT 3) ORDER BY 1 DESC",
    "SELECT date_bin(INTERVAL '1 month', time) AS t, count(*) FROM home GROUP BY 1 ORDER BY 1 DESC",
    "SELECT date_bin(INTERVAL '5 minutes', time) AS t, first_value(temp ORDER BY time) FROM home \
     GROUP BY 1 ORDER BY 1 DESC",
    "SELECT date_bin_wallclock(INTERVAL '1 hour', time) AS t, median(temp) FROM home GROUP BY 1 \
     ORDER BY 1 DESC",
];

async fn table(server: &Fixture, text: &str) -> Vec<String> {
    let batches = server.rows(text, &[]).await.unwrap_or_else(|e| panic!("{text}: {e}"));
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(1);
    rows.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[actix_rt::test]
async fn the_newest_bins_are_those_of_all_rows() {
    let server = Fixture::new().await;
    // Dense at the end, then with longer and longer gaps, and a few rows long before.
    let mut at = 200_000;
    let mut rows = Vec::new();
    for n in 0..300_i64 {
        let room = ["attic", "cellar", "hall"][(n % 3) as usize];
        rows.push((room, (n % 5 != 0).then_some((n % 11) as f64), at));
        at -= if n < 100 { 10 } else { n * 2 };
    }
    for (number, part) in rows.chunks(60).enumerate() {
        server.write(number as u64 + 1, part).await;
    }
    for text in GROUPED {
        let all = table(&server, text).await;
        assert!(!all.is_empty(), "{text}");
        for limit in [1, 2, 5, 40, 1000] {
            let few = table(&server, &format!("{text} LIMIT {limit}")).await;
            let wanted: Vec<String> = all.iter().take(limit).cloned().collect();
            assert_eq!(few, wanted, "{text} LIMIT {limit}");
        }
        let skipped = table(&server, &format!("{text} LIMIT 2 OFFSET 1")).await;
        assert_eq!(skipped, all.iter().skip(1).take(2).cloned().collect::<Vec<_>>(), "{text}");
    }
}

#[actix_rt::test]
async fn a_few_bins_do_not_read_the_whole_table() {
    let server = Fixture::new().await;
    for chunk in 0..20 {
        let rows: Vec<_> = (0..60).map(|n| ("attic", Some(1.0), chunk * 600 + n * 10)).collect();
        server.write(chunk as u64 + 1, &rows).await;
    }
    let text = format!("EXPLAIN ANALYZE {} LIMIT 5", GROUPED[0]);
    let batches = server.rows(&text, &[]).await.unwrap();
    let plan = batches[0].column_by_name("plan").unwrap().as_string::<i32>().value(0).to_owned();
    assert!(plan.contains("chunks_read=1,"), "{plan}");
    assert!(plan.contains("spans_read=1"), "{plan}");
}
