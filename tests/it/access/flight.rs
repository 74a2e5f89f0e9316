//! The same over Flight: every call and command, by every kind of token.

use super::{limited, server_with_operator, setup};
use crate::flight::RUNTIME;
use crate::support::server::Server;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Any, Command,
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
    CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes,
    CommandGetTables, CommandGetXdbcTypeInfo, CommandStatementQuery, ProstMessageExt,
};
use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket,
};
use futures::{StreamExt, stream};
use prost::Message;
use serde_json::json;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

type Client = FlightServiceClient<Channel>;

/// Somebody who asks: their header, and the code that they get for the database `one`.
struct Asker {
    name: &'static str,
    header: Option<String>,
    code: Code,
}

async fn client(server: &Server) -> Client {
    let address = server.client.base().to_owned();
    let channel = Channel::from_shared(address).expect("an address").connect().await;
    FlightServiceClient::new(channel.expect("a connection"))
}

fn request<T>(message: T, header: Option<&str>, db: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    let metadata: &mut MetadataMap = request.metadata_mut();
    if let Some(header) = header {
        metadata.insert("authorization", header.parse().expect("a header"));
    }
    if let Some(db) = db {
        metadata.insert("database", db.parse().expect("a header"));
    }
    request
}

/// The code of a call and of what follows.
async fn end<T>(answer: Result<tonic::Response<tonic::Streaming<T>>, Status>) -> Code {
    let mut messages = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status.code(),
    };
    while let Some(message) = messages.next().await {
        if let Err(status) = message {
            return status.code();
        }
    }
    Code::Ok
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.err().map_or(Code::Ok, |status| status.code())
}

/// Each command with its message.
fn commands() -> Vec<(&'static str, Any)> {
    let statement = CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None };
    vec![
        ("statement", statement.as_any()),
        ("catalogs", CommandGetCatalogs {}.as_any()),
        ("schemas", CommandGetDbSchemas::default().as_any()),
        ("tables", CommandGetTables::default().as_any()),
        ("table types", CommandGetTableTypes {}.as_any()),
        ("info", CommandGetSqlInfo::default().as_any()),
        ("types", CommandGetXdbcTypeInfo::default().as_any()),
        (
            "primary keys",
            CommandGetPrimaryKeys { table: "m".to_owned(), ..Default::default() }.as_any(),
        ),
        (
            "imported keys",
            CommandGetImportedKeys { table: "m".to_owned(), ..Default::default() }.as_any(),
        ),
        (
            "exported keys",
            CommandGetExportedKeys { table: "m".to_owned(), ..Default::default() }.as_any(),
        ),
        ("cross reference", CommandGetCrossReference::default().as_any()),
    ]
}

/// True if the commands of the table are all that the server knows.
fn is_complete(command: &protocols::flight::command::Command) -> bool {
    use protocols::flight::command::Command as Known;
    match command {
        // Asked for by the handles of `prepare` below.
        Known::Prepared(_) => true,
        // A new one is to be added to `commands`.
        Known::Statement(_)
        | Known::Catalogs
        | Known::DbSchemas(_)
        | Known::Tables(_)
        | Known::TableTypes
        | Known::SqlInfo(_)
        | Known::XdbcTypeInfo(_)
        | Known::PrimaryKeys
        | Known::ImportedKeys
        | Known::ExportedKeys
        | Known::CrossReference => true,
    }
}

fn askers(server: &Server, operator: &crate::support::client::Client) -> Vec<Asker> {
    let asker = |name, header: Option<String>, code| Asker { name, header, code };
    let holder = |name, permissions: &[&str], code| {
        asker(name, Some(format!("Bearer {}", limited(operator, name, permissions))), code)
    };
    let reader = limited(operator, "reader by others", &["db:one:read"]);
    let basic = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(format!("me:{reader}"))
    };
    assert_eq!(server.client.get("/ping").status, 401);
    let body = json!({ "token_name": "expired", "expiry_secs": 0 });
    let expired = super::created(&operator.json("POST", super::NAMED, &body));
    let deleted = limited(operator, "deleted", &["db:*:read"]);
    assert_eq!(operator.delete("/api/v3/configure/token?token_name=deleted").status, 200);
    let admin = super::created(&operator.json("POST", super::NAMED, &json!({"token_name": "n"})));
    let bearer = |text: &str| Some(format!("Bearer {text}"));
    vec![
        asker("none", None, Code::Unauthenticated),
        asker("malformed", Some("Foo x".to_owned()), Code::Unauthenticated),
        asker("unknown", Some("Bearer bad".to_owned()), Code::Unauthenticated),
        asker("empty", Some("Bearer ".to_owned()), Code::Unauthenticated),
        holder("reader of two", &["db:two:read"], Code::PermissionDenied),
        holder("writer", &["db:one:write,create,delete"], Code::PermissionDenied),
        holder("creator", &["db:one:create"], Code::PermissionDenied),
        holder("deleter", &["db:one:delete"], Code::PermissionDenied),
        holder("watcher", &["system:*:read"], Code::PermissionDenied),
        holder("reader", &["db:one:read"], Code::Ok),
        holder("reader of all", &["db:*:read"], Code::Ok),
        asker("admin", bearer(&admin), Code::Ok),
        asker("expired", bearer(&expired), Code::Unauthenticated),
        asker("deleted", bearer(&deleted), Code::Unauthenticated),
        asker("by Token", Some(format!("Token {reader}")), Code::Ok),
        asker("by Basic", Some(format!("Basic {basic}")), Code::Ok),
    ]
}

