//! The table functions: faults, predicates, plans, and the short way that is no other way.

use super::{DISTINCT, LAST, csv, must_create, refused, sorted, write_at};
use crate::support::client::with_query;
use crate::support::server::Server;
use serde_json::json;

#[test]
fn faults_of_the_table_functions() {
    let server = Server::memory();
    let client = &server.client;
    write_at(client, "cpu,host=a load=1", 0);
    let (first, second) = (
        "first argument must be the table name as a string",
        "second argument, if passed, must be the cache name as a string",
    );
    for function in ["last_cache", "distinct_cache"] {
        for arguments in ["", "cpu", "1", "cpu.x"] {
            refused(client, &format!("SELECT * FROM {function}({arguments})"), first);
        }
        refused(client, &format!("SELECT * FROM {function}('cpu',1)"), second);
        refused(client, &format!("SELECT * FROM {function}('cpu',c)"), second);
        refused(client, &format!("EXPLAIN SELECT * FROM {function}(cpu)"), first);
    }
    refused(client, "SELECT * FROM last_cache('nope')", "provided table name is invalid");
    refused(
        client,
        "SELECT * FROM last_cache('cpu','nope')",
        "could not find cache for the given arguments",
    );
    refused(
        client,
        "SELECT * FROM distinct_cache('nope')",
        "provided table name (nope) is invalid",
    );
    refused(
        client,
        "SELECT * FROM distinct_cache('cpu','nope')",
        "could not find distinct value cache for the given arguments",
    );
    must_create(client, LAST, &json!({"table": "cpu", "name": "c"}));
    assert_eq!(client.sql("x", "SELECT * FROM last_cache('cpu','c','more')").status, 400);
    assert_eq!(client.sql("x", "SELECT nope FROM last_cache('cpu')").status, 400);
    assert_eq!(client.sql("nope", "SELECT * FROM last_cache('cpu')").status, 404);
}

#[test]
fn predicates_and_plans() {
    let server = Server::memory();
    let client = &server.client;
    write_at(client, "cpu,region=us-east,host=a load=10", 1);
    write_at(client, "cpu,region=us-east,host=c load=30", 2);
    write_at(client, "cpu,region=us-west,host=b load=20", 3);
    must_create(client, LAST, &json!({"table": "cpu"}));
    let from = "FROM last_cache('cpu')";
    for (condition, hosts) in [
        ("region = 'us-east'", "a,c"),
        ("'us-east' = region", "a,c"),
        ("host = 'a'", "a"),
        ("region IN ('us-east','us-west') AND host != 'a'", "b,c"),
        ("region NOT IN ('us-east')", "b"),
        ("region = 'us-east' OR host = 'b'", "a,b,c"),
        ("region LIKE 'us%' AND load > 10", "b,c"),
        ("region = 'us-east' AND host = 'c'", "c"),
        ("region = 'nope'", ""),
        ("region = 'us-east' AND region = 'us-west'", ""),
    ] {
        // With brackets a statement goes the long way: both ways have the same rows.
        for condition in [condition.to_owned(), format!("({condition})")] {
            let rows = sorted(client, &format!("SELECT host {from} WHERE {condition}"));
            assert_eq!(rows.join(","), hosts, "{condition}");
        }
    }
    let sql = "SELECT region, count(*) AS n, max(load) AS m FROM last_cache('cpu') \
               GROUP BY region ORDER BY region";
    assert_eq!(csv(client, sql), ["us-east,2,30.0", "us-west,1,20.0"]);
    let explain = |condition: &str| {
        client.rows("x", &format!("EXPLAIN SELECT * {from} WHERE {condition}")).to_string()
    };
    let plan = explain("region = 'us-east'");
    assert!(plan.contains("LastCacheExec") && plan.contains("region@0 IN ('us-east')"), "{plan}");
    assert!(explain("region != 'us-east'").contains("region@0 NOT IN ('us-east')"));
    assert!(!explain("load > 1").contains("predicates="));
}

#[test]
fn the_short_way_answers_like_the_long_way() {
    let server = Server::memory();
    let client = &server.client;
    for n in 0..50 {
        let line = format!("m,h=h{n},r=r{} i={n}i,b={},s=\"it's {n}\",f={n}.5", n % 3, n % 2 == 0);
        write_at(client, &line, n);
    }
    let body = json!({"table": "m", "name": "l", "key_columns": ["h", "i", "b", "s"]});
    must_create(client, LAST, &body);
    must_create(client, DISTINCT, &json!({"table": "m", "name": "d", "columns": ["r", "h", "s"]}));
    for statement in [
        "SELECT * FROM last_cache('m','l')",
        "select f, TIME, h from last_cache('m')",
        "SELECT \"f\", \"h\" FROM last_cache('m', 'l') WHERE h = 'h7'",
        "SELECT * FROM last_cache('m','l') WHERE i = 7 AND b = false",
        "SELECT * FROM last_cache('m','l') WHERE s = 'it''s 8';",
        "SELECT * FROM last_cache('m','l') WHERE h = 'nope'",
        "SELECT * FROM last_cache('m','l') WHERE i = -7",
        "SELECT * FROM last_cache('m','l') WHERE h = 'h1' AND h = 'h2'",
        "SELECT * FROM distinct_cache('m','d')",
        "SELECT r FROM distinct_cache('m')",
        "SELECT r FROM distinct_cache('m') LIMIT 2",
        "SELECT h, r FROM distinct_cache('m') WHERE r = 'r1'",
        "SELECT h FROM distinct_cache('m') WHERE r = 'r1' AND s = 'it''s 10'",
        "SELECT H FROM distinct_cache('m') WHERE R = 'r2'",
    ] {
        // A common table expression is nothing that the short way knows.
        let long = format!("WITH nothing AS (SELECT 1) {statement}");
        for format in ["json", "csv", "pretty", "jsonl"] {
            let ask = |sql: &str| {
                let query = [("db", "x"), ("q", sql), ("format", format)];
                let answer = client.get(&with_query("/api/v3/query_sql", &query));
                let mut lines: Vec<String> = answer.text().lines().map(str::to_owned).collect();
                lines.sort();
                (answer.status, lines)
            };
            assert_eq!(ask(statement), ask(&long), "{statement} as {format}");
        }
    }
    for statement in [
        "SELECT f, f FROM last_cache('m','l')",
        "SELECT nope FROM last_cache('m','l')",
        "SELECT * FROM last_cache('m','l') WHERE nope = 'x'",
        "SELECT * FROM last_cache('m','l') WHERE h = 'x' AND",
        "SELECT * FROM last_cache('m','l') x y",
        "SELECT * FROM last_cache('m','l') WHERE h = $nope",
    ] {
        assert_eq!(client.sql("x", statement).status, 400, "{statement}");
    }
    let body = json!({"db": "x", "q": "SELECT i FROM last_cache('m') WHERE h = $h AND i = $i",
                      "params": {"h": "h9", "i": 9}});
    let answer = client.json("POST", "/api/v3/query_sql", &body);
    assert_eq!(answer.json(), json!([{"i": 9}]));
    let sql = "SELECT query_text FROM system.queries WHERE query_text LIKE '%$h AND%' AND success";
    assert!(!client.rows("x", sql).as_array().expect("rows").is_empty(), "it is in the log");
}
