//! Triggers of a server that asks for tokens.

use super::{Plugins, TRIGGER_PATH};
use crate::support::client::Client;
use crate::support::server::Setup;
use serde_json::{Value, json};

/// Answers with what it finds, and leaves a row.
const PLUGIN: &str = r#"
def process_request(influxdb3_local, query, headers, body, args=None):
    influxdb3_local.write(LineBuilder("asked").int64_field("v", 1))
    rows = influxdb3_local.query("SELECT count(*) AS n FROM cpu")
    return {"n": rows[0]["n"], "seen": sorted(headers)}
"#;

/// Whoever holds the token that `maker` makes.
fn holder(maker: &Client, path: &str, wanted: &Value) -> Client {
    let answer = maker.json("POST", path, wanted);
    assert_eq!(answer.status, 201, "{}", answer.text());
    maker.with_token(answer.json()["token"].as_str().expect("a token"))
}

#[test]
fn only_admins_make_triggers_and_only_those_of_the_database_ask_them() {
    let plugins = Plugins::of(Setup::disk().without("--without-auth"));
    plugins.plugin("answers.py", PLUGIN);
    let stranger = plugins.client().with_token("");
    let operator = holder(&stranger, "/api/v3/configure/token/admin", &json!({}));
    let limited = |name: &str, db: &str, right: &str| {
        let permissions =
            [json!({"resource_type": "db", "resource_names": [db], "actions": [right]})];
        let body = json!({"token_name": name, "permissions": permissions});
        holder(&operator, "/api/v3/enterprise/configure/token", &body)
    };
    operator.must_write("other", "m f=1 1");
    let (reader, writer) = (limited("r", "mydb", "read"), limited("w", "mydb", "write"));
    let (foreign, deleter) = (limited("f", "other", "read"), limited("d", "mydb", "delete"));

    let trigger = json!({
        "db": "mydb", "plugin_filename": "answers.py", "trigger_name": "t",
        "trigger_specification": "request:p",
    });
    for client in [&reader, &writer, &deleter] {
        assert_eq!(client.json("POST", TRIGGER_PATH, &trigger).status, 403);
    }
    assert_eq!(stranger.json("POST", TRIGGER_PATH, &trigger).status, 401);
    let made = operator.json("POST", TRIGGER_PATH, &trigger);
    assert_eq!(made.status, 200, "{}", made.text());

    for path in ["/api/v3/engine/p", "/api/v3/plugins/p"] {
        for client in [&reader, &writer, &operator] {
            let answer = client.get(path);
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["n"], 2);
            let seen = answer.json()["seen"].to_string();
            assert!(!seen.contains("authorization") && !seen.contains("cookie"), "{seen}");
        }
        for client in [&foreign, &deleter] {
            let answer = client.get(path);
            assert_eq!(answer.status, 403, "{}", answer.text());
            assert_eq!(client.post(path, "x").status, 403);
        }
        assert_eq!(stranger.get(path).status, 401);
    }
    assert_eq!(operator.count("mydb", "asked"), 6);
}
