//! Rows of tables.

use super::Fixture;
use protocols::messages::query::ParamValue;

#[actix_rt::test]
async fn rows_of_tables_are_read() {
    let server = Fixture::new().await;
    server
        .write(1, &[("Kitchen", Some(21.5), 0), ("Bath", None, 0), ("Kitchen", Some(9.0), 60)])
        .await;
    server.write(2, &[("Kitchen", Some(22.5), 60), ("Bath", Some(19.0), 700)]).await;
    for (text, want) in [
        ("SELECT count(*) FROM home", "4"),
        (
            "SELECT room, temp, time FROM home ORDER BY time, room",
            "Bath,,1970-01-01T00:00:00\nKitchen,21.5,1970-01-01T00:00:00\n\
             Kitchen,22.5,1970-01-01T00:01:00\nBath,19.0,1970-01-01T00:11:40",
        ),
        ("SELECT temp FROM home WHERE temp < 10", ""),
        ("SELECT temp FROM home WHERE time > '1970-01-01T00:01:00Z'", "19.0"),
        (
            "SELECT temp FROM home WHERE time BETWEEN '1970-01-01' AND '1970-01-01 00:00:59' AND temp > 0",
            "21.5",
        ),
        ("SELECT temp FROM home WHERE room ~ '^K' ORDER BY time DESC LIMIT 1", "22.5"),
        (
            "SELECT room, selector_first(temp, time)['value'], max(temp) FROM home \
             GROUP BY room ORDER BY room",
            "Bath,19.0,19.0\nKitchen,21.5,22.5",
        ),
        (
            "SELECT date_bin(INTERVAL '10 minutes', time) AS b, avg(temp) FROM home \
             GROUP BY b ORDER BY b",
            "1970-01-01T00:00:00,22.0\n1970-01-01T00:10:00,19.0",
        ),
        ("SELECT approx_distinct(room), count(DISTINCT room) FROM home", "2,2"),
        (
            "SELECT lag(temp) OVER (PARTITION BY room ORDER BY time) FROM home WHERE room = 'Kitchen' ORDER BY time",
            "\n21.5",
        ),
        ("SELECT count(*) FROM home a JOIN home b ON a.time = b.time AND a.room < b.room", "1"),
    ] {
        server.check(text, &[], want).await;
    }
    server
        .check(
            "SELECT temp FROM home WHERE room = $r AND time >= $t",
            &[
                ("r", ParamValue::String("Kitchen".into())),
                ("t", ParamValue::String("1970-01-01T00:00:30Z".into())),
            ],
            "22.5",
        )
        .await;
    let result = server.start("home", "SELECT room, temp + 1 AS x FROM home", &[]).await.unwrap();
    let kind = |i: usize| result.schema.field(i).metadata().get("iox::column::type").cloned();
    assert_eq!((kind(0).as_deref(), kind(1)), (Some("iox::column_type::tag"), None));
}
