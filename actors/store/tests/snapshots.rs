//! Marks, frozen chunks and the files that take their place.

use super::{GEN1, batch, empty, everything, file, group, mark, shown, values, view};
use crate::store::{Shard, ShardFiles};
use protocols::ids::TableId;
use protocols::messages::store::{
    ApplyRows, ChunkView, DropTables, EndSnapshot, KeepSorted, RemoveFiles, SortedRows, SwapChunk,
};
use protocols::snapshot::{ParquetFile, PlacedMark, SnapshotMark};
use std::sync::Arc;

const TABLE: TableId = TableId(1);

fn marked(sequence: u64, rows: &[(i64, i64)], mark: SnapshotMark) -> ApplyRows {
    ApplyRows { mark: Some(mark), ..group(sequence, batch(rows)) }
}

fn swap(snapshot: u64, chunk_time_ns: i64, files: Vec<Arc<ParquetFile>>) -> SwapChunk {
    SwapChunk { snapshot, table: TABLE, chunk_time_ns, division: 0, files }
}

fn end(number: u64, end_time_ns: i64, sequence: u64, files: Vec<Arc<ParquetFile>>) -> EndSnapshot {
    EndSnapshot {
        snapshot: PlacedMark { mark: mark(number, end_time_ns), sequence, stamp: sequence as i64 },
        files,
    }
}

/// A shard whose chunks 0 and 600 are frozen and whose chunk 1200 is not.
fn frozen() -> Shard {
    let mut store = empty();
    store.apply(group(1, batch(&[(5, 1), (700, 2), (1300, 3)])));
    store.apply(marked(2, &[(6, 4)], mark(1, 1200)));
    store
}

fn frozen_times(store: &mut Shard, snapshot: u64) -> Vec<i64> {
    let frozen = store.frozen_chunks(snapshot).unwrap();
    frozen.chunks.iter().map(|c| c.chunk.chunk_time_ns).collect()
}

#[test]
fn a_mark_freezes_the_chunks_before_its_end_with_the_rows_of_its_own_group() {
    let mut store = frozen();
    let frozen = store.frozen_chunks(1).unwrap();
    let chunks: Vec<_> = frozen.chunks.iter().map(|c| (c.table, values(&c.chunk))).collect();
    assert_eq!(chunks, [(TABLE, vec![1, 4]), (TABLE, vec![2])]);
    assert_eq!(frozen.swapped, []);
    let all = vec![(0, vec![1, 4]), (600, vec![2]), (1200, vec![3])];
    assert_eq!(shown(&mut store), (all, vec![]));
}

#[test]
fn rows_that_come_for_a_frozen_chunk_stand_behind_it() {
    let mut store = frozen();
    store.apply(group(3, batch(&[(7, 5), (1300, 6)])));
    let all = vec![(0, vec![1, 4]), (0, vec![5]), (600, vec![2]), (1200, vec![3, 6])];
    assert_eq!(shown(&mut store).0, all);
    let ids: Vec<_> = everything(&mut store).chunks.iter().map(|c| c.chunk_id).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(frozen_times(&mut store, 1), [0, 600]);
}

#[test]
fn a_swap_is_one_step_and_repeating_it_does_nothing() {
    let mut store = frozen();
    let before = store.held_bytes();
    let swapped = [file(1, 0, GEN1), file(2, 0, GEN1)];
    for _ in 0..2 {
        store.swap(swap(1, 0, swapped.to_vec()));
        assert_eq!(shown(&mut store), (vec![(600, vec![2]), (1200, vec![3])], vec![1, 2]));
        assert_eq!(frozen_times(&mut store, 1), [600]);
        assert_eq!(store.frozen_chunks(1).unwrap().swapped, swapped);
    }
    assert!(store.held_bytes() < before);
    store.swap(swap(1, 600, vec![]));
    assert_eq!(shown(&mut store), (vec![(1200, vec![3])], vec![1, 2]));
    store.swap(swap(1, 1200, vec![file(9, 1200, GEN1)]));
    store.swap(swap(2, 1200, vec![file(9, 1200, GEN1)]));
    assert_eq!(shown(&mut store), (vec![(1200, vec![3])], vec![1, 2]), "not a frozen chunk");
}

