//! Taking snapshots: what is stored, and what happens when something fails in between.

use super::*;
use crate::file_writer::{ONE_PIECE_BYTES_MAX, put_until_stored};
use crate::index::log::load;
use crate::index::tests::flaky::Flaky;
use crate::storage::objects::planned::Planned;
use bytes::Bytes;
use futures::FutureExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use protocols::messages::index::IndexError;
use protocols::paths;
use std::sync::atomic::Ordering;

fn flaky() -> (Arc<Planned<Flaky>>, World) {
    let (store, objects) = Planned::new(Flaky::default());
    (store, World::new(objects))
}

#[actix_rt::test]
async fn chunks_become_files_that_the_index_and_the_shards_know() {
    let world = World::in_memory();
    let mut worker = world.worker().await;
    let chunks = vec![frozen(2, GEN1_NS, 5), frozen(1, 0, 3), frozen(2, 0, 4)];
    world.snapshot(&mut worker, placed(1, 42), chunks).await;

    let files = world.fake.files();
    let told: Vec<_> =
        files.iter().map(|f| (f.id, f.table.0, f.chunk_time_ns, f.row_count)).collect();
    assert_eq!(told, [(1, 1, 0, 3), (2, 2, 0, 4), (3, 2, GEN1_NS, 5)]);
    assert_eq!((files[2].min_time_ns, files[2].max_time_ns), (GEN1_NS + 1, GEN1_NS + 5));
    let index = load(&world.objects, NODE).await.unwrap();
    assert_eq!(index.files().cloned().collect::<Vec<_>>(), files);
    assert_eq!((index.last_snapshot(), index.wal_through()), (1, 42));
    for file in &files {
        let path = paths::parquet_file(NODE, file);
        let bytes = world.bytes(&path).await;
        assert_eq!(world.fake.state.lock().unwrap().cached.get(&path), Some(&bytes));
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        let count: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(count as u64, file.row_count);
    }
    assert!(world.exists(&paths::snapshot_manifest(NODE, 1)).await);
    assert_eq!(world.fake.state.lock().unwrap().done, [1]);
}

#[actix_rt::test]
async fn chunks_under_way_take_no_more_memory_than_they_may() {
    let mut world = World::in_memory();
    world.settings.bytes_max = 1;
    let worker = world.worker().await;
    let (one, another) = (frozen(1, 0, 3), frozen(2, 0, 3));
    let room = worker.room(&one).await;
    assert!(worker.room(&another).now_or_never().is_none(), "it waits for the other");
    drop(room);
    assert!(worker.room(&another).now_or_never().is_some());
    let world = World::in_memory();
    let worker = world.worker().await;
    let _room = worker.room(&one).await;
    assert!(worker.room(&another).now_or_never().is_some());
}

#[actix_rt::test]
async fn ids_rise_from_snapshot_to_snapshot() {
    let world = World::in_memory();
    let mut worker = world.worker().await;
    world.snapshot(&mut worker, placed(1, 42), vec![frozen(1, 0, 3)]).await;
    world.snapshot(&mut worker, placed(2, 43), vec![frozen(1, 0, 3)]).await;
    drop(worker);
    let mut worker = world.worker().await;
    world.snapshot(&mut worker, placed(3, 44), vec![frozen(1, 0, 3)]).await;
    let ids: Vec<_> = world.fake.files().iter().map(|f| (f.id, f.wal_file)).collect();
    assert_eq!(ids, [(1, 42), (2, 43), (3, 44)]);
}

#[actix_rt::test]
async fn a_snapshot_of_nothing_is_recorded_without_a_manifest() {
    let world = World::in_memory();
    let mut worker = world.worker().await;
    world.snapshot(&mut worker, placed(1, 7), vec![]).await;
    assert_eq!(load(&world.objects, NODE).await.unwrap().wal_through(), 7);
    assert!(!world.exists(&paths::snapshot_manifest(NODE, 1)).await);
    assert_eq!(world.fake.state.lock().unwrap().done, [1]);
}

#[actix_rt::test]
async fn rows_of_removed_tables_are_not_written() {
    let world = World::in_memory();
    world.publisher.publish(catalog(2, &[2]));
    let mut worker = world.worker().await;
    let chunks = vec![frozen(1, 0, 3), frozen(2, 0, 3), frozen(77, 0, 3)];
    world.snapshot(&mut worker, placed(1, 7), chunks).await;
    let tables: Vec<_> = world.fake.files().iter().map(|f| f.table.0).collect();
    assert_eq!(tables, [1]);
}

