//! Prepared statements. The handle is the statement itself with the values bound to it.

use super::bind;
use super::query::plan;
use super::status::{invalid, of_arrow, of_command};
use super::wire_types::{wire_schema, wire_type};
use super::{Messages, access, headers};
use crate::edge::state::ServerState;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{Action, FlightData, IpcMessage, PutResult, SchemaAsIpc};
use futures::stream;
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use protocols::flight::command::{bound_statement, statement_to_prepare};
use protocols::flight::prepared::Prepared;
use protocols::flight::wire::{Any, CreatedPreparedStatement, FLIGHT_SQL, HandleOnly};
use protocols::messages::query::Statement;
use protocols::principal::Principal;
use tonic::{Request, Status, Streaming};

/// Prepares a statement, or closes one, which needs nothing to be done.
pub(super) async fn act(
    state: &ServerState,
    request: Request<Action>,
) -> Result<Messages<arrow_flight::Result>, Status> {
    match request.get_ref().r#type.as_str() {
        "CreatePreparedStatement" => {
            let db = headers::database(request.metadata())?;
            let text = statement_to_prepare(&request.get_ref().body);
            let principal = access::principal(request.extensions());
            let created = create(state, principal, db, text.map_err(|e| of_command(&e))?).await?;
            let name = format!("{FLIGHT_SQL}ActionCreatePreparedStatementResult");
            let body = Any::pack(&name, &created).into();
            Ok(stream::iter([Ok(arrow_flight::Result { body })]).boxed())
        }
        "ClosePreparedStatement" => Ok(stream::empty().boxed()),
        other => Err(invalid(format!("Unsupported FlightSQL message type: {other}"))),
    }
}

async fn create(
    state: &ServerState,
    principal: Principal,
    db: String,
    text: String,
) -> Result<CreatedPreparedStatement, Status> {
    let statement = Statement { db, text, principal, ..Statement::default() };
    let planned = plan(state, statement, true).await?;
    let fields: Vec<Field> = planned
        .placeholders
        .into_iter()
        .map(|(name, data_type)| {
            // What a value has to be cannot always be told; text goes anywhere.
            let data_type = data_type.map_or(DataType::Utf8, |data_type| wire_type(&data_type));
            Field::new(name, data_type, true)
        })
        .collect();
    let handle = Prepared { text: planned.text, params: Vec::new() };
    Ok(CreatedPreparedStatement {
        prepared_statement_handle: handle.encode(),
        dataset_schema: encoded(&wire_schema(&planned.schema))?,
        parameter_schema: encoded(&Schema::new(fields))?,
    })
}

fn encoded(schema: &Schema) -> Result<Vec<u8>, Status> {
    let options = IpcWriteOptions::default();
    let message: Result<IpcMessage, ArrowError> = SchemaAsIpc::new(schema, &options).try_into();
    let IpcMessage(bytes) = message.map_err(|e| of_arrow(&e))?;
    Ok(bytes.to_vec())
}

/// Binds values to a prepared statement: the one row that comes.
pub(super) async fn bind(
    state: &ServerState,
    request: Request<Streaming<FlightData>>,
) -> Result<Messages<PutResult>, Status> {
    let (metadata, extensions, mut messages) = request.into_parts();
    let principal = access::principal(&extensions);
    let first = messages.message().await?.ok_or_else(|| invalid("the stream is empty"))?;
    let descriptor = first.flight_descriptor.as_ref();
    let descriptor = descriptor.ok_or_else(|| invalid("the stream has no descriptor"))?;
    let mut prepared = bound_statement(&descriptor.cmd).map_err(|e| of_command(&e))?;
    let db = headers::database(&metadata)?;

    let messages = stream::iter([Ok(first)]).chain(messages).map_err(FlightError::from);
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let (mut row, mut rows) = (None, 0);
    // To the end: some clients take an answer before it for a failure.
    while let Some(batch) = batches.try_next().await.map_err(|e| invalid(e.to_string()))? {
        rows += batch.num_rows();
        row = row.or_else(|| (batch.num_rows() > 0).then(|| batch.slice(0, 1)));
    }
    let row = row.ok_or_else(|| invalid("there is no row of values to bind"))?;
    if rows > 1 {
        return Err(invalid(format!(
            "there are {rows} rows of values: a statement is run with one at a time"
        )));
    }

    let text = prepared.text.clone();
    let statement = Statement { db, text, principal, ..Statement::default() };
    let planned = plan(state, statement, true).await?;
    let names = planned.placeholders.iter().map(|(name, _)| name.trim_start_matches('$'));
    prepared.params = bind::values(&row, &names.collect::<Vec<_>>()).map_err(invalid)?;
    prepared.text = planned.text;
    let handle = HandleOnly { prepared_statement_handle: prepared.encode() };
    let result = PutResult { app_metadata: handle.encode_to_vec().into() };
    Ok(stream::iter([Ok(result)]).boxed())
}
