//! `DoGet`: tickets, what comes back, how it fails.

use super::{RUNTIME, channel, client, failure, rows, server, status, table, ticket};
use crate::support::client::with_query;
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, TimeUnit};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Criteria, FlightClient, FlightData, FlightDescriptor, Ticket};
use futures::TryStreamExt;
use serde_json::json;
use std::net::{IpAddr, UdpSocket};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request};

#[test]
fn plain_columns_that_say_what_they_are() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = client(&server).await;
        let mut stream =
            client.do_get(ticket("servers", "SELECT * FROM cpu ORDER BY time")).await.unwrap();
        let batches: Vec<RecordBatch> = (&mut stream).try_collect().await.unwrap();
        let schema = stream.schema().expect("a schema message");
        let found: Vec<(&str, &DataType, bool, &str)> = schema
            .fields()
            .iter()
            .map(|field| {
                let kind = field.metadata().get("iox::column::type").map_or("", String::as_str);
                (field.name().as_str(), field.data_type(), field.is_nullable(), kind)
            })
            .collect();
        let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let expected = [
            ("host", &DataType::Utf8, true, "iox::column_type::tag"),
            ("region", &DataType::Utf8, true, "iox::column_type::tag"),
            ("status", &DataType::Utf8, true, "iox::column_type::field::string"),
            ("time", &time, false, "iox::column_type::timestamp"),
            ("usage_percent", &DataType::Float64, true, "iox::column_type::field::float"),
            ("val", &DataType::Int64, true, "iox::column_type::field::integer"),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            table(&batches),
            [
                "+-------+--------+--------+---------------------+---------------+-----+",
                "| host  | region | status | time                | usage_percent | val |",
                "+-------+--------+--------+---------------------+---------------+-----+",
                "| Alpha | us     | ok     | 1970-01-01T00:00:01 | 55.5          | 1   |",
                "| Bravo |        |        | 1970-01-01T00:00:02 |               | 2   |",
                "| Alpha |        |        | 1970-01-01T00:00:03 |               | 3   |",
                "+-------+--------+--------+---------------------+---------------+-----+",
            ]
        );
    });
}

#[test]
fn an_empty_result_has_its_columns() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = client(&server).await;
        let query = "SELECT host, val FROM cpu WHERE val = 100";
        let mut stream = client.do_get(ticket("servers", query)).await.unwrap();
        let batches: Vec<RecordBatch> = (&mut stream).try_collect().await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
        assert_eq!(stream.schema().expect("a schema message").fields().len(), 2);
    });
}

#[test]
fn placeholders() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = client(&server).await;
        let query = "SELECT host FROM cpu WHERE val = $v AND host = $h";
        let params = json!({"v": 2, "h": "Bravo"});
        let text = json!({"bucket": "servers", "sql_query": query, "params": params});
        let batches = rows(&mut client, Ticket::new(text.to_string())).await.unwrap();
        assert_eq!(table(&batches)[3], "| Bravo |");
    });
}

#[test]
fn failures_have_codes() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = client(&server).await;
        let no_tickets = [
            "garbage",
            "",
            r#"{"database":"servers"}"#,
            r#"{"database":"servers","sql_query":"SELECT 1","query_type":"flux"}"#,
            r#"{"database":"servers","sql_query":"SELECT 1","params":{"v":[1]}}"#,
        ];
        for text in no_tickets {
            let (code, message) = failure(&mut client, Ticket::new(text.to_owned())).await;
            assert_eq!(code, Code::InvalidArgument, "{text}");
            assert_eq!(message, "Invalid ticket. Error: Invalid ticket", "{text}");
        }
        let statements = [
            ("SELEC 1", "syntax error at line 1, column 1: expected an SQL statement"),
            ("SELECT * FROM nope", "table 'public.iox.nope' not found"),
            ("SELECT nope FROM cpu", "No field named nope"),
            ("SELECT 1; SELECT 2", "only supports a single SQL statement"),
            ("DROP TABLE cpu", "DDL not supported"),
            ("SELECT $x", "No value found for placeholder with name $x"),
        ];
        for (text, part) in statements {
            let (code, message) = failure(&mut client, ticket("servers", text)).await;
            assert_eq!(code, Code::InvalidArgument, "{text}: {message}");
            let beginning = "Error while logically planning query: ";
            assert!(message.starts_with(beginning) && message.contains(part), "{message}");
        }
        let (code, message) = failure(&mut client, ticket("servers", "SELECT 1/0")).await;
        assert_eq!(code, Code::InvalidArgument);
        assert!(message.contains("Divide by zero"), "{message}");
        let (code, message) = failure(&mut client, ticket("nope", "SELECT 1")).await;
        assert_eq!((code, message.as_str()), (Code::NotFound, "database not found: nope"));
        let long = format!("SELECT {}", "nope + ".repeat(1_000));
        let (_, message) = failure(&mut client, ticket("servers", &long)).await;
        assert!(message.len() <= 2_003, "{}", message.len());

        let influxql = json!({
            "database": "servers", "sql_query": "SHOW MEASUREMENTS", "query_type": "influxql"
        });
        let batches = rows(&mut client, Ticket::new(influxql.to_string())).await.unwrap();
        assert_eq!(table(&batches)[3], "| measurements     | cpu  |");
        let influxql = json!({
            "database": "servers", "sql_query": "SELECT v FROM other..m", "query_type": "influxql"
        });
        let (code, message) = failure(&mut client, Ticket::new(influxql.to_string())).await;
        assert_eq!(code, Code::InvalidArgument);
        let text = "database prefix in qualified measurement syntax";
        assert!(message.contains(text), "{message}");
    });
}

