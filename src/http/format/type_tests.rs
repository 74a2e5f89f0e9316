//! Every type in every format.

use super::*;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array,
    Decimal128Array, Decimal256Array, DictionaryArray, DurationMicrosecondArray,
    DurationMillisecondArray, DurationNanosecondArray, DurationSecondArray, FixedSizeBinaryArray,
    FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    IntervalDayTimeArray, IntervalMonthDayNanoArray, IntervalYearMonthArray, LargeBinaryArray,
    LargeStringArray, ListArray, MapBuilder, NullArray, StringArray, StringBuilder,
    StringViewArray, StructArray, Time32MillisecondArray, Time32SecondArray,
    Time64MicrosecondArray, Time64NanosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, IntervalDayTime, IntervalMonthDayNano, i256,
};
use std::sync::Arc;

/// 2065-01-07T17:00:00
const SECOND: i64 = 2_998_573_200;

/// A column and what its cells are in JSON and in CSV; `None` is no value. Pretty cells are those
/// of CSV.
struct Case {
    column: ArrayRef,
    json: Vec<Option<&'static str>>,
    csv: Vec<&'static str>,
}

fn case(column: impl Array + 'static, json: &[Option<&'static str>], csv: &[&'static str]) -> Case {
    Case { column: Arc::new(column), json: json.to_vec(), csv: csv.to_vec() }
}

/// A case whose JSON is the text in quotes.
fn quoted(column: impl Array + 'static, json: &[&'static str], csv: &[&'static str]) -> Case {
    let json: Vec<Option<&'static str>> = json.iter().map(|text| Some(*text)).collect();
    case(column, &json, csv)
}

fn numbers() -> Vec<Case> {
    let max = "18446744073709551615";
    vec![
        case(NullArray::new(1), &[None], &[""]),
        case(BooleanArray::from(vec![Some(true), None]), &[Some("true"), None], &["true", ""]),
        case(Int8Array::from(vec![i8::MIN]), &[Some("-128")], &["-128"]),
        case(Int16Array::from(vec![i16::MIN]), &[Some("-32768")], &["-32768"]),
        case(Int32Array::from(vec![i32::MIN]), &[Some("-2147483648")], &["-2147483648"]),
        case(
            Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), Some(0), None]),
            &[Some("-9223372036854775808"), Some("9223372036854775807"), Some("0"), None],
            &["-9223372036854775808", "9223372036854775807", "0", ""],
        ),
        case(UInt8Array::from(vec![u8::MAX]), &[Some("255")], &["255"]),
        case(UInt16Array::from(vec![u16::MAX]), &[Some("65535")], &["65535"]),
        case(UInt32Array::from(vec![u32::MAX]), &[Some("4294967295")], &["4294967295"]),
        case(UInt64Array::from(vec![u64::MAX]), &[Some(max)], &[max]),
        case(
            Float32Array::from(vec![0.1, f32::NAN]),
            &[Some("0.1"), Some("null")],
            &["0.1", "NaN"],
        ),
        case(
            Float64Array::from(vec![1.0, 20.5, 1e21, -1.234e-6, 1e-7, 0.1 + 0.2, -0.0]),
            &[
                Some("1.0"),
                Some("20.5"),
                Some("1.0e21"),
                Some("-1.234e-6"),
                Some("1.0e-7"),
                Some("0.30000000000000004"),
                Some("-0.0"),
            ],
            &["1.0", "20.5", "1e21", "-1.234e-6", "1e-7", "0.30000000000000004", "-0.0"],
        ),
        case(
            Float64Array::from(vec![
                Some(f64::NAN),
                Some(f64::INFINITY),
                Some(-f64::INFINITY),
                None,
            ]),
            &[Some("null"), Some("null"), Some("null"), None],
            &["NaN", "inf", "-inf", ""],
        ),
        case(
            Decimal128Array::from(vec![110, -5]).with_precision_and_scale(10, 2).unwrap(),
            &[Some("1.10"), Some("-0.05")],
            &["1.10", "-0.05"],
        ),
        case(
            Decimal256Array::from(vec![i256::from_i128(12_345)])
                .with_precision_and_scale(50, 1)
                .unwrap(),
            &[Some("1234.5")],
            &["1234.5"],
        ),
    ]
}

