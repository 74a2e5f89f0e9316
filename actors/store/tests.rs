//! What a shard shows after which messages.

use super::Store;
use arrow::array::RecordBatch;
use protocols::columns::{ColumnData, StoredColumn, StoredRows};
use protocols::ids::{ColumnId, DbId, TableId};
use protocols::messages::store::{ApplyRows, TableBatch, TableView, ViewTable};
use protocols::schema::{ColumnKind, ColumnSchema, FieldType, TableSchema};

const GEN1: i64 = 600;

fn batch(rows: &[(i64, i64)]) -> TableBatch {
    let column = ColumnSchema {
        id: ColumnId(0),
        name: "f".into(),
        kind: ColumnKind::Field(FieldType::Integer),
    };
    let schema = TableSchema::new(TableId(1), "m".into(), vec![column], None);
    let stored = StoredRows {
        table: TableId(1),
        times: rows.iter().map(|r| r.0).collect(),
        columns: vec![StoredColumn {
            id: ColumnId(0),
            data: ColumnData::Integer(rows.iter().map(|r| r.1).collect()),
            validity: None,
        }],
    };
    let rows_arrow: RecordBatch = stored.into_arrow(&schema).unwrap();
    TableBatch {
        db: DbId(1),
        table: TableId(1),
        size_bytes: rows_arrow.get_array_memory_size(),
        rows: rows_arrow,
        min_time_ns: rows.iter().map(|r| r.0).min().unwrap(),
        max_time_ns: rows.iter().map(|r| r.0).max().unwrap(),
    }
}

fn view(store: &mut Store, min: i64, max: i64) -> TableView {
    store.view(&ViewTable { table: TableId(1), min_time_ns: min, max_time_ns: max })
}

fn rows(view: &TableView) -> usize {
    view.chunks.iter().flat_map(|c| &c.unsorted).map(RecordBatch::num_rows).sum()
}

#[test]
fn rows_gather_in_chunks_by_their_time() {
    let mut store = Store::new(0, GEN1, vec![]);
    store.apply(ApplyRows { sequence: 1, batches: vec![batch(&[(-1, 1), (5, 2), (700, 3)])] });
    let all = view(&mut store, i64::MIN, i64::MAX);
    let times: Vec<_> = all.chunks.iter().map(|c| c.chunk_time_ns).collect();
    assert_eq!(times, [-600, 0, 600]);
    assert_eq!(rows(&view(&mut store, 0, 599)), 1);
    assert_eq!(rows(&view(&mut store, 701, 9999)), 0);
}

#[test]
fn a_group_counts_once_however_often_it_is_sent() {
    let mut store = Store::new(0, GEN1, vec![]);
    for sequence in [1, 1, 2, 1, 2] {
        store.apply(ApplyRows { sequence, batches: vec![batch(&[(5, 2)])] });
    }
    assert_eq!(rows(&view(&mut store, i64::MIN, i64::MAX)), 2);
}

#[test]
fn many_small_batches_become_few() {
    let mut store = Store::new(0, GEN1, vec![]);
    for i in 0..1000 {
        store.apply(ApplyRows { sequence: i + 1, batches: vec![batch(&[(i as i64 % 600, 1)])] });
    }
    let all = view(&mut store, i64::MIN, i64::MAX);
    assert_eq!(rows(&all), 1000);
    assert!(all.chunks[0].unsorted.len() < 64, "{} batches", all.chunks[0].unsorted.len());
}

#[test]
fn rows_of_dropped_tables_are_not_taken() {
    let mut store = Store::new(0, GEN1, vec![TableId(1)]);
    store.apply(ApplyRows { sequence: 1, batches: vec![batch(&[(5, 2)])] });
    assert_eq!(rows(&view(&mut store, i64::MIN, i64::MAX)), 0);
}

#[test]
fn a_sorted_form_fits_however_many_batches_came_meanwhile() {
    use protocols::messages::store::SortedRows;
    let mut store = Store::new(0, GEN1, vec![]);
    for i in 0..100 {
        store.apply(ApplyRows { sequence: i + 1, batches: vec![batch(&[(i as i64, 1)])] });
    }
    let seen = view(&mut store, i64::MIN, i64::MAX).chunks.remove(0);
    for i in 100..200 {
        store.apply(ApplyRows { sequence: i + 1, batches: vec![batch(&[(i as i64, 1)])] });
    }
    let rows_kept = batch(&(0..100).map(|i| (i, 1)).collect::<Vec<_>>()).rows;
    let sorted = SortedRows { rows: rows_kept, series_starts: vec![0], key: vec![] };
    store.keep_sorted(protocols::messages::store::KeepSorted {
        table: TableId(1),
        chunk_time_ns: seen.chunk_time_ns,
        sorted_batches: seen.arrived_batches,
        sorted: std::sync::Arc::new(sorted),
    });
    let after = view(&mut store, i64::MIN, i64::MAX);
    assert_eq!(after.chunks[0].sorted.as_ref().map(|s| s.rows.num_rows()), Some(100));
    assert_eq!(rows(&after), 100, "the later ones, unsorted");
}
