//! Plugins in the style of those that are published for servers of this kind: what each needs of
//! the server has to be there.

use super::Plugins;
use crate::support::eventually;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

impl Plugins {
    /// Puts a plugin of the library into the plugin directory.
    fn of_library(&self, file: &str) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/plugins/library");
        let text = std::fs::read_to_string(format!("{folder}/{file}")).expect("a plugin");
        self.plugin(file, &text);
    }
}

#[test]
fn a_downsampler_keeps_up() {
    let plugins = Plugins::start();
    plugins.of_library("downsampler.py");
    let lines = "raw,host=a v=1 1000000000\nraw,host=a v=3 2000000000\nraw,host=a v=5 10000000000\n\
                 raw,host=b v=7 10000000001";
    plugins.client().must_write("mydb", lines);
    let arguments = json!({"trigger_arguments": {
        "source": "raw", "target": "coarse", "interval": "10",
    }});
    plugins.trigger("t", "downsampler.py", "every:1s", &arguments);
    plugins.must_have("mydb", "coarse", 3);
    let rows =
        plugins.client().rows("mydb", "SELECT host, mean, n FROM coarse ORDER BY time, host");
    let expected = json!([
        {"host": "a", "mean": 2.0, "n": 2}, {"host": "a", "mean": 5.0, "n": 1},
        {"host": "b", "mean": 7.0, "n": 1},
    ]);
    assert_eq!(rows, expected);
    plugins.must_say("INFO downsampled 0 windows of raw");
}

/// Takes requests with JSON bodies on a free port; their texts arrive in order.
fn receiver() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (mut seen, mut buffer) = (String::new(), [0; 4096]);
            while !seen.ends_with('}') {
                let bytes = stream.read(&mut buffer).expect("bytes");
                seen.push_str(&String::from_utf8_lossy(&buffer[..bytes]));
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").ok();
            let (_, body) = seen.split_once("\r\n\r\n").expect("a body");
            let body: Value = serde_json::from_str(body).expect("JSON");
            // A test that is over hears nothing more.
            sender.send(body["text"].as_str().unwrap_or_default().to_owned()).ok();
        }
    });
    (url, receiver)
}

