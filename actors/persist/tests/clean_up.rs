//! What is removed, when, and in which order.

use super::flaky::Flaky;
use super::*;
use crate::persist::index::load;
use crate::runtime::objects::planned::Planned;
use bytes::Bytes;
use protocols::paths;
use protocols::wal_frame::segment::{Header, encode_frame, encode_header};
use std::sync::atomic::Ordering;

async fn put(world: &World, path: &str, bytes: Vec<u8>) {
    world.objects.store.put(&Path::from(path), bytes.into()).await.unwrap();
}

fn wal_file(sequence: u64) -> Vec<u8> {
    let header = Header { writer: 1, sequence, previous_bytes: 0 };
    let mut bytes = encode_header(header);
    for group in 0..2 {
        let synced = bytes.len() as u64;
        encode_frame(&mut bytes, sequence * 10 + group, synced, &[Bytes::from("rows")]).unwrap();
    }
    bytes
}

/// Puts intact WAL files under the given numbers.
async fn put_wal_files(world: &World, files: impl IntoIterator<Item = u64>) {
    for file in files {
        put(world, &paths::wal_file(NODE, file), wal_file(file)).await;
    }
}

async fn wal_files(world: &World) -> Vec<u64> {
    let mut left = Vec::new();
    for file in 1..=20 {
        if world.exists(&paths::wal_file(NODE, file)).await {
            left.push(file);
        }
    }
    left
}

async fn clean_up(worker: &mut Worker<Fake>) {
    while worker.clean_up().await.unwrap() {}
}

#[actix_rt::test]
async fn the_newest_wal_files_are_kept() {
    let mut world = World::in_memory();
    world.settings.wal_files_kept = 3;
    world.settings.wal_delete_delay = Duration::ZERO;
    put_wal_files(&world, 1..=12).await;
    let mut worker = world.worker().await;
    clean_up(&mut worker).await;
    assert_eq!(wal_files(&world).await.len(), 12, "no snapshot is durable");
    world.snapshot(&mut worker, placed(1, 10), vec![frozen(1, 0, 3)]).await;
    clean_up(&mut worker).await;
    assert_eq!(wal_files(&world).await, [8, 9, 10, 11, 12]);
    world.snapshot(&mut worker, placed(2, 12), vec![frozen(1, 0, 3)]).await;
    clean_up(&mut worker).await;
    assert_eq!(wal_files(&world).await, [10, 11, 12]);
}

#[actix_rt::test]
async fn wal_files_stay_until_the_delay_is_over() {
    let world = World::in_memory();
    put_wal_files(&world, 1..=3).await;
    let mut worker = world.worker().await;
    world.snapshot(&mut worker, placed(1, 2), vec![frozen(1, 0, 3)]).await;
    clean_up(&mut worker).await;
    assert_eq!(wal_files(&world).await, [1, 2, 3]);
    // A process that starts later does not know how long the snapshot has been durable.
    let mut worker = world.worker().await;
    clean_up(&mut worker).await;
    assert_eq!(wal_files(&world).await, [1, 2, 3]);
}

#[actix_rt::test]
async fn damaged_wal_files_are_kept_under_another_name() {
    let mut world = World::in_memory();
    world.settings.wal_delete_delay = Duration::ZERO;
    put_wal_files(&world, [1, 3]).await;
    let mut flipped = wal_file(2);
    flipped[60] ^= 1;
    put(&world, &paths::wal_file(NODE, 2), flipped.clone()).await;
    put(&world, &paths::wal_file(NODE, 4), b"short".to_vec()).await;
    let mut worker = world.worker().await;
    // What this process has written itself is not read again.
    put(&world, &paths::wal_file(NODE, 5), b"own".to_vec()).await;
    world.snapshot(&mut worker, placed(1, 5), vec![]).await;
    clean_up(&mut worker).await;
    assert_eq!(wal_files(&world).await, [0_u64; 0]);
    assert_eq!(world.bytes("n/wal-damaged/00000000002.wal").await, flipped);
    assert_eq!(world.bytes("n/wal-damaged/00000000004.wal").await, "short");
    for intact in [1, 3, 5] {
        assert!(!world.exists(&format!("n/wal-damaged/{intact:011}.wal")).await);
    }
}

#[actix_rt::test]
async fn many_wal_files_go_in_several_steps() {
    let mut world = World::in_memory();
    world.settings.wal_delete_delay = Duration::ZERO;
    put_wal_files(&world, 1..=250).await;
    let mut worker = world.worker().await;
    world.snapshot(&mut worker, placed(1, 249), vec![]).await;
    let mut steps = 1;
    while worker.clean_up().await.unwrap() {
        steps += 1;
        assert!(!world.exists(&paths::wal_file(NODE, 1)).await, "the oldest go first");
    }
    assert!(steps > 1);
    assert!(!world.exists(&paths::wal_file(NODE, 249)).await);
    assert!(world.exists(&paths::wal_file(NODE, 250)).await);
}

