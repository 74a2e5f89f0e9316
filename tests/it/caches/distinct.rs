//! What a distinct-value cache holds, and how long.

use super::{DISTINCT, csv, must_create, now, write_at};
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::json;

#[test]
fn distinct_values() {
    let server = Server::memory();
    let client = &server.client;
    write_at(client, "dp,region=us-east,host=a f=1", 0);
    let body = json!({"table": "dp", "columns": ["region", "host"], "name": "d"});
    must_create(client, DISTINCT, &body);
    write_at(client, "dp,region=us-west,host=a f=1", 0);
    write_at(client, "dp,region=us-west,host=b f=1", 1);
    write_at(client, "dp,host=a f=1", 0);
    let from = "FROM distinct_cache('dp')";
    let all = [",a", "us-east,a", "us-west,a", "us-west,b"];
    assert_eq!(csv(client, &format!("SELECT * {from}")), all);
    assert_eq!(csv(client, &format!("SELECT region {from}")), ["\"\"", "us-east", "us-west"]);
    assert_eq!(csv(client, &format!("SELECT host {from}")), ["a", "b"]);
    assert_eq!(csv(client, &format!("SELECT count(*) AS n {from}")), ["4"]);
    for (condition, hosts) in [
        ("region = 'us-west'", "a,b"),
        ("region != 'us-west'", "a"),
        ("region IN ('us-east','us-west')", "a,b"),
        ("region LIKE 'us%'", "a,b"),
        ("region IS NULL", "a"),
        ("region = 'us-east' OR host = 'b'", "a,b"),
        ("region > 'us-east' AND host = 'b'", "b"),
    ] {
        let rows = csv(client, &format!("SELECT host {from} WHERE {condition}"));
        assert_eq!(rows.join(","), hosts, "{condition}");
    }
    let plan = client.rows("x", &format!("EXPLAIN SELECT * {from} WHERE region IN ('us-east')"));
    let plan = plan.to_string();
    assert!(plan.contains("DistinctCacheExec: projection=[region, host]"), "{plan}");
    assert!(plan.contains("predicates=[[region@0 IN (us-east)]]"), "{plan}");
}

#[test]
fn distinct_values_age_and_their_number_is_bounded() {
    let setup = Setup::memory().with(&["--distinct-cache-eviction-interval", "200ms"]);
    let server = setup.start();
    let client = &server.client;
    client.must_write("x", "m,h=first f=1 1");
    let body =
        json!({"table": "m", "columns": ["h"], "max_age": 30, "max_cardinality": 3, "name": "d"});
    must_create(client, DISTINCT, &body);
    let now = now();
    for (value, ago) in [("b", 40), ("c", 27), ("a", 9)] {
        client.must_write("x", &format!("m,h={value} f=1 {}000000000", now - ago));
    }
    let values = || csv(client, "SELECT h FROM distinct_cache('m')").join(",");
    assert_eq!(values(), "a,c");
    eventually("one is too old", || (values() == "a").then_some(()));
    let lines: Vec<String> =
        (0..5).map(|n| format!("m,h=n{n} f=1 {}00000000{n}", now + 60)).collect();
    client.must_write("x", &lines.join("\n"));
    eventually("the oldest ones are gone", || (values() == "n2,n3,n4").then_some(()));
}
