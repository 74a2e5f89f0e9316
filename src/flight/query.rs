//! Rows of a ticket, and what is known about them before they are asked for.

use super::status::{invalid, of_arrow, of_command, of_planning, of_ticket, status};
use super::wire_types::wire_schema;
use super::{Messages, access, encode, headers, metadata};
use crate::edge::query::ask;
use crate::edge::state::ServerState;
use arrow::array::RecordBatch;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo};
use futures::StreamExt;
use futures::stream;
use protocols::access::rights::Right;
use protocols::flight::command::Command;
use protocols::flight::prepared::Prepared;
use protocols::flight::ticket::{Read, Ticket};
use protocols::messages::query::{
    CommandAnswered, Delivery, Language, PlanStatement, PlannedStatement, QueryResult,
    RunStatement, Statement,
};
use protocols::principal::{Action, Origin, Principal};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};

/// What was tried, in front of an error's text.
const RUNNING: &str = "Error while logically planning query";
const DESCRIBING: &str = "Error while planning query";

/// The messages that a ticket stands for.
pub(super) async fn read(
    state: &ServerState,
    request: Request<arrow_flight::Ticket>,
) -> Result<Messages<FlightData>, Status> {
    let deadline = headers::deadline(request.metadata());
    let principal = access::principal(request.extensions());
    let origin = access::origin_of(request.extensions());
    let ticket = Ticket::decode(&request.get_ref().ticket).map_err(|e| of_ticket(&e))?;
    let Ticket { db, read } = ticket;
    let result = match read {
        Read::Sql(text, params) => {
            let statement =
                Statement { db, text, params, principal, origin, ..Statement::default() };
            run(state, statement, None, deadline).await?
        }
        Read::InfluxQl(text, params) => {
            let language = Language::InfluxQl;
            let statement = Statement { language, text, params, db, principal, origin };
            run(state, statement, None, deadline).await?
        }
        Read::FlightSql(command) => {
            let name = command.name();
            let who = (&principal, &origin);
            match statement(request.metadata(), who, db, command)? {
                Ok(query) => run(state, query, Some(name), deadline).await?,
                Err((db, command)) => {
                    let batch =
                        describe_and_log(state, request.metadata(), who, db, command).await?;
                    let (schema, batches) = (batch.schema(), stream::iter([Ok(batch)]).boxed());
                    QueryResult { schema, batches }
                }
            }
        }
    };
    Ok(encode::messages(result, deadline))
}

/// What a Flight SQL command will answer, and the ticket for it.
pub(super) async fn info(
    state: &ServerState,
    request: Request<FlightDescriptor>,
) -> Result<FlightInfo, Status> {
    let descriptor = request.get_ref().clone();
    match descriptor.r#type() {
        DescriptorType::Cmd => {}
        DescriptorType::Path => {
            let text = "Unsupported message type: FlightInfo with Path";
            return Err(Status::unimplemented(text));
        }
        DescriptorType::Unknown => return Err(invalid("the descriptor has no type")),
    }
    let db = headers::database(request.metadata())?;
    let principal = access::principal(request.extensions());
    let command = Command::decode(&descriptor.cmd).map_err(|e| of_command(&e))?;
    let origin = access::origin_of(request.extensions());
    let who = (&principal, &origin);
    let schema = match statement(request.metadata(), who, db.clone(), command)? {
        Ok(query) => plan(state, query, false).await?.schema,
        Err((db, command)) => {
            describe(state, request.metadata(), &principal, db, command).await?.schema()
        }
    };
    let ticket = Ticket::for_command(db, descriptor.cmd.to_vec());
    let endpoint = FlightEndpoint::new().with_ticket(arrow_flight::Ticket::new(ticket));
    let info = FlightInfo::new()
        .try_with_schema(&wire_schema(&schema))
        .map_err(|e| of_arrow(&e))?
        .with_endpoint(endpoint)
        .with_descriptor(descriptor);
    Ok(info)
}

/// The statement of a command; or the command again, if it asks for something else.
fn statement(
    metadata: &MetadataMap,
    (principal, origin): (&Principal, &Origin),
    db: String,
    command: Command,
) -> Result<Result<Statement, (String, Command)>, Status> {
    match command {
        Command::Statement(text) => {
            let language = headers::language(metadata);
            let (principal, origin) = (principal.clone(), origin.clone());
            let statement = Statement { language, db, text, principal, origin, params: vec![] };
            Ok(Ok(statement))
        }
        Command::Prepared(Prepared { text, params }) => {
            let (principal, origin) = (principal.clone(), origin.clone());
            let statement =
                Statement { db, text, params, principal, origin, ..Statement::default() };
            Ok(Ok(statement))
        }
        other => Ok(Err((db, other))),
    }
}

/// The rows of a command that is no statement. The query log hears of it as of statements.
async fn describe_and_log(
    state: &ServerState,
    headers: &MetadataMap,
    (principal, origin): (&Principal, &Origin),
    db: String,
    command: Command,
) -> Result<RecordBatch, Status> {
    let begun = Instant::now();
    let (text, trace_id) = (command.to_string(), origin.trace_id.clone());
    let batch = describe(state, headers, principal, db.clone(), command).await;
    let (took, succeeded) = (begun.elapsed(), batch.is_ok());
    if !state.query.tell(CommandAnswered { text, db, trace_id, took, succeeded }) {
        tracing::debug!("the query log was too busy to hear of a command");
    }
    batch
}

/// What is known without running anything.
async fn describe(
    state: &ServerState,
    headers: &MetadataMap,
    principal: &Principal,
    db: String,
    command: Command,
) -> Result<RecordBatch, Status> {
    let table_word = headers::table_word(headers)?;
    let visible = state.visible(principal);
    let allowed = visible.authorize(Action::In(Right::Read, &db));
    allowed.map_err(|denied| Status::permission_denied(denied.to_string()))?;
    if visible.database(&db).is_none() {
        let message = format!("database not found: {db}");
        return Err(status(Code::NotFound, message));
    }
    metadata::rows(state, principal, db, command, table_word).await
}

async fn run(
    state: &ServerState,
    statement: Statement,
    command: Option<&'static str>,
    deadline: Option<Instant>,
) -> Result<QueryResult, Status> {
    let run = RunStatement { statement, delivery: Delivery::WithColumns { command } };
    ask(state, run, deadline).await.map_err(|error| of_planning(RUNNING, &error))
}

/// Columns and placeholders of a statement.
pub(super) async fn plan(
    state: &ServerState,
    statement: Statement,
    to_prepare: bool,
) -> Result<PlannedStatement, Status> {
    let plan = PlanStatement { statement, to_prepare };
    ask(state, plan, None).await.map_err(|error| of_planning(DESCRIBING, &error))
}
