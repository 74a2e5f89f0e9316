//! The commands that the product's getting-started guide gives to newcomers, as they stand there.

use crate::support::client::with_query;
use crate::support::command::Shell;
use crate::support::server::{Server, Setup};
use serde_json::json;

const SERVER_DATA: &str = r#"cpu,host=Alpha,region=us-west,application=webserver val=1i,usage_percent=20.5,status="OK"
cpu,host=Bravo,region=us-east,application=database val=2i,usage_percent=55.2,status="OK"
cpu,host=Charlie,region=us-west,application=cache val=3i,usage_percent=65.4,status="OK"
cpu,host=Bravo,region=us-east,application=database val=4i,usage_percent=70.1,status="Warn"
cpu,host=Bravo,region=us-central,application=database val=5i,usage_percent=80.5,status="OK"
cpu,host=Alpha,region=us-west,application=webserver val=6i,usage_percent=25.3,status="Warn"
"#;

/// A server as the guide starts it, and a shell in its directory with the guide's data file.
fn start() -> (Server, tempfile::TempDir) {
    let server = Setup::of(&["serve", "--writer-id=local01", "--object-store=memory"]).start();
    let directory = tempfile::TempDir::new().expect("a directory");
    std::fs::write(directory.path().join("server_data"), SERVER_DATA).expect("a file");
    (server, directory)
}

#[test]
fn write_and_query_from_the_command_line() {
    let (server, directory) = start();
    let shell = Shell { client: Some(&server.client), directory: directory.path() };
    assert_eq!(
        shell.must(&["create", "database", "mydb"]),
        "Database \"mydb\" created successfully\n"
    );
    shell.must(&["write", "--database=mydb", "--file=server_data"]);
    let sql = "SELECT DISTINCT usage_percent FROM cpu ORDER BY 1";
    let text = shell.must(&["query", "--database=mydb", sql]);
    let values: Vec<&str> = text.lines().skip(3).map(|l| l.trim_matches(['|', ' '])).collect();
    // The six points have one time, so the two of a series that came later replaced the first.
    assert_eq!(values[..values.len() - 1], ["25.3", "65.4", "70.1", "80.5"], "{text}");
    let tables = shell.must(&["query", "--database=mydb", "SHOW TABLES"]);
    for row in [
        ["public", "iox", "cpu", "BASE TABLE"],
        ["public", "information_schema", "tables", "VIEW"],
        ["public", "information_schema", "views", "VIEW"],
        ["public", "information_schema", "columns", "VIEW"],
        ["public", "information_schema", "df_settings", "VIEW"],
        ["public", "information_schema", "schemata", "VIEW"],
    ] {
        let has_row = tables.lines().any(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells == row
        });
        assert!(has_row, "{row:?} in\n{tables}");
    }
    let limited = "SELECT DISTINCT usage_percent, time FROM cpu LIMIT 10";
    assert!(shell.must(&["query", "--database=mydb", limited]).contains("usage_percent"));
}

#[test]
fn the_three_write_endpoints_and_partial_writes() {
    let (server, _) = start();
    let client = &server.client;
    for path in [
        "/write?db=mydb&precision=ns",
        "/api/v2/write?bucket=mydb&precision=ns",
        "/api/v3/write_lp?db=mydb&precision=ns&accept_partial=true",
    ] {
        let answer = client.post(path, SERVER_DATA);
        assert_eq!(answer.status, 204, "{path}: {}", answer.text());
    }
    let home = "home,room=Sunroom temp=96\nhome,room=Sunroom temp=hi";
    let line = json!({
        "original_line": "home,room=Sunroom temp=hi",
        "line_number": 2,
        "error_message": "No fields were provided: \"hi\" is no value of field \"temp\" (text needs \
                          double quotes)"
    });
    let path = "/api/v3/write_lp?db=sensors&precision=auto&accept_partial=false";
    let refused = client.post(path, home);
    assert_eq!(refused.status, 400);
    let expected = json!({"error": "parsing failed for write_lp endpoint", "data": line});
    assert_eq!(refused.json(), expected);
    assert_eq!(client.count("sensors", "home"), 0);
    let path = "/api/v3/write_lp?db=sensors&precision=auto&accept_partial=true";
    let partial = client.post(path, home);
    assert_eq!(partial.status, 400);
    let expected = json!({"error": "partial write of line protocol occurred", "data": [line]});
    assert_eq!(partial.json(), expected);
    assert_eq!(client.rows("sensors", "SELECT temp FROM home"), json!([{"temp": 96.0}]));
}

