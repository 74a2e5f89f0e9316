//! The application as clients meet it: routing, headers and access. No actor runs behind it.

use super::app;
use crate::edge::access::Access;
use crate::edge::body_budget::BodyBudget;
use crate::edge::origins::{Hosts, Origins};
use crate::edge::quota::Quota;
use crate::edge::refusals::Refusals;
use crate::edge::state::{Recovery, ServerState};
use crate::edge::write_counts::WriteCounts;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING};
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::web;
use actors::runtime::actor::Service as ActorService;
use actors::runtime::clock::Clock;
use actors::runtime::guardian::{ActorConfig, Guardian};
use actors::runtime::mailbox::Mailbox;
use actors::runtime::mailbox_pool::MailboxPool;
use actors::runtime::published::Published;
use actors::runtime::vitals::Roster;
use actors::server::{PluginAddresses, Pulses, RowDeleter};
use actors::store::StoreShards;
use actors::wal::Wal;
use flate2::Compression;
use flate2::write::GzEncoder;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::DbId;
use protocols::schema::{DatabaseSchema, Deletion};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

const CLUSTER: Uuid = Uuid::from_u128(7);
const LOCAL: &str = "127.0.0.1:4000";
const BODY_BYTES_MAX: usize = 1_000;

/// The mailbox of an actor that does not run.
fn mailbox<A: ActorService>(kind: &'static str) -> Mailbox<A> {
    Guardian::mailbox(&bounds(kind))
}

fn bounds(kind: &'static str) -> ActorConfig {
    let name = kind.to_owned();
    ActorConfig { kind, name, messages_max: 4, bytes_max: 4096, vital: false }
}

fn database(id: u32, name: &str, deleted: bool) -> (Arc<str>, Arc<DatabaseSchema>) {
    let deletion = Deletion { deleted_at_ns: 1, hard_delete_at_ns: None, rows_removed: false };
    let name: Arc<str> = name.into();
    let schema = DatabaseSchema {
        id: DbId(id),
        name: Arc::clone(&name),
        retention_ns: None,
        tables: Default::default(),
        deletion: deleted.then_some(deletion),
        plugins: Default::default(),
        downsamples: Default::default(),
        indexed: None,
    };
    (name, Arc::new(schema))
}

fn state(without_auth: bool, stopping: bool) -> web::Data<ServerState> {
    state_with(Access { without_auth, ..Access::default() }, stopping)
}

fn state_with(access: Access, stopping: bool) -> web::Data<ServerState> {
    let databases = [("_internal", false), ("foo", false), ("bar-20260102T030405", true)];
    let snapshot = CatalogSnapshot {
        uuid: CLUSTER,
        sequence: 1,
        databases: (0..)
            .zip(databases)
            .map(|(id, (name, gone))| database(id, name, gone))
            .collect(),
        gen1_duration_ns: 1,
        next_db_id: 3,
        next_table_id: 0,
        index: Default::default(),
        tokens: Arc::default(),
        row_deletes: Arc::default(),
    };
    // None of them runs.
    let roster = Roster::default();
    let vital = ActorConfig { vital: true, ..bounds("wal") };
    roster.enter(Guardian::mailbox::<Wal>(&vital).vitals());
    let recorder = super::metrics::recorder().unwrap().build_recorder();
    let snapshot = Published::new(Arc::new(snapshot)).1;
    let stores = StoreShards::new(vec![mailbox("store")]);
    web::Data::new(ServerState {
        ingest: MailboxPool::new(vec![mailbox("ingest")]),
        catalog: mailbox("catalog"),
        row_deleter: RowDeleter::new(mailbox("catalog"), snapshot.clone(), mailbox("wal"), stores),
        snapshot,
        caches: mailbox("cache-keeper"),
        downsamples: mailbox("downsamples"),
        plugins: PluginAddresses {
            triggers: mailbox("triggers"),
            host: mailbox("python-host"),
            files: mailbox("plugin-files"),
            packages: mailbox("packages"),
            directory: Published::new(Arc::default()).1,
        },
        plugin_settings: Default::default(),
        audit: mailbox("audit"),
        refusals: Refusals::new(mailbox("audit")),
        redacts: false,
        query: mailbox("query"),
        roster,
        pulses: Pulses::default(),
        running_caches: Published::new(Arc::default()).1,
        compact: None,
        writes: WriteCounts::default(),
        metrics: recorder.handle(),
        max_body_bytes: BODY_BYTES_MAX,
        bodies: BodyBudget::new(BODY_BYTES_MAX, Duration::ZERO),
        quota: Quota::default(),
        access,
        recovery: Recovery::default(),
        process_id: Uuid::from_u128(9),
        clock: Clock::default(),
        stopping: watch::channel(stopping).1,
    })
}