fn texts() -> Vec<Case> {
    let text = ["ü"];
    let tags: DictionaryArray<Int32Type> =
        [Some("a"), None, Some("b c"), Some("a")].into_iter().collect();
    let bytes: &[u8] = &[0, 255];
    vec![
        quoted(StringArray::from(vec!["ü", ""]), &["\"ü\"", "\"\""], &["ü", ""]),
        quoted(LargeStringArray::from(text.to_vec()), &["\"ü\""], &["ü"]),
        quoted(StringViewArray::from(text.to_vec()), &["\"ü\""], &["ü"]),
        case(tags, &[Some("\"a\""), None, Some("\"b c\""), Some("\"a\"")], &["a", "", "b c", "a"]),
        quoted(BinaryArray::from(vec![bytes]), &["\"00ff\""], &["00ff"]),
        quoted(LargeBinaryArray::from(vec![bytes]), &["\"00ff\""], &["00ff"]),
        quoted(BinaryViewArray::from(vec![bytes]), &["\"00ff\""], &["00ff"]),
        quoted(
            FixedSizeBinaryArray::try_from_iter([bytes].into_iter()).unwrap(),
            &["\"00ff\""],
            &["00ff"],
        ),
    ]
}

fn times() -> Vec<Case> {
    let plain = "2065-01-07T17:00:00";
    let nanos = SECOND * 1_000_000_000;
    vec![
        quoted(Date32Array::from(vec![19_782]), &["\"2024-02-29\""], &["2024-02-29"]),
        quoted(
            Date64Array::from(vec![19_782 * 86_400_000]),
            &["\"2024-02-29T00:00:00\""],
            &["2024-02-29T00:00:00"],
        ),
        quoted(Time32SecondArray::from(vec![36_672]), &["\"10:11:12\""], &["10:11:12"]),
        quoted(
            Time32MillisecondArray::from(vec![36_672_500]),
            &["\"10:11:12.500\""],
            &["10:11:12.500"],
        ),
        quoted(
            Time64MicrosecondArray::from(vec![36_672_000_001]),
            &["\"10:11:12.000001\""],
            &["10:11:12.000001"],
        ),
        quoted(
            Time64NanosecondArray::from(vec![36_672_000_000_001]),
            &["\"10:11:12.000000001\""],
            &["10:11:12.000000001"],
        ),
        quoted(TimestampSecondArray::from(vec![SECOND]), &["\"2065-01-07T17:00:00\""], &[plain]),
        quoted(
            TimestampMillisecondArray::from(vec![SECOND * 1_000 + 500]),
            &["\"2065-01-07T17:00:00.500\""],
            &["2065-01-07T17:00:00.500"],
        ),
        quoted(
            TimestampMicrosecondArray::from(vec![SECOND * 1_000_000 + 1]),
            &["\"2065-01-07T17:00:00.000001\""],
            &["2065-01-07T17:00:00.000001"],
        ),
        case(
            TimestampNanosecondArray::from(vec![
                Some(nanos),
                Some(nanos + 1),
                Some(i64::MIN),
                None,
            ]),
            &[
                Some("\"2065-01-07T17:00:00\""),
                Some("\"2065-01-07T17:00:00.000000001\""),
                Some("\"1677-09-21T00:12:43.145224192\""),
                None,
            ],
            &[plain, "2065-01-07T17:00:00.000000001", "1677-09-21T00:12:43.145224192", ""],
        ),
        quoted(
            TimestampNanosecondArray::from(vec![nanos]).with_timezone("UTC"),
            &["\"2065-01-07T17:00:00Z\""],
            &["2065-01-07T17:00:00Z"],
        ),
        quoted(
            TimestampNanosecondArray::from(vec![nanos]).with_timezone("America/New_York"),
            &["\"2065-01-07T12:00:00-05:00\""],
            &["2065-01-07T12:00:00-05:00"],
        ),
        quoted(
            DurationSecondArray::from(vec![90_061, 0]),
            &["\"PT90061S\"", "\"P0D\""],
            &["PT90061S", "P0D"],
        ),
        quoted(DurationMillisecondArray::from(vec![-1_500]), &["\"-PT1.5S\""], &["-PT1.5S"]),
        quoted(DurationMicrosecondArray::from(vec![1]), &["\"PT0.000001S\""], &["PT0.000001S"]),
        quoted(
            DurationNanosecondArray::from(vec![13_781_037]),
            &["\"PT0.013781037S\""],
            &["PT0.013781037S"],
        ),
        quoted(
            IntervalYearMonthArray::from(vec![14]),
            &["\"1 years 2 mons\""],
            &["1 years 2 mons"],
        ),
        quoted(
            IntervalDayTimeArray::from(vec![IntervalDayTime::new(1, 7_200_000)]),
            &["\"1 days 2 hours\""],
            &["1 days 2 hours"],
        ),
    ]
}

