//! Databases over HTTP: list, create, change, delete.

use crate::support::client::{Answer, Client};
use crate::support::server::Server;
use serde_json::{Value, json};

const PATH: &str = "/api/v3/configure/database";

#[track_caller]
fn expect(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status, answer.text().as_str()), (status, text));
}

fn create(client: &Client, body: Value) -> Answer {
    client.json("POST", PATH, &body)
}

/// The list with deleted ones: name and whether it is deleted.
fn all(client: &Client) -> Vec<(String, bool)> {
    let rows = client.get("/api/v3/configure/database?format=json&show_deleted=true").json();
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| {
        let name = row["iox::database"].as_str().expect("a name").to_owned();
        (name, row["deleted"].as_bool().expect("a boolean"))
    })
    .collect()
}

#[test]
fn the_list_comes_in_every_format() {
    let server = Server::memory();
    let client = &server.client;
    expect(&client.get(PATH), 400, "serde error: missing field `format`");
    assert_eq!(client.databases(), ["_internal"]);
    expect(&create(client, json!({"db": "foo"})), 200, "");
    for (format, content_type, body) in [
        ("json", "application/json", r#"[{"iox::database":"_internal"},{"iox::database":"foo"}]"#),
        (
            "jsonl",
            "application/jsonl",
            "{\"iox::database\":\"_internal\"}\n{\"iox::database\":\"foo\"}",
        ),
        ("csv", "text/csv", "iox::database\n_internal\nfoo"),
        (
            "pretty",
            "text/plain; charset=utf-8",
            "+---------------+\n| iox::database |\n+---------------+\n\
             | _internal     |\n| foo           |\n+---------------+",
        ),
    ] {
        let answer = client.get(&format!("{PATH}?format={format}"));
        expect(&answer, 200, body);
        assert_eq!(answer.header("content-type"), content_type);
    }
    let parquet = client.get(&format!("{PATH}?format=parquet"));
    assert_eq!(&parquet.body[..4], b"PAR1");
    assert_eq!(parquet.header("content-type"), "application/vnd.apache.parquet");
}

#[test]
fn creation_is_checked() {
    let server = Server::memory();
    let client = &server.client;
    expect(&create(client, json!({"db": "foo"})), 200, "");
    let exists = "attempted to create a resource that already exists";
    expect(&create(client, json!({"db": "foo"})), 409, exists);
    let bad = create(client, json!({"db": "_foo"}));
    assert_eq!(bad.status, 400);
    assert_eq!(bad.json(), json!({"error": "db name did not start with a number or letter"}));
    assert_eq!(create(client, json!({"db": "bar", "retention_period": "30d"})).status, 200);
    let duration = create(client, json!({"db": "baz", "retention_period": "soon"}));
    assert_eq!(duration.status, 400);
    assert!(duration.text().starts_with("serde json error: "), "{}", duration.text());
    let untyped = client.post(PATH, r#"{"db":"baz"}"#);
    expect(&untyped, 415, "unacceptable content-type, expected: application/json");
    assert_eq!(client.databases(), ["_internal", "bar", "foo"]);
}

#[test]
fn deletion_hides_renames_and_frees_the_name() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("foo", "m f=1 1");
    expect(&client.delete("/api/v3/configure/database?db=foo"), 200, "");
    assert_eq!(client.databases(), ["_internal"]);
    assert_eq!(client.sql("foo", "SELECT 1").status, 404);
    let list = all(client);
    assert_eq!(list[0], ("_internal".to_owned(), false));
    let (renamed, deleted) = &list[1];
    assert!(deleted);
    let stamp = renamed.strip_prefix("foo-").expect("foo-YYYYMMDDTHHMMSS");
    assert_eq!((stamp.len(), stamp.find('T')), (15, Some(8)), "{renamed}");

    let refused = client.write(renamed, "m f=1 1");
    assert_eq!(refused.status, 400, "{}", refused.text());
    client.must_write("foo", "m f=\"another type\" 1");
    let rows = client.rows("foo", "SELECT f FROM m");
    assert_eq!(rows, json!([{"f": "another type"}]));
}

#[test]
fn deletion_is_checked() {
    let server = Server::memory();
    let client = &server.client;
    assert_eq!(client.delete("/api/v3/configure/database?db=nope").status, 404);
    assert_eq!(client.delete(PATH).status, 400);
    let internal = client.delete("/api/v3/configure/database?db=_internal");
    expect(&internal, 500, "cannot delete internal db");
    client.must_write("foo", "m f=1 1");
    let when = client.delete("/api/v3/configure/database?db=foo&hard_delete_at=tomorrow");
    assert_eq!(when.status, 400);
    assert!(when.text().starts_with("Cannot parse the timestamp: "), "{}", when.text());
    for when in ["never", "2999-01-01T00:00:00Z"] {
        client.must_write("foo", "m f=1 1");
        let path = format!("{PATH}?db=foo&hard_delete_at={when}");
        assert_eq!(client.delete(&path).status, 200, "{when}");
    }
}

#[test]
fn retention_is_set_and_cleared() {
    let server = Server::memory();
    let client = &server.client;
    expect(&create(client, json!({"db": "r"})), 200, "");
    let path = "/api/v3/configure/database/retention_period?db=r";
    let period = || {
        let sql = "SELECT retention_period_ns FROM system.databases WHERE database_name = 'r'";
        client.rows("_internal", sql)[0].get("retention_period_ns").and_then(Value::as_u64)
    };
    const DAY_NS: u64 = 86_400_000_000_000;
    assert_eq!(period(), None);
    expect(&client.post(&format!("{path}&duration=7d"), ""), 204, "");
    assert_eq!(period(), Some(7 * DAY_NS));
    expect(&client.delete(path), 204, "");
    assert_eq!(period(), None);
    let put = |body: Value| client.json("PUT", PATH, &body);
    expect(&put(json!({"db": "r", "retention_period": "1d"})), 200, "");
    assert_eq!(period(), Some(DAY_NS));
    expect(&put(json!({"db": "r"})), 200, "");
    assert_eq!(period(), None);

    let wrong = client.post(&format!("{path}&duration=xyz"), "");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().starts_with("Cannot parse the given human time"), "{}", wrong.text());
    let unknown = "the requested resource was not found: nope";
    expect(&put(json!({"db": "nope", "retention_period": "1d"})), 404, unknown);
    let internal = put(json!({"db": "_internal", "retention_period": "1d"}));
    expect(&internal, 500, "cannot modify internal db");
    assert_eq!(client.delete("/api/v3/configure/database?db=r").status, 200);
    let renamed = all(client).into_iter().find(|(_, deleted)| *deleted).expect("deleted").0;
    let gone = put(json!({"db": renamed, "retention_period": "1d"}));
    let text = format!("attempted to modify resource that was already deleted: {renamed}");
    expect(&gone, 409, &text);
}

#[test]
fn two_requests_for_one_new_database_both_succeed() {
    let server = Server::disk();
    let writers: Vec<_> = (0..16)
        .map(|i| {
            let client = server.client.clone();
            std::thread::spawn(move || {
                let line = format!("t{},k={i} f{i}=1,same=1 {i}", i % 2);
                client.must_write("d", &line);
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("accepted");
    }
    assert_eq!(server.client.count("d", "t0") + server.client.count("d", "t1"), 16);
}