async fn send_to(
    state: web::Data<ServerState>,
    request: TestRequest,
) -> ServiceResponse<impl MessageBody> {
    init_service(app(state)).await.call(request.to_request()).await.unwrap()
}

/// What a server without authentication answers.
async fn send(request: TestRequest) -> ServiceResponse<impl MessageBody> {
    send_to(state(true, false), request).await
}

async fn text(response: ServiceResponse<impl MessageBody>) -> (u16, String) {
    let status = response.status().as_u16();
    (status, String::from_utf8(read_body(response).await.to_vec()).unwrap())
}

async fn check(request: TestRequest, status: u16, body: &str) {
    assert_eq!(text(send(request).await).await, (status, body.to_owned()));
}

fn header<'a, B>(response: &'a ServiceResponse<B>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

fn get(uri: &str) -> TestRequest {
    TestRequest::get().uri(uri)
}

fn post(uri: &str, body: &'static str) -> TestRequest {
    TestRequest::post().uri(uri).set_payload(body)
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_not_found() {
    for (method, path) in [
        (Method::GET, "/nosuch"),
        (Method::GET, "/"),
        (Method::GET, "/write"),
        (Method::HEAD, "/write"),
        (Method::PUT, "/ping"),
        (Method::PATCH, "/api/v3/configure/database"),
        (Method::DELETE, "/api/v3/query_sql"),
    ] {
        let response = send(TestRequest::with_uri(path).method(method.clone())).await;
        assert_eq!(header(&response, "cluster-uuid"), Some(CLUSTER.to_string().as_str()));
        assert_eq!(header(&response, "access-control-allow-origin"), None);
        assert_eq!(header(&response, "content-type"), None);
        let body = if method == Method::HEAD { "" } else { "Not found" };
        assert_eq!(text(response).await, (404, body.to_owned()), "{method} {path}");
    }
}

#[actix_web::test]
async fn head_is_get_without_the_body() {
    let list = "/api/v3/configure/database?format=json";
    for uri in ["/ping", "/metrics", list, "/api/v3/query_sql", "/health", "/nosuch"] {
        let whole = send(get(uri)).await;
        let head = send(TestRequest::with_uri(uri).method(Method::HEAD)).await;
        assert_eq!(head.status(), whole.status(), "{uri}");
        assert_eq!(header(&head, "content-type"), header(&whole, "content-type"), "{uri}");
        if uri != "/metrics" {
            assert_eq!(head.response().body().size(), whole.response().body().size(), "{uri}");
        }
        assert_eq!(text(head).await.1, "", "{uri}");
    }
}

#[actix_web::test]
async fn what_is_not_offered_is_told_in_words() {
    let path = "/api/v3/test/telemetry_snapshot";
    let (status, body) = text(send(post(path, "{}")).await).await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let told = body["error"].as_str().unwrap();
    assert_eq!(
        (status, told.starts_with(&format!("{path} is not there: "))),
        (404, true),
        "{told}"
    );
    let (status, body) = text(send(get("/api/v2/buckets?org=x")).await).await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["code"]), (404, &"not found".into()));
    assert!(body["message"].as_str().unwrap().contains("/api/v2/write"), "{body}");
}

#[actix_web::test]
async fn preflight_requests_are_answered_anywhere_and_to_anybody() {
    for path in ["/write", "/nosuch", "/api/v3/configure/token/admin"] {
        for (origins, allowed) in [(Origins::All, true), (Origins::None, false)] {
            let request = TestRequest::with_uri(path).method(Method::OPTIONS);
            let access = Access { without_auth: true, origins, ..Access::default() };
            let response = send_to(state_with(access, false), request).await;
            assert_eq!(response.status().as_u16(), 204);
            for (name, value) in [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-methods", "*"),
                ("access-control-allow-headers", "*, authorization"),
                ("access-control-max-age", "86400"),
            ] {
                assert_eq!(header(&response, name), allowed.then_some(value), "{name}");
            }
        }
    }
}

