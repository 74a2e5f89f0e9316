//! What is removed, when, and in which order.

use super::*;
use bytes::Bytes;
use protocols::paths;
use protocols::wal_frame::segment::{Header, encode_frame, encode_header};

async fn put(world: &World, path: &str, bytes: Vec<u8>) {
    world.objects.store.put(&Path::from(path), bytes.into()).await.unwrap();
}

fn wal_file(sequence: u64) -> Vec<u8> {
    let header = Header { writer: 1, sequence, previous_bytes: 0 };
    let mut bytes = encode_header(header);
    for group in 0..2 {
        let synced = bytes.len() as u64;
        encode_frame(&mut bytes, (sequence * 10 + group, 1), synced, &[Bytes::from("rows")])
            .unwrap();
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
    while worker.clean_up().await {}
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
    while worker.clean_up().await {
        steps += 1;
        assert!(!world.exists(&paths::wal_file(NODE, 1)).await, "the oldest go first");
    }
    assert!(steps > 1);
    assert!(!world.exists(&paths::wal_file(NODE, 249)).await);
    assert!(world.exists(&paths::wal_file(NODE, 250)).await);
}
