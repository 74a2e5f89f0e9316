//! Every route, asked by every kind of token: the status is the one of this table. A route of the
//! server that has no row here fails the test.

use super::{LIMITED, NAMED, created, limited, server_with_operator, setup};
use crate::support::client::{Answer, Client};
use influxdb3::http::routes::ROUTES;
use serde_json::json;

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// This right with the database `one`.
    One(&'static str),
    /// Any token.
    Token,
    /// `system` rights.
    System,
    /// An admin.
    Admin,
    /// Nothing, and it is in vain.
    Nothing,
}

use Need::{Admin, Nothing, One, System, Token};

/// A request: method, path, parameters, body, what it needs.
type Row = (&'static str, &'static str, &'static str, &'static str, Need);

const TABLE: &[Row] = &[
    ("POST", "/write", "db=one", "m f=1 1", One("write")),
    ("POST", "/api/v2/write", "bucket=one", "m f=1 1", One("write")),
    ("POST", "/api/v3/write_lp", "db=one", "m f=1 1", One("write")),
    ("POST", "/api/v3/write_lp", "db=one&no_sync=true", "m f=1 1", One("write")),
    ("POST", "/api/v3/write_lp", "db=one", "no line", One("write")),
    ("GET", "/api/v3/query_sql", "db=one&q=SELECT+1", "", One("read")),
    ("GET", "/api/v3/query_sql", "db=one&q=SELECT+*+FROM+nosuch", "", One("read")),
    ("GET", "/api/v3/query_sql", "db=one&q=SELECT+*+FROM+system.queries", "", One("read")),
    ("POST", "/api/v3/query_sql", "", r#"{"db":"one","q":"SELECT 1"}"#, One("read")),
    ("GET", "/api/v3/query_influxql", "db=one&q=SHOW+MEASUREMENTS", "", One("read")),
    ("GET", "/api/v3/query_influxql", "q=SELECT+f+FROM+one..m", "", One("read")),
    ("POST", "/api/v3/query_influxql", "", r#"{"db":"one","q":"SHOW TAG KEYS"}"#, One("read")),
    ("GET", "/query", "db=one&q=SELECT+f+FROM+m", "", One("read")),
    ("GET", "/query", "db=two&q=SELECT+f+FROM+one..m", "", One("read")),
    ("POST", "/query", "db=one&q=SHOW+MEASUREMENTS", "", One("read")),
    ("POST", "/query", "q=CREATE+DATABASE+one", "", One("create")),
    ("POST", "/query", "db=one&q=DROP+MEASUREMENT+nosuch", "", One("delete")),
    ("GET", "/api/v3/configure/database", "format=json", "", Token),
    ("POST", "/api/v3/configure/database", "", r#"{"db":"one"}"#, One("create")),
    ("PUT", "/api/v3/configure/database", "", r#"{"db":"one"}"#, One("delete")),
    ("DELETE", "/api/v3/configure/database", "db=one", "", One("delete")),
    (
        "POST",
        "/api/v3/configure/database/retention_period",
        "db=one&duration=9y",
        "",
        One("delete"),
    ),
    ("DELETE", "/api/v3/configure/database/retention_period", "db=one", "", One("delete")),
    (
        "POST",
        "/api/v3/enterprise/configure/table/retention_period",
        "db=one&table=m&duration=9y",
        "",
        One("delete"),
    ),
    (
        "DELETE",
        "/api/v3/enterprise/configure/table/retention_period",
        "db=one&table=m",
        "",
        One("delete"),
    ),
    (
        "POST",
        "/api/v3/enterprise/configure/file_index",
        "",
        r#"{"db":"one","table":"nosuch","columns":["a"]}"#,
        One("create"),
    ),
    ("DELETE", "/api/v3/enterprise/configure/file_index", "", r#"{"db":"one"}"#, One("delete")),
    ("POST", "/api/v3/configure/database/undelete", "db=one", "", One("delete")),
    ("POST", "/api/v3/configure/table/undelete", "db=one&table=nosuch", "", One("delete")),
    (
        "POST",
        "/api/v3/configure/table",
        "",
        r#"{"db":"one","table":"m","tags":[],"fields":[]}"#,
        One("create"),
    ),
    ("DELETE", "/api/v3/configure/table", "db=one&table=nosuch", "", One("delete")),
    ("POST", "/api/v3/configure/last_cache", "", r#"{"db":"one","table":"nosuch"}"#, One("create")),
    ("DELETE", "/api/v3/configure/last_cache", "db=one&table=m&name=x", "", One("delete")),
    (
        "POST",
        "/api/v3/configure/distinct_cache",
        "",
        r#"{"db":"one","table":"nosuch","columns":["a"]}"#,
        One("create"),
    ),
    ("DELETE", "/api/v3/configure/distinct_cache", "db=one&table=m&name=x", "", One("delete")),
    (
        "POST",
        "/api/v3/row_delete_requests",
        "",
        r#"{"db":"one","table":"nosuch","all_time":true}"#,
        One("delete"),
    ),
    ("GET", "/api/v3/row_delete_requests", "", "", Token),
    ("POST", "/api/v3/configure/compact", "", r#"{"db":"one"}"#, Admin),
    ("GET", "/api/v3/configure/compact", "run=0", "", Admin),
    ("POST", "/api/v3/configure/token/admin", "", "", Nothing),
    ("POST", "/api/v3/configure/token/named_admin", "", r#"{"token_name":"_admin"}"#, Admin),
    (
        "POST",
        "/api/v3/enterprise/configure/token",
        "",
        r#"{"token_name":"_admin","permissions":[]}"#,
        Admin,
    ),
    ("DELETE", "/api/v3/configure/token", "token_name=nosuch", "", Admin),
    ("POST", "/api/v3/session", "", "", Token),
    ("DELETE", "/api/v3/session", "", "", Token),
    // There is no plugin directory, which an admin is told.
    ("POST", "/api/v3/configure/processing_engine_plugin", "", "{}", Admin),
    (
        "DELETE",
        "/api/v3/configure/processing_engine_plugin",
        "db=one&plugin_name=nosuch",
        "",
        Admin,
    ),
    ("POST", "/api/v3/configure/processing_engine_trigger", "", "{}", Admin),
    (
        "DELETE",
        "/api/v3/configure/processing_engine_trigger",
        "db=one&trigger_name=nosuch",
        "",
        Admin,
    ),
    (
        "POST",
        "/api/v3/configure/processing_engine_trigger/enable",
        "db=one&trigger_name=nosuch",
        "",
        Admin,
    ),
    (
        "POST",
        "/api/v3/configure/processing_engine_trigger/disable",
        "db=one&trigger_name=nosuch",
        "",
        Admin,
    ),
    (
        "POST",
        "/api/v3/configure/downsample",
        "",
        r#"{"db":"one","table":"nosuch","to":"x","interval":"1m","aggregates":["avg"]}"#,
        Admin,
    ),
    ("DELETE", "/api/v3/configure/downsample", "db=one&name=nosuch", "", Admin),
    ("POST", "/api/v3/configure/downsample/enable", "db=one&name=nosuch", "", Admin),
    ("POST", "/api/v3/configure/downsample/disable", "db=one&name=nosuch", "", Admin),
    ("POST", "/api/v3/plugins/files", "", "{}", Admin),
    ("PUT", "/api/v3/plugins/files", "", "{}", Admin),
    ("PUT", "/api/v3/plugins/directory", "", "{}", Admin),
    ("POST", "/api/v3/configure/plugin_environment/install_packages", "", "{}", Admin),
    ("POST", "/api/v3/configure/plugin_environment/install_requirements", "", "{}", Admin),
    ("POST", "/api/v3/plugin_test/wal", "", "{}", Admin),
    ("POST", "/api/v3/plugin_test/schedule", "", "{}", Admin),
    ("POST", "/api/v3/plugin_test/request", "", "{}", Admin),
    ("GET", "/health", "", "", System),
    ("GET", "/ready", "", "", System),
    ("GET", "/api/v1/health", "", "", System),
    ("GET", "/ping", "", "", System),
    ("POST", "/ping", "", "", System),
    ("GET", "/metrics", "", "", System),
    // What is none of the routes.
    ("GET", "/nosuch", "", "", Token),
    ("PUT", "/write", "db=one", "", Token),
    ("GET", "/api/v3/query_sql", "db=_internal&q=SELECT+*+FROM+system.tokens", "", Admin),
    ("GET", "/api/v3/query_sql", "db=_internal&q=SELECT+*+FROM+system.audit", "", Admin),
    ("GET", "/api/v3/query_sql", "db=_internal&q=SELECT+*+FROM+system.nodes", "", Admin),
    ("GET", "/api/v3/query_sql", "db=_internal&q=SELECT+*+FROM+system.plugin_files", "", Admin),
    ("GET", "/api/v3/query_sql", "db=_internal&q=SELECT+*+FROM+system.actors", "", Admin),
    (
        "GET",
        "/api/v3/query_sql",
        "db=_internal&q=SELECT+*+FROM+system.compaction_events",
        "",
        Admin,
    ),
];

/// Those that are tested apart: one takes the very token by which everybody else is asked for, one
/// needs the number of a delete (`deletes.rs`), the others are answered by plugins.
const APART: &[(&str, &str)] = &[
    ("POST", "/api/v3/configure/token/admin/regenerate"),
    ("POST", "/api/v3/row_delete_requests/{sequence}/abort"),
    ("GET", "/api/v3/engine/{path:.+}"),
    ("POST", "/api/v3/engine/{path:.+}"),
    ("GET", "/api/v3/plugins/{path:.+}"),
    ("POST", "/api/v3/plugins/{path:.+}"),
];

/// Somebody who asks.
pub(super) struct Asker {
    pub(super) name: &'static str,
    pub(super) client: Client,
    /// Status of whoever is not let in.
    pub(super) refused: Option<u16>,
    /// With the database `one`.
    pub(super) rights: &'static [&'static str],
    system: bool,
    pub(super) admin: bool,
}

impl Asker {
    fn may(&self, need: Need) -> bool {
        match need {
            One(right) => self.admin || self.rights.contains(&right),
            System => self.admin || self.system,
            Admin => self.admin,
            Token | Nothing => true,
        }
    }
}

pub(super) fn askers(operator: &Client) -> Vec<Asker> {
    let asker = |name, client, refused, rights, system, admin| Asker {
        name,
        client,
        refused,
        rights,
        system,
        admin,
    };
    let stranger = |name, text: &str, status| {
        asker(name, operator.with_token(text), Some(status), &[], false, false)
    };
    let holder = |name, permissions: &[&str], rights, system| {
        let text = limited(operator, name, permissions);
        asker(name, operator.with_token(&text), None, rights, system, false)
    };
    let expired = json!({ "token_name": "expired", "expiry_secs": 0 });
    let expired = created(&operator.json("POST", NAMED, &expired));
    let deleted = limited(operator, "deleted", &["db:*:read,write,create,delete"]);
    operator.delete("/api/v3/configure/token?token_name=deleted");
    let named = created(&operator.json("POST", NAMED, &json!({ "token_name": "named" })));
    let nobody = asker("none", operator.with_token(""), Some(401), &[], false, false);
    let all: &[&str] = &["read", "write", "create", "delete"];
    vec![
        nobody,
        stranger("malformed", "a b", 400),
        stranger("unknown", "apiv3_unknown", 401),
        stranger("expired", &expired, 401),
        stranger("deleted", &deleted, 401),
        holder("reader of two", &["db:two:read"], &[], false),
        holder("all of two", &["db:two:read,write,create,delete"], &[], false),
        holder("reader", &["db:one:read"], &["read"], false),
        holder("writer", &["db:one:write"], &["write"], false),
        holder("creator", &["db:one:create"], &["create"], false),
        holder("deleter", &["db:one:delete"], &["delete"], false),
        holder("both", &["db:one,two:read,write"], &["read", "write"], false),
        holder("reader of all", &["db:*:read"], &["read"], false),
        holder("all of all", &["db:*:read,write,create,delete"], all, false),
        holder("watcher", &["system:*:read"], &[], true),
        asker("admin", operator.with_token(&named), None, &[], false, true),
        asker("operator", operator.clone(), None, &[], false, true),
    ]
}

fn ask(client: &Client, row: &Row) -> Answer {
    let (method, path, parameters, body, _) = *row;
    let url = if parameters.is_empty() { path.to_owned() } else { format!("{path}?{parameters}") };
    client.send(method, &url, &[("content-type", content_type(path))], body)
}

fn content_type(path: &str) -> &'static str {
    if ["configure", "plugin", "row_delete"].iter().any(|part| path.contains(part)) {
        "application/json"
    } else {
        "text/plain"
    }
}

#[test]
fn each_route_is_in_the_table() {
    for route in ROUTES {
        let is_it = |method: &str, path: &str| method == route.method && path == route.path;
        let in_table = TABLE.iter().any(|(method, path, ..)| is_it(method, path));
        let apart = APART.iter().any(|(method, path)| is_it(method, path));
        assert!(in_table || apart, "{route:?} has no row");
    }
    for (method, path, _, _, need) in TABLE {
        let known = ROUTES.iter().any(|route| route.method == *method && route.path == *path);
        assert!(known || *need == Token, "{method} {path} is no route");
    }
    assert_eq!(LIMITED, "/api/v3/enterprise/configure/token");
}

#[test]
fn each_route_lets_in_whoever_has_the_right() {
    let (_server, operator) = server_with_operator(&setup());
    operator.must_write("one", "m f=1 1");
    operator.must_write("two", "m f=1 1");
    let mut wrong = Vec::new();
    let mut strangers = 1..;
    for asker in askers(&operator) {
        for row in TABLE {
            // Whoever tries one token after the other from one address has to wait.
            let stranger = asker.refused.and_then(|_| strangers.next());
            let answer = match stranger {
                Some(number) => ask(&asker.client.with_source(number), row),
                None => ask(&asker.client, row),
            };
            let (method, path, parameters, _, need) = row;
            let is_right = match (asker.refused, need) {
                (_, Nothing) => answer.status == 409,
                (Some(status), _) => answer.status == status,
                (None, need) if asker.may(*need) => {
                    !matches!(answer.status, 400 | 401 | 403)
                        || (answer.status == 400 && may_be_refused(row))
                }
                (None, _) => answer.status == 403,
            };
            if !is_right {
                let (name, status) = (asker.name, answer.status);
                wrong.push(format!(
                    "{name}: {method} {path}?{parameters}: {status} {}",
                    answer.text()
                ));
            }
            if answer.status == 401 {
                assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
            }
            if *method == "DELETE" && *path == "/api/v3/configure/database" && answer.status == 200
            {
                let back = operator.post("/api/v3/configure/database/undelete?db=one", "");
                assert_eq!(back.status, 200, "{}", back.text());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// True for requests that are let in and are wrong for another reason.
fn may_be_refused((_, path, parameters, body, _): &Row) -> bool {
    ["no line", "{}"].contains(body)
        || parameters.contains("nosuch")
        || (path.ends_with("token/named_admin") || path.ends_with("enterprise/configure/token"))
}
