//! Prepared statements. The handle is the statement itself with the values bound to it.

use super::query::plan;
use super::status::{invalid, of_arrow, of_command};
use super::wire_types::{wire_schema, wire_type};
use super::{Messages, headers};
use crate::edge::state::ServerState;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, UInt64Type};
use arrow::error::ArrowError;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{Action, FlightData, IpcMessage, PutResult, SchemaAsIpc};
use chrono::{DateTime, SecondsFormat};
use futures::stream;
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use protocols::flight::command::{bound_statement, statement_to_prepare};
use protocols::flight::prepared::Prepared;
use protocols::flight::wire::{Any, CreatedPreparedStatement, FLIGHT_SQL, HandleOnly};
use protocols::messages::query::{ParamValue, Statement};
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
            let created = create(state, db, text.map_err(|e| of_command(&e))?).await?;
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
    db: String,
    text: String,
) -> Result<CreatedPreparedStatement, Status> {
    let planned = plan(state, Statement { db, text, ..Statement::default() }, true).await?;
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

/// Binds values to a prepared statement: the first row that comes.
pub(super) async fn bind(
    state: &ServerState,
    request: Request<Streaming<FlightData>>,
) -> Result<Messages<PutResult>, Status> {
    let (metadata, _, mut messages) = request.into_parts();
    let first = messages.message().await?.ok_or_else(|| invalid("the stream is empty"))?;
    let descriptor = first.flight_descriptor.as_ref();
    let descriptor = descriptor.ok_or_else(|| invalid("the stream has no descriptor"))?;
    let mut prepared = bound_statement(&descriptor.cmd).map_err(|e| of_command(&e))?;
    let db = headers::database(&metadata)?;

    let messages = stream::iter([Ok(first)]).chain(messages).map_err(FlightError::from);
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let row = loop {
        let batch = batches.try_next().await.map_err(|e| invalid(e.to_string()))?;
        let batch = batch.ok_or_else(|| invalid("there is no row of values to bind"))?;
        if batch.num_rows() > 0 {
            break batch.slice(0, 1);
        }
    };
    // Some clients take an answer before the end of their stream for a failure.
    let mut rest = batches.into_inner();
    while rest.try_next().await.map_err(|e| invalid(e.to_string()))?.is_some() {}

    let text = prepared.text.clone();
    let planned = plan(state, Statement { db, text, ..Statement::default() }, true).await?;
    let names = planned.placeholders.iter().map(|(name, _)| name.trim_start_matches('$'));
    prepared.params = values(&row, &names.collect::<Vec<_>>()).map_err(invalid)?;
    prepared.text = planned.text;
    let handle = HandleOnly { prepared_statement_handle: prepared.encode() };
    let result = PutResult { app_metadata: handle.encode_to_vec().into() };
    Ok(stream::iter([Ok(result)]).boxed())
}

/// The values of `row` for the placeholders: by name if every placeholder finds its own, else in
/// their order. Drivers that know no names count columns from 0, so that the name of a column may
/// be that of a wrong placeholder.
fn values(row: &RecordBatch, placeholders: &[&str]) -> Result<Vec<(String, ParamValue)>, String> {
    let schema = row.schema();
    let at = |name: &str| {
        schema.fields().iter().position(|field| field.name().trim_start_matches('$') == name)
    };
    let by_name: Option<Vec<usize>> = placeholders.iter().map(|name| at(name)).collect();
    let columns = by_name.unwrap_or_else(|| (0..placeholders.len()).collect());
    placeholders
        .iter()
        .zip(columns)
        .map(|(name, i)| {
            let column = row.columns().get(i);
            let column =
                column.ok_or_else(|| format!("there is no value for placeholder ${name}"))?;
            Ok((
                (*name).to_owned(),
                value(column).map_err(|e| format!("placeholder ${name}: {e}"))?,
            ))
        })
        .collect()
}

/// The first value of a column.
fn value(column: &ArrayRef) -> Result<ParamValue, String> {
    let plain = wire_type(column.data_type());
    if column.is_null(0) || plain == DataType::Null {
        return Ok(ParamValue::Null);
    }
    let as_type = |data_type: &DataType| cast(column, data_type).map_err(|e| e.to_string());
    Ok(match plain {
        DataType::Boolean => ParamValue::Boolean(as_type(&plain)?.as_boolean().value(0)),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            ParamValue::Integer(as_type(&DataType::Int64)?.as_primitive::<Int64Type>().value(0))
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            ParamValue::UInteger(as_type(&DataType::UInt64)?.as_primitive::<UInt64Type>().value(0))
        }
        DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => {
            let column = as_type(&DataType::Float64)?;
            ParamValue::Float(column.as_primitive::<Float64Type>().value(0))
        }
        DataType::Timestamp(unit, _) => {
            let count = as_type(&DataType::Int64)?.as_primitive::<Int64Type>().value(0);
            ParamValue::String(time(count, unit).ok_or("the time is out of range")?)
        }
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_) => {
            ParamValue::String(as_type(&DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
        }
        other => return Err(format!("values of type {other} cannot be bound")),
    })
}

/// A time as text. It is compared with times as such.
fn time(count: i64, unit: TimeUnit) -> Option<String> {
    let per_unit = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    let time = DateTime::from_timestamp_nanos(count.checked_mul(per_unit)?);
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryArray, DictionaryArray, Float32Array, Int32Array, StringArray,
        TimestampMicrosecondArray, UInt8Array,
    };
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    fn row(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
            .unwrap()
    }

    fn int(value: i32) -> ArrayRef {
        Arc::new(Int32Array::from(vec![value]))
    }

    #[test]
    fn by_name_or_else_in_order() {
        let check = |columns: Vec<(&str, ArrayRef)>, expected: [(&str, i64); 2]| {
            let expected = expected.map(|(n, v)| (n.to_owned(), ParamValue::Integer(v))).to_vec();
            assert_eq!(values(&row(columns), &["1", "2"]), Ok(expected));
        };
        check(vec![("$2", int(20)), ("1", int(10))], [("1", 10), ("2", 20)]);
        check(vec![("0", int(10)), ("1", int(20))], [("1", 10), ("2", 20)]);
        check(vec![("a", int(10)), ("b", int(20)), ("c", int(30))], [("1", 10), ("2", 20)]);
        let error = values(&row(vec![("0", int(10))]), &["1", "2"]).expect_err("one is missing");
        assert_eq!(error, "there is no value for placeholder $2");
        assert_eq!(values(&row(vec![("0", int(10))]), &[]), Ok(vec![]));
    }

    #[test]
    fn types_of_values() {
        let check = |column: ArrayRef, expected: ParamValue| {
            assert_eq!(value(&column), Ok(expected));
        };
        check(Arc::new(UInt8Array::from(vec![7])), ParamValue::UInteger(7));
        check(Arc::new(Float32Array::from(vec![0.5])), ParamValue::Float(0.5));
        check(Arc::new(StringArray::from(vec![None::<&str>])), ParamValue::Null);
        let tag: DictionaryArray<Int32Type> = ["a"].into_iter().collect();
        check(Arc::new(tag), ParamValue::String("a".to_owned()));
        let time = TimestampMicrosecondArray::from(vec![1_700_000_000_000_001]);
        let text = "2023-11-14T22:13:20.000001Z".to_owned();
        check(
            Arc::new(time.clone().with_timezone("Europe/Paris")),
            ParamValue::String(text.clone()),
        );
        check(Arc::new(time), ParamValue::String(text));
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![b"x".as_slice()]));
        assert_eq!(value(&bytes), Err("values of type Binary cannot be bound".to_owned()));
    }
}
