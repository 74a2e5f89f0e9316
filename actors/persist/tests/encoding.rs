//! Rows through Parquet and back, how large the files are, and chunks that are split.

use super::{chunk_of, column};
use crate::dedup::{sort_dedup, sort_parts};
use crate::file_writer::{ROW_GROUP_ROWS, encode};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int32Type, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::PageIndexPolicy;
use proptest::prelude::*;
use protocols::ids::TableId;
use protocols::messages::store::ChunkView;
use protocols::schema::{ColumnKind, ColumnSchema, FieldType, TableSchema, time_field};
use protocols::snapshot::Stamps;
use std::sync::Arc;

const KINDS: [ColumnKind; 7] = [
    ColumnKind::Tag,
    ColumnKind::Field(FieldType::Float),
    ColumnKind::Field(FieldType::Integer),
    ColumnKind::Tag,
    ColumnKind::Field(FieldType::UInteger),
    ColumnKind::Field(FieldType::String),
    ColumnKind::Field(FieldType::Boolean),
];

fn schema(kinds: &[ColumnKind]) -> TableSchema {
    let columns = kinds.iter().enumerate().map(|(i, k)| column(i as u32, &format!("c{i}"), *k));
    TableSchema::new(TableId(1), "m".into(), columns.collect(), None)
}

