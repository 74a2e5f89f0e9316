//! Tables over HTTP: create and delete.

use crate::support::client::{Answer, Client};
use crate::support::server::Server;
use serde_json::{Value, json};

const PATH: &str = "/api/v3/configure/table";

fn create(client: &Client, table: &str, tags: &[&str], fields: &[(&str, &str)]) -> Answer {
    let fields: Vec<Value> =
        fields.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    let body = json!({"db": "d", "table": table, "tags": tags, "fields": fields});
    client.json("POST", PATH, &body)
}

#[test]
fn a_created_table_can_be_queried_and_written() {
    let server = Server::memory();
    let client = &server.client;
    let fields = [("f", "uint64"), ("s", "utf8"), ("x", "float64"), ("i", "int64"), ("o", "bool")];
    let answer = create(client, "t", &["b", "a"], &fields);
    assert_eq!((answer.status, answer.text().as_str()), (200, ""), "the database is made too");
    assert_eq!(client.rows("d", "SELECT * FROM t"), json!([]));
    let sql = "SELECT series_key_columns FROM system.tables WHERE table_name = 't'";
    let key = client.value("_internal", sql).to_string();
    let (b, a) = (key.find('b').expect("b"), key.find('a').expect("a"));
    assert!(b < a, "{key}");
    client.must_write("d", "t,a=1,b=2 f=1u,s=\"x\",x=1,i=1i,o=true 1");
    assert_eq!(client.write("d", "t f=1 2").status, 400);
    assert_eq!(client.count("d", "t"), 1);
    assert_eq!(create(client, "bare", &[], &[]).status, 200);
    assert_eq!(client.rows("d", "SELECT * FROM bare"), json!([]));
}

#[test]
fn creation_is_checked() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("d", "m f=1 1\nM f=\"x\" 1");
    let exists = "attempted to create a resource that already exists";
    for table in ["m", "M"] {
        let answer = create(client, table, &[], &[]);
        assert_eq!((answer.status, answer.text().as_str()), (409, exists), "{table}");
    }
    let reserved = create(client, "n", &["time"], &[]);
    assert_eq!((reserved.status, reserved.text().as_str()), (400, "'time' is a reserved column"));
    assert_eq!(create(client, "n", &[], &[("f", "decimal")]).status, 400);
    let untagged = client.json("POST", PATH, &json!({"db": "d", "table": "n"}));
    assert_eq!(untagged.status, 400);
    assert!(untagged.text().contains("missing field `tags`"), "{}", untagged.text());
    assert_eq!(client.post(PATH, "{}").status, 415);
    assert_eq!(create(client, "mm", &[], &[]).status, 200);
}

#[test]
fn deletion_frees_the_name() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("d", "m f=1 1\nother f=1 1");
    let answer = client.delete("/api/v3/configure/table?db=d&table=m");
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    let gone = client.sql("d", "SELECT * FROM m");
    assert_eq!(gone.status, 400);
    assert!(gone.text().contains("table 'public.iox.m' not found"), "{}", gone.text());
    client.must_write("d", "m f=\"x\" 1");
    assert_eq!(client.rows("d", "SELECT f FROM m"), json!([{"f": "x"}]));
    assert_eq!(client.count("d", "other"), 1);
}

#[test]
fn deletion_is_checked() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("d", "m f=1 1");
    for (query, status, text) in [
        ("db=nope&table=m", 404, "Database not found nope"),
        ("db=d&table=nope", 404, "Table nope not in DB schema for d"),
        ("db=d", 400, "serde error: missing field `table`"),
    ] {
        let answer = client.delete(&format!("{PATH}?{query}"));
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{query}");
    }
}