/// While addresses are trusted, a browser on this machine must not ask on behalf of any page.
#[actix_web::test]
async fn pages_of_other_servers_are_refused() {
    let ask = async |headers: &[(&'static str, &'static str)], without_auth: bool| {
        let mut request = get("/ping").peer_addr(LOCAL.parse().unwrap());
        for header in headers {
            request = request.insert_header(*header);
        }
        let response = send_to(state(without_auth, false), request).await;
        let allowed = header(&response, "access-control-allow-origin").map(str::to_owned);
        (response.status().as_u16(), allowed)
    };
    for own in ["http://localhost:3000", "http://127.0.0.1:8181", "https://[::1]"] {
        assert_eq!(ask(&[("origin", own)], false).await, (200, None), "{own}");
    }
    for foreign in ["https://evil.example", "null", "http://localhost.evil.example", ""] {
        assert_eq!(ask(&[("origin", foreign)], false).await.0, 403, "{foreign}");
        assert_eq!(ask(&[("origin", foreign)], true).await, (403, None), "{foreign}");
    }
    assert_eq!(ask(&[("host", "evil.example:8181")], false).await.0, 403);
    assert_eq!(ask(&[("host", "localhost:8181")], false).await.0, 200);
    assert_eq!(ask(&[("host", "any.example:8181")], true).await.0, 200);
    let own = [("host", "db.example:8181"), ("origin", "http://DB.example:8181")];
    assert_eq!(ask(&own, true).await, (200, None), "a page of this very server");
    // Images and scripts of a page come without its name.
    let of_page = ("sec-fetch-site", "cross-site");
    for without_auth in [true, false] {
        assert_eq!(ask(&[of_page], without_auth).await.0, 403);
        let followed = [of_page, ("sec-fetch-mode", "navigate")];
        assert_eq!(ask(&followed, without_auth).await.0, 200, "somebody follows a link");
        assert_eq!(ask(&[("sec-fetch-site", "same-origin")], without_auth).await.0, 200);
    }
}

/// Without authentication a page may ask if it is listed, and only by names that are listed.
#[actix_web::test]
async fn listed_pages_and_names_are_served() {
    let ask = async |header: (&'static str, &'static str)| {
        let access = Access {
            without_auth: true,
            origins: Origins::Listed(vec!["https://dash.example".to_owned()]),
            hosts: Hosts { bound: None, allowed: vec!["db.example".to_owned()] },
            ..Access::default()
        };
        let request = get("/ping").peer_addr(LOCAL.parse().unwrap()).insert_header(header);
        send_to(state_with(access, false), request).await.status().as_u16()
    };
    assert_eq!(ask(("origin", "https://dash.example")).await, 200);
    assert_eq!(ask(("origin", "https://evil.example")).await, 403);
    assert_eq!(ask(("host", "db.example:8181")).await, 200);
    assert_eq!(ask(("host", "evil.example:8181")).await, 403);
}

#[actix_web::test]
async fn ping_tells_who_answers() {
    for request in [get("/ping").insert_header(("x-request-id", "mine")), post("/ping", "")] {
        let response = send(request).await;
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(header(&response, "access-control-allow-origin"), None);
        assert_eq!(header(&response, "x-influxdb-version"), Some("3.10.0"));
        assert_eq!(header(&response, "x-influxdb-build"), Some("Core"));
        let id = Uuid::parse_str(header(&response, "request-id").unwrap()).unwrap();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(header(&response, "x-request-id"), Some(id.to_string().as_str()));
        let (status, body) = text(response).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["product_name"]), (200, &"InfluxDB 3 Core".into()));
        assert_eq!(body["process_id"], Uuid::from_u128(9).to_string());
    }
}

