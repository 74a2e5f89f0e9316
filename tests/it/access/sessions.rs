//! Sessions of web pages: a cookie in the place of a token.

use super::{client_with, server_with_operator, setup};
use crate::support::client::{Answer, Client};

const SESSION: &str = "/api/v3/session";

/// The cookie of an answer, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(set.contains(part), "{set}");
    }
    set.split(';').next().expect("a cookie").to_owned()
}

fn send(client: &Client, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    client.send(method, path, headers, "m f=1 1").status
}

#[test]
fn a_session_is_as_good_as_its_token() {
    let (server, operator) = server_with_operator(&setup());
    operator.must_write("d", "m f=1 1");
    operator.must_write("e", "m f=1 1");
    let user = client_with(&operator, "user", &["db:d:read,write"]);
    let begun = user.post(SESSION, "");
    assert_eq!(begun.status, 204, "{}", begun.text());
    let cookie = cookie(&begun);
    let (page, proof) = (("cookie", cookie.as_str()), ("x-influxdb3-session", "1"));
    let client = &server.client;
    let query = |db: &str| format!("/api/v3/query_sql?db={db}&q=SELECT+1");
    let write = "/api/v3/write_lp?db=d";
    assert_eq!(send(client, "GET", &query("d"), &[page]), 200);
    assert_eq!(send(client, "GET", &query("e"), &[page]), 403);
    assert_eq!(send(client, "GET", &query("d"), &[("cookie", "influxdb3_session=x")]), 401);
    // What changes something has to carry a header that no form of a foreign page can send.
    assert_eq!(send(client, "POST", write, &[page]), 403);
    assert_eq!(send(client, "POST", write, &[page, proof]), 204);
    assert_eq!(send(client, "POST", SESSION, &[page, proof]), 400, "it cannot renew itself");
    assert_eq!(send(client, "DELETE", SESSION, &[page, proof]), 204);
    assert_eq!(send(client, "GET", &query("d"), &[page]), 401);
}

#[test]
fn a_session_ends_with_its_token() {
    let (server, operator) = server_with_operator(&setup());
    operator.must_write("d", "m f=1 1");
    let user = client_with(&operator, "user", &["db:d:read"]);
    let cookie = cookie(&user.post(SESSION, ""));
    let page = [("cookie", cookie.as_str())];
    let query = "/api/v3/query_sql?db=d&q=SELECT+1";
    assert_eq!(send(&server.client, "GET", query, &page), 200);
    assert_eq!(operator.delete("/api/v3/configure/token?token_name=user").status, 200);
    assert_eq!(send(&server.client, "GET", query, &page), 401);
}