#[test]
fn thresholds_and_silence_are_told_to_a_receiver() {
    let plugins = Plugins::start();
    plugins.of_library("threshold_deadman.py");
    let (url, told) = receiver();
    let arguments = json!({"trigger_arguments": {"url": url, "limit": "10", "table": "cpu"}});
    plugins.trigger("over", "threshold_deadman.py", "table:load", &arguments);
    plugins.client().must_write("mydb", "load,host=a v=11 1\nload,host=b v=1 1");
    plugins.client().must_write("mydb", "load,host=a v=12 2\nload,host=b v=11 2");
    assert_eq!(told.recv().expect("a text"), "a above 10");
    plugins.must_say("INFO told: a above 10 (204)");
    plugins.trigger("silent", "threshold_deadman.py", "every:1s", &arguments);
    assert_eq!(told.recv().expect("a text"), "cpu is silent");
    // Once is enough.
    plugins.must_say("INFO told: cpu is silent (204)");
    let runs = || {
        let labels = [r#"trigger="silent""#];
        plugins.client().metric("trigger_runs_total", &labels).unwrap_or_default()
    };
    eventually("it runs again", || (runs() >= 3.0).then_some(()));
    assert!(told.try_recv().is_err());
}

#[test]
fn rows_are_transformed() {
    let plugins = Plugins::start();
    plugins.of_library("transformation.py");
    let arguments = json!({"trigger_arguments": {
        "source": "weather", "target": "metric", "rules": "temp:celsius note:upper", "db": "other",
    }});
    plugins.trigger("t", "transformation.py", "all_tables", &arguments);
    let lines = "weather,city=Rome temp=212,note=\"hot\" 5\nweather,city=Oslo temp=32 6";
    plugins.client().must_write("mydb", lines);
    plugins.must_have("other", "metric", 2);
    let rows = plugins.client().rows("other", "SELECT city, temp, note FROM metric ORDER BY time");
    let expected = json!([
        {"city": "Rome", "temp": 100.0, "note": "HOT"}, {"city": "Oslo", "temp": 0.0},
    ]);
    assert_eq!(rows, expected);
    plugins.must_say("INFO transformed 2 rows");
}

#[test]
fn anomalies_are_found_with_pandas() {
    let plugins = Plugins::with_libraries();
    plugins.of_library("anomalies.py");
    let limit = json!({"trigger_arguments": {"limit": "5"}});
    plugins.trigger("t", "anomalies.py", "table:sensor", &limit);
    let values = [1.0, 1.2, 0.9, 1.1, 20.0, 1.0];
    let line = |(n, v): (usize, &f64)| format!("sensor,host=a v={v} {}", n + 1);
    let lines: Vec<String> = values.iter().enumerate().map(line).collect();
    plugins.client().must_write("mydb", &lines.join("\n"));
    plugins.must_have("mydb", "anomalies", 1);
    let rows = plugins.client().rows("mydb", "SELECT host, v FROM anomalies");
    assert_eq!(rows, json!([{"host": "a", "v": 20.0}]));
    eventually("it is counted", || {
        plugins.client().metric("influxdb3_plugin_anomalies_total", &[r#"host="a""#])
    });
}

#[test]
fn a_forecast_is_made_with_numpy() {
    let plugins = Plugins::with_libraries();
    plugins.of_library("forecast.py");
    plugins.trigger("t", "forecast.py", "request:forecast", &json!({}));
    plugins.client().must_write("mydb", "line v=1 10\nline v=2 20\nline v=3 30");
    let ask = |table: &str| {
        let body = json!({ "table": table }).to_string();
        plugins.client().post("/api/v3/engine/forecast?steps=2", body)
    };
    let answer = ask("line");
    assert_eq!((answer.status, answer.header("x-model")), (200, "line"), "{}", answer.text());
    assert_eq!(answer.json(), json!({"forecast": [4.0, 5.0]}));
    let rows = plugins.client().rows("mydb", "SELECT v, step, stub FROM forecast ORDER BY time");
    let expected =
        json!([{"v": 4.0, "step": 1, "stub": true}, {"v": 5.0, "step": 2, "stub": true}]);
    assert_eq!(rows, expected);
    plugins.client().must_write("mydb", "point v=1 10");
    assert_eq!(ask("point").status, 422);
}

#[test]
fn the_machine_is_measured_on_a_schedule() {
    let plugins = Plugins::start();
    plugins.of_library("system_metrics.py");
    let arguments = json!({"trigger_arguments": {"db": "telemetry"}});
    plugins.trigger("t", "system_metrics.py", "cron:* * * * * *", &arguments);
    plugins.must_say("INFO collected at ");
    let rows = plugins.client().rows("telemetry", "SELECT cpus > 0 AS some, system FROM system");
    assert_eq!(rows[0]["some"], json!(true), "{rows}");
}

#[test]
fn what_snapshots_wrote_is_exported() {
    let plugins = Plugins::with(&["--wal-snapshot-size", "1", "--gen1-duration", "1m"]);
    plugins.of_library("exporter.py");
    plugins.trigger("t", "exporter.py", "snapshot:cpu", &json!({}));
    let mut minute: u64 = 0;
    eventually("files are exported", || {
        minute += 1;
        let time = minute * 60_000_000_000;
        plugins.client().must_write("mydb", &format!("cpu,host=foo v=1 {time}\nother v=1 {time}"));
        plugins.said().iter().any(|line| line.starts_with("INFO snapshot ")).then_some(())
    });
    eventually("they are written down", || {
        (plugins.client().count("mydb", "exported") > 0).then_some(())
    });
    let rows = plugins.client().rows("mydb", "SELECT DISTINCT \"table\" FROM exported");
    assert_eq!(rows, json!([{"table": "cpu"}]));
}
