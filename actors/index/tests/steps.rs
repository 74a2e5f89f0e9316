//! Steps of snapshots, and who may take them.

use super::*;
use crate::index::keeper::Left;
use protocols::messages::index::{FindSnapshot, FoundSnapshot};

#[actix_rt::test]
async fn a_snapshot_is_durable_before_the_shards_hear_of_it() {
    let world = World::new(Objects::memory());
    let mut keeper = world.keeper().await;
    let nothing = FoundSnapshot { next_file_id: 1, ..FoundSnapshot::default() };
    assert_eq!(keeper.find(FindSnapshot { number: 1 }), nothing);
    let appended = world.snapshot(&mut keeper, placed(1, 42), &[(1, 0), (2, 0)]).await;
    assert_eq!(appended.files, world.fake.files());
    assert_eq!(appended.next_file_id, 3);
    let found = FoundSnapshot { durable: Some(placed(1, 42)), wal_through: 42, next_file_id: 3 };
    assert_eq!(keeper.find(FindSnapshot { number: 1 }), found);
}

#[actix_rt::test]
async fn a_snapshot_that_comes_again_is_only_ended() {
    let world = World::new(Objects::memory());
    let mut keeper = world.keeper().await;
    let first = world.snapshot(&mut keeper, placed(1, 42), &[(1, 0)]).await;
    let sequence = keeper.log.index().sequence();
    // As after a rebuilding of `Persist`, which has numbered the files in another way.
    let again = world.snapshot(&mut keeper, placed(1, 42), &[(1, 0)]).await;
    assert_eq!(again.files, first.files);
    assert_eq!(keeper.log.index().sequence(), sequence);
    assert_eq!(world.fake.state.lock().unwrap().ended, [1, 1]);
}

#[actix_rt::test]
async fn who_asks_again_is_told_again_of_the_files_that_went() {
    let mut world = World::new(Objects::memory());
    world.settings.object_grace = Duration::ZERO;
    let mut keeper = world.keeper().await;
    world.snapshot(&mut keeper, placed(1, 42), &[(1, 0), (2, 0)]).await;
    world.publisher.publish(catalog(2, None, &[2]));
    keeper.sweep().await.unwrap();
    let ids = |files: &[Arc<ParquetFile>]| files.iter().map(|file| file.id).collect::<Vec<_>>();
    // The first answer may be lost, and what is to be told with it must not be.
    for _ in 0..2 {
        let appended = world.snapshot(&mut keeper, placed(2, 43), &[]).await;
        assert_eq!(ids(&appended.removed), [2]);
    }
    let later = world.snapshot(&mut keeper, placed(3, 44), &[]).await;
    assert_eq!(later.removed, []);
}

#[actix_rt::test]
async fn a_successor_ends_this_process() {
    let world = World::new(Objects::memory());
    let mut keeper = world.keeper().await;
    world.snapshot(&mut keeper, placed(1, 42), &[(1, 0)]).await;
    drop(world.keeper_of(2).await);
    let append = AppendSnapshot { snapshot: placed(2, 43), added: vec![] };
    assert_eq!(keeper.append_snapshot(append).await.unwrap_err(), Left::Fenced);
    assert!(world.settings.fatal.reason().is_some());
    assert_eq!(world.fake.state.lock().unwrap().ended, [1]);
}
