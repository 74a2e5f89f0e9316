//! What gap-filling queries answer.

mod wallclock;

use super::super::super::catalog_view::{CATALOG, DEFAULT_SCHEMA};
use super::super::super::errors;
use super::super::super::session::Sessions;
use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use arrow::util::display::array_value_to_string;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider,
};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use futures::{StreamExt, TryStreamExt};
use protocols::error::ErrorKind;
use std::sync::Arc;

const HOUR_NS: i64 = 3_600_000_000_000;
const MINUTE_NS: i64 = HOUR_NS / 60;
/// 2065-01-07T00:00:00Z.
const DAY: i64 = 2_998_512_000_000_000_000;
const NOW_NS: i64 = DAY + 22 * HOUR_NS;
const BATCH_ROWS: usize = 10;

/// A table of the name `home`.
fn home() -> RecordBatch {
    let rows = [
        ("Kitchen", 17, Some(21.0), Some(35.9), Some(0)),
        ("Kitchen", 18, Some(23.0), Some(36.2), Some(0)),
        ("Kitchen", 19, Some(22.7), Some(36.1), None),
        ("Kitchen", 21, Some(22.4), None, Some(1)),
        ("Kitchen", 22, None, Some(36.5), Some(7)),
        ("Living Room", 17, Some(21.1), Some(35.9), Some(0)),
        ("Living Room", 18, Some(21.4), Some(35.9), Some(0)),
        ("Living Room", 20, Some(22.2), Some(35.9), Some(1)),
        ("Living Room", 22, Some(22.6), Some(36.1), Some(4)),
    ];
    let rooms: DictionaryArray<Int32Type> = rows.iter().map(|r| r.0).collect();
    let times = rows.iter().map(|r| DAY + r.1 * HOUR_NS);
    let unsigned = rows.iter().map(|r| r.4.map(|co: i64| co.unsigned_abs()));
    let columns: [(_, ArrayRef); 6] = [
        ("room", Arc::new(rooms)),
        ("temp", Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>())),
        ("hum", Arc::new(rows.iter().map(|r| r.3).collect::<Float64Array>())),
        ("co", Arc::new(rows.iter().map(|r| r.4).collect::<Int64Array>())),
        ("big", Arc::new(unsigned.collect::<UInt64Array>())),
        ("time", Arc::new(TimestampNanosecondArray::from_iter_values(times))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// One row at each time.
fn times(instants: &[i64]) -> RecordBatch {
    let times = TimestampNanosecondArray::from_iter_values(instants.iter().copied());
    let ones = Int64Array::from_value(1, instants.len());
    let columns: [(_, ArrayRef); 2] = [("time", Arc::new(times)), ("v", Arc::new(ones))];
    RecordBatch::try_from_iter(columns).unwrap()
}

async fn start(table: RecordBatch, sql: &str) -> Result<SendableRecordBatchStream> {
    let schema = MemorySchemaProvider::new();
    let table = MemTable::try_new(table.schema(), vec![vec![table]])?;
    schema.register_table("home".to_owned(), Arc::new(table))?;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(DEFAULT_SCHEMA, Arc::new(schema))?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    let settings = [("datafusion.execution.batch_size".to_owned(), BATCH_ROWS.to_string())];
    let sessions = Arc::new(Sessions::new(2, 1 << 24, None, &settings).unwrap());
    let state = sessions.open_on(Arc::new(catalogs), NOW_NS);
    let plan = state.create_logical_plan(sql).await?;
    let plan = state.create_physical_plan(&plan).await?;
    execute_stream(plan, state.task_ctx())
}

/// The rows of an answer, columns separated by bars.
async fn rows_of(table: RecordBatch, sql: &str) -> Result<Vec<String>> {
    let batches: Vec<RecordBatch> = start(table, sql).await?.try_collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        assert!(batch.num_rows() <= BATCH_ROWS);
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|c| array_value_to_string(c, row).unwrap());
            rows.push(cells.collect::<Vec<_>>().join("|").replace("2065-01-07T", ""));
        }
    }
    Ok(rows)
}

async fn check(sql: &str, expected: &[&str]) {
    match rows_of(home(), sql).await {
        Ok(rows) => assert_eq!(rows, expected, "{sql}"),
        Err(error) => panic!("{sql}: {error}"),
    }
}