fn batch(table: &TableSchema, mut columns: Vec<ArrayRef>, times: Vec<i64>) -> RecordBatch {
    columns.push(Arc::new(TimestampNanosecondArray::from(times)));
    let mut fields: Vec<_> = table.columns.iter().map(ColumnSchema::arrow_field).collect();
    fields.push(time_field());
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// A row of the generated tables: a number for each column, and the time.
type Row = ([Option<u16>; KINDS.len()], i64);

fn array(kind: ColumnKind, values: impl Iterator<Item = Option<u16>>) -> ArrayRef {
    let text =
        |v: u16| ["", "a", "é", "some longer text"][usize::from(v % 4)].repeat(usize::from(v % 3));
    match kind {
        ColumnKind::Tag => {
            let texts: Vec<_> = values.map(|v| v.map(|v| format!("tag {}", v % 5))).collect();
            let tags = texts.iter().map(Option::as_deref);
            Arc::new(tags.collect::<DictionaryArray<Int32Type>>())
        }
        ColumnKind::Field(FieldType::Float) => {
            let special = [f64::NAN, -0.0, f64::INFINITY, f64::MIN_POSITIVE, 0.1];
            let float = |v: u16| special.get(usize::from(v)).copied().unwrap_or(f64::from(v) / 7.0);
            Arc::new(values.map(|v| v.map(float)).collect::<Float64Array>())
        }
        ColumnKind::Field(FieldType::Integer) => {
            let integer = |v: u16| i64::MIN.wrapping_add(i64::from(v) << 47);
            Arc::new(values.map(|v| v.map(integer)).collect::<Int64Array>())
        }
        ColumnKind::Field(FieldType::UInteger) => {
            Arc::new(values.map(|v| v.map(|v| u64::MAX - u64::from(v))).collect::<UInt64Array>())
        }
        ColumnKind::Field(FieldType::String) => {
            Arc::new(values.map(|v| v.map(text)).collect::<StringArray>())
        }
        ColumnKind::Field(FieldType::Boolean) => {
            Arc::new(values.map(|v| v.map(|v| v % 2 == 0)).collect::<BooleanArray>())
        }
    }
}

/// A batch of rows; columns that are not `present` have no value.
fn rows_batch(rows: &[Row], present: [bool; KINDS.len()]) -> RecordBatch {
    let columns = (0..KINDS.len())
        .map(|c| array(KINDS[c], rows.iter().map(|row| row.0[c].filter(|_| present[c]))));
    batch(&schema(&KINDS), columns.collect(), rows.iter().map(|row| row.1).collect())
}

fn read(bytes: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// A column without the dictionary, in which equal columns may differ.
fn plain(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Dictionary(..) => cast(column, &DataType::Utf8).unwrap(),
        _ => Arc::clone(column),
    }
}

fn assert_same(found: &RecordBatch, expected: &RecordBatch) {
    assert_eq!(found.num_rows(), expected.num_rows());
    for (field, column) in expected.schema().fields().iter().zip(expected.columns()) {
        match found.column_by_name(field.name()) {
            Some(found) => assert_eq!(&plain(found), &plain(column), "column {}", field.name()),
            None => assert_eq!(
                column.logical_null_count(),
                column.len(),
                "{} is left out",
                field.name()
            ),
        }
    }
    let names = |batch: &RecordBatch| -> Vec<String> {
        batch.schema().fields().iter().map(|f| f.name().clone()).collect()
    };
    let mut expected = names(expected);
    expected.retain(|name| found.column_by_name(name).is_some());
    assert_eq!(names(found), expected);
}

fn some_rows() -> impl Strategy<Value = Vec<Row>> {
    let values = prop::array::uniform7(prop::option::weighted(0.8, 0..40_u16));
    // Of few rows no sample is taken to choose an encoding.
    prop::collection::vec((values, 0..90_i64), 1..260)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_come_back_and_give_the_same_bytes_again(
        rows in some_rows(),
        present in prop::array::uniform7(prop::bool::weighted(0.8)),
    ) {
        let sorted = sort_dedup(&[rows_batch(&rows, present)], &schema(&KINDS)).unwrap();
        let bytes = encode(&sorted.rows).unwrap();
        let found = read(&bytes);
        assert_same(&found, &sorted.rows);
        prop_assert_eq!(encode(&found).unwrap(), bytes);
    }

    #[test]
    fn columns_that_came_later_do_not_change_the_bytes(rows in some_rows(), columns in 0..7_usize) {
        let mut present = [true; 7];
        present[columns..].fill(false);
        let all = rows_batch(&rows, present);
        let fewer: Vec<usize> = (0..columns).chain([7]).collect();
        let early = schema(&KINDS[..columns]);
        let of_early = sort_dedup(&[all.project(&fewer).unwrap()], &early).unwrap();
        let of_late = sort_dedup(&[all], &schema(&KINDS)).unwrap();
        prop_assert_eq!(encode(&of_early.rows).unwrap(), encode(&of_late.rows).unwrap());
    }

    /// However the rows arrived and whatever queries sorted, a chunk is cut into the same parts.
    #[test]
    fn parts_hold_all_rows_in_order(
        batches in prop::collection::vec(some_rows(), 1..5),
        sorted in 0..5_usize,
        bytes_max in 1..400_usize,
    ) {
        let table = schema(&KINDS);
        let batches: Vec<_> = batches.iter().map(|rows| rows_batch(rows, [true; 7])).collect();
        let whole = sort_dedup(&batches, &table).unwrap();
        let unsorted = chunk_of(0, batches.clone());
        let parts = sort_parts(&unsorted, &table, bytes_max).unwrap();
        assert_same(&concat_batches(&whole.rows.schema(), &parts).unwrap(), &whole.rows);
        for part in &parts {
            let bytes = text_bytes(part);
            prop_assert!(bytes <= bytes_max || part.num_rows() == 1, "{} of {}", bytes, bytes_max);
        }

        let sorted = sorted.min(batches.len());
        let chunk = ChunkView {
            order: Stamps::at(1),
            sorted: Some(Arc::new(sort_dedup(&batches[..sorted], &table).unwrap())),
            unsorted: batches[sorted..].to_vec(),
            ..unsorted
        };
        let again = sort_parts(&chunk, &table, bytes_max).unwrap();
        let encoded = |parts: &[RecordBatch]| -> Vec<Bytes> {
            parts.iter().map(|part| encode(part).unwrap()).collect()
        };
        prop_assert_eq!(encoded(&again), encoded(&parts));
    }
}

/// The most text that a column has; each value of a tag counts once.
fn text_bytes(part: &RecordBatch) -> usize {
    let columns = part.columns().iter().filter_map(|column| {
        let plain = plain(column);
        let mut texts: Vec<_> =
            plain.as_string_opt::<i32>()?.iter().flatten().map(str::to_owned).collect();
        if matches!(column.data_type(), DataType::Dictionary(..)) {
            texts.sort();
            texts.dedup();
        }
        Some(texts.iter().map(String::len).sum())
    });
    columns.max().unwrap_or(0)
}

#[test]
fn a_chunk_with_an_unknown_column_is_refused() {
    let rows = rows_batch(&[([Some(1); 7], 1)], [true; 7]);
    let chunk = chunk_of(0, vec![rows]);
    sort_parts(&chunk, &schema(&KINDS[..6]), 1000).unwrap_err();
    assert!(sort_parts(&chunk_of(0, vec![]), &schema(&KINDS), 1000).unwrap().is_empty());
}

/// Numbers that look random and are always the same (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// About normal, mean 0 and deviation 1.
    fn normal(&mut self) -> f64 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
        (sum as f64 - 131_070.0) / 65_535.0 * 3_f64.sqrt()
    }
}

