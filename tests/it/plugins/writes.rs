//! Triggers for rows that were written.

use super::Plugins;
use crate::support::client::with_query;
use crate::support::eventually;
use serde_json::json;

const COUNTS: &str = r#"
def process_writes(influxdb3_local, table_batches, args=None):
    rows = influxdb3_local.query("SELECT count(*) AS n FROM foo")
    names = [batch["table_name"] for batch in table_batches]
    influxdb3_local.info("tables", names, "args", args)
    line = LineBuilder("counts").int64_field("n", rows[0]["n"])
    influxdb3_local.write(line.tag("run", str(len(influxdb3_local.query("SELECT * FROM foo")))))
"#;

#[test]
fn a_trigger_gets_the_rows_of_its_table_and_sees_them() {
    let plugins = Plugins::start();
    plugins.plugin("counts.py", COUNTS);
    plugins.trigger("t", "counts.py", "table:foo", &json!({"trigger_arguments": {"b": "x=y"}}));
    plugins.client().must_write("mydb", "bar v=1 1");
    for row in 1..=5_u64 {
        plugins.client().must_write("mydb", &format!("foo v={row} {row}"));
        plugins.must_have("mydb", "counts", row);
    }
    let rows = plugins.client().rows("mydb", "SELECT n FROM counts ORDER BY time");
    assert_eq!(rows, json!([{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}, {"n": 5}]));
    plugins.must_say("INFO starting execution of wal plugin.");
    plugins.must_say("INFO tables ['foo'] args {'b': 'x=y'}");
    plugins.must_say("INFO finished execution in ");
    assert_eq!(plugins.times_said("INFO starting execution of wal plugin."), 5);
}

#[test]
fn the_trigger_runs_on_after_a_restart_and_its_settings_stay() {
    let plugins = Plugins::start();
    plugins.plugin("counts.py", COUNTS);
    plugins.trigger("t", "counts.py", "table:foo", &json!({}));
    plugins.client().must_write("mydb", "foo v=1 1");
    plugins.must_have("mydb", "counts", 1);
    let Plugins { server, directory } = plugins;
    let plugins = Plugins { server: server.killed_and_restarted(), directory };
    // What the log had is not played to triggers.
    plugins.client().must_write("mydb", "foo v=2 2");
    plugins.must_have("mydb", "counts", 2);
    assert_eq!(plugins.times_said("INFO starting execution of wal plugin."), 1);
}

#[test]
fn nothing_that_was_left_is_written_when_a_plugin_raises() {
    let plugins = Plugins::start();
    let text = r#"
def process_writes(influxdb3_local, table_batches, args=None):
    influxdb3_local.write(LineBuilder("a").int64_field("v", 1))
    influxdb3_local.write_sync(LineBuilder("b").int64_field("v", 1), False)
    raise ValueError("on purpose")
"#;
    plugins.plugin("raises.py", text);
    plugins.trigger("t", "raises.py", "table:foo", &json!({}));
    plugins.client().must_write("mydb", "foo v=1 1");
    plugins.must_say("ERROR error executing wal plugin: ValueError: on purpose");
    assert_eq!(plugins.client().count("mydb", "b"), 1);
    assert_eq!(plugins.client().count("mydb", "a"), 0);
}

#[test]
fn a_bad_line_refuses_the_lines_of_its_database() {
    let plugins = Plugins::start();
    let text = r#"
class Text:
    def __init__(self, text): self.text = text
    def build(self): return self.text

def process_writes(influxdb3_local, table_batches, args=None):
    influxdb3_local.write(Text("good v=1"))
    influxdb3_local.write(Text("cpu,host=a v=\"text\""))
    influxdb3_local.write_to_db("other", Text("good v=1 7"))
"#;
    plugins.plugin("bad.py", text);
    let more = json!({"trigger_settings": {"error_behavior": "Disable"}});
    plugins.trigger("t", "bad.py", "table:foo", &more);
    plugins.client().must_write("mydb", "foo v=1 1");
    plugins.must_say("ERROR error running wal plugin: error writing back lines to mydb: ");
    plugins.must_have("other", "good", 1);
    assert_eq!(plugins.client().count("mydb", "good"), 0);
    let sql = "SELECT disabled FROM system.processing_engine_triggers";
    assert_eq!(plugins.client().value("mydb", sql), false);
}

