//! Failures of caches and their keeper, planted.

use super::{LAST, create, csv, must_create};
use crate::support::eventually;
use crate::support::server::Setup;
use serde_json::json;

/// A panic in an actor, wherever it comes, costs no row: the cache is filled again.
#[test]
fn a_cache_that_fails_is_filled_again() {
    for point in [
        "last-cache-0-0:CacheRows",
        "last-cache-0-0:FillRows",
        "last-cache-0-0:FillEnded",
        "last-cache-0-0:LookUpCache",
        "last-cache-0-0:EvictDue",
        "cache-keeper:SyncCaches",
        "cache-keeper:LookAfterCaches",
        "cache-keeper:EvictCaches",
    ] {
        let server = Setup::memory()
            .with(&["--last-cache-eviction-interval", "200ms"])
            .with_variable("INFLUXDB3_FAILPOINTS", &format!("{point}=panic(1)"))
            .start();
        let client = &server.client;
        client.must_write("x", "m,h=a f=1 1");
        let created = create(client, LAST, &json!({"table": "m"}));
        assert!(created.status == 201 || created.status >= 500, "{point}: {}", created.status);
        client.must_write("x", "m,h=b f=2 2");
        let sql = "SELECT h, f FROM last_cache('m')";
        eventually(&format!("{point}: the cache has both rows"), || {
            let answer = client.sql("x", sql);
            assert!(answer.status == 200 || answer.status >= 400, "{point}");
            let rows = if answer.status == 200 { answer.json() } else { json!([]) };
            (rows.as_array().map(Vec::len) == Some(2)).then_some(())
        });
        client.must_write("x", "m,h=c f=3 3");
        assert_eq!(csv(client, sql).len(), 3, "{point}");
        eventually(&format!("{point} was reached"), || {
            server.log().contains("planted panic").then_some(())
        });
    }
}

/// Writers wait for one message at most, and what a cache misses it is filled with.
#[test]
fn a_cache_that_does_not_keep_up_begins_anew() {
    let setup = Setup::memory()
        .with_variable("INFLUXDB3_FAILPOINTS", "last-cache-0-0:CacheRows=sleep(6000)");
    let server = setup.start();
    let client = &server.client;
    client.must_write("x", "m,h=a f=1 1");
    must_create(client, LAST, &json!({"table": "m"}));
    client.must_write("x", "m,h=b f=2 2");
    let late = client.metric("cache_overruns_total", &["table=\"m\""]);
    assert_eq!(late, Some(1.0), "the writer went on without the cache");
    assert!(server.log().contains("cache cannot keep up"), "{}", server.log());
    eventually("the cache has all rows", || {
        let answer = client.sql("x", "SELECT h, f FROM last_cache('m')");
        assert!(matches!(answer.status, 200 | 503), "{} {}", answer.status, answer.text());
        (answer.status == 200 && answer.json().as_array()?.len() == 2).then_some(())
    });
    eventually("it is well again", || {
        let state = client.value("x", "SELECT state FROM system.cache_states");
        (state == "running").then_some(())
    });
}
