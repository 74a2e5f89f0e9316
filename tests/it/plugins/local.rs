//! Plugins under development: `influxdb3 plugin` and `influxdb3 test`.

use super::Plugins;
use crate::support::command::Shell;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

#[test]
fn a_plugin_begins_with_a_template_that_works() {
    let plugins = Plugins::start();
    let folder = tempfile::tempdir().expect("a directory");
    let shell = Shell { client: Some(plugins.client()), directory: folder.path() };
    let runs: [(&str, &[&str]); 3] = [
        ("write", &["--lp", "cpu usage=1 1"]),
        ("schedule", &["--schedule", "0 * * * * *", "--input-arguments", "source=cpu"]),
        ("request", &["--request", "--query", "name=you", "--body", "{}"]),
    ];
    for (kind, options) in runs {
        let name = format!("my_{kind}");
        let said = shell.must(&["plugin", "init", &name, "--kind", kind]);
        assert_eq!(said, format!("./{name}.py written\n./test_{name}.py written\n"));
        let mut test = Command::new("python3");
        test.args(["-m", "unittest", &format!("test_{name}")]).current_dir(folder.path());
        let ran = test.output().expect("python3 is installed");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let file = format!("{name}.py");
        let mut line = vec!["plugin", "run-local", &file, "--database", "mydb"];
        line.extend(options);
        let shown: Value = serde_json::from_str(&shell.must(&line)).expect("JSON");
        assert_eq!(shown["errors"], json!([]), "{shown}");
        // It can be uploaded as it is.
        let spec = match kind {
            "write" => "all_tables",
            "schedule" => "every:1h",
            _ => "request:mine",
        };
        let create = ["create", "trigger", "--database", "mydb", "--path", &file, "--upload"];
        shell.must(&[&create[..], &["--trigger-spec", spec, &name]].concat());
    }
    plugins.client().must_write("mydb", "cpu,host=foo v=1 5");
    plugins.must_have("mydb", "row_counts", 1);
    let answer = plugins.client().get("/api/v3/engine/mine?name=you");
    assert_eq!(answer.json(), json!({"greeting": "hello", "name": "you", "given": {}}));
    shell.fails(&["plugin", "init", "my_write"], 1, &["./my_write.py is there already"]);
    shell.fails(&["plugin", "init", "../x"], 2, &["must be letters, digits and underscores"]);
}

#[test]
fn a_file_of_this_machine_is_run_without_an_upload() {
    let plugins = Plugins::start();
    let folder = tempfile::tempdir().expect("a directory");
    let text = "def process_writes(l, t, a=None):\n    l.write(LineBuilder('x').int64_field('n', \
                len(t[0]['rows'])))\n    if a: raise ValueError(a['say'])\n";
    fs::write(folder.path().join("mine.py"), text).expect("a file");
    let shell = Shell { client: Some(plugins.client()), directory: folder.path() };
    let run = ["plugin", "run-local", "mine.py", "--database", "mydb"];
    let with = |more: &[&'static str]| [&run[..], more].concat();
    let shown: Value =
        serde_json::from_str(&shell.must(&with(&["--lp", "m f=1 1"]))).expect("JSON");
    assert_eq!(shown["database_writes"], json!({"mydb": ["x n=1i"]}));
    assert!(!plugins.place("mine.py").exists());
    let failing = shell.run(&with(&["--lp", "m f=1 1", "--input-arguments", "say=no"]), b"");
    assert_eq!(failing.code, 1, "{}", failing.stderr);
    assert!(failing.text().contains("ValueError: no"), "{}", failing.text());
    assert!(failing.stderr.contains("the run of mine.py had 1 errors"), "{}", failing.stderr);
    let text = "one of --lp, --file, --schedule and --request must be provided";
    shell.fails(&run, 2, &[text]);
    shell.fails(&with(&["--lp", "m f=1 1", "--request"]), 2, &["cannot be used with"]);
    let request = ["test", "request_plugin", "--database", "mydb", "--query", "x=1"];
    plugins.plugin("asked.py", "def process_request(l, q, h, b, a=None): return q['x'], 201\n");
    let shown = shell.must(&[&request[..], &["asked.py"]].concat());
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&shown["response"]["status"], &shown["response"]["body"]),
        (&json!(201), &json!("1"))
    );
}

#[test]
fn no_text_comes_in_where_only_the_directory_counts() {
    let plugins = Plugins::with(&["--plugin-dir-only"]);
    let folder = tempfile::tempdir().expect("a directory");
    fs::write(folder.path().join("mine.py"), "").expect("a file");
    let shell = Shell { client: Some(plugins.client()), directory: folder.path() };
    let run = ["plugin", "run-local", "mine.py", "--database", "mydb", "--request"];
    let refused = shell.run(&run, b"");
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("403"), "{}", refused.stderr);
}