#[actix_web::test]
async fn ping_has_no_body_for_clients_of_version_1() {
    let msgpack = || ("accept", "application/x-msgpack");
    let response = send(get("/ping").insert_header(msgpack())).await;
    assert_eq!(header(&response, "x-influxdb-version"), Some("3.10.0"));
    assert_eq!(text(response).await, (204, String::new()));
    for (uri, status) in [("/ping?verbose=true", 200), ("/ping?verbose=false", 204)] {
        let response = send(get(uri).insert_header(msgpack())).await;
        assert_eq!(text(response).await.0, status, "{uri}");
    }
}

#[actix_web::test]
async fn only_programs_on_this_machine_are_served_without_tokens() {
    let refused = (401, r#"{"error": "the request was not authenticated"}"#.to_owned());
    let ask = async |request| text(send_to(state(false, false), request).await).await;
    let from = |peer: &str| get("/ping").peer_addr(peer.parse().unwrap());
    assert_eq!(ask(from(LOCAL)).await.0, 200);
    assert_eq!(ask(from(LOCAL).insert_header((AUTHORIZATION, "Token x"))).await.0, 200);
    assert_eq!(ask(from("10.0.0.1:4000")).await, refused);
    assert_eq!(ask(from("10.0.0.1:4000").insert_header((AUTHORIZATION, "Token x"))).await, refused);
    assert_eq!(ask(from(LOCAL).insert_header(("x-forwarded-for", "127.0.0.1"))).await, refused);
    assert_eq!(ask(get("/nosuch")).await, refused);
}

/// There are no tokens, and clients say so in many ways.
#[actix_web::test]
async fn what_a_client_says_of_a_token_is_not_looked_at() {
    let headers =
        ["Token ", "Token", "Bearer ", "bearer None", "Basic ", "Basic Og==", "Foo x", ""];
    for without_auth in [false, true] {
        for header in headers {
            let request = get("/ping").peer_addr(LOCAL.parse().unwrap());
            let request = request.insert_header((AUTHORIZATION, header));
            let response = send_to(state(without_auth, false), request).await;
            assert_eq!(response.status().as_u16(), 200, "{header:?}");
        }
    }
}

#[actix_web::test]
async fn token_endpoints_are_closed_without_authentication() {
    let body = r#"{"error": "endpoint disabled, started without auth"}"#;
    check(post("/api/v3/configure/token/admin", ""), 405, body).await;
    check(TestRequest::delete().uri("/api/v3/configure/token?token_name=n"), 405, body).await;
}

#[actix_web::test]
async fn databases_are_listed_in_every_format() {
    let list = "/api/v3/configure/database";
    let rows = r#"[{"iox::database":"_internal"},{"iox::database":"foo"}]"#;
    check(get(&format!("{list}?format=json")), 200, rows).await;
    check(
        get(&format!("{list}?format=csv&show_deleted=true")),
        200,
        "iox::database,deleted\n_internal,false\nfoo,false\nbar-20260102T030405,true\n",
    )
    .await;
    check(get(list), 400, "serde error: missing field `format`").await;
    let response = send(get(&format!("{list}?format=pretty"))).await;
    assert_eq!(header(&response, "content-type"), Some("text/plain; charset=utf-8"));
}

#[actix_web::test]
async fn answers_are_compressed_only_when_asked_for() {
    let uri = "/api/v3/configure/database?format=json";
    let response = send(get(uri).insert_header((ACCEPT_ENCODING, "gzip"))).await;
    assert_eq!(header(&response, CONTENT_ENCODING.as_str()), Some("gzip"));
    assert!(read_body(response).await.starts_with(&[0x1f, 0x8b]));
    assert_eq!(header(&send(get(uri)).await, CONTENT_ENCODING.as_str()), None);
}

#[actix_web::test]
async fn bodies_are_bounded_before_and_after_decompression() {
    let write = || TestRequest::post().uri("/api/v3/write_lp?db=foo");
    let too_large = format!("max request size ({BODY_BYTES_MAX} bytes) exceeded");
    check(write().set_payload(vec![b'x'; BODY_BYTES_MAX + 1]), 413, &too_large).await;

    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b'x'; 100 * BODY_BYTES_MAX]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < BODY_BYTES_MAX);
    let gzip = (CONTENT_ENCODING, "gzip");
    check(write().insert_header(gzip.clone()).set_payload(bomb.clone()), 413, &too_large).await;
    let v2 = TestRequest::post().uri("/api/v2/write?bucket=foo").insert_header(gzip);
    let body = format!(r#"{{"code":"request too large","message":"{too_large}"}}"#);
    check(v2.set_payload(bomb), 413, &body).await;

    let zstd = write().insert_header((CONTENT_ENCODING, "zstd"));
    check(zstd.set_payload("x"), 400, "unacceptable content-encoding: zstd").await;
}