/// Intervals of months, days and nanoseconds, which Parquet does not have.
fn interval() -> Case {
    let intervals = vec![
        IntervalMonthDayNano::new(0, 1, 7_200_000_000_000),
        IntervalMonthDayNano::new(0, 0, 0),
    ];
    quoted(
        IntervalMonthDayNanoArray::from(intervals),
        &["\"1 days 2 hours\"", "\"0 secs\""],
        &["1 days 2 hours", "0 secs"],
    )
}

fn nested() -> Vec<Case> {
    let list = |values: Vec<Option<Vec<Option<i64>>>>| {
        ListArray::from_iter_primitive::<Int64Type, _, _>(values)
    };
    let floats = vec![Some(vec![Some(1.5), Some(f64::NAN)])];
    let lists = list(vec![Some(vec![Some(1)]), Some(vec![])]);
    let item = Arc::new(Field::new_list_field(lists.data_type().clone(), true));
    let lists_of_lists =
        ListArray::new(item, OffsetBuffer::from_lengths([2]), Arc::new(lists), None);
    let field = |name: &str, kind: DataType| Arc::new(Field::new(name, kind, true));
    let structure = StructArray::new(
        vec![field("a", DataType::Int64), field("b", DataType::Utf8)].into(),
        vec![
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(StringArray::from(vec!["x", "y", "z"])),
        ],
        Some(NullBuffer::from(vec![true, true, false])),
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("k");
    map.values().append_value("v");
    map.append(true).unwrap();
    let pairs = vec![Some(vec![Some(1), Some(2)])];
    let fixed = FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(pairs, 2);
    vec![
        case(
            list(vec![Some(vec![Some(1), None]), Some(vec![]), None]),
            &[Some("[1,null]"), Some("[]"), None],
            &["[1, ]", "[]", ""],
        ),
        case(
            ListArray::from_iter_primitive::<Float64Type, _, _>(floats),
            &[Some("[1.5,null]")],
            &["[1.5, NaN]"],
        ),
        case(lists_of_lists, &[Some("[[1],[]]")], &["[[1], []]"]),
        case(fixed, &[Some("[1,2]")], &["[1, 2]"]),
        case(
            structure,
            &[Some(r#"{"a":1,"b":"x"}"#), Some(r#"{"b":"y"}"#), None],
            &["{a: 1, b: x}", "{a: , b: y}", ""],
        ),
        case(map.finish(), &[Some(r#"{"k":"v"}"#)], &["{k: v}"]),
    ]
}

fn rows_of(case: &Case) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..case.column.len() as i64));
    let columns = [("n", numbers, true), ("v", ArrayRef::clone(&case.column), true)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn text(format: ResultFormat, rows: &RecordBatch) -> String {
    let bytes = encode(format, &rows.schema(), std::slice::from_ref(rows));
    let kind = rows.column(1).data_type();
    String::from_utf8(bytes.unwrap_or_else(|e| panic!("{kind} as {format:?}: {e}"))).unwrap()
}

fn check_texts(case: &Case) {
    let (rows, kind) = (rows_of(case), case.column.data_type());
    let object = |(n, value): (usize, &Option<&str>)| match value {
        Some(value) => format!("{{\"n\":{n},\"v\":{value}}}"),
        None => format!("{{\"n\":{n}}}"),
    };
    let objects: Vec<String> = case.json.iter().enumerate().map(object).collect();
    assert_eq!(text(ResultFormat::Json, &rows), format!("[{}]", objects.join(",")), "{kind}");
    let lines = format!("{}\n", objects.join("\n"));
    assert_eq!(text(ResultFormat::JsonLines, &rows), lines, "{kind}");

    let line = |(n, cell): (usize, &&str)| match cell.contains(',') {
        true => format!("{n},\"{cell}\"\n"),
        false => format!("{n},{cell}\n"),
    };
    let lines: String = case.csv.iter().enumerate().map(line).collect();
    assert_eq!(text(ResultFormat::Csv, &rows), format!("n,v\n{lines}"), "{kind}");

    let pretty = text(ResultFormat::Pretty, &rows);
    let cells: Vec<&str> = pretty
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(1)
        .map(|line| line.split('|').nth(2).unwrap().trim())
        .collect();
    assert_eq!(cells, case.csv, "{kind}");
}

#[test]
fn text_formats_print_every_type() {
    for case in [numbers(), texts(), times(), vec![interval()], nested()].iter().flatten() {
        check_texts(case);
    }
}

/// A part of a column prints as it does in the whole.
#[test]
fn slices_print_their_own_rows() {
    for case in [numbers(), texts(), times(), nested()].iter().flatten() {
        let rows = rows_of(case);
        let last = rows.num_rows() - 1;
        let whole = text(ResultFormat::JsonLines, &rows);
        let part = text(ResultFormat::JsonLines, &rows.slice(last, 1));
        assert_eq!(whole.lines().last(), part.lines().last(), "{}", case.column.data_type());
        let whole = text(ResultFormat::Csv, &rows);
        let part = text(ResultFormat::Csv, &rows.slice(last, 1));
        assert_eq!(whole.lines().last(), part.lines().last(), "{}", case.column.data_type());
    }
}

#[test]
fn parquet_gives_every_type_back() {
    for case in [numbers(), texts(), times(), nested()].iter().flatten() {
        let (rows, kind) = (rows_of(case), case.column.data_type());
        let file = encode(ResultFormat::Parquet, &rows.schema(), std::slice::from_ref(&rows));
        let file = Bytes::from(file.unwrap_or_else(|e| panic!("{kind}: {e}")));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        // Parquet has no such units.
        let is_exact = !["Timestamp(s", "Time32(s", "Date64"]
            .iter()
            .any(|unit| kind.to_string().contains(unit));
        assert_eq!(reader.schema() == &rows.schema(), is_exact, "{kind}");
        let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(read.len(), 1, "{kind}");
        // NaN is not itself, so the texts are compared.
        assert_eq!(text(ResultFormat::Csv, &read[0]), text(ResultFormat::Csv, &rows), "{kind}");
    }
    let rows = rows_of(&interval());
    let error =
        encode(ResultFormat::Parquet, &rows.schema(), std::slice::from_ref(&rows)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotImplemented, "{}", error.message);
    let text = "This feature is not implemented: Parquet has no type for column 'v'";
    assert!(error.message.starts_with(text), "{}", error.message);
}

/// Neither a text that says so nor the server's fault.
#[test]
fn a_time_beyond_the_calendar_is_the_querys_fault() {
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
    let rows = RecordBatch::try_from_iter([("t", seconds)]).unwrap();
    for format in [
        ResultFormat::Json,
        ResultFormat::JsonLines,
        ResultFormat::Csv,
        ResultFormat::Pretty,
        ResultFormat::Parquet,
    ] {
        let error = encode(format, &rows.schema(), std::slice::from_ref(&rows)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{format:?}: {}", error.message);
    }
}

/// All that stands in a text comes back from a JSON reader and from a reader of CSV fields.
#[test]
fn any_text_can_be_read_back() {
    let texts: Vec<String> = (0..0x250_u32)
        .filter_map(char::from_u32)
        .map(|c| format!("a{c}b"))
        .chain(["\u{10ffff}", "\u{2028}", "\"\"", "\\u0000", "a\r\nb"].map(str::to_owned))
        .collect();
    let column: ArrayRef = Arc::new(StringArray::from(texts.clone()));
    let rows = RecordBatch::try_from_iter([("s", column)]).unwrap();
    let bytes = encode(ResultFormat::Json, &rows.schema(), std::slice::from_ref(&rows)).unwrap();
    let read: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
    let read: Vec<&str> = read.iter().map(|row| row["s"].as_str().unwrap()).collect();
    assert_eq!(read, texts);

    let bytes = encode(ResultFormat::Csv, &rows.schema(), std::slice::from_ref(&rows)).unwrap();
    let mut reader = arrow::csv::ReaderBuilder::new(rows.schema())
        .with_header(true)
        .with_batch_size(10_000)
        .build_buffered(bytes.as_slice())
        .unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), rows);
}
