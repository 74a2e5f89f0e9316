//! Prepared statements and the values bound to them.

use super::{RUNTIME, server, sql_client};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use std::sync::Arc;
use tonic::transport::Channel;

fn row(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("a batch")
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn number(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

/// What a statement yields with these values: the first column as text.
async fn run(
    client: &mut FlightSqlServiceClient<Channel>,
    statement: &str,
    values: RecordBatch,
) -> Result<Vec<String>, FlightError> {
    let mut prepared = client.prepare(statement.to_owned(), None).await?;
    prepared.set_parameters(values)?;
    let info = prepared.execute().await?;
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let batches: Vec<RecordBatch> = client.do_get(ticket).await?.try_collect().await?;
    prepared.close().await?;
    let mut found = Vec::new();
    for batch in &batches {
        let column = arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
        let column = arrow::array::AsArray::as_string::<i32>(&column).clone();
        found.extend(column.iter().flatten().map(str::to_owned));
    }
    Ok(found)
}

const BY_HOST: &str = "SELECT val FROM cpu WHERE host = $1 AND val > $2 ORDER BY val";

#[test]
fn values_are_bound_by_name_or_in_order() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        let bindings = [
            vec![("$2", number(1)), ("$1", text("Alpha"))],
            vec![("1", text("Alpha")), ("2", number(1))],
            vec![("0", text("Alpha")), ("1", number(1))],
            vec![("2", text("Alpha")), ("1", number(1))],
        ];
        for values in bindings {
            let found = run(&mut client, BY_HOST, row(values)).await.unwrap();
            assert_eq!(found, ["3"]);
        }
        let marks = "SELECT val FROM cpu WHERE host = ? AND val < ? -- ?";
        let values = row(vec![("0", text("Alpha")), ("1", number(3))]);
        assert_eq!(run(&mut client, marks, values).await.unwrap(), ["1"]);
        let named = "SELECT val FROM cpu WHERE host = $host";
        let values = row(vec![("host", text("Bravo"))]);
        assert_eq!(run(&mut client, named, values).await.unwrap(), ["2"]);
        let both = || row(vec![("0", number(11)), ("1", number(22))]);
        assert_eq!(run(&mut client, "SELECT $2", both()).await.unwrap(), ["22"]);
        assert_eq!(run(&mut client, "SELECT $2 || '-' || $1", both()).await.unwrap(), ["22-11"]);
        let error = run(&mut client, "SELECT $1", both()).await.expect_err("too many").to_string();
        assert!(error.contains("takes 1 values, and 2 are given"), "{error}");
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![11, 22]));
        let rows = row(vec![("0", rows)]);
        let error = run(&mut client, "SELECT $1", rows).await.expect_err("two rows").to_string();
        assert!(error.contains("there are 2 rows of values"), "{error}");
    });
}

#[test]
fn times_are_compared_as_times() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        let time: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![2_000_000]).with_timezone("UTC"));
        let statement = "SELECT val FROM cpu WHERE time > $1 ORDER BY time";
        let found = run(&mut client, statement, row(vec![("0", time)])).await.unwrap();
        assert_eq!(found, ["3"]);
    });
}

#[test]
fn schemas_of_a_prepared_statement() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        let prepared = client.prepare(BY_HOST.to_owned(), None).await.unwrap();
        let schema = prepared.parameter_schema().unwrap();
        let found: Vec<_> =
            schema.fields().iter().map(|f| (f.name().as_str(), f.data_type())).collect();
        assert_eq!(found, [("$1", &DataType::Utf8), ("$2", &DataType::Int64)]);
        assert!(schema.fields().iter().all(|field| field.is_nullable()));
        let names: Vec<_> = prepared
            .dataset_schema()
            .unwrap()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        assert_eq!(names, ["val"]);

        let untyped = client.prepare("SELECT $1".to_owned(), None).await.unwrap();
        assert_eq!(untyped.parameter_schema().unwrap().field(0).data_type(), &DataType::Utf8);
        let plain = client.prepare("SELECT 1".to_owned(), None).await.unwrap();
        assert!(plain.parameter_schema().unwrap().fields().is_empty());
    });
}

#[test]
fn what_is_missing_is_told() {
    let server = server();
    RUNTIME.block_on(async {
        let mut client = sql_client(&server, "servers").await;
        let mut prepared = client.prepare(BY_HOST.to_owned(), None).await.unwrap();
        let error = prepared.execute().await.expect_err("no values").to_string();
        assert!(error.contains("No value found for placeholder with name $"), "{error}");
        let values = row(vec![("0", text("Alpha"))]);
        let error = run(&mut client, BY_HOST, values).await.expect_err("one value").to_string();
        assert!(error.contains("takes 2 values, and 1 are given"), "{error}");
        let none = row(vec![("0", text("x"))]).slice(0, 0);
        let error = run(&mut client, BY_HOST, none).await.expect_err("no row").to_string();
        assert!(error.contains("no row of values"), "{error}");
        let error = client.prepare("SELECT nope FROM cpu".to_owned(), None).await;
        let error = error.expect_err("no such column").to_string();
        assert!(error.contains("Error while planning query: "), "{error}");
    });
}