async fn check_error(sql: &str, kind: ErrorKind, text: &str) {
    let error = rows_of(home(), sql).await.expect_err(sql);
    let error = errors::from_engine(&error);
    assert!(error.message.contains(text), "{sql}: {}", error.message);
    assert_eq!(error.kind, kind, "{sql}: {}", error.message);
}

const RANGE: &str = "time >= '2065-01-07T17:00:00Z' AND time <= '2065-01-07T22:00:00Z'";

#[tokio::test]
async fn series_get_the_bins_they_miss() {
    let sql = format!(
        "SELECT date_bin_gapfill(INTERVAL '1 hour', time) AS t, room, locf(avg(temp)) AS temp, \
         interpolate(avg(hum)) AS hum, count(co) AS n, sum(co) AS s FROM home WHERE {RANGE} \
         GROUP BY 1, room ORDER BY room, t"
    );
    let expected = [
        "17:00:00|Kitchen|21.0|35.9|1|0",
        "18:00:00|Kitchen|23.0|36.2|1|0",
        "19:00:00|Kitchen|22.7|36.1|0|",
        "20:00:00|Kitchen|22.7|36.233333333333334|0|",
        "21:00:00|Kitchen|22.4|36.36666666666667|1|1",
        "22:00:00|Kitchen|22.4|36.5|1|7",
        "17:00:00|Living Room|21.1|35.9|1|0",
        "18:00:00|Living Room|21.4|35.9|1|0",
        "19:00:00|Living Room|21.4|35.9|0|",
        "20:00:00|Living Room|22.2|35.9|1|1",
        "21:00:00|Living Room|22.2|36.0|0|",
        "22:00:00|Living Room|22.6|36.1|1|4",
    ];
    check(&sql, &expected).await;
    // Series come one after the other without being asked to.
    check(sql.trim_end_matches("ORDER BY room, t"), &expected).await;
    let ordered = sql.replace("ORDER BY room, t", "ORDER BY t DESC, room LIMIT 1");
    check(&ordered, &["22:00:00|Kitchen|22.4|36.5|1|7"]).await;
}

/// Series of batches of ten rows, some of which have all bins: longer than a batch, and several in one.
#[tokio::test]
async fn what_has_no_gap_stays_as_it_is() {
    series_without_gaps(12, &[("a", 12), ("b", 3), ("c", 12), ("d", 12), ("e", 0), ("f", 11)])
        .await;
    let short = [("a", 6), ("b", 1), ("c", 6), ("d", 6), ("e", 0), ("f", 6), ("g", 2), ("h", 6)];
    series_without_gaps(3, &short).await;
    series_without_gaps(3, &["a", "b", "c", "d", "e", "f", "g", "h"].map(|room| (room, 6))).await;
}

