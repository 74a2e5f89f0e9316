//! What operators look at: health, version, metrics, and answers to anything unknown.

use crate::support::client::with_query;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

#[test]
fn liveness() {
    let server = Server::memory();
    for path in ["/health", "/api/v1/health", "/ready"] {
        for accept in ["*/*", "text/plain, application/json", "text/html,*/*;q=0.8"] {
            let answer = server.client.send("GET", path, &[("accept", accept)], "");
            assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
            assert!(answer.header("content-type").starts_with("text/plain"));
        }
        for accept in ["application/json", "application/json;q=0.9, text/plain;q=0.8"] {
            let answer = server.client.send("GET", path, &[("accept", accept)], "");
            let check =
                |name: &str| json!({"name": name, "message": "as it should be", "status": "pass"});
            let expected = json!({
                "name": "influxdb",
                "message": "ready for queries and writes",
                "status": "pass",
                "checks": [check("actors"), check("queries"), check("writes"), check("triggers")],
                "version": answer.json()["version"],
            });
            assert_eq!((answer.status, answer.json()), (200, expected));
            assert_eq!(answer.header("content-type"), "application/json");
            assert!(answer.json()["version"].is_string());
        }
    }
}

/// Its threads stand still, and everything else goes on.
#[cfg(feature = "failpoints")]
#[test]
fn a_server_that_answers_no_query_is_not_ready() {
    let setup = Setup::memory().with_variable("INFLUXDB3_FAILPOINTS", "query:AnswerProbe=pause");
    let server = setup.start();
    server.client.must_write("d", "m f=1 1");
    eventually("the server is not ready", || {
        let answer = server.client.get("/ready");
        (answer.status == 503 && answer.text().contains("queries")).then_some(())
    });
    assert_eq!(server.client.write("d", "m f=1 1").status, 204);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_server_whose_log_stands_still_is_not_ready() {
    let setup = Setup::disk().with_variable("INFLUXDB3_FAILPOINTS", "wal-disk=pause");
    let mut server = setup.start();
    let client = server.client.clone();
    // Nobody answers it before the server is killed.
    let writer = std::thread::spawn(move || {
        client.try_send("POST", "/api/v3/write_lp?db=d", &[], b"m f=1".to_vec()).is_err()
    });
    eventually("the server is not ready", || {
        let answer = server.client.get("/ready");
        (answer.status == 503 && answer.text().contains("durable")).then_some(())
    });
    assert_eq!(server.client.get("/health").text(), "OK", "it may come back");
    server.kill();
    assert!(writer.join().expect("an answer"), "the write was not answered");
}

/// Load balancers ask so, over HTTP/1.1 and HTTP/2.
#[test]
fn head_is_get_without_the_body() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1");
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build();
    let (http, runtime) = (http.expect("a client"), Runtime::new().expect("a runtime"));
    let query = with_query("/api/v3/query_sql", &[("db", "d"), ("q", "SELECT * FROM m")]);
    let list = "/api/v3/configure/database?format=csv";
    for (path, status) in [
        ("/ping", 200),
        ("/health", 200),
        ("/api/v1/health", 200),
        ("/ready", 200),
        ("/metrics", 200),
        (list, 200),
        (query.as_str(), 200),
        ("/api/v3/query_sql", 400),
        ("/api/v3/write_lp?db=d", 404),
        ("/nope", 404),
    ] {
        let whole = server.client.get(path);
        let head = server.client.send("HEAD", path, &[], "");
        assert_eq!((head.status, head.body.len()), (status, 0), "{path}");
        assert_eq!(head.header("content-type"), whole.header("content-type"), "{path}");
        if path != "/metrics" {
            assert_eq!(head.header("content-length"), whole.header("content-length"), "{path}");
        }
        let url = format!("{}{path}", server.client.base());
        let answered = runtime.block_on(http.head(url).send()).expect("an answer");
        assert_eq!(answered.status().as_u16(), status, "{path}");
    }
    // The connection is still good for what follows.
    assert_eq!(server.client.count("d", "m"), 1);
}

#[test]
fn what_is_not_offered_is_told_in_words() {
    let server = Server::memory();
    for (method, path) in [("GET", "/debug/pprof/heap"), ("GET", "/debug/pprof/profile")] {
        let answer = server.client.send(method, path, &[], "");
        let json = answer.json();
        let told = json["error"].as_str().expect("a text");
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            told.starts_with(path) && told.contains("not offered") || told.contains("/health"),
            "{told}"
        );
    }
    for path in ["/api/v2/query", "/api/v2/buckets", "/api/v2/delete?bucket=b"] {
        let answer = server.client.post(path, "");
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("not found")));
        assert!(answer.json()["message"].as_str().is_some_and(|text| text.contains("not")));
    }
}

#[test]
fn the_version_probe() {
    let server = Server::memory();
    let answers = ["GET", "POST"].map(|method| server.client.send(method, "/ping", &[], ""));
    for answer in &answers {
        assert_eq!(answer.status, 200);
        let body = answer.json();
        let mut keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
        keys.sort();
        assert_eq!(keys, ["process_id", "product_name", "revision", "version"]);
        assert_eq!(body["product_name"], "InfluxDB 3 Core");
        assert_eq!(answer.header("x-influxdb-version"), body["version"]);
        assert_eq!(answer.header("x-influxdb-build"), "Core");
        let id = answer.header("request-id");
        assert_eq!(id, answer.header("x-request-id"));
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7'), "{id}");
    }
    assert_ne!(answers[0].header("request-id"), answers[1].header("request-id"));
    assert_eq!(answers[0].json()["process_id"], answers[1].json()["process_id"]);
}

