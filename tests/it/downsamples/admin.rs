//! Creating, listing, switching and deleting downsamples, and what is wrong with some.

use super::{DB, PATH, WIDTH, body, create, must_be_idle, must_keep_up, status, switch, write};
use crate::support::client::Client;
use crate::support::command::Shell;
use crate::support::eventually;
use crate::support::server::Server;
use serde_json::{Value, json};

#[test]
fn wrong_ones_are_refused_with_the_reason() {
    let server = Server::memory();
    let client = &server.client;
    write(client, &[("a", 0, 1.0)]);
    client.must_write("e", "fine v=1 1");
    let refused = |more: Value, status: u16, text: &str| {
        let answer = client.json("POST", PATH, &body(&more));
        assert_eq!(
            (answer.status, answer.text().contains(text)),
            (status, true),
            "{more}: {}",
            answer.text()
        );
    };
    refused(json!({"aggregates": ["mode"]}), 400, "unknown aggregate 'mode': there are avg, min");
    refused(json!({"aggregates": []}), 400, "there are no aggregates");
    refused(json!({"aggregates": ["avg", "mean"]}), 400, "'avg' is named twice");
    refused(json!({"interval": "10"}), 400, "invalid interval");
    refused(json!({"interval": "900ms"}), 400, "shorter than a second");
    refused(json!({"interval": "1000y"}), 400, "too long");
    refused(json!({"offset": "-1s"}), 400, "invalid offset");
    refused(json!({"from": "yesterday"}), 400, "\"yesterday\" is neither");
    refused(json!({"table": "nosuch"}), 404, "Table nosuch not in DB schema for d");
    refused(json!({"db": "nosuch"}), 404, "Database not found nosuch");
    refused(json!({"to_db": "nosuch"}), 404, "Database not found nosuch");
    refused(json!({"to_db": "_internal"}), 500, "internal db");
    refused(json!({"to": "fine"}), 400, "the table is the one to write to");
    refused(json!({"to": ""}), 400, "no name");
    refused(json!({"name": "a\nb"}), 400, "control characters");
    refused(json!({"every": "1m"}), 400, "unknown field `every`");

    create(client, &json!({"name": "n", "backfill": true}));
    refused(json!({"name": "n", "to": "x"}), 409, "already exists");
    refused(json!({"name": "m"}), 400, "'n' of database 'd' writes to table 'coarse' already");
    must_keep_up(client);
    // A circle of three, over two databases.
    create(client, &json!({"table": "coarse", "to": "c", "to_db": "e", "backfill": true}));
    eventually("it is written", || (client.count("e", "c") == 1).then_some(()));
    let circle = json!({"db": "e", "table": "c", "to": "fine", "to_db": "d"});
    refused(circle, 400, "table 'c' is made of table 'fine'");

    for (verb, name) in [("", "nosuch"), ("/enable", "nosuch"), ("/disable", "nosuch")] {
        let path = format!("{PATH}{verb}?db=d&name={name}");
        let method = if verb.is_empty() { "DELETE" } else { "POST" };
        assert_eq!(client.send(method, &path, &[], "").status, 404, "{verb}");
    }
    assert_eq!(client.rows("e", "SELECT name FROM system.downsamples"), json!([]));
}

#[test]
fn a_target_that_does_not_fit_is_told_and_tried_again() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write(DB, "coarse v_avg=\"text\" 1");
    write(client, &[("a", 0, 1.0)]);
    create(client, &json!({"backfill": true}));
    let failing = |client: &Client| {
        let status = status(client);
        let error = status["last_error"].as_str()?.to_owned();
        (status["state"] == "failing").then_some(error)
    };
    let error = eventually("it fails", || failing(client));
    assert!(error.contains("table 'coarse' cannot be written"), "{error}");
    assert!(error.contains("v_avg"), "{error}");
    // Others go on meanwhile.
    create(client, &json!({"to": "other", "backfill": true, "name": "z"}));
    eventually("the other is computed", || (client.count(DB, "other") == 1).then_some(()));
    switch(client, "DELETE", "", "z");
    let path = "/api/v3/configure/table?db=d&table=coarse";
    assert_eq!(client.delete(path).status, 200);
    must_keep_up(client);
    must_be_idle(client);
    assert_eq!(status(client)["last_error"], Value::Null);
}

