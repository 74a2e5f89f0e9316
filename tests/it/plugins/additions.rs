//! What plugins have here beside what they know from elsewhere.

use super::Plugins;
use crate::support::eventually;
use serde_json::json;

#[test]
fn a_plugin_knows_its_trigger_and_counts() {
    let plugins = Plugins::start();
    let text = r#"
def process_writes(influxdb3_local, table_batches, args=None):
    trigger = influxdb3_local.trigger
    influxdb3_local.info(trigger.name, trigger.database, trigger.node, trigger.run_number)
    influxdb3_local.counter("rows", len(table_batches[0]["rows"]), kind='a"b')
    influxdb3_local.counter("runs_total")
    if len(table_batches[0]["rows"]) > 1:
        raise ValueError("too many")
    influxdb3_local.write_sync(LineBuilder("out").int64_field("v", 1), False)
    influxdb3_local.write(LineBuilder("out").int64_field("v", 2))
"#;
    plugins.plugin("counts.py", text);
    plugins.trigger("t", "counts.py", "table:foo", &json!({}));
    plugins.client().must_write("mydb", "foo v=1 1");
    plugins.must_say("INFO t mydb node-1 1");
    plugins.client().must_write("mydb", "foo v=1 1\nfoo v=1 2");
    plugins.must_say("INFO t mydb node-1 2");
    let labels = [r#"db="mydb""#, r#"trigger="t""#];
    let metric = |name: &str| plugins.client().metric(name, &labels);
    eventually("both runs have ended", || metric("trigger_runs_total").filter(|runs| *runs >= 2.0));
    assert_eq!(metric("influxdb3_plugin_rows_total"), Some(3.0));
    assert_eq!(metric("influxdb3_plugin_runs_total"), Some(2.0));
    assert_eq!(metric("trigger_failures_total"), Some(1.0));
    assert_eq!(metric("trigger_events_waiting"), Some(0.0));
    let text = plugins.client().get("/metrics").text();
    let expected = r#"influxdb3_plugin_rows_total{db="mydb",trigger="t",kind="a\"b"} 3"#;
    assert!(text.contains(expected), "{text}");
    let sql = "SELECT database, trigger_name, run_number, attempt, rows_in, lines_out, outcome, \
               error, duration_ns > 0 AS took FROM system.processing_engine_runs";
    let expected = json!([
        {"database": "mydb", "trigger_name": "t", "run_number": 1, "attempt": 1, "rows_in": 1,
         "lines_out": 2, "outcome": "success", "took": true},
        {"database": "mydb", "trigger_name": "t", "run_number": 2, "attempt": 1, "rows_in": 2,
         "lines_out": 0, "outcome": "error", "error": "ValueError: too many", "took": true},
    ]);
    assert_eq!(plugins.client().rows("mydb", sql), expected);
    assert_eq!(plugins.client().rows("_internal", sql), expected);
    // What has ended leaves no series behind.
    assert_eq!(plugins.switch("t", "disable").status, 200);
    assert_eq!(metric("trigger_runs_total"), None);
    assert_eq!(metric("influxdb3_plugin_rows_total"), None);
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let plugins = Plugins::start();
    let body = "for call in (lambda: l.counter('a b'), lambda: l.counter('n', -1), \
                lambda: l.counter('n', 1.5), lambda: l.counter('n', True), \
                lambda: l.counter('n', db='x'), lambda: l.counter('n', **{'a-b': 'x'})):\n    \
                try:\n        call()\n    except ValueError as e:\n        l.info(e)";
    let body = format!("l = influxdb3_local\n{body}");
    let told = plugins.tells(&body, "m f=1 1", &json!({}));
    assert_eq!(told.len(), 6, "{told:?}");
    assert_eq!(told[0], "INFO: 'a b' is not a name for metrics: letters, digits and _");
    assert_eq!(told[1], "INFO: a counter counts up by whole numbers, not by -1");
    assert_eq!(told[4], "INFO: the label 'db' is the server's own");
}

#[test]
fn a_batch_is_a_dict_whatever_is_done_with_it() {
    let plugins = Plugins::start();
    let body = r"import json
for look in (lambda b: len(b), lambda b: list(b), lambda b: b.get('rows'), lambda b: 'rows' in b,
             lambda b: dict(b), lambda b: {**b}, lambda b: json.dumps(b), lambda b: b == dict(b),
             lambda b: b['table_name'], lambda b: b['rows'][0]['f'], lambda b: b['nope'],
             lambda b: b.copy(), lambda b: isinstance(b, dict), lambda b: sorted(b.keys())):
    batch = type(table_batches[0])('m', table_batches[0]._streams)
    try:
        influxdb3_local.info(look(batch))
    except KeyError as error:
        influxdb3_local.info('KeyError', error)";
    let whole = "{'table_name': 'm', 'rows': [{'f': 1.0, 'time': 1}]}";
    let expected = [
        "2",
        "['table_name', 'rows']",
        "[{'f': 1.0, 'time': 1}]",
        "True",
        whole,
        whole,
        r#"{"table_name": "m", "rows": [{"f": 1.0, "time": 1}]}"#,
        "True",
        "m",
        "1.0",
        "KeyError 'nope'",
        whole,
        "True",
        "['rows', 'table_name']",
    ];
    let expected: Vec<String> = expected.iter().map(|text| format!("INFO: {text}")).collect();
    assert_eq!(plugins.tells(body, "m f=1 1", &json!({})), expected);
}

#[test]
fn rows_are_tables_of_other_libraries_too() {
    let plugins = Plugins::with_libraries();
    let body = r"table = table_batches[0].arrow()
influxdb3_local.info(table.num_rows, table.column_names, table.column('i').to_pylist())
frame = table_batches[0].pandas()
influxdb3_local.info(list(frame['f']), list(frame['t']))
found = influxdb3_local.query('SELECT host, v FROM cpu ORDER BY host', as_arrow=True)
influxdb3_local.info(found.column('host').to_pylist(), found.column('v').to_pylist())
influxdb3_local.info(table_batches[0]['rows'][0]['i'])";
    let told = plugins.tells(body, "m,t=a i=1i,f=0.5 1\nm,t=b i=2i,f=1.5 2", &json!({}));
    let expected = [
        "INFO: 2 ['t', 'i', 'f', 'time'] [1, 2]",
        "INFO: [0.5, 1.5] ['a', 'b']",
        "INFO: ['bar', 'foo'] [2.0, 1.0]",
        "INFO: 1",
    ];
    assert_eq!(told, expected);
}

#[test]
fn health_tells_which_trigger_lags() {
    let plugins = Plugins::start();
    plugins.plugin("waits.py", "import time\ndef process_writes(l, t, a=None): time.sleep(1000)\n");
    plugins.trigger("t", "waits.py", "table:foo", &json!({}));
    plugins.client().must_write("mydb", "foo v=1 1");
    let json = [("Accept", "application/json")];
    eventually("the lag is told", || {
        let answer = plugins.client().send("GET", "/health", &json, "").json();
        let checks = answer["checks"].as_array()?.clone();
        let check = checks.iter().find(|check| check["name"] == "triggers")?;
        assert_eq!(check["status"], "pass");
        let message = check["message"].as_str()?;
        let lag = message.strip_prefix("the trigger that lags most is t of mydb, by ")?;
        (lag != "0.0 s").then_some(())
    });
}
