//! A query stops when nobody waits for its answer any more.

use std::io::Write;
use std::net::TcpStream;

use super::support::client::with_query;
use super::support::eventually;
use super::support::server::Server;

/// Runs for hours and never has a row before its end.
const ENDLESS: &str =
    "SELECT count(*) FROM generate_series(1, 100000000000000) a WHERE a.value < 0";

#[test]
fn a_query_whose_client_closes_the_connection_is_cancelled() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("d", "m f=1");
    let address = client.base().trim_start_matches("http://");
    let path = with_query("/api/v3/query_sql", &[("db", "d"), ("q", ENDLESS)]);
    let mut connection = TcpStream::connect(address).expect("the server listens");
    write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").expect("a request");
    let reaches = |phase: &str| {
        let log = client.rows("d", "SELECT phase, query_text FROM system.queries");
        let rows = log.as_array().expect("rows");
        let ours = rows.iter().find(|row| row["query_text"] == ENDLESS)?;
        (ours["phase"] == phase).then_some(())
    };
    eventually("the query runs", || reaches("execution_permit"));
    drop(connection);
    eventually("the query is cancelled", || reaches("cancel"));
}
