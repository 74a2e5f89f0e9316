//! Failures of caches and their keeper, planted.

use super::{LAST, create, csv, must_create};
use crate::support::eventually;
use crate::support::server::Setup;
use protocols::limits::CACHE_MAILBOX_MESSAGES;
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

/// Writers wait for no cache, and what one misses whose mailbox is full it is filled with.
#[test]
fn a_cache_that_does_not_keep_up_begins_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let release = directory.path().join("release");
    let setup = Setup::memory()
        .with_variable("INFLUXDB3_FAILPOINTS", "last-cache-0-0:CacheRows=pause")
        .with_variable("INFLUXDB3_FAILPOINT_RELEASE", &release.display().to_string());
    let server = setup.start();
    let client = &server.client;
    client.must_write("x", "m,h=a f=1 1");
    must_create(client, LAST, &json!({"table": "m"}));
    let rows = CACHE_MAILBOX_MESSAGES + 10;
    for n in 0..rows {
        client.must_write("x", &format!("m,h=a f={n} {}", n + 2));
    }
    let overruns = client.metric("cache_overruns_total", &["db=\"x\"", "table=\"m\""]);
    assert_eq!(overruns, Some(1.0));
    assert!(server.log().contains("cache cannot keep up"), "{}", server.log());
    std::fs::write(&release, "").expect("a file");
    eventually("the cache has the newest row", || {
        let answer = client.sql("x", "SELECT f FROM last_cache('m')");
        assert!(matches!(answer.status, 200 | 503), "{} {}", answer.status, answer.text());
        (answer.status == 200 && answer.json() == json!([{"f": (rows - 1) as f64}])).then_some(())
    });
    eventually("it is well again", || {
        let state = client.value("x", "SELECT state FROM system.cache_states");
        (state == "running").then_some(())
    });
}

/// A cache that was given up is no reason to start the server anew, and is forgotten with its
/// definition.
#[test]
fn a_cache_that_was_given_up_does_not_make_the_server_ill() {
    let points = "last-cache-0-0:CacheRows=panic(100)";
    let server = Setup::memory().with_variable("INFLUXDB3_FAILPOINTS", points).start();
    let client = &server.client;
    client.must_write("x", "m,h=a f=1 1");
    must_create(client, LAST, &json!({"table": "m"}));
    eventually("the cache was given up", || {
        client.must_write("x", "m,h=a f=1 1");
        (client.value("x", "SELECT state FROM system.cache_states") == "failed").then_some(())
    });
    assert_eq!([client.get("/health").status, client.get("/ready").status], [200, 200]);
    assert!(client.metric("cache_keys", &["cache=\"m_h_last_cache\""]).is_some());
    assert_eq!(client.delete(&format!("{LAST}?db=x&table=m&name=m_h_last_cache")).status, 200);
    let count = "SELECT count(*) FROM system.actors WHERE kind = 'last-cache'";
    eventually("it is forgotten", || (client.value("_internal", count) == 0).then_some(()));
    assert_eq!(client.metric("cache_keys", &[]), None);
    let of_actor = client.metric("actor_up", &["actor=\"last-cache-0-0\""]);
    assert_eq!((of_actor, client.metric("actor_up", &["actor=\"last-cache\""])), (None, Some(0.0)));
}
