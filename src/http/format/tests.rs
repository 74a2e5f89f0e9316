//! What each format prints for each type, for empty results and for failing queries.

use super::*;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use actix_web::ResponseError;
use actix_web::body::to_bytes;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array,
    DictionaryArray, DurationNanosecondArray, Float64Array, Int64Array, ListArray, StringArray,
    StructArray, Time32SecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, TimeUnit};
use std::sync::Arc;

/// 2065-01-07T17:00:00
const SECOND: i64 = 2_998_573_200_000_000_000;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

/// The answer to a query that yields `batches`.
async fn encode(format: ResultFormat, schema: &SchemaRef, batches: &[RecordBatch]) -> Bytes {
    let batches: Vec<_> = batches.iter().cloned().map(Ok).collect();
    let stream = futures::stream::iter(batches).boxed();
    let answer = respond(format, SchemaRef::clone(schema), stream).await.unwrap();
    assert_eq!(answer.headers().get("content-type").unwrap(), format.content_type());
    to_bytes(answer.into_body()).await.ok().unwrap()
}

async fn check(format: ResultFormat, rows: &RecordBatch, expected: &str) {
    let bytes = encode(format, &rows.schema(), std::slice::from_ref(rows)).await;
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
}

fn cpu() -> RecordBatch {
    let hosts: DictionaryArray<Int32Type> = ["Bravo", "Ünal"].into_iter().collect();
    batch(vec![
        ("host", Arc::new(hosts)),
        ("load", Arc::new(Float64Array::from(vec![55.0, 1e21]))),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        (
            "time",
            Arc::new(TimestampNanosecondArray::from(vec![
                SECOND + 60_000_000_000,
                SECOND + 61_500_000_000,
            ])),
        ),
        ("val", Arc::new(Int64Array::from(vec![Some(2), None]))),
    ])
}

#[actix_web::test]
async fn one_table_in_four_formats() {
    let first = r#"{"host":"Bravo","load":55.0,"ok":true,"time":"2065-01-07T17:01:00","val":2}"#;
    let second = r#"{"host":"Ünal","load":1.0e21,"time":"2065-01-07T17:01:01.500"}"#;
    check(ResultFormat::Json, &cpu(), &format!("[{first},{second}]")).await;
    check(ResultFormat::JsonLines, &cpu(), &format!("{first}\n{second}\n")).await;
    check(
        ResultFormat::Csv,
        &cpu(),
        "host,load,ok,time,val\nBravo,55.0,true,2065-01-07T17:01:00,2\n\
         Ünal,1e21,,2065-01-07T17:01:01.500,\n",
    )
    .await;
    let table = "\
+-------+------+------+-------------------------+-----+
| host  | load | ok   | time                    | val |
+-------+------+------+-------------------------+-----+
| Bravo | 55.0 | true | 2065-01-07T17:01:00     | 2   |
| Ünal  | 1e21 |      | 2065-01-07T17:01:01.500 |     |
+-------+------+------+-------------------------+-----+";
    check(ResultFormat::Pretty, &cpu(), table).await;
}

#[actix_web::test]
async fn numbers_that_json_lacks_are_null_and_nulls_are_left_out() {
    let floats = vec![Some(f64::NAN), Some(f64::INFINITY), None, Some(-1.234e-6)];
    let rows = batch(vec![
        ("f", Arc::new(Float64Array::from(floats))),
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX; 4]))),
    ]);
    let max = "18446744073709551615";
    check(
        ResultFormat::JsonLines,
        &rows,
        &format!(
            "{{\"f\":null,\"u\":{max}}}\n{{\"f\":null,\"u\":{max}}}\n{{\"u\":{max}}}\n\
             {{\"f\":-1.234e-6,\"u\":{max}}}\n"
        ),
    )
    .await;
    let csv = format!("f,u\nNaN,{max}\ninf,{max}\n,{max}\n-1.234e-6,{max}\n");
    check(ResultFormat::Csv, &rows, &csv).await;
}

#[actix_web::test]
async fn less_common_types() {
    let zoned = TimestampNanosecondArray::from(vec![SECOND]);
    let decimal = Decimal128Array::from(vec![110]).with_precision_and_scale(5, 2).unwrap();
    let seconds = 90_061_000_000_000;
    let rows = batch(vec![
        ("bin", Arc::new(BinaryArray::from(vec![[0xab_u8, 0x01].as_slice()]))),
        ("date", Arc::new(Date32Array::from(vec![19_782]))),
        ("dec", Arc::new(decimal)),
        ("dur", Arc::new(DurationNanosecondArray::from(vec![seconds]))),
        ("far", Arc::new(zoned.clone().with_timezone("-05:00"))),
        ("utc", Arc::new(zoned.with_timezone("UTC"))),
    ]);
    check(
        ResultFormat::Json,
        &rows,
        r#"[{"bin":"ab01","date":"2024-02-29","dec":1.10,"dur":"PT90061S","far":"2065-01-07T12:00:00-05:00","utc":"2065-01-07T17:00:00Z"}]"#,
    )
    .await;
    check(
        ResultFormat::Csv,
        &rows,
        "bin,date,dec,dur,far,utc\n\
         ab01,2024-02-29,1.10,PT90061S,2065-01-07T12:00:00-05:00,2065-01-07T17:00:00Z\n",
    )
    .await;
}

