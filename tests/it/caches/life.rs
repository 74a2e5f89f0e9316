//! Filling, restarts, visibility and memory.

use super::{DISTINCT, LAST, csv, must_create, now, sorted, write_at};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::json;

#[test]
fn a_new_cache_has_what_is_there() {
    let server = Setup::disk().with(&["--gen1-duration", "1m"]).start();
    let client = &server.client;
    let (old, recent) = (now() - 100_000, now() - 10);
    client.must_write("x", &format!("m,h=a f=1 {old}000000000\nm,h=a f=2 {recent}000000000"));
    client.must_write("x", &format!("m,h=a g=3i {recent}000000000\nm,h=b f=4 {recent}000000000"));
    must_create(client, LAST, &json!({"table": "m", "name": "full", "count": 5}));
    let body = json!({"table": "m", "name": "empty", "start_empty": true});
    must_create(client, LAST, &body);
    must_create(client, DISTINCT, &json!({"table": "m", "columns": ["h"]}));
    let rows = sorted(client, "SELECT h, f, g FROM last_cache('m','full')");
    assert_eq!(rows, ["a,1.0,", "a,2.0,3", "b,4.0,"], "rows are merged as in the table");
    assert!(csv(client, "SELECT * FROM last_cache('m','empty')").is_empty());
    assert_eq!(csv(client, "SELECT * FROM distinct_cache('m')"), ["a", "b"]);
    client.must_write("x", "m,h=c f=5");
    assert_eq!(csv(client, "SELECT h FROM last_cache('m','empty')"), ["c"]);
    let sql = "SELECT name, kind, state, keys, rows FROM system.cache_states ORDER BY name";
    let state = |name: &str, kind: &str, keys: u32, rows: u32| json!({"name": name, "kind": kind, "state": "running", "keys": keys, "rows": rows});
    let states = [
        state("empty", "last", 1, 1),
        state("full", "last", 3, 4),
        state("m_h_distinct_cache", "distinct", 3, 3),
    ];
    eventually("all have the new row", || (client.rows("x", sql) == json!(states)).then_some(()));
    let listed = client.rows("x", "SHOW TABLES").to_string();
    assert!(!listed.contains("cache_states") && listed.contains("last_caches"), "{listed}");
    assert!(client.metric("cache_bytes", &["cache=\"full\""]).is_some_and(|bytes| bytes > 0.0));
}

#[test]
fn a_restart_keeps_what_was_cached() {
    let setup = Setup::disk();
    let mut server = setup.start();
    let client = &server.client;
    write_at(client, "cpu,region=us-east,host=a load=1", 0);
    must_create(client, LAST, &json!({"table": "cpu", "name": "all"}));
    must_create(client, DISTINCT, &json!({"table": "cpu", "columns": ["region", "host"]}));
    must_create(client, LAST, &json!({"table": "cpu", "name": "gone"}));
    must_create(client, LAST, &json!({"table": "cpu", "name": "empty", "start_empty": true}));
    assert_eq!(client.delete(&format!("{LAST}?db=x&table=cpu&name=gone")).status, 200);
    write_at(client, "cpu,region=us-east,host=b load=2", 1);
    write_at(client, "cpu,region=us-west,host=a load=3", 2);
    write_at(client, "cpu,region=us-east,host=a load=4", 3);
    let all = |client: &Client| {
        ["SELECT * FROM last_cache('cpu', 'all')", "SELECT * FROM distinct_cache('cpu')"]
            .map(|sql| sorted(client, sql))
    };
    let before = all(client);
    assert_eq!((before[0].len(), before[1].len()), (3, 3));
    let started_empty = "SELECT host FROM last_cache('cpu', 'empty')";
    assert_eq!(csv(client, started_empty).len(), 3);
    for _ in 0..2 {
        server.kill();
        server = setup.start();
        assert_eq!(all(&server.client), before);
    }
    assert!(csv(&server.client, started_empty).is_empty(), "it starts empty each time");
    server.client.must_write("x", "cpu,region=us-east,host=z load=5");
    assert_eq!(all(&server.client)[0].len(), 4, "it takes new rows");
    assert_eq!(csv(&server.client, started_empty), ["z"]);
}

#[test]
fn an_acknowledged_row_is_in_the_next_answer() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("x", "m,h=a f=0 0");
    must_create(client, LAST, &json!({"table": "m"}));
    must_create(
        client,
        DISTINCT,
        &json!({"table": "m", "columns": ["h"], "max_age": 10_000_000_000_u64}),
    );
    for n in 1..200 {
        client.must_write("x", &format!("m,h=a f={n} {n}\nm,h=h{n} f=1 {n}"));
        let rows = csv(client, "SELECT f FROM last_cache('m') WHERE h = 'a'");
        assert_eq!(rows, [format!("{n}.0")]);
        let sql = format!("SELECT h FROM distinct_cache('m') WHERE h = 'h{n}'");
        assert_eq!(csv(client, &sql).len(), 1);
    }
}

#[test]
fn many_keys_use_up_the_budget_and_not_the_memory() {
    let setup = Setup::memory().with(&[
        "--cache-memory-limit",
        "2000000b",
        "--last-cache-eviction-interval",
        "1h",
    ]);
    let server = setup.start();
    let client = &server.client;
    client.must_write("x", "m,h=first f=1 1");
    must_create(client, LAST, &json!({"table": "m"}));
    for part in 0..10 {
        let lines: Vec<String> =
            (0..5_000).map(|n| format!("m,h=host-{part}-{n} f={n} {n}")).collect();
        client.must_write("x", &lines.join("\n"));
    }
    let last = csv(client, "SELECT f FROM last_cache('m') WHERE h = 'host-9-4999'");
    assert_eq!(last, ["4999.0"], "what came last is there");
    let state = client.rows("x", "SELECT state, keys, bytes FROM system.cache_states");
    assert_eq!(state[0]["state"], "full");
    assert!(state[0]["bytes"].as_u64().is_some_and(|bytes| bytes <= 2_000_000), "{state}");
    let keys = state[0]["keys"].as_u64().expect("a number");
    assert!((1_000..50_000).contains(&keys), "{keys}");
    assert!(server.log().contains("the memory for caches is used up"), "{}", server.log());
    assert!(csv(client, "SELECT f FROM last_cache('m') WHERE h = 'first'").is_empty());
    let evicted = client.metric("cache_evicted_keys_total", &["reason=\"memory\""]);
    assert_eq!(evicted, Some((50_001 - keys) as f64));
}