/// So many bins a series, and which of them each of the rooms misses.
async fn series_without_gaps(hours: i64, rooms: &[(&str, i64)]) {
    let mut rows = Vec::new();
    for (room, missing) in rooms {
        rows.extend((0..hours).filter(|hour| hour != missing).map(|hour| (*room, hour)));
    }
    // Texts of a dictionary may be there twice.
    let names = StringArray::from_iter_values(rows.iter().chain(&rows).map(|(room, _)| *room));
    let places = (0..rows.len()).map(|row| (row + row % 2 * rows.len()) as i32);
    let names = DictionaryArray::new(Int32Array::from_iter_values(places), Arc::new(names));
    let times = rows.iter().map(|(_, hour)| DAY + hour * HOUR_NS);
    let values = rows.iter().map(|(_, hour)| (*hour != 5).then_some(*hour));
    let columns: [(_, ArrayRef); 3] = [
        ("room", Arc::new(names)),
        ("v", Arc::new(values.collect::<Int64Array>())),
        ("time", Arc::new(TimestampNanosecondArray::from_iter_values(times))),
    ];
    let table = RecordBatch::try_from_iter(columns).unwrap();
    let range = format!("time >= '2065-01-07T00:00:00Z' AND time < '2065-01-07T{hours:02}:00:00Z'");
    for (value, of_null) in [("sum(v)", ""), ("locf(sum(v))", "4")] {
        let sql = format!(
            "SELECT room, date_bin_gapfill(INTERVAL '1 hour', time) AS t, {value} AS v FROM home \
             WHERE {range} GROUP BY room, t ORDER BY room, t"
        );
        let mut expected = Vec::new();
        for (room, _) in rooms {
            for hour in 0..hours {
                let is_there = rows.contains(&(*room, hour));
                let text = match (is_there, hour) {
                    (true, 5) => of_null.to_owned(),
                    (true, hour) => hour.to_string(),
                    (false, hour) if of_null.is_empty() || hour == 0 => String::new(),
                    (false, hour) => (hour - 1).to_string(),
                };
                expected.push(format!("{room}|{hour:02}:00:00|{text}"));
            }
        }
        assert_eq!(rows_of(table.clone(), &sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn the_range_is_that_of_the_filters() {
    for (filter, bin, first, last, bins) in [
        ("time > '2065-01-07T17:00:00Z' AND time <= '2065-01-07T22:00:00Z'", 30, 17, 22, 11),
        ("time >= '2065-01-07T15:30:00Z' AND time < '2065-01-07T22:00:00Z'", 60, 15, 21, 7),
        ("time BETWEEN '2065-01-07T16:00:00Z' AND '2065-01-07T19:00:00Z'", 60, 16, 19, 4),
        ("time > now() - INTERVAL '3 hours' AND now() >= time", 60, 19, 22, 4),
        ("time > '2065-01-07T20:00:00Z' AND time >= '1999-01-01' AND time < now()", 60, 20, 21, 2),
        ("tz(time, 'Europe/Paris') >= '2065-01-07T18:00:00+01:00' AND time < now()", 60, 17, 21, 5),
    ] {
        let sql = format!(
            "SELECT min(t), max(t), count(*) FROM (SELECT date_bin_gapfill(INTERVAL '{bin} \
             minutes', time) AS t FROM home WHERE {filter} AND room = 'Kitchen' GROUP BY t)"
        );
        check(&sql, &[&format!("{first}:00:00|{last}:00:00|{bins}")]).await;
    }
    for sql in [
        "SELECT count(*) FROM (SELECT date_bin_gapfill(INTERVAL '1 hour', time) FROM \
         (SELECT time, temp * 2 AS twice FROM home WHERE RANGE) AS h GROUP BY 1)",
        "WITH h AS (SELECT room, time AS at FROM home WHERE RANGE) SELECT count(*) FROM \
         (SELECT date_bin_gapfill(INTERVAL '1 hour', at) FROM h WHERE room <> 'x' GROUP BY 1)",
        "SELECT count(*) FROM (SELECT date_bin_gapfill('1 hour', tz(time, 'Asia/Tokyo')) \
         FROM home h WHERE RANGE GROUP BY 1)",
        "SELECT count(*) FROM (SELECT date_bin_gapfill(INTERVAL '-1 hour', h.time) FROM home h \
         JOIN home i ON h.time = i.time WHERE RANGE GROUP BY 1)",
    ] {
        let range =
            if sql.contains("JOIN") { RANGE.replace("time", "h.time") } else { RANGE.into() };
        check(&sql.replace("RANGE", &range), &["6"]).await;
    }
}

#[tokio::test]
async fn nothing_in_the_range_is_no_rows() {
    let sql = "SELECT date_bin_gapfill(INTERVAL '1 hour', time) FROM home \
        WHERE time >= '2000-01-01' AND time < '2000-01-02' GROUP BY 1";
    check(sql, &[]).await;
    let backwards = sql.replace("2000-01-02", "1999-01-02");
    check(&backwards, &[]).await;
}

/// A query by the hour of the kitchen.
fn kitchen(select: &str, more: &str) -> String {
    format!(
        "SELECT {select} FROM home WHERE {RANGE} AND room = 'Kitchen' \
         GROUP BY date_bin_gapfill(INTERVAL '1 hour', time) {more}"
    )
}

#[tokio::test]
async fn values_are_filled_before_they_are_computed_with() {
    check(&kitchen("coalesce(avg(temp), 0)", ""), &["21.0", "23.0", "22.7", "0.0", "22.4", "0.0"])
        .await;
    check(&kitchen("locf(sum(co)) + 1, sum(co)", ""), &["1|0", "1|0", "1|0", "1|0", "2|1", "8|7"])
        .await;
    check(&kitchen("interpolate(sum(co))", ""), &["0", "0", "0", "0", "1", "7"]).await;
}

#[tokio::test]
async fn integers_on_a_line_are_cut_off_toward_zero() {
    let sql = |value: &str| {
        format!(
            "SELECT interpolate(max({value})) FROM home WHERE {RANGE} AND \
             (time <= '2065-01-07T17:00:00Z' OR time >= '2065-01-07T22:00:00Z') AND \
             room = 'Kitchen' GROUP BY date_bin_gapfill(INTERVAL '1 hour', time)"
        )
    };
    check(&sql("co"), &["0", "1", "2", "4", "5", "7"]).await;
    check(&sql("big"), &["0", "1", "2", "4", "5", "7"]).await;
    check(&sql("7 - co"), &["7", "5", "4", "2", "1", "0"]).await;
    check(&sql("-co"), &["0", "-1", "-2", "-4", "-5", "-7"]).await;
}

#[tokio::test]
async fn values_before_the_first_and_after_the_last() {
    let sql = "SELECT locf(max(temp)), interpolate(max(hum)), locf(count(*)), locf(max(room)) \
        FROM home WHERE time >= '2065-01-07T15:00:00Z' AND time < '2065-01-08' AND \
        room = 'Living Room' GROUP BY date_bin_gapfill(INTERVAL '3 hours', time)";
    check(sql, &["21.1|35.9|1|Living Room", "22.2|35.9|2|Living Room", "22.6|36.1|1|Living Room"])
        .await;
    let earlier = sql.replace("T15", "T09").replace("'2065-01-08'", "'2065-01-08T02:00:00'");
    let rows = rows_of(home(), &earlier).await.unwrap();
    assert_eq!(rows[..2], ["|||", "|||"]);
    assert_eq!(rows[5], "22.6||1|Living Room");
}

#[tokio::test]
async fn chosen_rows_are_filled() {
    let sql = "SELECT locf(selector_last(temp, time))['value'], \
        locf(selector_last(temp, time))['time'], interpolate(selector_max(hum, time))['value'], \
        interpolate(selector_max(hum, time))['time'], selector_first(co, time)['value'] \
        FROM home WHERE RANGE AND room = 'Kitchen' \
        GROUP BY date_bin_gapfill(INTERVAL '1 hour', time)";
    let expected = [
        "21.0|17:00:00|35.9|17:00:00|0",
        "23.0|18:00:00|36.2|18:00:00|0",
        "22.7|19:00:00|36.1|19:00:00|",
        "22.7|19:00:00|36.233333333333334||",
        "22.4|21:00:00|36.36666666666667||1",
        "22.4|21:00:00|36.5|22:00:00|7",
    ];
    check(&sql.replace("RANGE", RANGE), &expected).await;
}

#[tokio::test]
async fn other_clauses_see_the_filled_rows() {
    check(&kitchen("count(*)", "HAVING avg(temp) IS NULL"), &["0", "1"]).await;
    check(&kitchen("locf(avg(temp))", "HAVING avg(temp) < 22"), &["21.0"]).await;
    let sql = "SELECT t + INTERVAL '1 minute', v FROM (SELECT \
        date_bin_gapfill(INTERVAL '1 hour', time) AS t, locf(max(temp)) AS v, \
        lag(locf(max(temp))) OVER (ORDER BY max(hum)) FROM home WHERE RANGE GROUP BY 1) \
        WHERE t > '2065-01-07T20:00:00Z' ORDER BY 1 DESC";
    check(&sql.replace("RANGE", RANGE), &["22:01:00|22.6", "21:01:00|22.4"]).await;
    // A bin may be named again, and the order may be that of a bin.
    let sql = "SELECT date_bin_gapfill(INTERVAL '3 hours', time), count(*) FROM home WHERE RANGE \
        GROUP BY date_bin_gapfill(INTERVAL '3 hours', time) \
        ORDER BY date_bin_gapfill(INTERVAL '3 hours', time)";
    check(&sql.replace("RANGE", RANGE), &["15:00:00|2", "18:00:00|4", "21:00:00|3"]).await;
    let twice = format!(
        "SELECT a.n + b.n FROM ({}) a JOIN ({}) b USING (n) LIMIT 1",
        kitchen("count(*) AS n", "LIMIT 1"),
        kitchen("count(*) AS n", "LIMIT 1")
    );
    check(&twice, &["2"]).await;
}

#[tokio::test]
async fn origins_move_the_bins() {
    let sql = "SELECT date_bin_gapfill(INTERVAL '2 hours', time, TIMESTAMP '2065-01-07T00:30:00Z') \
        AS t, count(*) FROM home WHERE RANGE GROUP BY t";
    check(&sql.replace("RANGE", RANGE), &["16:30:00|4", "18:30:00|2", "20:30:00|3"]).await;
}

#[tokio::test]
async fn faults_are_named() {
    use ErrorKind::InvalidInput;
    let missing = "handle_gap_fill\ncaused by\nhandle_aggregate\ncaused by\n\
        build_gapfill_node\ncaused by\nvalidate time range\ncaused by\n\
        Error during planning: gap-filling query is missing both upper and lower time bounds";
    let select = "SELECT date_bin_gapfill(INTERVAL '1 hour', time) AS t, avg(temp) FROM home";
    let with = |clauses: &str| format!("{select} {clauses}");
    for (sql, kind, text) in [
        (with("GROUP BY t"), InvalidInput, missing),
        (with("WHERE time = '2065-01-07' GROUP BY t"), InvalidInput, missing),
        (with("WHERE time > '2065-01-07' OR time < now() GROUP BY t"), InvalidInput, missing),
        (
            with("WHERE time > '2065' || '-01-07' GROUP BY t"),
            InvalidInput,
            "missing upper time bound",
        ),
        (with("WHERE time < now() GROUP BY t"), InvalidInput, "missing lower time bound"),
        (
            format!("SELECT date_bin_gapfill(INTERVAL '1 hour', time) FROM home WHERE {RANGE}"),
            InvalidInput,
            "date_bin_gapfill may only be used as a GROUP BY expression",
        ),
        (
            format!(
                "SELECT avg(temp) FROM home WHERE {RANGE} GROUP BY \
                date_bin_gapfill(INTERVAL '1 hour', time) + INTERVAL '1 minute'"
            ),
            InvalidInput,
            "DATE_BIN_GAPFILL must be a top-level expression in the GROUP BY clause when gap \
             filling. It cannot be part of another expression or cast",
        ),
        (
            format!(
                "SELECT 1 FROM home WHERE {RANGE} GROUP BY date_bin_gapfill(INTERVAL '1 hour', \
                time), date_bin_gapfill(INTERVAL '2 hours', time)"
            ),
            InvalidInput,
            "DATE_BIN_GAPFILL specified more than once",
        ),
        (
            format!(
                "SELECT 1 FROM home WHERE {RANGE} GROUP BY date_bin_gapfill(INTERVAL '1 hour', \
                time + INTERVAL '1 hour')"
            ),
            InvalidInput,
            "DATE_BIN_GAPFILL requires a column as the source argument",
        ),
        (
            "SELECT locf(avg(temp)) FROM home".to_owned(),
            InvalidInput,
            "locf may only be used in the SELECT list of a gap-filling query",
        ),
        (
            kitchen("count(*)", "HAVING interpolate(avg(temp)) > 1"),
            InvalidInput,
            "interpolate may only be used in the SELECT list of a gap-filling query",
        ),
        (
            kitchen("locf(avg(temp) + 1)", ""),
            InvalidInput,
            "locf must be called on an aggregate column in a gap-filling query",
        ),
        (kitchen("interpolate(max(room))", ""), InvalidInput, "interpolate"),
        (
            with(&format!("WHERE {RANGE} GROUP BY t")).replace("1 hour", "1 month"),
            InvalidInput,
            "gap filling does not support month intervals",
        ),
        (
            with(&format!("WHERE {RANGE} GROUP BY t")).replace("1 hour", "0 hours"),
            InvalidInput,
            "DATE_BIN stride must be non-zero",
        ),
        (
            with("WHERE time > 'garbage' AND time < now() GROUP BY t"),
            InvalidInput,
            "Error parsing timestamp from 'garbage'",
        ),
    ] {
        check_error(&sql, kind, text).await;
    }
}

#[tokio::test]
async fn more_rows_than_fit_into_memory_stream() {
    let sql = "SELECT date_bin_gapfill(INTERVAL '1 nanosecond', time), room, locf(max(temp)) \
        FROM home WHERE time >= '2065-01-01' AND time < '2066-01-01' GROUP BY 1, room";
    let mut rows = start(home(), sql).await.unwrap();
    for _ in 0..100 {
        assert_eq!(rows.next().await.unwrap().unwrap().num_rows(), BATCH_ROWS);
    }
    // What never ends for all practical purposes lets others run.
    let mut count = start(home(), &format!("SELECT count(*) FROM ({sql})")).await.unwrap();
    for _ in 0..100 {
        tokio::select! {
            biased;
            _ = count.next() => panic!("nobody counts that far"),
            () = tokio::task::yield_now() => {}
        }
    }
}