#[actix_web::test]
async fn administration_checks_its_parameters_first() {
    let database = "/api/v3/configure/database";
    let json =
        |uri: &str, body| post(uri, body).insert_header(("content-type", "application/json"));
    let type_needed = "unacceptable content-type, expected: application/json";
    check(post(database, r#"{"db":"a"}"#), 415, type_needed).await;
    let empty = r#"{"error":"db name cannot be empty"}"#;
    check(json(database, r#"{"db":""}"#), 400, empty).await;
    check(
        json(database, "{"),
        400,
        "serde json error: EOF while parsing an object at line 1 column 1",
    )
    .await;
    let (status, body) =
        text(send(json(database, r#"{"db":"a","retention_period":"soon"}"#)).await).await;
    assert!(status == 400 && body.starts_with("serde json error: "), "{body}");

    let retention = format!("{database}/retention_period?db=a&duration=soon");
    let (status, body) = text(send(post(&retention, "")).await).await;
    assert!(status == 400 && body.starts_with("Cannot parse the given human time: "), "{body}");

    let delete = |query: &str| TestRequest::delete().uri(&format!("{database}{query}"));
    check(delete(""), 400, "serde error: missing field `db`").await;
    let (status, body) = text(send(delete("?db=a&hard_delete_at=soon")).await).await;
    assert!(status == 400 && body.starts_with("Cannot parse the timestamp: "), "{body}");
}

#[actix_web::test]
async fn queries_need_a_database_and_a_statement() {
    check(get("/api/v3/query_sql"), 400, "missing query parameters 'db' and 'q'").await;
}

#[actix_web::test]
async fn an_actor_that_is_away_is_told_as_unavailable() {
    for request in [
        post("/write?db=foo", "m v=1"),
        post("/api/v3/write_lp?db=foo", "m v=1"),
        get("/api/v3/query_sql?db=foo&q=SELECT+1"),
        TestRequest::delete().uri("/api/v3/configure/database?db=foo"),
        get("/ready"),
    ] {
        let response = send(request).await;
        assert_eq!(response.status().as_u16(), 503);
        assert_eq!(header(&response, "retry-after"), Some("1"));
        let body: serde_json::Value = serde_json::from_slice(&read_body(response).await).unwrap();
        assert!(body["error"].is_string());
    }
    let (status, body) = text(send(post("/api/v2/write?bucket=foo", "m v=1")).await).await;
    assert!(status == 503 && body.starts_with(r#"{"code":"unavailable","message":"#), "{body}");
    let response = send(get("/ready").insert_header((ACCEPT, "application/json"))).await;
    assert_eq!(header(&response, "retry-after"), Some("1"));
    let (status, body) = text(response).await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["name"], &body["status"]), (503, &"influxdb".into(), &"fail".into()));
    assert!(body["message"].as_str().is_some_and(|text| text.contains("wal is stopped")), "{body}");
}

#[actix_web::test]
async fn a_stopping_server_takes_no_more_work() {
    for (request, text_part) in [
        (post("/write?db=foo", "m v=1"), "wal is shutdown and not accepting writes"),
        (get("/api/v3/query_sql?db=foo&q=SELECT+1"), "shutting down"),
        (get("/health"), "shutting down"),
        (get("/ready"), "shutting down"),
    ] {
        let (status, body) = text(send_to(state(true, true), request).await).await;
        assert!(status == 503 && body.contains(text_part), "{body}");
    }
}

#[actix_web::test]
async fn metrics_are_prometheus_text() {
    let response = send(get("/metrics")).await;
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(header(&response, "content-type"), Some(content_type));
    assert!(text(response).await.1.ends_with("# EOF\n"));
}