/// Hosts of the "cpu" data set of the Time Series Benchmark Suite: ten tags, and ten gauges
/// between 0 and 100 that walk by a step of about 1 every ten seconds. Sorted by the first tag.
fn cpu(hosts: u64, readings: usize, gauge: ColumnKind) -> RecordBatch {
    let mut random = Random(1);
    let mut names: Vec<String> = (0..hosts).map(|i| format!("host_{i}")).collect();
    names.sort();
    let choices = [9, 25, 100, 3, 2, 4, 20, 2, 3];
    let mut tags: Vec<Vec<String>> = vec![names];
    for (i, choices) in choices.iter().enumerate() {
        tags.push((0..hosts).map(|_| format!("tag-{i}-{}", random.below(*choices))).collect());
    }
    let repeated = |values: &Vec<String>| -> ArrayRef {
        let all = values.iter().flat_map(|v| std::iter::repeat_n(v.as_str(), readings));
        Arc::new(all.collect::<DictionaryArray<Int32Type>>())
    };
    let mut columns: Vec<ArrayRef> = tags.iter().map(repeated).collect();
    for _ in 0..10 {
        let mut values = Vec::with_capacity(hosts as usize * readings);
        for _ in 0..hosts {
            let mut value = random.below(100) as f64;
            for _ in 0..readings {
                values.push(value);
                value = (value + random.normal()).clamp(0.0, 100.0);
            }
        }
        columns.push(match gauge {
            ColumnKind::Field(FieldType::Integer) => {
                Arc::new(values.iter().map(|v| Some(*v as i64)).collect::<Int64Array>())
            }
            _ => Arc::new(Float64Array::from(values)),
        });
    }
    let times = (0..hosts).flat_map(|_| (0..readings as i64).map(|i| i * 10_000_000_000));
    let kinds = [[ColumnKind::Tag; 10], [gauge; 10]].concat();
    let start = 1_451_606_400_000_000_000;
    batch(&schema(&kinds), columns, times.map(|t| start + t).collect())
}

const INTEGERS: ColumnKind = ColumnKind::Field(FieldType::Integer);

fn bytes_a_row(rows: &RecordBatch) -> f64 {
    encode(rows).unwrap().len() as f64 / rows.num_rows() as f64
}

#[test]
fn ten_minutes_of_a_thousand_hosts_take_few_bytes() {
    let bytes = bytes_a_row(&cpu(1000, 60, INTEGERS));
    assert!(bytes <= 8.0, "{bytes} bytes a row");
}

#[test]
fn ten_minutes_of_a_hundred_hosts_take_few_bytes() {
    let bytes = bytes_a_row(&cpu(100, 60, INTEGERS));
    assert!(bytes <= 8.0, "{bytes} bytes a row");
}

#[test]
fn a_day_takes_fewer_bytes() {
    let rows = cpu(10, 8640, INTEGERS);
    let bytes = bytes_a_row(&rows);
    assert!(bytes <= 4.0, "{bytes} bytes a row");
}

#[test]
fn files_say_how_they_are_sorted_and_where_their_pages_are() {
    let rows = cpu(2200, 60, INTEGERS);
    let bytes = encode(&rows).unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap();
    let metadata = reader.metadata();
    let groups: Vec<_> = metadata.row_groups().iter().map(|g| g.num_rows() as usize).collect();
    assert_eq!(groups, [ROW_GROUP_ROWS, rows.num_rows() - ROW_GROUP_ROWS]);
    for (i, group) in metadata.row_groups().iter().enumerate() {
        let sorting = group.sorting_columns().unwrap();
        let order: Vec<_> = sorting.iter().map(|s| s.column_idx).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20]);
        assert!(sorting.iter().all(|s| !s.descending && s.nulls_first));
        for (c, column) in group.columns().iter().enumerate() {
            assert!(matches!(column.compression(), Compression::ZSTD(_)));
            assert!(column.statistics().is_some());
            let pages = metadata.offset_index().unwrap()[i][c].page_locations().len();
            assert!(pages * 20_000 >= group.num_rows() as usize, "{pages} pages");
        }
        let time = group.column(20);
        assert!(time.encodings().any(|e| e == Encoding::DELTA_BINARY_PACKED));
    }
}

#[test]
fn the_encoding_of_numbers_suits_them() {
    let encodings = |rows: &RecordBatch, column: usize| -> Vec<Encoding> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(encode(rows).unwrap()).unwrap();
        reader.metadata().row_group(0).column(column).encodings().collect()
    };
    // Long series have small differences.
    assert!(encodings(&cpu(2, 8640, INTEGERS), 10).contains(&Encoding::DELTA_BINARY_PACKED));
    // Floats of full precision.
    let floats = cpu(10, 1000, ColumnKind::Field(FieldType::Float));
    assert!(encodings(&floats, 10).contains(&Encoding::BYTE_STREAM_SPLIT));
    // Floats with few values in no order.
    let mut random = Random(1);
    let values: Vec<f64> = (0..50_000).map(|_| random.below(1000) as f64 * 0.37).collect();
    let column: ArrayRef = Arc::new(Float64Array::from(values));
    let table = schema(&[ColumnKind::Field(FieldType::Float)]);
    let rows = batch(&table, vec![column], (0..50_000).collect());
    assert!(encodings(&rows, 0).contains(&Encoding::RLE_DICTIONARY));
}