#[actix_rt::test]
async fn a_rebuilt_worker_goes_on_with_the_chunks_that_are_left() {
    let world = World::in_memory();
    let mut worker = world.worker().await;
    world.snapshot(&mut worker, placed(1, 42), vec![frozen(1, 0, 3), frozen(2, 0, 4)]).await;
    let former = world.fake.files();
    drop(worker);

    // The same snapshot in another world whose first worker died after the first swap.
    let world = World::in_memory();
    world.fake.freeze(placed(1, 42), vec![frozen(2, 0, 4)]);
    {
        let mut state = world.fake.state.lock().unwrap();
        state.swapped = vec![Arc::clone(&former[0])];
        state.files.insert(1, Arc::clone(&former[0]));
    }
    world.worker().await.take_snapshots().await.unwrap();
    assert_eq!(world.fake.files(), former);
    assert_eq!(load(&world.objects, NODE).await.unwrap().files().count(), 2);
}

#[actix_rt::test]
async fn a_durable_snapshot_is_only_ended() {
    let world = World::in_memory();
    let mut worker = world.worker().await;
    world.snapshot(&mut worker, placed(1, 42), vec![frozen(1, 0, 3)]).await;
    let steps = load(&world.objects, NODE).await.unwrap().files().count();
    // The worker died before the WAL heard of the end.
    world.fake.freeze(placed(1, 42), vec![frozen(1, 0, 3)]);
    worker.take_snapshots().await.unwrap();
    assert_eq!(load(&world.objects, NODE).await.unwrap().files().count(), steps);
    assert_eq!(world.fake.files().len(), 1);
    assert_eq!(world.fake.state.lock().unwrap().done, [1, 1]);
}

#[actix_rt::test]
async fn puts_are_repeated_until_they_succeed() {
    let (store, world) = flaky();
    let mut worker = world.worker().await;
    store.puts.store(2, Ordering::Relaxed);
    world.snapshot(&mut worker, placed(1, 42), vec![frozen(1, 0, 3), frozen(2, 0, 3)]).await;
    assert_eq!(world.fake.files().len(), 2);
    assert_eq!(load(&world.objects, NODE).await.unwrap().files().count(), 2);
}

#[actix_rt::test]
async fn large_objects_are_put_in_pieces() {
    let (store, world) = flaky();
    let content: Vec<u8> = (0..ONE_PIECE_BYTES_MAX + 12_345).map(|i| (i % 251) as u8).collect();
    let content = Bytes::from(content);
    store.parts.store(1, Ordering::Relaxed);
    put_until_stored(store.as_ref(), "a/b", &content, "none").await;
    assert_eq!(world.bytes("a/b").await, content);
    assert_eq!(store.aborted.load(Ordering::Relaxed), 1, "the failed upload is aborted");
}

#[actix_rt::test]
async fn a_split_chunk_has_parts_with_names_of_their_own() {
    let mut world = World::in_memory();
    world.settings.text_bytes_max = 20;
    let mut worker = world.worker().await;
    // Every other row has a text of six or seven bytes: three to a part at the most.
    let chunks = vec![frozen(1, 0, 20), frozen(2, 0, 2)];
    world.snapshot(&mut worker, placed(1, 42), chunks).await;
    let files = world.fake.files();
    let told: Vec<_> = files.iter().map(|f| (f.id, f.table.0, f.part)).collect();
    assert_eq!(told, [(1, 1, 0), (2, 2, 0), (3, 1, 1), (4, 1, 2), (5, 1, 3)]);
    let of_first: u64 = files.iter().filter(|f| f.table.0 == 1).map(|f| f.row_count).sum();
    assert_eq!(of_first, 20);
    for file in files {
        assert_eq!(
            world.bytes(&paths::parquet_file(NODE, &file)).await.len() as u64,
            file.size_bytes
        );
    }
}

#[actix_rt::test]
async fn a_snapshot_is_not_over_when_another_process_has_taken_over() {
    let world = World::in_memory();
    let mut worker = world.worker().await;
    world.snapshot(&mut worker, placed(1, 42), vec![frozen(1, 0, 3)]).await;
    world.fake.state.lock().unwrap().is_replaced = true;
    world.fake.freeze(placed(2, 43), vec![frozen(1, 0, 3)]);
    assert_eq!(worker.take_snapshots().await, Err(IndexError::Fenced));
    assert_eq!(world.fake.state.lock().unwrap().done, [1]);
}
