//! The processes that plugins run in: whose they are, and what ends with them. What is looked at is
//! in `/proc`.

use super::Plugins;
use crate::support::eventually;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Its process, a name in the cache of all triggers, and what it was asked to do.
const PROCESSES: &str = r#"
import os
def process_request(influxdb3_local, query, headers, body, args=None):
    if "die" in query:
        os._exit(3)
    cache = influxdb3_local.cache
    if "put" in query:
        cache.put("k", query["put"], use_global=True)
    return {"pid": os.getpid(), "k": cache.get("k", use_global=True)}
"#;

#[test]
fn a_trigger_may_have_a_process_of_its_own() {
    let plugins = Plugins::start();
    plugins.plugin("p.py", PROCESSES);
    let own = json!({"trigger_settings": {"isolation": "process"}});
    for (name, more) in [("a", &json!({})), ("b", &json!({})), ("own", &own)] {
        plugins.trigger(name, "p.py", &format!("request:{name}"), more);
    }
    let ask = |path: &str| plugins.client().get(&format!("/api/v3/engine/{path}")).json();
    let (a, b, own) = (ask("a?put=1"), ask("b"), ask("own"));
    assert_eq!((&b["pid"], &b["k"]), (&a["pid"], &json!("1")));
    assert_ne!(own["pid"], a["pid"]);
    assert_eq!(own["k"], Value::Null);
    let memory = |of: &str| {
        let label = format!("of=\"{of}\"");
        plugins.client().metric("plugin_host_memory_bytes", &[&label])
    };
    eventually("the memory of both processes is told", || {
        let is_told = |of: &str| memory(of).filter(|bytes| *bytes > 1e6);
        is_told("").and(is_told("mydb/own"))
    });
    // Its end is nobody else's.
    assert_eq!(plugins.client().get("/api/v3/engine/own?die=1").status, 503);
    assert_eq!(ask("a")["pid"], a["pid"]);
    let again = eventually("it is started again", || {
        let answer = plugins.client().get("/api/v3/engine/own");
        (answer.status == 200).then(|| answer.json())
    });
    assert_ne!(again["pid"], own["pid"]);
    // The process goes with the trigger.
    assert_eq!(plugins.switch("own", "disable").status, 200);
    let place = format!("/proc/{}", again["pid"]);
    eventually("the process has ended", || (!Path::new(&place).exists()).then_some(()));
    let answer = plugins.create(
        "x",
        "p.py",
        "request:x",
        &json!({
            "trigger_settings": {"isolation": "room"},
        }),
    );
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("unknown isolation 'room'"), "{}", answer.text());
    // It is kept.
    assert_eq!(plugins.switch("own", "enable").status, 200);
    let Plugins { server, directory } = plugins;
    let plugins = Plugins { server: server.killed_and_restarted(), directory };
    let ask = |path: &str| plugins.client().get(&format!("/api/v3/engine/{path}")).json();
    assert_ne!(ask("own")["pid"], ask("a")["pid"]);
}

#[test]
fn what_a_plugin_has_started_ends_with_its_process() {
    let plugins = Plugins::start();
    let text = r#"
import os, subprocess
def process_request(influxdb3_local, query, headers, body, args=None):
    if "die" in query:
        os._exit(3)
    return str(subprocess.Popen(["sleep", "1000"]).pid)
"#;
    plugins.plugin("starts.py", text);
    plugins.trigger("t", "starts.py", "request:t", &json!({}));
    let child = plugins.client().get("/api/v3/engine/t").text();
    assert!(runs(&child), "{child}");
    assert_eq!(plugins.client().get("/api/v3/engine/t?die=1").status, 503);
    eventually("the child has ended", || (!runs(&child)).then_some(()));
}

/// Whether a process runs; one that has ended and that nobody has waited for has no arguments.
fn runs(process: &str) -> bool {
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Whether this process, and so a server that it starts, may make control groups below its own with
/// a limit of memory.
fn may_make_control_groups() -> bool {
    let groups = fs::read_to_string("/proc/self/cgroup").expect("the groups of this process");
    let own = groups.lines().find_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == "memory").then_some(group)
    });
    let name = format!("influxdb3-it-{}", std::process::id());
    own.is_some_and(|group| {
        let parent = Path::new("/sys/fs/cgroup/memory").join(group.trim_start_matches('/'));
        fs::create_dir(parent.join(&name)).and_then(|()| fs::remove_dir(parent.join(&name))).is_ok()
    })
}

#[test]
fn what_a_plugin_leaves_behind_shares_its_limit_and_ends_with_it() {
    const LEAVES: &str = r#"
import os, subprocess
def process_request(influxdb3_local, query, headers, body, args=None):
    if "die" in query:
        os._exit(3)
    return str(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
"#;
    let plugins = Plugins::start();
    plugins.plugin("leaves.py", LEAVES);
    plugins.trigger("t", "leaves.py", "request:leaves", &json!({}));
    let left = plugins.client().get("/api/v3/engine/leaves").text();
    let groups = fs::read_to_string(format!("/proc/{left}/cgroup")).expect("the groups of it");
    let is_confined = groups.contains("influxdb3-plugins-");
    assert!(is_confined || !may_make_control_groups(), "{groups}");
    plugins.client().get("/api/v3/engine/leaves?die=1");
    if is_confined {
        eventually("it has ended", || (!runs(&left)).then_some(()));
    } else {
        // It has left the group of processes, and nobody may make one of the other kind here.
        let ended = Command::new("kill").arg(&left).status().expect("kill");
        assert!(ended.success(), "{left}");
    }
}