#[actix_web::test]
async fn lists_and_structures() {
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), Some(2)]), None]);
    let field = |name, kind| Arc::new(Field::new(name, kind, true));
    let structs = StructArray::from(vec![
        (field("a", DataType::Int64), Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        (field("b", DataType::Utf8), Arc::new(StringArray::from(vec!["x", "y"])) as ArrayRef),
    ]);
    let rows = batch(vec![("l", Arc::new(lists)), ("s", Arc::new(structs))]);
    check(ResultFormat::Json, &rows, r#"[{"l":[1,2],"s":{"a":1,"b":"x"}},{"s":{"a":2,"b":"y"}}]"#)
        .await;
    let csv = "l,s\n\"[1, 2]\",\"{a: 1, b: x}\"\n,\"{a: 2, b: y}\"\n";
    check(ResultFormat::Csv, &rows, csv).await;
}

#[actix_web::test]
async fn texts_are_quoted_where_they_must_be() {
    let texts = ["a,b", "say \"hi\"", "two\nlines", "", "ü\u{1}"];
    let rows = batch(vec![("s", Arc::new(StringArray::from(texts.to_vec())) as ArrayRef)]);
    let csv = "s\n\"a,b\"\n\"say \"\"hi\"\"\"\n\"two\nlines\"\n\"\"\nü\u{1}\n";
    check(ResultFormat::Csv, &rows, csv).await;
    check(
        ResultFormat::Json,
        &rows,
        r#"[{"s":"a,b"},{"s":"say \"hi\""},{"s":"two\nlines"},{"s":""},{"s":"ü\u0001"}]"#,
    )
    .await;
}

#[actix_web::test]
async fn results_without_rows() {
    let schema = cpu().schema();
    for (format, expected) in [
        (ResultFormat::Json, "[]"),
        (ResultFormat::JsonLines, ""),
        (ResultFormat::Csv, "host,load,ok,time,val\n"),
        (
            ResultFormat::Pretty,
            "+------+------+----+------+-----+\n\
             | host | load | ok | time | val |\n\
             +------+------+----+------+-----+\n\
             +------+------+----+------+-----+",
        ),
    ] {
        let empty = [RecordBatch::new_empty(SchemaRef::clone(&schema))];
        for batches in [[].as_slice(), &empty] {
            assert_eq!(encode(format, &schema, batches).await, expected, "{format:?}");
        }
    }
    let empty = [RecordBatch::new_empty(SchemaRef::clone(&schema))];
    for batches in [[].as_slice(), &empty] {
        let file = encode(ResultFormat::Parquet, &schema, batches).await;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        assert_eq!(reader.schema(), &schema);
        assert_eq!(reader.build().unwrap().count(), 0);
    }
}

#[actix_web::test]
async fn a_parquet_answer_gives_the_exact_types_back() {
    let rows = cpu();
    let metadata = [("iox::column::type".to_owned(), "iox::column_type::tag".to_owned())];
    let mut fields: Vec<Field> =
        rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[0] = fields[0].clone().with_metadata(metadata.into());
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatch::try_new(SchemaRef::clone(&schema), rows.columns().to_vec()).unwrap();
    let file = encode(ResultFormat::Parquet, &schema, &[rows.clone(), rows.clone()]).await;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(reader.schema(), &schema);
    let read: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
    assert_eq!(read[0].slice(0, 2), rows);
}

/// Times that Parquet has no unit for, also where they lie within others.
#[actix_web::test]
async fn a_parquet_answer_tells_times_from_numbers() {
    let seconds = TimestampSecondArray::from(vec![Some(1_700_000_000), None]);
    let zoned = seconds.clone().with_timezone("+01:00");
    let items = Field::new("item", DataType::Timestamp(TimeUnit::Second, None), true);
    let list = ListArray::new(
        Arc::new(items.clone()),
        OffsetBuffer::new(vec![0, 2, 2].into()),
        Arc::new(seconds.clone()),
        None,
    );
    let inner = StructArray::from(vec![(Arc::new(items), Arc::new(seconds.clone()) as ArrayRef)]);
    let rows = batch(vec![
        ("day", Arc::new(Date64Array::from(vec![Some(86_400_000), None]))),
        ("hour", Arc::new(Time32SecondArray::from(vec![3_600, 0]))),
        ("list", Arc::new(list)),
        ("s", Arc::new(seconds)),
        ("struct", Arc::new(inner)),
        ("zoned", Arc::new(zoned)),
    ]);
    let file = encode(ResultFormat::Parquet, &rows.schema(), std::slice::from_ref(&rows)).await;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    for column in reader.parquet_schema().columns() {
        assert!(column.logical_type_ref().is_some(), "{}", column.path());
    }
    let read = reader.build().unwrap().next().unwrap().unwrap();
    let columns: Vec<String> =
        read.schema().fields().iter().map(|f| f.data_type().to_string()).collect();
    assert_eq!((&*columns[0], &*columns[3]), ("Timestamp(ms)", "Timestamp(ms)"));
    let back = |at: usize| cast(read.column(at), rows.column(at).data_type()).unwrap();
    for at in 0..rows.num_columns() {
        assert_eq!(&back(at), rows.column(at), "{at}");
    }
}

/// Objects cannot hold both, the other formats can.
#[actix_web::test]
async fn two_columns_of_one_name() {
    let fields = ["time", "v", "v"].map(|name| Field::new(name, DataType::Int64, false));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let rows = RecordBatch::try_new(SchemaRef::clone(&schema), vec![values; 3]).unwrap();
    for format in [ResultFormat::Json, ResultFormat::JsonLines] {
        let error = super::encode(format, &schema, std::slice::from_ref(&rows)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.message.contains("two columns named 'v'"), "{}", error.message);
    }
    check(ResultFormat::Csv, &rows, "time,v,v\n1,1,1\n").await;
}

#[actix_web::test]
async fn large_batches_are_sent_in_parts() {
    let numbers: Vec<i64> = (0..20_000).collect();
    let rows = batch(vec![("n", Arc::new(Int64Array::from(numbers)) as ArrayRef)]);
    let bytes = encode(ResultFormat::Json, &rows.schema(), &[rows.clone(), rows]).await;
    let read: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(read.len(), 40_000);
    assert_eq!(read[19_999]["n"], 19_999);
    assert_eq!(read[39_999]["n"], 19_999);
}

#[actix_web::test]
async fn parts_that_are_encoded_at_once_stay_in_order() {
    let numbers =
        |range: std::ops::Range<i64>| -> ArrayRef { Arc::new(Int64Array::from_iter(range)) };
    let rows = |range: std::ops::Range<i64>| {
        batch(vec![
            ("a", numbers(range.clone())),
            ("b", numbers(range.clone())),
            ("c", numbers(range)),
        ])
    };
    // Large batches, empty ones and small ones in turn.
    let batches =
        [rows(0..0), rows(0..5_000), rows(5_000..5_001), rows(5_001..5_001), rows(5_001..9_000)];
    let object = |n: i64| format!(r#"{{"a":{n},"b":{n},"c":{n}}}"#);
    let objects: Vec<String> = (0..9_000).map(object).collect();
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let csv: String = (0..9_000).map(|n| format!("{n},{n},{n}\n")).collect();
    for (format, expected) in [
        (ResultFormat::Json, format!("[{}]", objects.join(","))),
        (ResultFormat::JsonLines, lines),
        (ResultFormat::Csv, format!("a,b,c\n{csv}")),
    ] {
        let bytes = encode(format, &batches[0].schema(), &batches).await;
        assert!(bytes == expected.as_bytes(), "{format:?}");
    }
}

fn failing(before: Vec<RecordBatch>, kind: ErrorKind) -> BoxStream<'static, BatchResult> {
    let error = QueryError { kind, message: "Divide by zero".to_owned() };
    futures::stream::iter(before.into_iter().map(Ok).chain([Err(error)])).boxed()
}

type BatchResult = Result<RecordBatch, QueryError>;

#[actix_web::test]
async fn an_early_error_is_told_by_the_status() {
    let empty = RecordBatch::new_empty(cpu().schema());
    for before in [vec![], vec![empty]] {
        let rows = failing(before, ErrorKind::InvalidInput);
        let failure = respond(ResultFormat::Json, cpu().schema(), rows).await.unwrap_err();
        assert_eq!(failure.status_code().as_u16(), 400);
        assert_eq!(failure.to_string(), "Divide by zero");
    }
    // These formats hold everything back, so no error of theirs is late.
    for format in [ResultFormat::Pretty, ResultFormat::Parquet] {
        let rows = failing(vec![cpu()], ErrorKind::InvalidInput);
        let failure = respond(format, cpu().schema(), rows).await.unwrap_err();
        assert_eq!(failure.status_code().as_u16(), 400, "{format:?}");
    }
}

#[actix_web::test]
async fn a_late_error_never_looks_like_a_complete_answer() {
    for format in [ResultFormat::Json, ResultFormat::JsonLines, ResultFormat::Csv] {
        // What fails at once behind the first rows is still told by the status.
        let early = failing(vec![cpu()], ErrorKind::Internal);
        assert!(respond(format, cpu().schema(), early).await.is_err(), "{format:?}");
        let late = failing(vec![cpu(), cpu()], ErrorKind::Internal);
        let answer = respond(format, cpu().schema(), late).await.unwrap();
        let error = to_bytes(answer.into_body()).await.unwrap_err();
        assert!(error.to_string().contains("Divide by zero"), "{format:?}: {error}");
    }
}

#[actix_web::test]
async fn a_dropped_answer_drops_the_query() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let rows = futures::stream::iter([Ok(cpu()), Ok(cpu())]).map(move |rows| {
        assert!(!sender.is_closed());
        rows
    });
    let answer = respond(ResultFormat::Json, cpu().schema(), rows.boxed()).await.unwrap();
    drop(answer);
    assert!(receiver.await.is_err(), "the stream is gone and its sender with it");
}