#[test]
fn the_end_brings_what_was_not_swapped_and_may_be_repeated() {
    let mut store = frozen();
    store.swap(swap(1, 0, vec![file(1, 0, GEN1)]));
    let all = end(1, 1200, 2, vec![file(1, 0, GEN1), file(2, 600, GEN1)]);
    store.end_snapshot(&all);
    assert_eq!(shown(&mut store), (vec![(1200, vec![3])], vec![1, 2]));
    store.remove_files(RemoveFiles { files: vec![(TABLE, 1), (TABLE, 77), (TableId(5), 2)] });
    store.end_snapshot(&all);
    store.swap(swap(1, 0, vec![file(1, 0, GEN1)]));
    assert_eq!(shown(&mut store), (vec![(1200, vec![3])], vec![2]), "the file stays removed");
    let frozen = store.frozen_chunks(1).unwrap();
    assert!(frozen.chunks.is_empty() && frozen.swapped.is_empty());
    store.apply(marked(3, &[(7, 5)], mark(2, 600)));
    assert_eq!(frozen_times(&mut store, 2), [0]);
}

#[test]
fn a_snapshot_whose_mark_has_not_come_gets_no_answer() {
    let mut store = empty();
    assert!(store.frozen_chunks(1).is_none());
    let mut store = frozen();
    assert!(store.frozen_chunks(2).is_none());
    assert!(store.frozen_chunks(0).is_some(), "nothing is left of what ended");
}

#[test]
fn a_mark_that_is_not_the_next_one_is_passed_over() {
    let mut store = empty();
    store.apply(marked(1, &[(5, 1)], mark(2, 1200)));
    assert!(store.frozen_chunks(2).is_none());
    store.apply(marked(2, &[(5, 2)], mark(1, 1200)));
    store.apply(marked(3, &[(5, 3)], mark(2, 1200)));
    assert_eq!(shown(&mut store).0, [(0, vec![1, 2]), (0, vec![3])]);
    assert!(store.frozen_chunks(2).is_none());
}

#[test]
fn a_mark_that_comes_again_freezes_anew_with_all_rows_in_order() {
    let mut store = frozen();
    store.apply(group(3, batch(&[(7, 5), (1300, 6)])));
    store.apply(marked(4, &[(8, 7)], mark(1, 600)));
    let all = vec![(0, vec![1, 4, 5, 7]), (600, vec![2]), (1200, vec![3, 6])];
    assert_eq!(shown(&mut store), (all, vec![]));
    assert_eq!(frozen_times(&mut store, 1), [0]);
    store.apply(group(5, batch(&[(9, 8)])));
    store.end_snapshot(&end(1, 600, 4, vec![file(1, 0, GEN1)]));
    assert_eq!(shown(&mut store).0, [(0, vec![8]), (600, vec![2]), (1200, vec![3, 6])]);
}

#[test]
fn a_repeated_group_does_not_freeze_what_came_after_it() {
    let mut store = frozen();
    store.end_snapshot(&end(1, 1200, 2, vec![]));
    store.apply(group(3, batch(&[(5, 9)])));
    store.apply(marked(2, &[(6, 4)], mark(2, 1200)));
    assert!(store.frozen_chunks(2).is_none());
    assert_eq!(shown(&mut store).0, [(0, vec![9]), (1200, vec![3])]);
}

#[test]
fn a_rebuilt_shard_drops_at_a_durable_mark_and_freezes_at_the_next() {
    let placed = PlacedMark { mark: mark(1, 1200), sequence: 2, stamp: 2 };
    let files = vec![file(1, 0, GEN1), file(2, 600, GEN1)];
    let known = ShardFiles { files, snapshots: vec![placed] };
    let mut store = Shard::new(0, GEN1, vec![], known.clone());
    assert_eq!(shown(&mut store), (vec![], vec![1, 2]));
    store.apply(group(1, batch(&[(5, 1), (700, 2), (1300, 3)])));
    store.apply(marked(2, &[(6, 4)], mark(1, 1200)));
    assert_eq!(shown(&mut store), (vec![(1200, vec![3])], vec![1, 2]));
    store.apply(marked(3, &[(8, 5)], mark(2, 600)));
    assert_eq!(frozen_times(&mut store, 2), [0]);

    // One that looks like the next but stands before a durable one is passed over.
    let mut store = Shard::new(0, GEN1, vec![], known.clone());
    store.apply(marked(1, &[(5, 1)], mark(2, 600)));
    store.apply(marked(2, &[(6, 4)], mark(1, 1200)));
    assert_eq!(shown(&mut store), (vec![], vec![1, 2]));
    assert!(store.frozen_chunks(2).is_none());

    // The same mark at another group is another attempt: its rows are in no file.
    let mut store = Shard::new(0, GEN1, vec![], known);
    store.apply(marked(3, &[(5, 1)], mark(1, 1200)));
    assert_eq!(shown(&mut store), (vec![(0, vec![1])], vec![1, 2]));
}

