//! Flight and Flight SQL as clients meet them, on the port of the HTTP API.

mod health;
mod metadata;
mod prepared;
mod queries;

use crate::support::server::Server;
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightClient, Ticket};
use futures::TryStreamExt;
use serde_json::json;
use std::sync::LazyLock;
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::transport::Channel;

/// Where clients run.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));

const CPU: &str = "cpu,host=Alpha,region=us val=1i,usage_percent=55.5,status=\"ok\" 1000000000\n\
                   cpu,host=Bravo val=2i 2000000000\n\
                   cpu,host=Alpha val=3i 3000000000";

/// A server with a few rows in the database `servers`.
fn server() -> Server {
    let server = Server::memory();
    server.client.must_write("servers", CPU);
    server
}

async fn channel(server: &Server) -> Channel {
    let address = server.client.base().to_owned();
    Channel::from_shared(address).expect("an address").connect().await.expect("a connection")
}

async fn client(server: &Server) -> FlightClient {
    FlightClient::new(channel(server).await)
}

/// A client of one database.
async fn sql_client(server: &Server, db: &str) -> FlightSqlServiceClient<Channel> {
    let inner = FlightServiceClient::new(channel(server).await);
    let mut client = FlightSqlServiceClient::new_from_inner(inner);
    client.set_header("database", db);
    client
}

/// Has a server answer a command that is no statement.
#[cfg(feature = "failpoints")]
pub(crate) fn ask_for_catalogs(client: &crate::support::client::Client) {
    RUNTIME.block_on(async {
        let channel = Channel::from_shared(client.base().to_owned()).expect("an address");
        let channel = channel.connect().await.expect("a connection");
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_header("database", "d");
        let info = client.get_catalogs().await.expect("an answer");
        let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
        client.do_get(ticket).await.expect("rows");
    });
}

fn ticket(db: &str, text: &str) -> Ticket {
    Ticket::new(json!({"database": db, "sql_query": text}).to_string())
}

/// The rows of a ticket.
async fn rows(client: &mut FlightClient, ticket: Ticket) -> Result<Vec<RecordBatch>, FlightError> {
    client.do_get(ticket).await?.try_collect().await
}

/// How a ticket fails.
async fn failure(client: &mut FlightClient, ticket: Ticket) -> (Code, String) {
    status(rows(client, ticket).await.expect_err("a failure"))
}

fn status(error: FlightError) -> (Code, String) {
    match error {
        FlightError::Tonic(status) => (status.code(), status.message().to_owned()),
        other => panic!("no status: {other}"),
    }
}

fn table(batches: &[RecordBatch]) -> Vec<String> {
    let table = pretty_format_batches(batches).expect("a table").to_string();
    table.lines().map(str::to_owned).collect()
}