#[test]
fn an_error_between_rows_ends_the_stream_with_it() {
    let server = Server::memory();
    let lines: Vec<String> = (1..=20_000).map(|n| format!("m f={n}i,s=\"{n}\" {n}")).collect();
    server.client.must_write("d", &lines.join("\n"));
    server.client.must_write("d", "m s=\"x\" 20001");
    RUNTIME.block_on(async {
        let mut client = client(&server).await;
        let query = "SELECT CAST(s AS BIGINT) FROM m";
        let (code, message) = failure(&mut client, ticket("d", query)).await;
        assert_eq!(code, Code::InvalidArgument);
        assert!(message.contains("Cannot cast string 'x'"), "{message}");
    });
}

#[test]
fn methods_that_do_not_exist() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = client(&server).await;
        let path = FlightDescriptor::new_path(vec!["cpu".to_owned()]);
        let error = client.get_flight_info(path.clone()).await.expect_err("no paths");
        let text = "Unsupported message type: FlightInfo with Path".to_owned();
        assert_eq!(status(error), (Code::Unimplemented, text));
        let error = client.get_schema(path).await.expect_err("no schemas");
        let text = "Not yet implemented: get_schema".to_owned();
        assert_eq!(status(error), (Code::Unimplemented, text));
        let mut client = FlightServiceClient::new(channel(&server).await);
        let error = client.list_flights(Criteria::default()).await.expect_err("no flights");
        assert_eq!(error.message(), "Not yet implemented: list_flights");
    });
}

/// All messages of a ticket.
async fn messages(
    client: &mut FlightServiceClient<tonic::transport::Channel>,
    ticket: Ticket,
) -> Vec<FlightData> {
    let stream = client.do_get(ticket).await.expect("a stream").into_inner();
    stream.try_collect().await.expect("messages")
}

#[test]
fn messages_fit_and_all_rows_come() {
    let server = server();
    let query = "SELECT value, repeat('x', 100) AS text FROM generate_series(1, 200000)";
    RUNTIME.block_on(async {
        let mut raw = FlightServiceClient::new(channel(&server).await);
        let messages = messages(&mut raw, ticket("servers", query)).await;
        let largest = messages.iter().map(|message| message.data_body.len()).max();
        assert!(largest.is_some_and(|bytes| bytes < 3 * 1024 * 1024), "{largest:?}");
        let mut client = FlightClient::new(channel(&server).await);
        let batches = rows(&mut client, ticket("servers", query)).await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 200_000);
    });
}

#[test]
fn answers_are_compressed_for_clients_that_compress() {
    let server = server();
    RUNTIME.block_on(async {
        for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
            let raw = FlightServiceClient::new(channel(&server).await);
            let mut raw = raw.accept_compressed(encoding);
            let plain = raw.do_get(ticket("servers", "SELECT 1")).await.unwrap();
            assert!(!plain.metadata().contains_key("grpc-encoding"), "on one machine");
            let mut raw = raw.send_compressed(encoding);
            let packed = raw.do_get(ticket("servers", "SELECT 1")).await.unwrap();
            assert!(packed.metadata().contains_key("grpc-encoding"), "{encoding:?}");
            let messages: Vec<FlightData> = packed.into_inner().try_collect().await.unwrap();
            assert_eq!(messages.len(), 2, "a schema and one row");
        }
    });
}

/// Runs for hours and never has a row before its end.
const ENDLESS: &str =
    "SELECT count(*) FROM generate_series(1, 100000000000000) a WHERE a.value < 0";

