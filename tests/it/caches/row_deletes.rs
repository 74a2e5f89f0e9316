//! Caches forget rows that are deleted, and have them again when that is taken back.

use super::{DISTINCT, LAST, T0, csv, must_create, sorted, write_at};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::Server;
use serde_json::json;

const PATH: &str = "/api/v3/row_delete_requests";

fn delete(client: &Client, seconds: (i64, i64), predicate: &str) -> u64 {
    let at = |seconds: i64| (T0 + seconds) * 1_000_000_000;
    let body = json!({
        "db": "x", "table": "m", "min_time": at(seconds.0), "max_time": at(seconds.1),
        "predicate": predicate,
    });
    let answer = client.json("POST", PATH, &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["sequence"].as_u64().expect("a number")
}

#[test]
fn caches_follow_deletes() {
    let server = Server::disk();
    let client = &server.client;
    for second in 0..4 {
        write_at(client, &format!("m,host=a n={second}i"), second);
        write_at(client, &format!("m,host=b n=1{second}i"), second);
    }
    must_create(client, LAST, &json!({"table": "m", "name": "l", "count": 2}));
    must_create(client, DISTINCT, &json!({"table": "m", "name": "d", "columns": ["host"]}));
    let last = "SELECT host, n FROM last_cache('m', 'l')";
    let hosts = "SELECT host FROM distinct_cache('m', 'd')";
    assert_eq!(sorted(client, last), ["a,2", "a,3", "b,12", "b,13"]);
    delete(client, (3, 4), "host = 'a'");
    assert_eq!(sorted(client, last), ["a,1", "a,2", "b,12", "b,13"]);
    let of_b = delete(client, (0, 100), "host = 'b'");
    assert_eq!(sorted(client, last), ["a,1", "a,2"]);
    assert_eq!(sorted(client, hosts), ["a"]);
    write_at(client, "m,host=a n=7i", 3);
    assert_eq!(sorted(client, last), ["a,2", "a,7"]);
    let server = server.killed_and_restarted();
    let client = &server.client;
    assert_eq!(sorted(client, last), ["a,2", "a,7"]);
    assert_eq!(sorted(client, hosts), ["a"]);
    let answer = client.json("POST", &format!("{PATH}/{of_b}/abort"), &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(sorted(client, last), ["a,2", "a,7", "b,12", "b,13"]);
    assert_eq!(sorted(client, hosts), ["a", "b"]);
}

#[test]
fn no_cache_answers_with_what_was_deleted_while_rows_come_in() {
    let server = Server::memory();
    let client = &server.client;
    write_at(client, "m,host=a n=0i", 0);
    must_create(client, LAST, &json!({"table": "m", "name": "l", "count": 3}));
    for round in 1..20_i64 {
        write_at(client, &format!("m,host=a n={round}i"), round);
        delete(client, (0, round + 1), "");
        assert_eq!(csv(client, "SELECT n FROM last_cache('m', 'l')"), Vec::<String>::new());
        write_at(client, &format!("m,host=a n=1{round}i"), round);
        let found = csv(client, "SELECT n FROM last_cache('m', 'l')");
        assert_eq!(found, [format!("1{round}")]);
    }
    let whole = csv(client, "SELECT count(*) FROM m");
    assert_eq!(whole, ["1"]);
}

#[test]
fn what_is_in_memory_only_is_pending() {
    let server = Server::memory();
    let client = &server.client;
    write_at(client, "m,host=a n=0i", 0);
    let sequence = delete(client, (0, 5), "");
    let listed = client.get(&format!("{PATH}?include_progress=true")).json();
    assert_eq!(listed[0]["progress"], json!({"files_left": 0, "chunks_left": 1}));
    let nothing = delete(client, (50, 60), "");
    eventually("there was nothing to delete", || {
        let listed = client.get(&format!("{PATH}?disposition=completed")).json();
        (listed[0]["sequence"] == nothing).then_some(())
    });
    let listed = client.get(&format!("{PATH}?disposition=pending&table=m&db=x")).json();
    assert_eq!(listed[0]["sequence"], sequence);
    assert_eq!(listed[0]["delete_predicate"], "");
    assert_eq!(client.get(&format!("{PATH}?db=other")).json(), json!([]));
}
