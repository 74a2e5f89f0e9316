//! Creating, listing and deleting caches, over HTTP and from the command line.

use super::{DISTINCT, LAST, create, csv, must_create, refused, write_at};
use crate::support::command::Shell;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn defaults_names_and_conflicts() {
    let server = Server::memory();
    let client = &server.client;
    write_at(client, "cpu,region=us-east,host=a load=1,cores=2i,st=\"x\",up=true", 0);
    let created = create(client, LAST, &json!({"table": "cpu"}));
    assert_eq!(created.status, 201);
    assert_eq!(created.header("content-type"), "application/json");
    let op = &created.json()["catalog_batch"]["Database"]["ops"][0]["CreateLastCache"];
    assert_eq!(op["name"], "cpu_region_host_last_cache");
    assert_eq!((&op["count"], &op["ttl"]), (&json!(1), &json!(14_400)));
    assert_eq!(op["key_columns"], json!([{"tag": 0}, {"tag": 1}]));
    assert_eq!(op["value_columns"], "all_non_key_columns");
    let again = create(client, LAST, &json!({"table": "cpu"}));
    let exists = "attempted to create a resource that already exists";
    assert_eq!((again.status, again.text().as_str()), (409, exists));
    let keys = json!({"table": "cpu", "name": "l1", "key_columns": ["region"],
                      "value_columns": ["load"], "count": 2, "ttl": 3600});
    must_create(client, LAST, &keys);
    let sql = "SELECT \"table\", name, key_column_names, value_column_names, count, ttl \
               FROM system.last_caches ORDER BY name";
    let rows = client.rows("x", sql);
    let first = json!({"table": "cpu", "name": "cpu_region_host_last_cache",
                       "key_column_names": ["region", "host"], "count": 1, "ttl": 14_400});
    let second = json!({"table": "cpu", "name": "l1", "key_column_names": ["region"],
                        "value_column_names": ["load"], "count": 2, "ttl": 3600});
    assert_eq!(rows, json!([first, second]));

    let op = must_create(client, DISTINCT, &json!({"table": "cpu", "columns": ["region", "host"]}));
    let op = &op["catalog_batch"]["Database"]["ops"][0]["CreateDistinctCache"];
    assert_eq!(op["cache_name"], "cpu_region_host_distinct_cache");
    let row = json!({"table": "cpu", "name": "cpu_region_host_distinct_cache",
                     "column_ids": [0, 1], "column_names": ["region", "host"],
                     "max_cardinality": 100_000, "max_age_seconds": 86_400});
    assert_eq!(client.rows("x", "SELECT * FROM system.distinct_caches"), json!([row]));
    let counts = client.rows(
        "_internal",
        "SELECT last_cache_count AS l, distinct_cache_count AS d FROM system.tables \
         WHERE table_name = 'cpu'",
    );
    assert_eq!(counts, json!([{"l": 2, "d": 1}]));
}

#[test]
fn creation_is_checked() {
    let server = Server::memory();
    let client = &server.client;
    write_at(client, "t,a=1,b=2 f=1,i=1i,s=\"q\"", 0);
    let check = |path: &str, body: &Value, status: u16, text: &str| {
        let answer = create(client, path, body);
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{body}");
    };
    let wrong = "invalid configuration provided: ";
    let types = "only uint64, int64, bool, tag, and string columns are supported in the last cache";
    let nope = format!("{wrong}invalid key column provided: nope");
    check(LAST, &json!({"table": "t", "key_columns": ["nope"]}), 400, &nope);
    check(LAST, &json!({"table": "t", "key_columns": ["f"]}), 400, types);
    check(LAST, &json!({"table": "t", "key_columns": ["time"]}), 400, types);
    let unknown = "Table nope not in DB schema for x";
    check(LAST, &json!({"table": "nope"}), 404, unknown);
    check(DISTINCT, &json!({"table": "nope", "columns": ["a"]}), 404, unknown);
    for body in [
        json!({"table": "t", "count": 0}),
        json!({"table": "t", "key_columns": ["a", "a"]}),
        json!({"table": "t", "key_columns": ["a"], "value_columns": ["a"]}),
        json!({"table": "t", "value_columns": ["nope"]}),
        json!({"table": "t", "count": "two"}),
    ] {
        assert_eq!(create(client, LAST, &body).status, 400, "{body}");
    }
    let none = format!("{wrong}no columns provided when creating distinct cache");
    check(DISTINCT, &json!({"table": "t", "columns": []}), 400, &none);
    let kinds = "only tag and string columns are supported in the distinct cache";
    check(DISTINCT, &json!({"table": "t", "columns": ["i"]}), 400, kinds);
    for body in [
        json!({"table": "t", "columns": ["a", "a"]}),
        json!({"table": "t", "columns": ["nope"]}),
        json!({"table": "t", "columns": ["a"], "max_cardinality": 0}),
        json!({"table": "t"}),
    ] {
        assert_eq!(create(client, DISTINCT, &body).status, 400, "{body}");
    }
    assert_eq!(client.json("POST", LAST, &json!({"db": "nope", "table": "t"})).status, 404);
    assert_eq!(client.post(LAST, "{}").status, 415);
    assert_eq!(client.rows("x", "SELECT * FROM system.last_caches"), json!([]));

    let limited = Setup::memory().with(&["--max-last-cache-count", "10"]).start();
    limited.client.must_write("x", "t,a=1 f=1 1");
    assert_eq!(create(&limited.client, LAST, &json!({"table": "t", "count": 11})).status, 422);
    must_create(&limited.client, LAST, &json!({"table": "t", "count": 10}));
}

