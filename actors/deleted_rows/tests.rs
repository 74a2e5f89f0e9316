//! Against looking at each row.

use super::*;
use arrow::array::{ArrayRef, DictionaryArray, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::{Field, Schema};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protocols::ids::{DbId, TableId};
use protocols::row_deletes::RowDeleteState;
use protocols::schema::time_field;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Values of the tags `a` and `b`.
type Tags = (Option<u8>, Option<u8>);
/// The same, and a time.
type Row = (Option<u8>, Option<u8>, i64);

fn sorted(rows: &[Row]) -> SortedRows {
    let by_series: BTreeMap<Tags, Vec<i64>> =
        rows.iter().fold(BTreeMap::new(), |mut all: BTreeMap<Tags, Vec<i64>>, (a, b, time)| {
            all.entry((*a, *b)).or_default().push(*time);
            all
        });
    let (mut starts, mut tags, mut all_times) = (Vec::new(), Vec::new(), Vec::new());
    for (series, mut times) in by_series {
        times.sort_unstable();
        times.dedup();
        starts.push(all_times.len() as u32);
        tags.extend(times.iter().map(|_| series));
        all_times.extend(times);
    }
    let text = |value: Option<u8>| value.map(|value| value.to_string());
    let column = |pick: fn(&Tags) -> Option<u8>| {
        let texts: Vec<Option<String>> = tags.iter().map(|tags| text(pick(tags))).collect();
        let column: DictionaryArray<Int32Type> = texts.iter().map(Option::as_deref).collect();
        Arc::new(column) as ArrayRef
    };
    let columns = vec![
        column(|tags| tags.0),
        column(|tags| tags.1),
        Arc::new(TimestampNanosecondArray::from(all_times)) as ArrayRef,
    ];
    let field = |at: usize, name: &str| Field::new(name, columns[at].data_type().clone(), true);
    let schema = Schema::new(vec![field(0, "a"), field(1, "b"), time_field()]);
    let rows = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    SortedRows { rows, series_starts: starts, key: vec!["a".into(), "b".into()] }
}

fn rows_of(sorted: &SortedRows) -> Vec<Row> {
    let tag = |name: &str, row: usize| {
        let column = sorted.rows.column_by_name(name).unwrap().as_dictionary::<Int32Type>();
        let column = column.downcast_dict::<arrow::array::StringArray>().unwrap();
        let texts: Vec<_> = column.into_iter().collect();
        texts[row].map(|text: &str| text.parse().unwrap())
    };
    let times = sorted.rows.column(2).as_primitive::<TimestampNanosecondType>();
    (0..sorted.rows.num_rows())
        .map(|row| (tag("a", row), tag("b", row), times.value(row)))
        .collect()
}

fn deletes() -> impl Strategy<Value = Arc<RowDelete>> {
    let time = || option::of(-5..25_i64);
    (time(), time(), option::of(0..4_u8), option::of(0..4_u8)).prop_map(|(min, max, a, b)| {
        let tag = |name: &str, value: u8| (Arc::from(name), Arc::from(value.to_string()));
        Arc::new(RowDelete {
            sequence: 1,
            request: Uuid::nil(),
            db: DbId(0),
            table: TableId(0),
            db_name: "d".into(),
            table_name: "t".into(),
            min_time_ns: min,
            max_time_ns: max,
            tags: a.map(|a| tag("a", a)).into_iter().chain(b.map(|b| tag("b", b))).collect(),
            created_at_ns: 0,
            bound: Some(0),
            state: RowDeleteState::Pending,
        })
    })
}

fn takes(delete: &RowDelete, (a, b, time): &Row) -> bool {
    let has = |(tag, value): &(Arc<str>, Arc<str>)| {
        let found = if **tag == *"a" { a } else { b };
        found.is_some_and(|found| found.to_string() == **value)
    };
    delete.min_time_ns.is_none_or(|min| *time >= min)
        && delete.max_time_ns.is_none_or(|max| *time < max)
        && delete.tags.iter().all(has)
}

proptest! {
    #[test]
    fn what_is_left_is_what_no_delete_takes(
        rows in vec((option::of(0..3_u8), option::of(0..3_u8), 0..20_i64), 0..40),
        deletes in vec(deletes(), 0..4),
        from in 0..40_usize,
        to in 0..40_usize,
    ) {
        let sorted = sorted(&rows);
        let before = rows_of(&sorted);
        let gone = deleted_rows(&sorted, &deletes).unwrap();
        let left: Vec<Row> = before
            .iter()
            .filter(|row| !deletes.iter().any(|delete| takes(delete, row)))
            .copied()
            .collect();
        let copied = copy_without(&sorted, &gone).unwrap();
        prop_assert_eq!(rows_of(&copied), left.clone());
        let series: std::collections::BTreeSet<_> = left.iter().map(|(a, b, _)| (a, b)).collect();
        prop_assert_eq!(copied.series_starts.len(), series.len());

        let all = without(all_series(&sorted).collect(), &gone);
        let picked: Vec<Row> = all.into_iter().flatten().map(|row| before[row]).collect();
        prop_assert_eq!(picked, left);
        let part = from.min(before.len())..to.min(before.len()).max(from.min(before.len()));
        let found: Vec<usize> =
            without([part.clone()].into(), &gone).into_iter().flatten().collect();
        let expected: Vec<usize> =
            part.filter(|row| !gone.iter().any(|gone| gone.contains(row))).collect();
        prop_assert_eq!(found, expected);
    }
}