#[test]
fn each_call_and_command_lets_in_whoever_may_read() {
    let (server, operator) = server_with_operator(&setup());
    operator.must_write("one", "m f=1 1");
    operator.must_write("two", "m f=1 1");
    let askers = askers(&server, &operator);
    RUNTIME.block_on(async {
        let mut client = client(&server).await;
        let whole = askers.iter().find(|asker| asker.name == "reader").expect("there is one");
        let handle = prepare(&mut client, whole.header.as_deref(), "one").await.expect("a handle");
        for asker in &askers {
            let (name, header) = (asker.name, asker.header.as_deref());
            for language in ["sql", "influxql"] {
                let q = if language == "sql" { "SELECT 1" } else { "SELECT f FROM m" };
                let ticket = json!({"database": "one", "sql_query": q, "query_type": language});
                let ticket = Ticket::new(ticket.to_string());
                let rows = client.do_get(request(ticket, header, None)).await;
                assert_eq!(end(rows).await, asker.code, "{name}: {language} ticket");
            }
            for (command, message) in commands() {
                let bytes = message.encode_to_vec();
                let decoded = protocols::flight::command::Command::decode(&bytes);
                assert!(is_complete(&decoded.expect("a command")));
                let descriptor = FlightDescriptor::new_cmd(bytes);
                let info = client.get_flight_info(request(descriptor.clone(), header, Some("one")));
                let info = info.await;
                assert_eq!(code(info), asker.code, "{name}: {command}");
                // A ticket is not good for anybody else.
                let info = request(descriptor, whole.header.as_deref(), Some("one"));
                let info = client.get_flight_info(info).await.expect("the ticket").into_inner();
                let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
                let rows = client.do_get(request(ticket, header, Some("one"))).await;
                assert_eq!(end(rows).await, asker.code, "{name}: {command} rows");
            }
            let prepared = prepare(&mut client, header, "one").await;
            assert_eq!(code(prepared), asker.code, "{name}: prepare");
            // Nor is a handle, for its info or its rows.
            let info = descriptor_of(&handle);
            let info = client.get_flight_info(request(info, header, Some("one"))).await;
            assert_eq!(code(info), asker.code, "{name}: a handle of others");
            let close = ActionClosePreparedStatementRequest {
                prepared_statement_handle: handle.clone().into(),
            };
            let body = close.as_any().encode_to_vec().into();
            let close = Action { r#type: "ClosePreparedStatement".to_owned(), body };
            let closed = client.do_action(request(close, header, None)).await;
            let expected = match asker.code {
                Code::Unauthenticated => Code::Unauthenticated,
                _ => Code::Ok, // it does nothing
            };
            assert_eq!(end(closed).await, expected, "{name}: close");
            check_rest(&mut client, asker).await;
        }
    });
}

/// Calls that are about no database, and those that are not offered.
async fn check_rest(client: &mut Client, asker: &Asker) {
    let (name, header) = (asker.name, asker.header.as_deref());
    let is_known = asker.code != Code::Unauthenticated;
    let or = |code: Code| if is_known { code } else { Code::Unauthenticated };
    let message = HandshakeRequest { protocol_version: 0, payload: "x".into() };
    let shaken = client.handshake(request(stream::iter([message]), header, None)).await;
    assert_eq!(end(shaken).await, or(Code::Ok), "{name}: handshake");
    let descriptor = || FlightDescriptor::new_cmd(vec![]);
    let schema = client.get_schema(request(descriptor(), header, None)).await;
    assert_eq!(code(schema), or(Code::Unimplemented), "{name}: get_schema");
    let poll = client.poll_flight_info(request(descriptor(), header, None)).await;
    assert_eq!(code(poll), or(Code::Unimplemented), "{name}: poll_flight_info");
    let flights = client.list_flights(request(Criteria::default(), header, None)).await;
    assert_eq!(end(flights).await, or(Code::Unimplemented), "{name}: list_flights");
    let actions = client.list_actions(request(Empty {}, header, None)).await;
    assert_eq!(end(actions).await, or(Code::Unimplemented), "{name}: list_actions");
    let none = || stream::iter(Vec::<FlightData>::new());
    let exchange = client.do_exchange(request(none(), header, None)).await;
    assert_eq!(end(exchange).await, or(Code::Unimplemented), "{name}: do_exchange");
    let put = client.do_put(request(none(), header, None)).await;
    assert_eq!(end(put).await, or(Code::InvalidArgument), "{name}: do_put");
}

async fn prepare(client: &mut Client, header: Option<&str>, db: &str) -> Result<Vec<u8>, Status> {
    let create =
        ActionCreatePreparedStatementRequest { query: "SELECT 1".to_owned(), transaction_id: None };
    let body = create.as_any().encode_to_vec().into();
    let action = Action { r#type: "CreatePreparedStatement".to_owned(), body };
    let mut answer = client.do_action(request(action, header, Some(db))).await?.into_inner();
    let result = answer.message().await?.expect("an answer");
    let any = Any::decode(result.body).expect("a message");
    let Ok(Command::ActionCreatePreparedStatementResult(created)) = Command::try_from(any) else {
        panic!("another answer");
    };
    Ok(created.prepared_statement_handle.to_vec())
}

fn descriptor_of(handle: &[u8]) -> FlightDescriptor {
    let command = arrow_flight::sql::CommandPreparedStatementQuery {
        prepared_statement_handle: handle.to_vec().into(),
    };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

/// Clients that know a user and a password get the header that their calls are to carry.
#[test]
fn a_handshake_turns_a_password_into_a_token() {
    let (server, operator) = server_with_operator(&setup());
    operator.must_write("one", "m f=1 1");
    let token = limited(&operator, "reader", &["db:one:read"]);
    RUNTIME.block_on(async {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("u:{token}"));
        let mut client = client(&server).await;
        let none = stream::iter(Vec::<HandshakeRequest>::new());
        let asked = request(none, Some(&format!("Basic {encoded}")), None);
        let answer = client.handshake(asked).await.expect("an answer");
        let header = answer.metadata().get("authorization").expect("a header").to_str();
        let header = header.expect("text").to_owned();
        assert_eq!(header, format!("Bearer {token}"));
        let ticket = Ticket::new(json!({"database": "one", "sql_query": "SELECT 1"}).to_string());
        assert_eq!(end(client.do_get(request(ticket, Some(&header), None)).await).await, Code::Ok);
    });
}

#[test]
fn the_health_of_grpc_needs_the_right_to_it() {
    let call = |server: &Server, header: Option<String>| {
        RUNTIME.block_on(async {
            let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build();
            let url = format!("{}/grpc.health.v1.Health/Check", server.client.base());
            let mut call = http.expect("a client").post(url).header("te", "trailers");
            if let Some(header) = header {
                call = call.header("authorization", header);
            }
            let call = call.header("content-type", "application/grpc").body(vec![0; 5]);
            let answer = call.send().await.expect("an answer");
            let code = answer.headers().get("grpc-status").cloned();
            code.map(|code| code.to_str().expect("text").to_owned())
        })
    };
    let (server, operator) = server_with_operator(&setup());
    let bearer = |name: &'static str, permissions: &[&str]| {
        Some(format!("Bearer {}", limited(&operator, name, permissions)))
    };
    assert_eq!(call(&server, None).as_deref(), Some("16"));
    assert_eq!(call(&server, bearer("reader", &["db:*:read"])).as_deref(), Some("7"));
    assert_eq!(call(&server, bearer("watcher", &["system:health:read"])), None);
    let (exempt, _) = server_with_operator(&setup().with(&["--disable-authz", "health"]));
    assert_eq!(call(&exempt, None), None);
}

/// Whoever watches the health of the server is told no more once their token is gone.
#[test]
fn watching_ends_with_the_token() {
    let (server, operator) = server_with_operator(&setup());
    let watch = |token: &str| {
        let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build();
        let url = format!("{}/grpc.health.v1.Health/Watch", server.client.base());
        let call = http.expect("a client").post(url).header("te", "trailers");
        let call = call.header("authorization", format!("Bearer {token}"));
        call.header("content-type", "application/grpc").body(vec![0; 5]).send()
    };
    let [gone, kept] =
        ["gone", "kept"].map(|name| limited(&operator, name, &["system:health:read"]));
    RUNTIME.block_on(async {
        let (mut gone, mut kept) =
            (watch(&gone).await.expect("an answer"), watch(&kept).await.expect("an answer"));
        for watcher in [&mut gone, &mut kept] {
            assert!(watcher.chunk().await.expect("open").is_some(), "the state of now");
        }
        let deleted = "/api/v3/configure/token?token_name=gone";
        let operator = operator.clone();
        let deleted = tokio::task::spawn_blocking(move || operator.delete(deleted).status);
        assert_eq!(deleted.await.expect("an answer"), 200);
        assert_eq!(gone.chunk().await.expect("an orderly end"), None);
        // The other one hears of the end of the server, as it should.
        server.signal("TERM");
        let last = kept.chunk().await.expect("an orderly end");
        assert_eq!(last.as_deref(), Some(&[0, 0, 0, 0, 2, 8, 2][..]));
    });
}