#[test]
fn deleting() {
    let server = Server::memory();
    let client = &server.client;
    write_at(client, "cpu,region=us-east,host=a load=1", 0);
    write_at(client, "other,host=a load=1", 0);
    for table in ["cpu", "other"] {
        must_create(client, LAST, &json!({"table": table, "name": "l1"}));
        must_create(client, DISTINCT, &json!({"table": table, "name": "l1", "columns": ["host"]}));
    }
    let up = |kind: &str| client.metric("actor_up", &[&format!("actor=\"{kind}\"")]);
    assert_eq!([up("last-cache"), up("distinct-cache")], [Some(2.0); 2]);
    let path = format!("{LAST}?db=x&table=cpu&name=l1");
    let deleted = client.delete(&path);
    assert_eq!((deleted.status, deleted.text().as_str()), (200, ""));
    let again = client.delete(&path);
    let text = "the requested resource was not found: l1";
    assert_eq!((again.status, again.text().as_str()), (404, text));
    let gone = "could not find cache for the given arguments";
    refused(client, "SELECT * FROM last_cache('cpu','l1')", gone);
    assert_eq!(csv(client, "SELECT * FROM distinct_cache('cpu')"), ["a"], "another kind stays");
    assert_eq!(up("last-cache"), Some(1.0), "its actor has ended");
    let body = json!({"db": "x", "table": "cpu", "name": "l1"});
    assert_eq!(client.json("DELETE", DISTINCT, &body).status, 200);
    let missing = client.delete(&format!("{LAST}?db=x&table=cpu"));
    let text = "serde error: missing field `name`";
    assert_eq!((missing.status, missing.text().as_str()), (400, text));
    assert_eq!(client.send("DELETE", LAST, &[], "x").status, 415);
    assert_eq!(client.delete(&format!("{LAST}?db=nope&table=cpu&name=l1")).status, 404);
    assert_eq!(client.delete(&format!("{LAST}?db=x&table=nope&name=l1")).status, 404);

    assert_eq!(client.delete("/api/v3/configure/table?db=x&table=other").status, 200);
    assert_eq!(client.rows("x", "SELECT * FROM system.last_caches"), json!([]));
    assert_eq!(client.rows("x", "SELECT * FROM system.distinct_caches"), json!([]));
    let bad = "provided table name is invalid";
    refused(client, "SELECT * FROM last_cache('other')", bad);
    eventually("the actors have ended", || {
        ([up("last-cache"), up("distinct-cache")] == [Some(0.0); 2]).then_some(())
    });
    write_at(client, "other,host=b load=1", 0);
    refused(client, "SELECT * FROM last_cache('other')", gone);
}

#[test]
fn the_command_line() {
    let server = Server::memory();
    let directory = TempDir::new().expect("a directory");
    let shell = Shell { client: Some(&server.client), directory: directory.path() };
    let lines = "cpu,host=Bravo,application=database usage_percent=55.2,status=\"OK\"\n\
                 cpu,host=Charlie,application=cache usage_percent=65.4,status=\"OK\"";
    shell.must(&["write", "--quiet", "--database", "servers", lines]);
    let created = shell.must(&[
        "create",
        "last-cache",
        "--database=servers",
        "--table=cpu",
        "--cache-name=cpuCache",
        "--key-columns=host,application",
        "--value-columns=usage_percent,status",
        "--count=5",
    ]);
    assert!(created.starts_with("new cache created: {\n"), "{created}");
    assert!(created.contains("\"name\": \"cpuCache\""), "{created}");
    let rows = shell.must(&[
        "query",
        "--database=servers",
        "SELECT * FROM last_cache('cpu','cpuCache') WHERE host = 'Bravo'",
    ]);
    assert!(rows.contains("Bravo") && !rows.contains("Charlie"), "{rows}");
    let fails = ["create", "last_cache", "-d", "servers", "-t", "cpu", "cpuCache"];
    shell.fails(&fails, 1, &["Create command failed:", "409", "already exists"]);
    let options = ["-d", "servers", "-t", "cpu"];
    let with = |arguments: &[&str]| {
        let (command, rest) = arguments.split_at(2);
        shell.must(&[command, &options[..], rest].concat())
    };
    with(&["create", "last_cache", "l2", "--ttl", "300"]);
    with(&["create", "last_cache", "--ttl", "2 hours", "l3"]);
    with(&["create", "distinct_cache", "--columns", "host,application", "--max-age", "1h"]);
    with(&["create", "distinct-cache", "--columns", "host", "--cache-name", "d2"]);
    let ttls = shell.must(&[
        "show",
        "system",
        "-d",
        "servers",
        "table",
        "last_caches",
        "-s",
        "name,ttl",
        "--format",
        "csv",
    ]);
    for row in ["cpuCache,14400", "l2,300", "l3,7200"] {
        assert!(ttls.lines().any(|line| line == row), "{ttls}");
    }
    let deleted = "last cache deleted successfully\n";
    assert_eq!(with(&["delete", "last_cache", "--cache-name", "cpuCache"]), deleted);
    assert_eq!(with(&["delete", "last-cache", "-n", "l2"]), deleted);
    assert_eq!(with(&["delete", "last_cache", "l3"]), deleted);
    let deleted = "distinct cache deleted successfully\n";
    assert_eq!(with(&["delete", "distinct_cache", "d2"]), deleted);
    let name = "cpu_host_application_distinct_cache";
    assert_eq!(with(&["delete", "distinct-cache", name]), deleted);
    let fails = ["delete", "last_cache", "-d", "servers", "-t", "cpu", "nope"];
    shell.fails(&fails, 1, &["Delete command failed:", "404"]);
    shell.fails(&["delete", "last_cache", "-d", "servers", "-t", "cpu"], 2, &[]);
    shell.fails(&["create", "distinct_cache", "-d", "servers", "-t", "cpu"], 2, &["--columns"]);
}
