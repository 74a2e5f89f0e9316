//! Statements of one shape, which share a plan, answer as if each were planned for itself.

use super::Fixture;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use protocols::messages::query::{Language, ParamValue};

/// The rows of a statement as text, or its error.
async fn answer(server: &Fixture, text: &str) -> String {
    match server.rows(text, &[]).await {
        Ok(batches) => pretty_format_batches(&batches).unwrap().to_string(),
        Err(error) => format!("{:?}: {}", error.kind, error.message),
    }
}

/// A comment leaves a statement without a shape.
async fn check(server: &Fixture, text: &str) {
    let alone = answer(server, &format!("{text}-- alone")).await;
    assert_eq!(answer(server, text).await, alone, "{text}");
}

#[actix_rt::test]
async fn shared_plans_answer_as_plans_of_their_own() {
    let server = Fixture::new().await;
    let rooms = ["attic", "it's", "kitchen", "Kitchen", ""];
    let rows: Vec<_> = (0..200_i64)
        .map(|n| (rooms[n as usize % 4], (n % 7 != 0).then_some(n as f64 / 2.0 - 20.0), n * 30))
        .collect();
    server.write(1, &rows).await;
    let shapes = [
        "SELECT room, temp, time FROM home WHERE room = {text} ORDER BY time ",
        "SELECT count(*), min(temp) FROM home WHERE room IN ({text}, 'attic') AND temp > {number} ",
        "SELECT room, count(temp) FROM home WHERE time >= {time} AND time < {time} GROUP BY room \
         ORDER BY room ",
        "SELECT temp FROM home WHERE temp BETWEEN {number} AND {number} ORDER BY temp LIMIT 5 ",
        "SELECT count(*) FROM home WHERE co > {number} OR temp <> {number} ",
        "SELECT count(*) FROM home WHERE note = {text} OR room >= {text} ",
        "SELECT count(*) FROM home WHERE temp = {text} ",
        "SELECT count(*) FROM home WHERE room = {number} ",
        "SELECT DISTINCT ON (room) room, temp FROM home WHERE time <= {time} ORDER BY room, time \
         DESC ",
        "SELECT date_bin(INTERVAL '10 minutes', time) AS t, avg(temp) FROM home WHERE time > \
         {time} AND NOT (room = {text} AND temp < {number}) GROUP BY 1 ORDER BY 1 ",
        "SELECT nope FROM home WHERE room = {text} ",
        "SELECT count(*) FROM home WHERE time > now() - interval '{hours} hours' AND time <= now() ",
        "SELECT count(*) FROM home WHERE time BETWEEN timestamp {time} AND now() + interval \
         '{hours} days 1 minute' OR room = {text} ",
        "SELECT count(*) FROM home WHERE {time}::timestamp < time AND time = {time}::timestamp ",
        "SELECT count(*) FROM home WHERE temp > now() - interval '{hours} hours' ",
        "SELECT count(*), repeat('x', {hours}0000) FROM home ",
        "SELECT room, temp FROM home ORDER BY time, room LIMIT {hours} ",
        "SELECT {hours}, 'a' || {text} ",
    ];
    let texts = ["'attic'", "'it''s'", "''", "'nowhere'", "'kitchen'"];
    let numbers = ["1", "-3", "2.5", "0", "1e2", "9007199254740993", "-0.0"];
    let times = [
        "'1970-01-01T00:10:00Z'",
        "'1970-01-01T00:00:00'",
        "'1970-01-01 01:00:00'",
        "'garbage'",
        "'1970-01-01T00:30:00+00:15'",
    ];
    for shape in shapes {
        for turn in 0..12 {
            let mut text = shape.to_owned();
            let mut step = turn;
            for (hole, values) in [
                ("{text}", texts.as_slice()),
                ("{number}", &numbers),
                ("{time}", &times),
                ("{hours}", &["1", "2", "8760"]),
            ] {
                while text.contains(hole) {
                    text = text.replacen(hole, values[step % values.len()], 1);
                    step += 3;
                }
            }
            check(&server, &text).await;
        }
    }
    let text = "SELECT count(*) FROM home WHERE room = $room AND temp > $temp OR time < $time ";
    for n in 0..9_i32 {
        let temp = match n % 3 {
            0 => ParamValue::UInteger(u64::from(n.unsigned_abs())),
            1 => ParamValue::Integer(-i64::from(n)),
            _ => ParamValue::Float(f64::from(n) / 2.0),
        };
        let params = [
            ("room", ParamValue::String(["attic", "it's"][n as usize % 2].to_owned())),
            ("temp", temp),
            ("time", ParamValue::String("1970-01-01T00:10:00Z".to_owned())),
        ];
        let alone = server.rows(&format!("{text}-- alone"), &params).await.unwrap();
        assert_eq!(server.rows(text, &params).await.unwrap(), alone, "{params:?}");
    }
    // Rows that came after the plan was made are in the next answer.
    server.write(2, &[("attic", Some(1.0), 7_000_000)]).await;
    check(&server, "SELECT room, temp, time FROM home WHERE room = 'attic' ORDER BY time ").await;
}