#[test]
fn the_query_api() {
    let (server, _) = start();
    let client = &server.client;
    client.must_write("servers", SERVER_DATA);
    let get = client.get("/api/v3/query_sql?db=servers&q=select+*+from+cpu+limit+5");
    assert_eq!((get.status, get.json().as_array().map(Vec::len)), (200, Some(4)));
    // `curl --data` calls its body a form.
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let body = r#"{"db": "servers", "q": "select * from cpu limit 5"}"#;
    let post = client.send("POST", "/api/v3/query_sql", &headers, body);
    assert_eq!((post.status, post.json()), (200, get.json()));
    for format in ["pretty", "jsonl", "parquet", "csv", "json"] {
        let parameters = [("db", "servers"), ("q", "select * from cpu"), ("format", format)];
        assert_eq!(client.get(&with_query("/api/v3/query_sql", &parameters)).status, 200);
    }
}

/// The guide's plugin with all its lines, one of which lacks the sign of a comment.
const GUIDE_PLUGIN: &str = include_str!("plugins/guide_plugin.py");

#[test]
fn plugins_and_triggers() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let plugins = directory.path().join("plugins");
    std::fs::create_dir(&plugins).expect("a directory");
    let base = ["serve", "--node-id=local01", "--object-store=memory", "--wal-flush-interval=50ms"];
    let option = format!("--plugin-dir={}", plugins.display());
    let server = Setup::of(&base).with(&[option.as_str()]).start();
    let client = &server.client;
    let shell = Shell { client: Some(client), directory: directory.path() };
    client.must_write("mydb", "cpu,host=foo v=1\ncpu,host=bar v=2");
    let test = || {
        let mut line = vec!["test", "wal_plugin", "--lp=my_measure,tag1=asdf f1=1.0 123"];
        line.extend(["-d", "mydb", "--input-arguments=arg1=hello,arg2=world", "test.py"]);
        let shown: serde_json::Value = serde_json::from_str(&shell.must(&line)).expect("JSON");
        shown
    };
    std::fs::write(plugins.join("test.py"), GUIDE_PLUGIN).expect("a file");
    let error = test()["errors"][0].as_str().expect("a text").to_owned();
    assert!(error.starts_with("error executing plugin: SyntaxError: "), "{error}");

    let mended = GUIDE_PLUGIN.replace("\nthresholds,", "\n# thresholds,");
    std::fs::write(plugins.join("test.py"), &mended).expect("a file");
    let shown = test();
    assert_eq!(shown["errors"], json!([]));
    let some_table = "some_table,tag1=tag1_value,tag2=tag2_value \
                      field1=1i,field2=2.0,field3=\"number three\"";
    let writes = json!({
        "mydb": [some_table],
        "mytestdb": ["other_table other_field=1i,other_field2=3.14 1302"],
    });
    assert_eq!(shown["database_writes"], writes);
    let lines: Vec<&str> =
        shown["log_lines"].as_array().expect("lines").iter().filter_map(|l| l.as_str()).collect();
    let expected = [
        "INFO: starting execution of wal plugin.",
        "INFO: arg1: hello",
        "INFO: query result: []",
        "INFO: table: my_measure",
        "INFO: row: {'tag1': 'asdf', 'f1': 1.0, 'time': 123}",
        "INFO: done",
    ];
    assert_eq!(lines[..lines.len() - 1], expected);
    assert!(lines[lines.len() - 1].starts_with("INFO: finished execution in "), "{lines:?}");
    assert_eq!(client.databases(), ["_internal", "mydb"]);
    assert_eq!(client.count("mydb", "my_measure"), 0);

    // The client's file, wherever it is.
    std::fs::write(directory.path().join("mine.py"), &mended).expect("a file");
    let code = format!("--code-filename={}", directory.path().join("mine.py").display());
    let created = shell.must(&["create", "plugin", "-d", "mydb", &code, "test_plugin"]);
    assert_eq!(created, "Plugin test_plugin created successfully\n");
    let mut line = vec!["create", "trigger", "-d", "mydb", "--plugin=test_plugin"];
    line.extend(["--trigger-spec=table:foo", "--trigger-arguments=arg1=hello,arg2=world"]);
    line.push("trigger1");
    assert_eq!(shell.must(&line), "Trigger trigger1 created successfully\n");
    let enabled = shell.must(&["enable", "trigger", "--database", "mydb", "trigger1"]);
    assert_eq!(enabled, "Trigger trigger1 enabled successfully\n");
    client.must_write("mydb", "bar v=1");
    client.must_write("mydb", "foo v=1");
    crate::support::eventually("the plugin has written", || {
        (client.count("mytestdb", "other_table") == 1).then_some(())
    });
    let sql = "SELECT CAST(time AS BIGINT) AS t FROM other_table";
    assert_eq!(client.value("mytestdb", sql), 1302);
    assert_eq!(client.count("mydb", "some_table"), 1);
}