/// Waits until a query was ended because nobody waits for it.
fn assert_cancelled(server: &Server) {
    eventually("the query is cancelled", || {
        let log = server.client.rows("servers", "SELECT phase, query_text FROM system.queries");
        let ours =
            log.as_array().expect("rows").iter().find(|row| row["query_text"] == ENDLESS)?.clone();
        (ours["phase"] == "cancel").then_some(())
    });
}

#[test]
fn a_query_whose_client_is_gone_is_cancelled() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = client(&server).await;
        let stream = client.do_get(ticket("servers", ENDLESS)).await;
        drop(stream.expect("the columns come before the rows"));
    });
    assert_cancelled(&server);
}

#[test]
fn a_call_has_a_deadline() {
    let server = server();
    RUNTIME.block_on(async {
        let mut raw = FlightServiceClient::new(channel(&server).await);
        let mut request = Request::new(ticket("servers", ENDLESS));
        // Without the client's own clock: the server has to look at its own.
        request.metadata_mut().insert("grpc-timeout", "200m".parse().unwrap());
        let stream = raw.do_get(request).await.expect("the columns").into_inner();
        let error = stream.try_collect::<Vec<_>>().await.expect_err("no end");
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    });
    assert_cancelled(&server);
}

#[test]
fn silence_is_filled() {
    let server = server();
    RUNTIME.block_on(async {
        let mut raw = FlightServiceClient::new(channel(&server).await);
        let mut stream = raw.do_get(ticket("servers", ENDLESS)).await.unwrap().into_inner();
        let schema = stream.message().await.unwrap().expect("the schema");
        assert!(!schema.data_header.is_empty());
        let filling = stream.message().await.unwrap().expect("a message");
        assert_eq!(filling, FlightData::default());
    });
}

/// An address of this machine that is not its loopback, if it has one.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?; // sends nothing
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[test]
fn only_this_machine_is_served_without_tokens() {
    let setup = Setup::memory().without("--without-auth").with_bind("0.0.0.0:0");
    let server = setup.start();
    let port = server.client.base().rsplit(':').next().expect("a port").to_owned();
    RUNTIME.block_on(async {
        let inside = format!("http://127.0.0.1:{port}");
        let inside = tonic::transport::Channel::from_shared(inside).unwrap();
        let channel = inside.connect().await.expect("a connection");
        let mut client = FlightClient::new(channel);
        client.add_header("authorization", "Bearer None").unwrap();
        let (code, _) = failure(&mut client, ticket("nope", "SELECT 1")).await;
        assert_eq!(code, Code::NotFound);
        client.add_header("x-forwarded-for", "127.0.0.1").unwrap();
        let refused = failure(&mut client, ticket("nope", "SELECT 1")).await;
        assert_eq!(refused, (Code::Unauthenticated, "Unauthenticated".to_owned()));
        let Some(ip) = outer_address() else { return };
        let outside = tonic::transport::Channel::from_shared(format!("http://{ip}:{port}"));
        let channel = outside.unwrap().connect().await.expect("a connection");
        let mut client = FlightClient::new(channel);
        let refused = failure(&mut client, ticket("nope", "SELECT 1")).await;
        assert_eq!(refused, (Code::Unauthenticated, "Unauthenticated".to_owned()));
    });
}

#[test]
fn the_http_api_over_http2() {
    let server = server();
    let base = server.client.base().to_owned();
    RUNTIME.block_on(async {
        let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        let write = with_query("/api/v3/write_lp", &[("db", "servers")]);
        let lines: String = (1..=50_000).map(|n| format!("m f={n}i {n}\n")).collect();
        let answer = http2.post(format!("{base}{write}")).body(lines).send().await.unwrap();
        assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap());
        let query = with_query(
            "/api/v3/query_sql",
            &[("db", "servers"), ("q", "SELECT count(*) AS n FROM m"), ("format", "csv")],
        );
        let answer = http2.get(format!("{base}{query}")).send().await.unwrap();
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert!(answer.headers().contains_key("cluster-uuid"));
        assert_eq!(answer.text().await.unwrap(), "n\n50000\n");
        let answer = http2.head(format!("{base}/ping")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "as over HTTP/1.1");
        let answer = http2.get(format!("{base}/nope")).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
            (404, "Not found")
        );
    });
}

#[test]
fn the_server_stops_although_a_channel_is_open() {
    let mut server = server();
    RUNTIME.block_on(async {
        let mut client = client(&server).await;
        rows(&mut client, ticket("servers", "SELECT 1")).await.unwrap();
        server.signal("TERM");
        assert!(server.wait().success(), "{}", server.log());
    });
}