/// The rows of a statement in InfluxQL as text, or its error.
async fn answer_in_influxql(server: &Fixture, text: &str, params: &[(&str, ParamValue)]) -> String {
    let result = match server.start_in(Language::InfluxQl, "home", text, params).await {
        Ok(result) => {
            let metadata = format!("{:?}", result.schema.metadata());
            let batches = result.batches.try_collect::<Vec<_>>().await;
            batches.map(|batches| (metadata, batches))
        }
        Err(error) => Err(error),
    };
    match result {
        Ok((metadata, batches)) => {
            format!("{metadata}\n{}", pretty_format_batches(&batches).unwrap())
        }
        Err(error) => format!("{:?}: {}", error.kind, error.message),
    }
}

/// A long comment leaves a statement without a shape.
async fn check_in_influxql(server: &Fixture, text: &str, params: &[(&str, ParamValue)]) {
    let long = format!("{text} -- {}", "alone ".repeat(4_000));
    let alone = answer_in_influxql(server, &long, params).await;
    assert_eq!(answer_in_influxql(server, text, params).await, alone, "{text}");
}

#[actix_rt::test]
async fn shared_plans_of_influxql_answer_as_plans_of_their_own() {
    let server = Fixture::new().await;
    let rooms = ["attic", "it's", "kitchen", "Kitchen"];
    let rows: Vec<_> = (0..200_i64)
        .map(|n| (rooms[n as usize % 4], (n % 7 != 0).then_some(n as f64 / 2.0 - 20.0), n * 30))
        .collect();
    server.write(1, &rows).await;
    let shapes = [
        "SELECT room, temp FROM home WHERE room = {text}",
        "SELECT temp FROM home WHERE room != {text} AND temp > {number} GROUP BY * LIMIT 2",
        "SELECT count(temp), min(temp) FROM home WHERE (room = {text} OR room = 'attic') AND temp \
         <= {number}",
        "SELECT mean(temp) FROM home WHERE time >= {time} AND time < {time} GROUP BY time(10m), room",
        "SELECT mean(temp) FROM home WHERE time >= {time} AND time < {time} GROUP BY time(7m, 1m) \
         fill(previous)",
        "SELECT max(temp), hum FROM home WHERE {time} < time AND room = {text}",
        "SELECT sum(temp) FROM home WHERE time > {time} GROUP BY room",
        "SELECT count(temp) FROM home WHERE time > now() - {hours}h GROUP BY time(1000h)",
        "SELECT temp FROM home WHERE time > {time} OR temp > {number} ORDER BY time DESC LIMIT 3",
        "SELECT distinct(temp) FROM home WHERE time >= {time} AND temp < {number}",
        "SELECT difference(mean(temp)) FROM home WHERE time >= {time} AND time <= {time} GROUP BY \
         time(5m) fill(linear)",
        "SELECT mean(x) FROM (SELECT max(temp) AS x FROM home WHERE temp < {number} GROUP BY room) \
         WHERE time > {time} GROUP BY room",
        "SELECT co FROM home WHERE co > {number}",
        "SELECT temp FROM home WHERE room > {text} OR nope = {text} OR temp = {text}",
        "SELECT temp FROM home WHERE note = {text} OR room =~ /tt/ AND {number} < temp",
        "SELECT top(temp, 2) FROM home WHERE time <= {time} AND temp + 1 > {number}",
        "SELECT nope(temp) FROM home WHERE temp > {number}",
        "SELECT mean(temp) FROM home WHERE time > {time} AND time < {time} + {minutes}m GROUP \
         BY time(1h) tz('Asia/Kolkata')",
    ];
    let texts = ["'attic'", "'it\\'s'", "''", "'nowhere'", "'kitchen'"];
    let numbers = ["1", "-3", "2.5", "0", "9007199254740993", "18446744073709551615", "20"];
    let times = ["'1970-01-01T00:10:00Z'", "0", "'1970-01-01 01:00:00'", "'garbage'", "1800s"];
    for shape in shapes {
        for turn in 0..12 {
            let mut text = shape.to_owned();
            let mut step = turn;
            for (hole, values) in [
                ("{text}", texts.as_slice()),
                ("{number}", &numbers),
                ("{time}", &times),
                ("{hours}", &["1", "2", "876000"]),
                ("{minutes}", &["90", "200", "100000"]),
            ] {
                while text.contains(hole) {
                    text = text.replacen(hole, values[step % values.len()], 1);
                    step += 3;
                }
            }
            check_in_influxql(&server, &text, &[]).await;
        }
    }
    let text = "SELECT count(temp) FROM home WHERE room = $room AND temp > $temp";
    for n in 0..9_i32 {
        let temp = match n % 3 {
            0 => ParamValue::UInteger(u64::from(n.unsigned_abs())),
            1 => ParamValue::Integer(-i64::from(n)),
            _ => ParamValue::Float(f64::from(n) / 2.0),
        };
        let room = ParamValue::String(["attic", "it's"][n as usize % 2].to_owned());
        check_in_influxql(&server, text, &[("room", room), ("temp", temp)]).await;
    }
    // Rows that came after the plan was made are in the next answer.
    server.write(2, &[("attic", Some(1.0), 7_000_000)]).await;
    check_in_influxql(&server, "SELECT room, temp FROM home WHERE room = 'attic'", &[]).await;
}
