//! Rows that come, without snapshots.

use super::{GEN1, batch, empty, everything, group, rows, view};
use crate::store::{Shard, ShardFiles};
use protocols::ids::TableId;
use protocols::messages::store::{DropTables, KeepSorted, SortedRows};
use std::sync::Arc;

#[test]
fn rows_gather_in_chunks_by_their_time() {
    let mut store = empty();
    store.apply(group(1, batch(&[(-1, 1), (5, 2), (700, 3)])));
    let all = everything(&mut store);
    let times: Vec<_> = all.chunks.iter().map(|c| c.chunk_time_ns).collect();
    assert_eq!(times, [-600, 0, 600]);
    assert_eq!(rows(&view(&mut store, 0, 599)), 1);
    assert_eq!(rows(&view(&mut store, 701, 9999)), 0);
}

#[test]
fn a_group_counts_once_however_often_it_is_sent() {
    let mut store = empty();
    for sequence in [1, 1, 2, 1, 2] {
        store.apply(group(sequence, batch(&[(5, 2)])));
    }
    assert_eq!(rows(&everything(&mut store)), 2);
}

#[test]
fn many_small_batches_become_few() {
    let mut store = empty();
    for i in 0..1000 {
        store.apply(group(i + 1, batch(&[(i as i64 % 600, 1)])));
    }
    let all = everything(&mut store);
    assert_eq!(rows(&all), 1000);
    assert!(all.chunks[0].unsorted.len() < 64, "{} batches", all.chunks[0].unsorted.len());
}

#[test]
fn rows_of_dropped_tables_are_not_taken() {
    let mut store = Shard::new(0, GEN1, vec![TableId(1)], ShardFiles::default());
    store.apply(group(1, batch(&[(5, 2)])));
    assert_eq!(rows(&everything(&mut store)), 0);
}

#[test]
fn a_sorted_form_fits_however_many_batches_came_meanwhile() {
    let mut store = empty();
    for i in 0..100 {
        store.apply(group(i + 1, batch(&[(i as i64, 1)])));
    }
    let seen = everything(&mut store).chunks.remove(0);
    for i in 100..200 {
        store.apply(group(i + 1, batch(&[(i as i64, 1)])));
    }
    let rows_kept = batch(&(0..100).map(|i| (i, 1)).collect::<Vec<_>>()).rows;
    let sorted = SortedRows { rows: rows_kept, series_starts: vec![0], key: vec![] };
    store.keep_sorted(KeepSorted {
        table: TableId(1),
        chunk_id: seen.chunk_id,
        chunk_time_ns: seen.chunk_time_ns,
        sorted_batches: seen.arrived_batches,
        sorted: Arc::new(sorted),
    });
    let after = everything(&mut store);
    assert_eq!(after.chunks[0].sorted.as_ref().map(|s| s.rows.num_rows()), Some(100));
    assert_eq!(rows(&after), 100, "the later ones, unsorted");
}

#[test]
fn a_range_that_ends_before_it_begins_is_empty() {
    let mut store = empty();
    store.apply(group(1, batch(&[(5, 2)])));
    assert_eq!(rows(&view(&mut store, 7, 3)), 0);
    assert_eq!(rows(&view(&mut store, i64::MAX, i64::MIN)), 0);
}

#[test]
fn held_bytes_come_back_when_a_table_goes() {
    let mut store = empty();
    assert_eq!(store.held_bytes(), 0);
    let many: Vec<_> = (0..5000).map(|i| (i, i)).collect();
    store.apply(group(1, batch(&many)));
    let one_column = 5000 * size_of::<i64>();
    assert!(store.held_bytes() >= 2 * one_column, "{} bytes", store.held_bytes());
    assert!(store.held_bytes() < 3 * one_column, "{} bytes", store.held_bytes());
    store.drop_tables(DropTables { tables: vec![TableId(1)] });
    assert_eq!(store.held_bytes(), 0);
    store.apply(group(2, batch(&[(5, 2)])));
    assert_eq!(store.held_bytes(), 0, "the table stays gone");
}

#[test]
fn rows_that_come_one_by_one_do_not_hold_much_more_than_their_values() {
    let mut store = empty();
    for i in 0..4096 {
        store.apply(group(i + 1, batch(&[(i as i64 % 600, 1)])));
    }
    let values = 4096 * 2 * size_of::<i64>();
    assert!(store.held_bytes() < values * 2, "{} bytes", store.held_bytes());
}
