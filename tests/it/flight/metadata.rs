//! What Flight SQL clients ask about the server, and statements through `GetFlightInfo`.

use super::{RUNTIME, channel, server, sql_client, table};
use crate::support::server::Server;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    Any, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, CommandStatementQuery,
    CommandStatementUpdate, SqlInfo,
};
use arrow_flight::{FlightDescriptor, FlightInfo, IpcMessage};
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// The schema that was announced, and the rows with theirs.
async fn answer(
    client: &mut FlightSqlServiceClient<Channel>,
    info: FlightInfo,
) -> (Schema, SchemaRef, Vec<RecordBatch>) {
    assert_eq!((info.total_records, info.total_bytes), (-1, -1));
    let [endpoint] = info.endpoint.as_slice() else { panic!("{info:?}") };
    assert!(endpoint.location.is_empty());
    let ticket = endpoint.ticket.clone().expect("a ticket");
    let announced = info.try_decode_schema().expect("a schema");
    let mut stream = client.do_get(ticket).await.expect("a stream");
    let batches = (&mut stream).try_collect().await.expect("rows");
    (announced, stream.schema().cloned().expect("a schema message"), batches)
}

async fn rows(client: &mut FlightSqlServiceClient<Channel>, info: FlightInfo) -> RecordBatch {
    let (announced, schema, batches) = answer(client, info).await;
    assert_eq!(&announced, schema.as_ref());
    arrow::compute::concat_batches(&schema, &batches).expect("one schema")
}

fn column(batch: &RecordBatch, i: usize) -> Vec<&str> {
    batch.column(i).as_string::<i32>().iter().flatten().collect()
}

#[test]
fn what_is_announced_comes() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        let statements = [
            "SELECT * FROM cpu ORDER BY time",
            "SELECT host, count(*) AS n, max(val) AS val FROM cpu GROUP BY host ORDER BY host",
            "SELECT date_bin(INTERVAL '1 second', time) AS t, avg(val) FROM cpu GROUP BY t",
            "SELECT a.host, b.val FROM cpu a JOIN cpu b ON a.host = b.host",
            "SELECT host FROM cpu UNION ALL SELECT 'x'",
            "SELECT CASE WHEN val > 1 THEN 1 ELSE 2.5 END, 'a' AS b, NULL AS c FROM cpu",
            "SHOW TABLES",
            "SELECT * FROM system.queries",
        ];
        for statement in statements {
            let info = client.execute(statement.to_owned(), None).await.expect(statement);
            let (announced, schema, _) = answer(&mut client, info).await;
            assert_eq!(&announced, schema.as_ref(), "{statement}");
        }
    });
}

#[test]
fn catalogs_schemas_and_tables() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        let info = client.get_catalogs().await.unwrap();
        assert_eq!(column(&rows(&mut client, info).await, 0), ["public"]);
        let info = client
            .get_db_schemas(CommandGetDbSchemas {
                catalog: None,
                db_schema_filter_pattern: Some("i%".to_owned()),
            })
            .await
            .unwrap();
        assert_eq!(column(&rows(&mut client, info).await, 1), ["information_schema", "iox"]);
        let asked = CommandGetTables {
            db_schema_filter_pattern: Some("iox".to_owned()),
            table_types: vec!["BASE TABLE".to_owned(), "table".to_owned()],
            include_schema: true,
            ..CommandGetTables::default()
        };
        let info = client.get_tables(asked).await.unwrap();
        let tables = rows(&mut client, info).await;
        let first = |i: usize| column(&tables, i)[0];
        assert_eq!(
            [first(0), first(1), first(2), first(3)],
            ["public", "iox", "cpu", "BASE TABLE"]
        );
        let schema = IpcMessage(tables.column(4).as_binary::<i32>().value(0).to_vec().into());
        assert_eq!(Schema::try_from(schema).expect("a schema").fields().len(), 6);
        let views = CommandGetTables {
            table_types: vec!["VIEW".to_owned()],
            ..CommandGetTables::default()
        };
        let info = client.get_tables(views).await.unwrap();
        let views = rows(&mut client, info).await;
        assert!(views.num_rows() > 4);
        assert!(column(&views, 1).iter().all(|schema| *schema == "information_schema"));
    });
}

#[test]
fn words_for_tables() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        let info = client.get_table_types().await.unwrap();
        assert_eq!(column(&rows(&mut client, info).await, 0), ["BASE TABLE", "VIEW"]);
        client.set_header("x-influxdata-base-table-type", "TABLE");
        let info = client.get_table_types().await.unwrap();
        assert_eq!(column(&rows(&mut client, info).await, 0), ["TABLE", "VIEW"]);
        let asked = CommandGetTables {
            table_name_filter_pattern: Some("c_u".to_owned()),
            ..CommandGetTables::default()
        };
        let info = client.get_tables(asked).await.unwrap();
        assert_eq!(column(&rows(&mut client, info).await, 3), ["TABLE"]);
    });
}