#[test]
fn failures_are_retried_or_disable_the_trigger() {
    let plugins = Plugins::start();
    let text = r#"
def process_writes(influxdb3_local, table_batches, args=None):
    tries = influxdb3_local.cache.get("tries", 0) + 1
    influxdb3_local.cache.put("tries", tries)
    influxdb3_local.info("try", tries, table_batches[0]["rows"])
    if tries < 2:
        raise RuntimeError("not yet")
    influxdb3_local.write(LineBuilder("done").int64_field("tries", tries))
"#;
    plugins.plugin("tries.py", text);
    let more = json!({"trigger_settings": {"error_behavior": "retry"}});
    plugins.trigger("again", "tries.py", "table:foo", &more);
    plugins.plugin("fails.py", "def process_writes(a, b, c=None): raise KeyError('k')\n");
    let more = json!({"trigger_settings": {"error_behavior": "disable"}});
    plugins.trigger("once", "fails.py", "table:foo", &more);
    plugins.client().must_write("mydb", "foo v=7 1");
    plugins.must_have("mydb", "done", 1);
    plugins.must_say("INFO try 2 [{'v': 7.0, 'time': 1}]");
    plugins.must_say("ERROR error executing wal plugin: KeyError: 'k'");
    let sql = "SELECT trigger_name FROM system.processing_engine_triggers WHERE disabled";
    eventually("the failure disables the trigger", || {
        (plugins.client().rows("mydb", sql) == json!([{"trigger_name": "once"}])).then_some(())
    });
    let Plugins { server, directory } = plugins;
    let plugins = Plugins { server: server.killed_and_restarted(), directory };
    assert_eq!(plugins.client().rows("mydb", sql), json!([{"trigger_name": "once"}]));
}

#[test]
fn a_schedule_fires_and_catches_up_in_the_servers_zone() {
    let plugins = Plugins::start();
    let text = r#"
def process_scheduled_call(influxdb3_local, call_time, args=None):
    line = LineBuilder("calls").int64_field("v", call_time.second).bool_field("ok", True)
    influxdb3_local.write(line.time_ns(int(call_time.timestamp()) * 1_000_000_000))
    influxdb3_local.info("zone", call_time.tzinfo)
"#;
    plugins.plugin("calls.py", text);
    plugins.trigger("each", "calls.py", "every:1s", &json!({}));
    plugins.trigger("cron", "calls.py", "cron:* * * * * *", &json!({}));
    eventually("three instants", || (plugins.client().count("mydb", "calls") >= 3).then_some(()));
    plugins.must_say("INFO starting execution with scheduled time ");
    plugins.must_say("INFO zone None");
    let apart = "SELECT count(*) AS n FROM calls WHERE v != date_part('second', time)";
    assert_eq!(plugins.client().value("mydb", apart), 0);
    assert_eq!(plugins.switch("each", "disable").status, 200);
}

#[test]
fn snapshots_fire_with_their_files() {
    let options = ["--wal-snapshot-size", "2", "--gen1-duration", "1m"];
    let plugins = Plugins::with(&options);
    let text = r#"
def process_snapshot(influxdb3_local, snapshot, args=None):
    for file in snapshot["files"]:
        influxdb3_local.info(snapshot["database"], file["table_name"], file["row_count"])
"#;
    plugins.plugin("snapshot.py", text);
    plugins.trigger("t", "snapshot.py", "snapshot:foo", &json!({}));
    let mut row = 0;
    eventually("a snapshot of foo", || {
        row += 1;
        let time = row * 60_000_000_000_u64;
        plugins.client().must_write("mydb", &format!("foo v={row} {time}\nbar v=1 {time}"));
        plugins.said().into_iter().find(|said| said.starts_with("INFO mydb foo "))
    });
    assert!(!plugins.said().iter().any(|said| said.contains("mydb bar")));
}

#[test]
fn two_databases_do_not_see_each_others_logs() {
    let plugins = Plugins::start();
    plugins.plugin("says.py", "def process_writes(l, t, a=None): l.warn('hello', 1)\n");
    plugins.trigger("t", "says.py", "all_tables", &json!({}));
    plugins.client().must_write("mydb", "foo v=1 1");
    plugins.client().must_write("other", "foo v=1 1");
    plugins.must_say("WARN hello 1");
    let all = "SELECT event_time = time AS same, database, trigger_name FROM \
               system.processing_engine_logs WHERE log_text = 'hello 1'";
    let expected = json!([{"same": true, "database": "mydb", "trigger_name": "t"}]);
    assert_eq!(plugins.client().rows("_internal", all), expected);
    assert_eq!(plugins.client().rows("other", all), json!([]));
    let delete = with_query(super::TRIGGER_PATH, &[("db", "mydb"), ("trigger_name", "t")]);
    let refused = plugins.client().delete(&delete);
    let text = "Cannot delete running plugin t. Disable it first or use --force.";
    assert_eq!((refused.status, refused.text().as_str()), (500, text));
    assert_eq!(plugins.client().delete(&format!("{delete}&force=true")).status, 200);
}
