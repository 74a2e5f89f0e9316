//! Tests of plugins, which write nothing.

use super::Plugins;
use serde_json::{Value, json};

impl Plugins {
    /// What a test with written lines shows.
    fn test(&self, text: &str, lines: &str, more: &Value) -> Value {
        self.plugin("tested.py", text);
        let mut body = json!({"filename": "tested.py", "database": "mydb", "input_lp": lines});
        for (key, value) in more.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let answer = self.client().json("POST", "/api/v3/plugin_test/wal", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// What a plugin whose function has this body says.
    pub(super) fn tells(&self, body: &str, lines: &str, more: &Value) -> Vec<String> {
        let text = format!(
            "def process_writes(influxdb3_local, table_batches, args=None):\n    {}\n",
            body.replace('\n', "\n    ")
        );
        let shown = self.test(&text, lines, more);
        assert_eq!(shown["errors"], json!([]), "{body}");
        let lines = shown["log_lines"].as_array().expect("lines");
        lines[1..lines.len() - 1].iter().map(|l| l.as_str().expect("text").to_owned()).collect()
    }

    fn error_of(&self, text: &str) -> String {
        let shown = self.test(text, "m f=1 1", &json!({}));
        assert_eq!(shown["database_writes"], json!({}), "{text}");
        shown["errors"][0].as_str().expect("an error").to_owned()
    }
}

#[test]
fn arguments_and_rows_are_as_documented() {
    let plugins = Plugins::start();
    let repr = "influxdb3_local.info(repr(args))";
    assert_eq!(plugins.tells(repr, "m f=1 1", &json!({})), ["INFO: None"]);
    let empty = json!({"input_arguments": {}});
    assert_eq!(plugins.tells(repr, "m f=1 1", &empty), ["INFO: None"]);
    let some = json!({"input_arguments": {"a": "1", "b": "x=y"}});
    assert_eq!(plugins.tells(repr, "m f=1 1", &some), ["INFO: {'a': '1', 'b': 'x=y'}"]);
    let types = "for row in table_batches[0]['rows']:\n    \
                 influxdb3_local.info([(k, type(v).__name__, v) for k, v in row.items()])";
    let lines = "m,t2=b,t1=a i=1i,u=2u,f=3,s=\"x\",b=t 1700000000000000000\n\
                 m,t1=c f=4 1700000000000000001";
    let expected = [
        "INFO: [('t2', 'str', 'b'), ('t1', 'str', 'a'), ('i', 'int', 1), ('u', 'int', 2), \
         ('f', 'float', 3.0), ('s', 'str', 'x'), ('b', 'bool', True), \
         ('time', 'int', 1700000000000000000)]",
        "INFO: [('t1', 'str', 'c'), ('f', 'float', 4.0), ('time', 'int', 1700000000000000001)]",
    ];
    assert_eq!(plugins.tells(types, lines, &json!({})), expected);
}

#[test]
fn queries_answer_in_pythons_types() {
    let plugins = Plugins::start();
    let lines = "t,host=a i=1i,u=2u,f=0.5,s=\"x\",b=t 1\nt,host=a z=1 2";
    plugins.client().must_write("mydb", lines);
    let body = "for row in influxdb3_local.query('SELECT i, u, f, s, b, host, time FROM t \
                WHERE host = $h ORDER BY time', {'h': 'a', 'unused': 'x'}):\n    \
                influxdb3_local.info(row)";
    let expected = [
        "INFO: {'i': 1, 'u': 2, 'f': 0.5, 's': 'x', 'b': True, 'host': 'a', 'time': 1}",
        "INFO: {'i': None, 'u': None, 'f': None, 's': None, 'b': None, 'host': 'a', 'time': 2}",
    ];
    assert_eq!(plugins.tells(body, "m f=1 1", &json!({})), expected);
    let other = "influxdb3_local.info(influxdb3_local.query('SELECT 1::SMALLINT AS a, \
                 1.5::DECIMAL(5,2) AS d', database='_internal'))";
    assert_eq!(plugins.tells(other, "m f=1 1", &json!({})), ["INFO: [{'a': 1, 'd': '1.50'}]"]);
    let caught = "try:\n    influxdb3_local.query('SELECT * FROM nope')\nexcept QueryError as e:\n    \
                  influxdb3_local.info(str(e))";
    let told = plugins.tells(caught, "m f=1 1", &json!({})).remove(0);
    assert!(told.starts_with("INFO: error: ") && told.contains("nope"), "{told}");
    assert!(told.ends_with(" executing query on mydb: SELECT * FROM nope"), "{told}");
    let typed = "try:\n    influxdb3_local.query('SELECT 1', {'a': 1})\nexcept TypeError:\n    \
                 influxdb3_local.info('typed')";
    assert_eq!(plugins.tells(typed, "m f=1 1", &json!({})), ["INFO: typed"]);
}

#[test]
fn what_is_wrong_with_a_plugin_is_told() {
    let plugins = Plugins::start();
    let check = |text: &str, expected: &str| {
        assert_eq!(plugins.error_of(text), format!("error executing plugin: {expected}"), "{text}");
    };
    check("\n  x = 1", "IndentationError: unexpected indent (<string>, line 2)");
    check(
        "x = 1",
        "the process_writes function is not present in the plugin. Should be defined as: \
         process_writes(influxdb3_local, table_batches, args=None)",
    );
    check(
        "def process_writes(influxdb3_local, table_batches): pass",
        "TypeError: process_writes() takes 2 positional arguments but 3 were given",
    );
    check(
        "def process_writes(influxdb3_local, args=None): pass",
        "TypeError: process_writes() takes from 1 to 2 positional arguments but 3 were given",
    );
    let line =
        |line: &str| format!("def process_writes(local, batches, args=None): local.write({line})");
    check(
        &line("LineBuilder('a b')"),
        "InvalidMeasurementError: Measurement name cannot contain spaces",
    );
    let keyed = |call: &str| line(&format!("LineBuilder('some_table').{call}"));
    check(&keyed("tag('', 1)"), "InvalidKeyError: tag key cannot be empty");
    check(&keyed("tag('a b', 1)"), "InvalidKeyError: tag key 'a b' cannot contain spaces");
    check(
        &keyed("int64_field('a=b', 1)"),
        "InvalidKeyError: field key 'a=b' cannot contain equals signs",
    );
    check(
        &keyed("string_field('a,b', 'x')"),
        "InvalidKeyError: field key 'a,b' cannot contain commas",
    );
    check(&keyed("uint64_field('u', -1)"), "ValueError: uint64 field 'u' cannot be negative");
    check(
        &line("LineBuilder('some_table')"),
        "InvalidLineError: At least one field is required: some_table",
    );
    check("def process_writes(local, batches, args=None): raise SystemExit(3)", "SystemExit: 3");
}

#[test]
fn lines_are_told_and_checked_and_nothing_is_created() {
    let plugins = Plugins::start();
    let text = r#"
def process_writes(influxdb3_local, table_batches, args=None):
    print("printed")
    influxdb3_local.write(LineBuilder("m").tag("p", "C:\\a b").string_field("s", 'q"\\').time_ns(5))
    influxdb3_local.write_sync_to_db("other", LineBuilder("m").float64_field("f", 2), True)
    influxdb3_local.write(LineBuilder("cpu").tag("host", "x").string_field("v", "text"))
"#;
    let shown = plugins.test(text, "m f=1 1", &json!({}));
    let writes = json!({
        "mydb": [r#"m,p=C:\\a\ b s="q\"\\" 5"#, "cpu,host=x v=\"text\""],
        "other": ["m f=2.0"],
    });
    assert_eq!(shown["database_writes"], writes, "{shown}");
    assert_eq!(shown["log_lines"][1], "INFO: printed");
    let error = shown["errors"][0].as_str().expect("an error");
    assert!(error.starts_with("line protocol parse error on write to db mydb: "), "{error}");
    assert_eq!(plugins.client().databases(), ["_internal", "mydb"]);
    assert_eq!(plugins.client().count("mydb", "m"), 0);
    let bad = json!({"filename": "tested.py", "database": "mydb", "input_lp": "m f= 1"});
    assert_eq!(plugins.client().json("POST", "/api/v3/plugin_test/wal", &bad).status, 400);
}

#[test]
fn caches_of_tests_are_apart_and_forget() {
    let plugins = Plugins::start();
    let tell = |body: &str, cache: Value| plugins.tells(body, "m f=1 1", &cache);
    let read = "influxdb3_local.info(influxdb3_local.cache.get('k', 'none'))";
    assert_eq!(tell("influxdb3_local.cache.put('k', [1])", json!({})), [""; 0]);
    assert_eq!(tell(read, json!({})), ["INFO: [1]"]);
    assert_eq!(tell(read, json!({"cache_name": "x"})), ["INFO: none"]);
    let life = "c = influxdb3_local.cache\nc.put('t', 1, 0.05)\nimport time\ntime.sleep(0.1)\n\
                influxdb3_local.info(c.get('t', 'over'), c.delete('t'), c.delete('k'), c.get('k'))";
    assert_eq!(tell(life, json!({})), ["INFO: over False True None"]);
    let wrong = "try:\n    influxdb3_local.cache.put('k', 1, -1)\nexcept ValueError:\n    \
                 influxdb3_local.info('negative')";
    assert_eq!(tell(wrong, json!({})), ["INFO: negative"]);
}

#[test]
fn schedules_and_requests_are_tested_too() {
    let plugins = Plugins::start();
    let text = "def process_scheduled_call(l, t, a=None): l.info(t.second % 5)\n\
                def process_request(l, q, h, b, a=None): return q['x'] + b.decode(), 201\n";
    plugins.plugin("both.py", text);
    let post = |path: &str, body: Value| plugins.client().json("POST", path, &body);
    let schedule = "/api/v3/plugin_test/schedule";
    let body = |schedule: &str, db: &str| json!({"filename": "both.py", "database": db, "schedule": schedule});
    let shown = post(schedule, body("*/5 * * * * *", "mydb")).json();
    assert_eq!(shown["log_lines"][1], "INFO: 0", "{shown}");
    assert!(shown["trigger_time"].as_str().is_some_and(|time| time.ends_with('Z')), "{shown}");
    let shown = post(schedule, body("* * *", "mydb"));
    assert!(shown.status == 400 && shown.text().contains("invalid cron syntax: "), "{shown:?}");
    assert!(post(schedule, body("* * * * * *", "nope")).text().contains("couldn't find db"));
    let body = json!({
        "filename": "both.py", "database": "mydb", "query_params": {"x": "a"}, "body": "b",
    });
    let shown = post("/api/v3/plugin_test/request", body).json();
    assert_eq!(
        (&shown["response"]["status"], &shown["response"]["body"]),
        (&json!(201), &json!("ab"))
    );
}