#[test]
fn facts_types_and_keys() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        let asked = vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerReadOnly];
        let info = client.get_sql_info(asked).await.unwrap();
        let facts = rows(&mut client, info).await;
        assert_eq!(facts.num_rows(), 2);
        let info = client.get_xdbc_type_info(Default::default()).await.unwrap();
        assert_eq!(rows(&mut client, info).await.num_rows(), 5);
        let asked =
            CommandGetPrimaryKeys { catalog: None, db_schema: None, table: "cpu".to_owned() };
        let info = client.get_primary_keys(asked).await.unwrap();
        let keys = rows(&mut client, info).await;
        assert_eq!((keys.num_rows(), keys.num_columns()), (0, 6));
    });
}

/// Asks for a command with these headers.
async fn info(
    server: &Server,
    headers: &[(&'static str, &'static str)],
    command: Vec<u8>,
) -> Result<FlightInfo, Status> {
    let mut request = Request::new(FlightDescriptor::new_cmd(command));
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().expect("a value"));
    }
    let mut raw = FlightServiceClient::new(channel(server).await);
    Ok(raw.get_flight_info(request).await?.into_inner())
}

#[test]
fn headers_and_commands_that_do_not_fit() {
    let server = server();
    let statement = |text: &str| {
        let query = CommandStatementQuery { query: text.to_owned(), transaction_id: None };
        Any::pack(&query).expect("a message").encode_to_vec()
    };
    RUNTIME.block_on(async {
        let check = async |headers: &[_], command: Vec<u8>, code: Code, part: &str| {
            let status = info(&server, headers, command).await.expect_err(part);
            assert_eq!(status.code(), code, "{status}");
            assert!(status.message().contains(part), "{status}");
        };
        let one = || statement("SELECT 1");
        check(&[], one(), Code::InvalidArgument, "no 'database' header in request").await;
        let two = [("database", "servers"), ("bucket", "other")];
        let text = r#"More than one headers are found in request: ["database", "bucket"]. Please"#;
        check(&two, one(), Code::InvalidArgument, text).await;
        let same = [("database", "servers"), ("bucket-name", "servers")];
        assert!(info(&server, &same, one()).await.is_ok());
        let nope = [("iox-namespace-name", "nope")];
        check(&nope, one(), Code::NotFound, "database not found: nope").await;
        let servers = [("database", "servers")];
        let text = "Error while planning query: Error during planning: table 'public.iox.nope'";
        check(&servers, statement("SELECT * FROM nope"), Code::InvalidArgument, text).await;
        check(&servers, b"garbage".to_vec(), Code::InvalidArgument, "Invalid protobuf").await;
        let update =
            CommandStatementUpdate { query: "DROP TABLE cpu".to_owned(), transaction_id: None };
        let update = Any::pack(&update).expect("a message").encode_to_vec();
        let text = "Unsupported FlightSQL message type: \
                    type.googleapis.com/arrow.flight.protocol.sql.CommandStatementUpdate";
        check(&servers, update, Code::InvalidArgument, text).await;
        let influxql = [("database", "servers"), ("x-influxdata-query-language", "influxql")];
        check(&influxql, one(), Code::InvalidArgument, "InfluxQL").await;
    });
}

#[test]
fn a_handshake_tells_the_token() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = FlightSqlServiceClient::new(channel(&server).await);
        client.handshake("user", "secret").await.expect("an answer");
        assert_eq!(client.token().map(String::as_str), Some("secret"));
    });
}

#[test]
fn statements_of_flight_sql_are_in_the_log_by_their_command() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        let info = client.execute("SELECT 42".to_owned(), None).await.unwrap();
        let batch = rows(&mut client, info).await;
        assert_eq!(table(&[batch])[3], "| 42        |");
    });
    let log = server.client.rows("servers", "SELECT query_type, query_text FROM system.queries");
    let entry = serde_json::json!({
        "query_type": "flightsql", "query_text": "CommandStatementQuery SELECT 42"
    });
    assert!(log.as_array().expect("rows").contains(&entry), "{log}");
}

#[test]
fn other_commands_are_in_the_log_with_what_they_ask_for() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        client.set_header("uber-trace-id", "4459495:30434:0:1");
        let asked = CommandGetTables {
            table_name_filter_pattern: Some("c%".to_owned()),
            ..CommandGetTables::default()
        };
        let info = client.get_tables(asked).await.unwrap();
        rows(&mut client, info).await;
        let info = client.get_catalogs().await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
        client.set_header("x-influxdata-base-table-type", "nonsense");
        assert!(client.do_get(ticket).await.is_err());
    });
    let sql = "SELECT query_type, query_text, phase, success, running, trace_id, \
               end2end_duration IS NOT NULL AS took, plan_duration IS NULL AS unplanned \
               FROM system.queries WHERE query_type = 'flightsql'";
    let log = server.client.rows("servers", sql);
    let entry = |text: &str, phase: &str| {
        serde_json::json!({
            "query_type": "flightsql", "query_text": text, "phase": phase,
            "success": phase == "success", "running": false, "trace_id": "4459495",
            "took": true, "unplanned": true
        })
    };
    let tables = entry("CommandGetTables table_name_filter_pattern=c%", "success");
    assert_eq!(log, serde_json::json!([tables, entry("CommandGetCatalogs", "fail")]));
}