#[test]
fn a_source_that_is_deleted_is_told_and_may_come_back() {
    let server = Server::memory();
    let client = &server.client;
    write(client, &[("a", 0, 1.0)]);
    create(client, &json!({"backfill": true}));
    must_keep_up(client);
    switch(client, "POST", "/disable", "fine_to_coarse");
    write(client, &[("a", WIDTH, 3.0)]);
    let path = "/api/v3/configure/table?db=d&table=fine";
    assert_eq!(client.delete(path).status, 200);
    switch(client, "POST", "/enable", "fine_to_coarse");
    eventually("it says what is missing", || {
        (status(client)["last_error"] == "table 'fine' does not exist").then_some(())
    });
    assert_eq!(client.post("/api/v3/configure/table/undelete?db=d&table=fine", "").status, 200);
    must_keep_up(client);
    // With its database it goes and comes, too.
    assert_eq!(client.delete("/api/v3/configure/database?db=d").status, 200);
    assert_eq!(client.post("/api/v3/configure/database/undelete?db=d", "").status, 200);
    write(client, &[("a", 2 * WIDTH, 3.0)]);
    must_keep_up(client);
}

#[test]
fn a_deleted_one_leaves_its_rows_and_writes_no_more() {
    let server = Server::memory();
    let client = &server.client;
    write(client, &[("a", 0, 1.0)]);
    create(client, &json!({"backfill": true}));
    must_keep_up(client);
    switch(client, "DELETE", "", "fine_to_coarse");
    assert_eq!(client.rows(DB, "SELECT name FROM system.downsamples"), json!([]));
    write(client, &[("a", 0, 7.0)]);
    create(client, &json!({"to": "other", "backfill": true}));
    eventually("a new one is computed", || (client.count(DB, "other") == 1).then_some(()));
    assert_eq!(client.value(DB, "SELECT v_avg FROM other"), 7.0);
    assert_eq!(client.value(DB, "SELECT v_avg FROM coarse"), 1.0);
}

#[test]
fn the_command_line_has_it_all() {
    let server = Server::memory();
    let directory = tempfile::tempdir().expect("a directory");
    let shell = Shell { client: Some(&server.client), directory: directory.path() };
    write(&server.client, &[("a", 0, 1.0), ("a", 60, 2.0)]);
    let create =
        ["create", "downsample", "-d", DB, "-t", "fine", "--to", "coarse", "--interval", "10m"];
    let with = |more: &[&'static str]| [&create[..], more].concat();
    let said = shell.must(&with(&["--agg", "avg,max", "--offset", "1m", "--backfill"]));
    assert_eq!(said, "Downsample fine_to_coarse created successfully\n");
    eventually("it is computed", || (server.client.count(DB, "coarse") == 1).then_some(()));
    let rows = server.client.rows(DB, "SELECT v_avg, v_max FROM coarse");
    assert_eq!(rows, json!([{"v_avg": 1.5, "v_max": 2.0}]));
    shell.fails(&with(&["--agg", "avg"]), 1, &["already exists"]);
    shell.fails(&with(&["--agg", "mode"]), 2, &["unknown aggregate 'mode'"]);
    shell.fails(&with(&["--agg", "avg", "--from", "x"]), 2, &["\"x\" is neither"]);
    let show = ["show", "downsamples", "-d", DB, "--format", "json"];
    let shown = || -> Value { serde_json::from_str(&shell.must(&show)).expect("JSON") };
    let row = shown()[0].clone();
    let names = ["name", "source_table", "target_database", "target_table", "interval", "offset"];
    let values = names.map(|name| row[name].as_str().expect("text").to_owned());
    assert_eq!(values, ["fine_to_coarse", "fine", DB, "coarse", "10m", "1m"]);
    assert_eq!((&row["aggregates"], &row["disabled"]), (&json!("avg,max"), &json!(false)));
    let name = ["-d", DB, "fine_to_coarse"];
    let said = shell.must(&[&["disable", "downsample"], &name[..]].concat());
    assert_eq!(said, "Downsample fine_to_coarse disabled successfully\n");
    assert_eq!(shown()[0]["state"], "disabled");
    shell.must(&[&["enable", "downsample"], &name[..]].concat());
    shell.must(&[&["delete", "downsample"], &name[..]].concat());
    assert_eq!(shown(), json!([]));
    shell.fails(&[&["delete", "downsample"], &name[..]].concat(), 1, &["not found"]);
}
