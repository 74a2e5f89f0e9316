//! The sort against a plain map of rows.

use super::{merge_sorted, sort_dedup};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, RecordBatch,
    StringArray, TimestampNanosecondArray,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Schema, TimeUnit, TimestampNanosecondType,
};
use proptest::prelude::*;
use protocols::ids::{ColumnId, TableId};
use protocols::messages::store::SortedRows;
use protocols::schema::{ColumnKind, ColumnSchema, FieldType, TableSchema};
use std::collections::BTreeMap;
use std::sync::Arc;

const COLUMNS: [(&str, ColumnKind); 6] = [
    ("t0", ColumnKind::Tag),
    ("f", ColumnKind::Field(FieldType::Float)),
    ("t1", ColumnKind::Tag),
    ("s", ColumnKind::Field(FieldType::String)),
    ("b", ColumnKind::Field(FieldType::Boolean)),
    ("t2", ColumnKind::Tag),
];

fn table(columns: usize) -> TableSchema {
    let columns = COLUMNS[..columns].iter().enumerate().map(|(i, (name, kind))| ColumnSchema {
        id: ColumnId(i as u32),
        name: Arc::from(*name),
        kind: *kind,
    });
    TableSchema::new(TableId(1), Arc::from("m"), columns.collect(), None)
}

/// A row of the model; values are small numbers, rendered by the type of their column.
#[derive(Clone, Debug)]
struct Row {
    values: [Option<u8>; 6],
    time: i64,
}

/// Some rows, and which columns the batch has at all.
#[derive(Clone, Debug)]
struct Rows {
    rows: Vec<Row>,
    present: [bool; 6],
}

fn text(v: u8) -> String {
    // Not in numeric order, so that order by bytes is put to the test.
    ["b", "", "a", "é", "aa"][usize::from(v % 5)].to_owned()
}

impl Rows {
    fn value(&self, row: usize, column: usize) -> Option<u8> {
        self.rows[row].values[column].filter(|_| self.present[column])
    }

    fn batch(&self) -> RecordBatch {
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (c, (name, kind)) in COLUMNS.iter().enumerate().filter(|(c, _)| self.present[*c]) {
            let values = (0..self.rows.len()).map(|r| self.value(r, c));
            let array: ArrayRef = match kind {
                ColumnKind::Tag => {
                    let texts: Vec<Option<String>> = values.map(|v| v.map(text)).collect();
                    let tags = texts.iter().map(Option::as_deref);
                    Arc::new(tags.collect::<DictionaryArray<Int32Type>>())
                }
                ColumnKind::Field(FieldType::Float) => {
                    Arc::new(values.map(|v| v.map(f64::from)).collect::<Float64Array>())
                }
                ColumnKind::Field(FieldType::String) => {
                    Arc::new(values.map(|v| v.map(text)).collect::<StringArray>())
                }
                _ => Arc::new(values.map(|v| v.map(|v| v % 2 == 0)).collect::<BooleanArray>()),
            };
            fields.push(Field::new(*name, kind.arrow_type(), true));
            arrays.push(array);
        }
        fields.push(Field::new("time", DataType::Timestamp(TimeUnit::Nanosecond, None), false));
        let times: Vec<i64> = self.rows.iter().map(|r| r.time).collect();
        arrays.push(Arc::new(TimestampNanosecondArray::from(times)));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns fit")
    }
}

type Key = (Vec<Option<String>>, i64);

fn render(kind: ColumnKind, v: u8) -> String {
    match kind {
        ColumnKind::Tag | ColumnKind::Field(FieldType::String) => text(v),
        ColumnKind::Field(FieldType::Float) => format!("{:?}", f64::from(v)),
        ColumnKind::Field(_) => v.is_multiple_of(2).to_string(),
    }
}

/// What the rows must read back as.
fn model(batches: &[Rows]) -> BTreeMap<Key, Vec<Option<String>>> {
    let mut map = BTreeMap::new();
    for batch in batches {
        for r in 0..batch.rows.len() {
            let values: Vec<Option<String>> =
                (0..6).map(|c| batch.value(r, c).map(|v| render(COLUMNS[c].1, v))).collect();
            let (tags, fields): (Vec<_>, Vec<_>) =
                (0..6).partition(|c| COLUMNS[*c].1 == ColumnKind::Tag);
            let key = (tags.iter().map(|c| values[*c].clone()).collect(), batch.rows[r].time);
            let row = map.entry(key).or_insert_with(|| vec![None; fields.len()]);
            for (slot, c) in row.iter_mut().zip(fields) {
                if let Some(v) = &values[c] {
                    *slot = Some(v.clone());
                }
            }
        }
    }
    map
}

fn cell(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Dictionary(..) => {
            let tags = column.as_dictionary::<Int32Type>();
            let value = tags.keys().value(row) as usize;
            tags.values().as_string::<i32>().value(value).to_owned()
        }
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        _ => column.as_boolean().value(row).to_string(),
    })
}

