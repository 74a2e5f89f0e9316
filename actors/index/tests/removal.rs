//! Which files go, when, and in which order.

use super::flaky::Flaky;
use super::*;
use crate::index::log::load;
use crate::storage::objects::planned::Planned;
use std::sync::atomic::Ordering;

/// Sweeps and deletes until there is nothing left to do.
async fn clean_up(keeper: &mut Keeper<Fake>) {
    keeper.sweep().await.unwrap();
    loop {
        let files = keeper.deletable();
        if files.is_empty() {
            return;
        }
        let deleted = delete_objects(&keeper.settings, &keeper.peers, files).await;
        keeper.note_deleted(deleted).await.unwrap();
    }
}

/// A world whose files have their newest rows three seconds after 0 and after 10 minutes.
async fn two_files(objects: Objects) -> (World, Keeper<Fake>) {
    let mut world = World::new(objects);
    world.settings.object_grace = Duration::ZERO;
    world.settings.retention_check_interval = Duration::ZERO;
    let mut keeper = world.keeper().await;
    world.snapshot(&mut keeper, placed(1, 42), &[(1, 0), (2, GEN1_NS)]).await;
    (world, keeper)
}

fn path_of(world: &World, id: u64) -> String {
    let files = world.fake.files();
    let file = files.iter().find(|f| f.id == id).unwrap();
    paths::parquet_file(NODE, file)
}

#[actix_rt::test]
async fn files_wholly_past_retention_go() {
    let (world, mut keeper) = two_files(Objects::memory()).await;
    let (old, new) = (path_of(&world, 1), path_of(&world, 2));
    world.publisher.publish(catalog(2, Some(HOUR_NS), &[]));
    // The newest row of the first file is at 3 ns: just not past retention.
    world.now_ns.store(HOUR_NS + 3, Ordering::Relaxed);
    clean_up(&mut keeper).await;
    assert_eq!(world.fake.files().len(), 2);
    world.now_ns.store(HOUR_NS + 4, Ordering::Relaxed);
    clean_up(&mut keeper).await;
    let left: Vec<_> = world.fake.files().iter().map(|f| f.id).collect();
    assert_eq!(left, [2]);
    clean_up(&mut keeper).await;
    assert!(!world.exists(&old).await && world.exists(&new).await);
    assert!(world.fake.state.lock().unwrap().evicted.contains(&old));
    let index = load(&world.objects, NODE).await.unwrap();
    assert_eq!((index.files().count(), index.removed().count()), (1, 0));
    // The next manifest tells of it.
    let told = world.snapshot(&mut keeper, placed(2, 43), &[]).await.removed;
    let told: Vec<_> = told.iter().map(|file| paths::parquet_file(NODE, file)).collect();
    assert_eq!(told, [old]);
}

#[actix_rt::test]
async fn files_of_removed_tables_go_when_the_catalog_says_so() {
    let (world, mut keeper) = two_files(Objects::memory()).await;
    clean_up(&mut keeper).await;
    assert_eq!(world.fake.files().len(), 2);
    let path = path_of(&world, 2);
    world.publisher.publish(catalog(2, None, &[2]));
    clean_up(&mut keeper).await;
    assert_eq!(world.fake.files().len(), 1);
    clean_up(&mut keeper).await;
    assert!(!world.exists(&path).await);
}

#[actix_rt::test]
async fn tables_that_the_catalog_has_not_heard_of_yet_stay() {
    let (world, mut keeper) = two_files(Objects::memory()).await;
    let mut behind = catalog(2, None, &[]).as_ref().clone();
    behind.databases.clear();
    behind.next_table_id = 2;
    world.publisher.publish(Arc::new(behind));
    clean_up(&mut keeper).await;
    let left: Vec<_> = world.fake.files().iter().map(|f| f.table.0).collect();
    assert_eq!(left, [2], "table 1 is gone, table 2 is still to come");
}

#[actix_rt::test]
async fn objects_stay_through_their_grace_and_go_after_a_restart() {
    let (mut world, mut keeper) = two_files(Objects::memory()).await;
    let path = path_of(&world, 1);
    keeper.settings.object_grace = LONG;
    world.publisher.publish(catalog(2, None, &[1]));
    clean_up(&mut keeper).await;
    clean_up(&mut keeper).await;
    assert!(world.exists(&path).await, "a query may still read it");
    assert_eq!(load(&world.objects, NODE).await.unwrap().removed().count(), 1);

    // The shards of the next process are told again.
    world.settings.object_grace = Duration::ZERO;
    let mut keeper = world.keeper().await;
    clean_up(&mut keeper).await;
    assert_eq!(world.fake.files().len(), 1);
    assert!(!world.exists(&path).await);
    assert_eq!(load(&world.objects, NODE).await.unwrap().removed().count(), 0);
}

#[actix_rt::test]
async fn an_object_that_cannot_be_deleted_is_tried_again() {
    let (store, objects) = Planned::new(Flaky::default());
    let (world, mut keeper) = two_files(objects).await;
    let path = path_of(&world, 1);
    world.publisher.publish(catalog(2, None, &[1]));
    store.deletions.store(1, Ordering::Relaxed);
    clean_up(&mut keeper).await;
    clean_up(&mut keeper).await;
    assert!(world.exists(&path).await);
    assert_eq!(load(&world.objects, NODE).await.unwrap().removed().count(), 1);
    let mut keeper = world.keeper().await;
    clean_up(&mut keeper).await;
    assert!(!world.exists(&path).await);
}

#[actix_rt::test]
async fn a_missing_object_counts_as_deleted() {
    let (world, mut keeper) = two_files(Objects::memory()).await;
    let path = path_of(&world, 1);
    world.objects.store.delete(&Path::from(path)).await.unwrap();
    world.publisher.publish(catalog(2, None, &[1]));
    clean_up(&mut keeper).await;
    clean_up(&mut keeper).await;
    assert_eq!(load(&world.objects, NODE).await.unwrap().removed().count(), 0);
}