#[test]
fn an_end_that_comes_before_its_mark_still_drops_the_rows() {
    let mut store = empty();
    store.apply(group(1, batch(&[(5, 1), (700, 2), (1300, 3)])));
    store.end_snapshot(&end(1, 1200, 2, vec![file(1, 0, GEN1), file(2, 600, GEN1)]));
    store.apply(marked(2, &[(6, 4)], mark(1, 1200)));
    assert_eq!(shown(&mut store), (vec![(1200, vec![3])], vec![1, 2]));
}

fn sorted_form(chunk: &ChunkView, values: &[(i64, i64)]) -> KeepSorted {
    let rows = batch(values).rows;
    KeepSorted {
        table: TABLE,
        chunk_id: chunk.chunk_id,
        chunk_time_ns: chunk.chunk_time_ns,
        sorted_batches: chunk.arrived_batches,
        sorted: Arc::new(SortedRows { rows, series_starts: vec![0], key: vec![] }),
    }
}

#[test]
fn a_sorted_form_lands_only_in_the_chunk_it_was_made_from() {
    let mut store = empty();
    store.apply(group(1, batch(&[(7, 1)])));
    let seen = everything(&mut store).chunks.remove(0);
    store.apply(marked(2, &[(6, 2)], mark(1, 600)));
    store.apply(group(3, batch(&[(8, 3)])));
    store.keep_sorted(sorted_form(&seen, &[(7, 1)]));
    let sorted = |store: &mut Shard| -> Vec<bool> {
        everything(store).chunks.iter().map(|c| c.sorted.is_some()).collect()
    };
    assert_eq!(sorted(&mut store), [true, false], "the frozen one");
    assert_eq!(shown(&mut store).0, [(0, vec![1, 2]), (0, vec![3])]);
    store.swap(swap(1, 0, vec![file(1, 0, GEN1)]));
    store.keep_sorted(sorted_form(&seen, &[(7, 1)]));
    assert_eq!(sorted(&mut store), [false], "the chunk is gone");
    assert_eq!(shown(&mut store), (vec![(0, vec![3])], vec![1]));
}

#[test]
fn a_dropped_table_leaves_with_frozen_rows_and_files_for_good() {
    let mut store = frozen();
    store.swap(swap(1, 0, vec![file(1, 0, GEN1)]));
    store.drop_tables(DropTables { tables: vec![TABLE] });
    assert_eq!(shown(&mut store), (vec![], vec![]));
    assert_eq!(store.held_bytes(), 0);
    let left = store.frozen_chunks(1).unwrap();
    assert!(left.chunks.is_empty());
    assert_eq!(left.swapped, [file(1, 0, GEN1)], "its object has to be deleted some day");
    store.swap(swap(1, 600, vec![file(2, 600, GEN1)]));
    store.end_snapshot(&end(1, 1200, 2, vec![file(1, 0, GEN1), file(2, 600, GEN1)]));
    assert_eq!(shown(&mut store), (vec![], vec![]));
}

#[test]
fn views_of_a_range_leave_out_chunks_and_files_beside_it() {
    let mut store = frozen();
    store.swap(swap(1, 0, vec![file(1, 0, GEN1)]));
    let seen = |store: &mut Shard, min, max| {
        let view = view(store, min, max);
        (view.chunks.iter().map(|c| c.chunk_time_ns).collect(), view.files.len())
    };
    assert_eq!(seen(&mut store, 0, 699), (vec![], 1));
    assert_eq!(seen(&mut store, 599, 700), (vec![600], 1));
    assert_eq!(seen(&mut store, 600, i64::MAX), (vec![600, 1200], 0));
    assert_eq!(seen(&mut store, i64::MIN, -1), (vec![], 0));
}