/// A world whose files have their newest rows three seconds after 0 and after 10 minutes.
async fn two_files(objects: Objects) -> (World, Worker<Fake>) {
    let mut world = World::new(objects);
    world.settings.object_grace = Duration::ZERO;
    world.settings.retention_check_interval = Duration::ZERO;
    let mut worker = world.worker().await;
    let chunks = vec![frozen(1, 0, 3), frozen(2, GEN1_NS, 3)];
    world.snapshot(&mut worker, placed(1, 42), chunks).await;
    (world, worker)
}

fn path_of(world: &World, id: u64) -> String {
    let files = world.fake.files();
    let file = files.iter().find(|f| f.id == id).unwrap();
    paths::parquet_file(NODE, file)
}

#[actix_rt::test]
async fn files_wholly_past_retention_go() {
    let (world, mut worker) = two_files(Objects::memory()).await;
    let (old, new) = (path_of(&world, 1), path_of(&world, 2));
    world.publisher.publish(catalog(2, Some(HOUR_NS), &[]));
    // The newest row of the first file is at 3 ns: just not past retention.
    world.now_ns.store(HOUR_NS + 3, Ordering::Relaxed);
    clean_up(&mut worker).await;
    assert_eq!(world.fake.files().len(), 2);
    world.now_ns.store(HOUR_NS + 4, Ordering::Relaxed);
    clean_up(&mut worker).await;
    let left: Vec<_> = world.fake.files().iter().map(|f| f.id).collect();
    assert_eq!(left, [2]);
    clean_up(&mut worker).await;
    assert!(!world.exists(&old).await && world.exists(&new).await);
    assert!(!world.fake.state.lock().unwrap().cached.contains_key(&old));
    let index = load(&world.objects, NODE).await.unwrap();
    assert_eq!((index.files().count(), index.removed().count()), (1, 0));
    // The next manifest tells of it.
    world.snapshot(&mut worker, placed(2, 43), vec![]).await;
    let manifest = world.bytes(&paths::snapshot_manifest(NODE, 2)).await;
    assert!(std::str::from_utf8(&manifest).unwrap().contains(&old));
}

#[actix_rt::test]
async fn files_of_removed_tables_go_when_the_catalog_says_so() {
    let (world, mut worker) = two_files(Objects::memory()).await;
    clean_up(&mut worker).await;
    assert_eq!(world.fake.files().len(), 2);
    let path = path_of(&world, 2);
    world.publisher.publish(catalog(2, None, &[2]));
    clean_up(&mut worker).await;
    assert_eq!(world.fake.files().len(), 1);
    clean_up(&mut worker).await;
    assert!(!world.exists(&path).await);
}

#[actix_rt::test]
async fn tables_that_the_catalog_has_not_heard_of_yet_stay() {
    let (world, mut worker) = two_files(Objects::memory()).await;
    let mut behind = catalog(2, None, &[]).as_ref().clone();
    behind.databases.clear();
    behind.next_table_id = 2;
    world.publisher.publish(Arc::new(behind));
    clean_up(&mut worker).await;
    let left: Vec<_> = world.fake.files().iter().map(|f| f.table.0).collect();
    assert_eq!(left, [2], "table 1 is gone, table 2 is still to come");
}

#[actix_rt::test]
async fn objects_stay_through_their_grace_and_go_after_a_restart() {
    let (mut world, mut worker) = two_files(Objects::memory()).await;
    let path = path_of(&world, 1);
    worker.settings.object_grace = LONG;
    world.publisher.publish(catalog(2, None, &[1]));
    clean_up(&mut worker).await;
    clean_up(&mut worker).await;
    assert!(world.exists(&path).await, "a query may still read it");
    assert_eq!(load(&world.objects, NODE).await.unwrap().removed().count(), 1);

    // The shards of the next process are told again.
    world.settings.object_grace = Duration::ZERO;
    let mut worker = world.worker().await;
    clean_up(&mut worker).await;
    assert_eq!(world.fake.files().len(), 1);
    assert!(!world.exists(&path).await);
    assert_eq!(load(&world.objects, NODE).await.unwrap().removed().count(), 0);
}

#[actix_rt::test]
async fn an_object_that_cannot_be_deleted_is_tried_again() {
    let (store, objects) = Planned::new(Flaky::default());
    let (world, mut worker) = two_files(objects).await;
    let path = path_of(&world, 1);
    world.publisher.publish(catalog(2, None, &[1]));
    store.deletions.store(1, Ordering::Relaxed);
    clean_up(&mut worker).await;
    clean_up(&mut worker).await;
    assert!(world.exists(&path).await);
    assert_eq!(load(&world.objects, NODE).await.unwrap().removed().count(), 1);
    let mut worker = world.worker().await;
    clean_up(&mut worker).await;
    assert!(!world.exists(&path).await);
}

#[actix_rt::test]
async fn a_missing_object_counts_as_deleted() {
    let (world, mut worker) = two_files(Objects::memory()).await;
    let path = path_of(&world, 1);
    world.objects.store.delete(&Path::from(path)).await.unwrap();
    world.publisher.publish(catalog(2, None, &[1]));
    clean_up(&mut worker).await;
    clean_up(&mut worker).await;
    assert_eq!(load(&world.objects, NODE).await.unwrap().removed().count(), 0);
}