#[test]
fn the_cluster_keeps_its_identity_and_the_process_does_not() {
    let server = Server::disk();
    let ids = |server: &Server| {
        let answer = server.client.get("/ping");
        (answer.header("cluster-uuid").to_owned(), answer.json()["process_id"].clone())
    };
    let (cluster, process): (String, Value) = ids(&server);
    assert_eq!(cluster.len(), 36);
    assert_eq!(server.client.get("/nope").header("cluster-uuid"), cluster);
    assert_eq!(server.client.write("d", "m f=1").header("cluster-uuid"), cluster);
    let restarted = server.killed_and_restarted();
    let (cluster_after, process_after) = ids(&restarted);
    assert_eq!(cluster_after, cluster);
    assert_ne!(process_after, process);
}

#[test]
fn unknown_paths_and_methods_are_not_found() {
    let server = Server::memory();
    for (method, path) in [
        ("GET", "/nope"),
        ("GET", "/"),
        ("GET", "/api/v3/write_lp?db=d"),
        ("PUT", "/write?db=d"),
        ("DELETE", "/api/v3/query_sql?db=d&q=x"),
    ] {
        let answer = server.client.send(method, path, &[], "");
        assert_eq!((answer.status, answer.text().as_str()), (404, "Not found"), "{method} {path}");
    }
}

#[test]
fn preflight_needs_nothing() {
    let server = Setup::memory().with(&["--cors-allowed-origins", "*"]).start();
    for path in ["/api/v3/write_lp", "/nope"] {
        let answer = server.client.send("OPTIONS", path, &[], "");
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        for (header, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "*"),
            ("access-control-allow-headers", "*, authorization"),
            ("access-control-max-age", "86400"),
        ] {
            assert_eq!(answer.header(header), value, "{header}");
        }
    }
}

#[test]
fn requests_are_counted_by_outcome() {
    let server = Server::memory();
    server.client.must_write("d", "m f=1 1");
    assert_eq!(server.client.post("/api/v3/write_lp", "m f=1 1").status, 400);
    for status in ["ok", "client_error"] {
        let labels = [
            "method=\"POST\"".to_owned(),
            "path=\"/api/v3/write_lp\"".to_owned(),
            format!("status=\"{status}\""),
        ];
        let labels = labels.each_ref().map(String::as_str);
        eventually(&format!("a request counted as {status}"), || {
            (server.client.metric("http_requests_total", &labels) == Some(1.0)).then_some(())
        });
    }
    let text = server.client.get("/metrics");
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(text.text().ends_with("# EOF"));
    let start = server.client.metric("process_start_time_seconds", &["version="]);
    assert!(start.is_some_and(|seconds| seconds > 1.7e9), "{start:?}");
}

#[test]
fn every_actor_is_seen_in_the_metrics() {
    let server = Setup::memory().with(&["--num-io-threads", "2"]).start();
    server.client.must_write("d", "m f=1 1\nn f=1 1\no f=1 1");
    assert_eq!(server.client.count("d", "m"), 1);
    let actors = ["catalog", "store-0", "store-1", "wal", "ingest-0", "ingest-1", "query"];
    for actor in actors {
        let label = format!("actor=\"{actor}\"");
        assert_eq!(server.client.metric("actor_up", &[&label]), Some(1.0), "{actor}");
        let waiting = server.client.metric("actor_mailbox_messages", &[&label]);
        assert!(waiting.is_some_and(|n| n >= 0.0), "{actor}: {waiting:?}");
    }
    for (actor, message) in [
        ("catalog", "EnsureSchema"),
        ("ingest-", "WriteLines"),
        ("wal", "AppendRows"),
        ("store-", "ApplyRows"),
        ("query", "RunStatement"),
    ] {
        let labels = [format!("actor=\"{actor}"), format!("message=\"{message}\"")];
        let labels = labels.each_ref().map(String::as_str);
        let handled = server.client.metric("actor_handle_seconds_count", &labels);
        assert!(handled.is_some_and(|n| n >= 1.0), "{actor}:{message} {handled:?}");
    }
}

#[test]
fn only_this_machine_is_served_unless_told_otherwise() {
    let forwarded = [("x-forwarded-for", "203.0.113.7")];
    let open = Server::memory();
    assert_eq!(open.client.send("GET", "/ping", &forwarded, "").status, 200);
    let closed = Setup::memory().without("--without-auth").start();
    closed.client.must_write("d", "m f=1 1");
    for (method, path) in [("GET", "/ping"), ("POST", "/api/v3/write_lp?db=d"), ("GET", "/nope")] {
        let answer = closed.client.send(method, path, &forwarded, "");
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(answer.json()["error"], "the request was not authenticated");
    }
}

/// No tokens exist, and clients that have none say so in ways of their own.
#[test]
fn tokens_are_not_looked_at() {
    let servers = [Setup::memory(), Setup::memory().without("--without-auth")];
    for server in servers.map(|setup| setup.start()) {
        for header in [
            "Token ",
            "Bearer ",
            "Basic ",
            "Basic Og==",
            "Bearer None",
            "bearer t",
            "TOKEN t",
            "Foo x",
        ] {
            let headers = [("authorization", header)];
            assert_eq!(server.client.send("GET", "/ping", &headers, "").status, 200, "{header}");
            for path in ["/write?db=d&u=me&p=", "/api/v2/write?bucket=d", "/api/v3/write_lp?db=d"] {
                let answer = server.client.send("POST", path, &headers, "m f=1 1");
                assert_eq!(answer.status, 204, "{header} {path}: {}", answer.text());
            }
        }
    }
}
