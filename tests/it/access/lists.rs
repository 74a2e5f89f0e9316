//! What somebody sees of databases, tables and queries: only what is theirs.

use super::{client_with, server_with_operator, setup};
use crate::support::client::{Client, with_query};
use serde_json::json;

#[test]
fn lists_show_what_may_be_read() {
    let (_server, operator) = server_with_operator(&setup());
    operator.must_write("mine", "m f=1 1");
    operator.must_write("theirs", "secret f=1 1");
    let reader = client_with(&operator, "reader", &["db:mine:read"]);
    let writer = client_with(&operator, "writer", &["db:mine:write"]);
    assert_eq!(reader.databases(), ["_internal", "mine"]);
    assert_eq!(writer.databases(), Vec::<String>::new());
    assert_eq!(operator.databases(), ["_internal", "mine", "theirs"]);

    let tables = "SELECT DISTINCT database_name FROM system.tables";
    assert_eq!(reader.rows("_internal", tables), json!([{ "database_name": "mine" }]));
    let databases = "SELECT database_name FROM system.databases ORDER BY database_name";
    let shown = json!([{ "database_name": "_internal" }, { "database_name": "mine" }]);
    assert_eq!(reader.rows("_internal", databases), shown);
    for q in ["SHOW DATABASES", "SHOW RETENTION POLICIES"] {
        for path in ["/query", "/api/v3/query_influxql"] {
            let answer = reader.get(&with_query(path, &[("q", q)]));
            assert!(answer.status == 200 && !answer.text().contains("theirs"), "{}", answer.text());
            if path == "/query" && q == "SHOW DATABASES" {
                assert!(answer.text().contains("mine"), "{}", answer.text());
            }
            // Version 1 wants a database for the policies.
            if path != "/query" || q == "SHOW DATABASES" {
                assert_eq!(writer.get(&with_query(path, &[("q", q)])).status, 403, "{path} {q}");
            }
        }
    }
    let listed = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'system'";
    let names = |rows: serde_json::Value| rows.to_string();
    assert!(!names(reader.rows("_internal", listed)).contains("tokens"));
    assert!(names(operator.rows("_internal", listed)).contains("tokens"));
}

#[test]
fn what_exists_is_not_told() {
    let (_server, operator) = server_with_operator(&setup());
    operator.must_write("mine", "m f=1 1");
    operator.must_write("theirs", "m f=1 1");
    let reader = client_with(&operator, "reader", &["db:mine:read"]);
    let told = |path: String, db: &str| {
        let answer = reader.get(&path);
        (answer.status, answer.text().replace(db, "X"))
    };
    for path in ["/api/v3/query_sql", "/api/v3/query_influxql", "/query"] {
        let ask = |db: &str| {
            let q = if path.ends_with("sql") && !path.contains("influx") {
                "SELECT 1"
            } else {
                "SELECT f FROM m"
            };
            told(with_query(path, &[("db", db), ("q", q)]), db)
        };
        assert_eq!(ask("theirs"), ask("nosuch"), "{path}");
        assert_eq!(ask("theirs").0, 403, "{path}");
    }
    for statement in ["CREATE DATABASE theirs", "DROP DATABASE theirs", "DROP DATABASE nosuch"] {
        let answer = reader.post(&with_query("/query", &[("q", statement)]), "");
        assert_eq!(answer.status, 403, "{statement}: {}", answer.text());
    }
    // A retention policy is a database of its own: one that may not be read is as none.
    operator.must_write("mine/week", "m f=2 1");
    for policy in ["week", "nosuch"] {
        let select = format!("SELECT f FROM {policy}.m");
        let answer = reader.get(&with_query("/query", &[("db", "mine"), ("q", &select)]));
        assert!(answer.text().contains("[[\"1970-01-01T00:00:00.000000001Z\",1]]"), "{policy}");
        let select = format!("SELECT f FROM mine.{policy}.m");
        assert_eq!(reader.get(&with_query("/query", &[("q", &select)])).status, 403, "{policy}");
    }
}

#[test]
fn statements_about_several_databases_need_the_right_to_each() {
    let (_server, operator) = server_with_operator(&setup());
    operator.must_write("mine", "m f=1 1");
    operator.must_write("theirs", "m f=\"hidden\" 1");
    let one = client_with(&operator, "one", &["db:mine:read"]);
    let both = client_with(&operator, "both", &["db:mine,theirs:read"]);
    let statements = "SELECT f FROM mine..m; SELECT f FROM theirs..m";
    let ask = |client: &Client| client.get(&with_query("/query", &[("q", statements)]));
    let refused = ask(&one);
    assert_eq!(refused.status, 403);
    assert!(!refused.text().contains("hidden"), "{}", refused.text());
    assert!(refused.text().contains("it lacks db:theirs:read"), "{}", refused.text());
    let answer = ask(&both);
    assert!(answer.status == 200 && answer.text().contains("hidden"), "{}", answer.text());
    for name in ["theirs.iox.m", "theirs.public.m", "theirs.m", "\"theirs\".\"iox\".\"m\""] {
        for sql in [format!("SELECT f FROM {name}"), format!("SELECT a.f FROM m AS a, {name} AS b")]
        {
            let answer = one.sql("mine", &sql);
            assert!((400..500).contains(&answer.status), "{sql}: {}", answer.text());
            assert!(!answer.text().contains("hidden"), "{sql}: {}", answer.text());
        }
    }
}

#[test]
fn the_query_log_shows_the_queries_of_ones_own_databases() {
    let (_server, operator) = server_with_operator(&setup());
    operator.must_write("mine", "m f=1 1");
    operator.must_write("theirs", "m f=1 1");
    operator.rows("theirs", "SELECT 'hidden'");
    operator.rows("mine", "SELECT 'shown'");
    let reader = client_with(&operator, "reader", &["db:mine:read"]);
    let texts = reader.rows("mine", "SELECT query_text FROM system.queries").to_string();
    assert!(texts.contains("'shown'") && !texts.contains("'hidden'"), "{texts}");
    let texts = operator.rows("mine", "SELECT query_text FROM system.queries").to_string();
    assert!(texts.contains("'hidden'"), "{texts}");
}
