//! Plugins that loop, sleep, die or take too much: the database goes on.

use super::{Plugins, TRIGGER_PATH};
use crate::support::client::with_query;
use crate::support::eventually;
use serde_json::json;

const COUNT: &str = "def process_writes(l, t, a=None): \
                     l.write(LineBuilder('counts').int64_field('v', 1))\n";

#[test]
fn a_plugin_that_loops_holds_up_nobody_and_can_be_deleted() {
    let plugins = Plugins::start();
    plugins.plugin(
        "loops.py",
        "def process_writes(l, t, a=None):\n    l.info('in')\n    while True: pass\n",
    );
    plugins.plugin(
        "sleeps.py",
        "import time\ndef process_writes(l, t, a=None):\n    l.info('zz')\n    time.sleep(1000)\n",
    );
    plugins.plugin("count.py", COUNT);
    plugins.trigger("loops", "loops.py", "table:foo", &json!({}));
    plugins.trigger("sleeps", "sleeps.py", "table:foo", &json!({}));
    plugins.trigger("count", "count.py", "table:foo", &json!({}));
    plugins.client().must_write("mydb", "foo v=1 1");
    plugins.must_say("INFO in");
    plugins.must_say("INFO zz");
    for row in 2..70 {
        plugins.client().must_write("mydb", &format!("foo v=1 {row}"));
    }
    eventually("others run on", || (plugins.client().count("mydb", "counts") >= 2).then_some(()));
    for name in ["loops", "sleeps"] {
        let delete = [("db", "mydb"), ("trigger_name", name), ("force", "true")];
        let deleted = plugins.client().delete(&with_query(TRIGGER_PATH, &delete));
        assert_eq!(deleted.status, 200, "{}", deleted.text());
    }
    let sql = "SELECT count(*) AS n FROM system.processing_engine_triggers";
    assert_eq!(plugins.client().value("mydb", sql), 1);
    // Both runs were interrupted, so that the process did not have to end.
    assert!(!plugins.server.log().contains("plugin host ended"), "{}", plugins.server.log());
}

#[test]
fn the_server_stops_while_plugins_run() {
    let plugins = Plugins::start();
    plugins.plugin(
        "loops.py",
        "def process_writes(l, t, a=None):\n    l.info('in')\n    while True: pass\n",
    );
    plugins.trigger("t", "loops.py", "table:foo", &json!({}));
    plugins.client().must_write("mydb", "foo v=1 1");
    plugins.must_say("INFO in");
    let Plugins { server, directory } = plugins;
    let plugins = Plugins { server: server.stopped().start(), directory };
    assert_eq!(plugins.client().count("mydb", "foo"), 1);
}

#[test]
fn a_run_past_its_time_is_ended_even_if_it_cannot_be_interrupted() {
    let plugins = Plugins::with(&["--plugin-timeout", "2s"]);
    let text = "def process_request(l, q, h, b, a=None):\n    while True: pass\n";
    plugins.plugin("loops.py", text);
    plugins.trigger("t", "loops.py", "request:p", &json!({}));
    let answer = plugins.client().get("/api/v3/engine/p");
    let expected =
        r#"{"error":"Python function call failed: the run took longer than 2s and was ended"}"#;
    assert_eq!((answer.status, answer.text().as_str()), (500, expected));
    // One that never gives the interpreter to anybody else.
    let text = "def process_request(l, q, h, b, a=None): return str(sum(iter(int, 1)))\n";
    plugins.plugin("loops.py", text);
    let answer = plugins.client().get("/api/v3/engine/p");
    assert_eq!((answer.status, answer.text().as_str()), (500, expected));
    plugins.plugin("loops.py", "def process_request(l, q, h, b, a=None): return 'ok'\n");
    // The process is started anew meanwhile, which takes its time on a busy machine.
    eventually("the next run succeeds", || {
        (plugins.client().get("/api/v3/engine/p").text() == "ok").then_some(())
    });
    assert!(plugins.server.log().contains("plugin host ended"), "{}", plugins.server.log());
}

#[test]
fn a_process_that_dies_takes_no_acknowledged_row_and_comes_back() {
    let plugins = Plugins::start();
    plugins.plugin("dies.py", "import os\ndef process_writes(l, t, a=None): os._exit(3)\n");
    plugins.plugin("count.py", COUNT);
    plugins.trigger("dies", "dies.py", "table:die", &json!({}));
    plugins.trigger("count", "count.py", "table:foo", &json!({}));
    for round in 1..=5 {
        plugins.client().must_write("mydb", &format!("die v=1 {round}"));
        let failed = "ERROR error executing wal plugin: the process that runs plugins has ended";
        eventually("the end is told", || (plugins.times_said(failed) == round).then_some(()));
        plugins.client().must_write("mydb", &format!("foo v=1 {round}"));
        plugins.must_have("mydb", "counts", round as u64);
    }
    assert_eq!(plugins.client().count("mydb", "die"), 5);
}

#[test]
fn memory_has_a_limit() {
    let plugins = Plugins::with(&["--plugin-memory-limit", "300mb"]);
    let text = "def process_request(l, q, h, b, a=None):\n    \
                return str(len(bytearray(int(q['n']))))\n";
    plugins.plugin("takes.py", text);
    plugins.trigger("t", "takes.py", "request:p", &json!({}));
    assert_eq!(plugins.client().get("/api/v3/engine/p?n=1000").text(), "1000");
    let answer = plugins.client().get("/api/v3/engine/p?n=1000000000");
    assert!(answer.status == 500 && answer.text().contains("MemoryError"), "{}", answer.text());
    assert_eq!(plugins.client().get("/api/v3/engine/p?n=2000").text(), "2000");
}