type Read = (Vec<(Key, Vec<Option<String>>)>, Vec<u32>);

/// The rows in their order, and where the tags change.
fn read(rows: &RecordBatch) -> Read {
    let times = rows["time"].as_primitive::<TimestampNanosecondType>();
    let mut all: Vec<(Key, Vec<Option<String>>)> = Vec::new();
    let mut starts = Vec::new();
    for r in 0..rows.num_rows() {
        let of = |tag: bool| {
            let columns = COLUMNS.iter().filter(move |c| (c.1 == ColumnKind::Tag) == tag);
            columns.map(|(name, _)| cell(&rows[*name], r)).collect::<Vec<_>>()
        };
        let tags = of(true);
        if all.last().is_none_or(|(key, _)| key.0 != tags) {
            starts.push(r as u32);
        }
        all.push(((tags, times.value(r)), of(false)));
    }
    (all, starts)
}

fn check(sorted: &SortedRows, batches: &[Rows]) {
    let (rows, starts) = read(&sorted.rows);
    assert_eq!(rows, model(batches).into_iter().collect::<Vec<_>>());
    assert_eq!(sorted.series_starts, starts);
    let names: Vec<String> =
        sorted.rows.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["t0", "f", "t1", "s", "b", "t2", "time"]);
    assert_eq!(sorted.key.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["t0", "t1", "t2"]);
}

fn some_rows() -> impl Strategy<Value = Rows> {
    let row = (prop::array::uniform6(prop::option::weighted(0.7, 0..5_u8)), 0..6_i64)
        .prop_map(|(values, time)| Row { values, time });
    (prop::collection::vec(row, 0..30), prop::array::uniform6(prop::bool::weighted(0.8)))
        .prop_map(|(rows, present)| Rows { rows, present })
}

proptest! {
    #[test]
    fn sorting_equals_the_model(batches in prop::collection::vec(some_rows(), 0..6)) {
        let arrived: Vec<RecordBatch> = batches.iter().map(Rows::batch).collect();
        let sorted = sort_dedup(&arrived, &table(6)).expect("sorts");
        check(&sorted, &batches);
        // Sorting again changes nothing.
        let again = sort_dedup(std::slice::from_ref(&sorted.rows), &table(6)).expect("sorts");
        assert_eq!(again.rows, sorted.rows);
        assert_eq!(again.series_starts, sorted.series_starts);
    }

    #[test]
    fn merging_equals_the_model(
        batches in prop::collection::vec(some_rows(), 1..6),
        cut in 0..6_usize,
        columns_then in 0..=6_usize,
    ) {
        let mut batches = batches;
        let cut = cut.min(batches.len());
        // The first part was sorted when the table had fewer columns.
        for early in &mut batches[..cut] {
            early.present[columns_then..].fill(false);
        }
        let arrived: Vec<RecordBatch> = batches.iter().map(Rows::batch).collect();
        let first = sort_dedup(&arrived[..cut], &table(columns_then)).expect("sorts");
        let second = sort_dedup(&arrived[cut..], &table(6)).expect("sorts");
        check(&merge_sorted(&[&first, &second], &table(6)).expect("merges"), &batches);
    }
}

#[test]
fn a_column_of_another_type_is_refused() {
    let rows = Rows {
        rows: vec![Row { values: [Some(1); 6], time: 1 }],
        present: [true, true, true, true, true, true],
    };
    let columns = vec![ColumnSchema {
        id: ColumnId(0),
        name: Arc::from("f"),
        kind: ColumnKind::Field(FieldType::Integer),
    }];
    let other = TableSchema::new(TableId(1), Arc::from("m"), columns, None);
    sort_dedup(&[rows.batch()], &other).expect_err("float is not integer");
}

#[test]
fn a_table_without_tags_is_one_series() {
    let columns = vec![ColumnSchema {
        id: ColumnId(0),
        name: Arc::from("f"),
        kind: ColumnKind::Field(FieldType::Float),
    }];
    let table = TableSchema::new(TableId(1), Arc::from("m"), columns, None);
    let row = |v, time| Row { values: [None, Some(v), None, None, None, None], time };
    let rows = Rows {
        rows: vec![row(1, 5), row(2, 3), row(3, 5)],
        present: [false, true, false, false, false, false],
    };
    let sorted = sort_dedup(&[rows.batch()], &table).expect("sorts");
    assert_eq!(sorted.series_starts, [0]);
    let times = sorted.rows["time"].as_primitive::<TimestampNanosecondType>();
    assert_eq!(times.values().as_ref(), [3, 5]);
    assert_eq!(sorted.rows["f"].as_primitive::<Float64Type>().values().as_ref(), [2.0, 3.0]);
}
