//! A server without authentication, and the pages that browsers have open.

use crate::support::server::{Server, Setup};

/// The status of a write and of a query that a browser sends for a page.
fn sent_by(server: &Server, headers: &[(&str, &str)]) -> [u16; 2] {
    let write = server.client.send("POST", "/api/v3/write_lp?db=d", headers, "m f=1 1");
    let query = "/api/v3/query_sql?db=d&q=SELECT+1";
    [write.status, server.client.send("GET", query, headers, "").status]
}

/// A page that somebody looks at must not use the server behind their back, though everybody may.
#[test]
fn pages_of_other_servers_may_nothing_unless_they_are_listed() {
    let server = Server::memory();
    let own = server.client.base().to_owned();
    server.client.must_write("d", "m f=1 1");
    for foreign in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(sent_by(&server, &[("origin", foreign)]), [403, 403], "{foreign}");
    }
    assert_eq!(sent_by(&server, &[("sec-fetch-site", "cross-site")]), [403, 403]);
    assert_eq!(sent_by(&server, &[("origin", own.as_str())]), [204, 200], "its own pages");
    assert_eq!(sent_by(&server, &[]), [204, 200], "programs");
    let by_proxy = [("x-forwarded-for", "203.0.113.7"), ("user-agent", "Grafana/12.0.0")];
    assert_eq!(sent_by(&server, &by_proxy), [204, 200], "servers that ask for their users");
    let answer = server.client.get("/ping");
    assert_eq!(answer.header("access-control-allow-origin"), "");

    let any = Setup::memory().with(&["--cors-allowed-origins", "*"]).start();
    any.client.must_write("d", "m f=1 1");
    assert_eq!(sent_by(&any, &[("origin", "https://evil.example")]), [204, 200]);
    let one = Setup::memory().with(&["--cors-allowed-origins", "https://dash.example"]).start();
    one.client.must_write("d", "m f=1 1");
    assert_eq!(sent_by(&one, &[("origin", "https://dash.example")]), [204, 200]);
    assert_eq!(sent_by(&one, &[("origin", "https://evil.example")]), [403, 403]);
}
