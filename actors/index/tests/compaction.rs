//! Files that take the place of others: when that is refused, and what is there after a crash.

use super::*;
use crate::index::log::load;
use object_store::Error;
use protocols::messages::index::{AppendCompaction, CompactionRefused};
use protocols::snapshot::Compacted;
use std::sync::atomic::Ordering;

const TABLE: u32 = 1;

/// The snapshot of this number, as which all rows so far are durable.
fn durable(number: u64) -> PlacedMark {
    let placed = placed(number, 40 + number);
    let mark = SnapshotMark { durable_stamp: placed.stamp, ..placed.mark };
    PlacedMark { mark, ..placed }
}

impl World {
    /// What comes of these files, stored as one file.
    async fn compacted(
        &self,
        keeper: &Keeper<Fake>,
        inputs: &[u64],
        nonce: u64,
    ) -> AppendCompaction {
        let index = keeper.log.index();
        let files: Vec<_> = inputs.iter().map(|id| Arc::clone(index.file(*id).unwrap())).collect();
        let orders = files.iter().map(|file| file.order);
        let output = ParquetFile {
            id: 0,
            chunk_time_ns: 0,
            wal_file: 0,
            row_count: 3 * files.len() as u64,
            min_time_ns: files.iter().map(|file| file.min_time_ns).min().unwrap(),
            max_time_ns: files.iter().map(|file| file.max_time_ns).max().unwrap(),
            order: orders.reduce(Stamps::to).unwrap(),
            compacted: Some(Compacted { generation: 2, nonce, deletes_through: 0 }),
            ..files[0].as_ref().clone()
        };
        let path = Path::from(paths::parquet_file(NODE, &output));
        self.objects.store.put(&path, "rows".into()).await.unwrap();
        let inputs = inputs.to_vec();
        AppendCompaction { table: TableId(TABLE), inputs, outputs: vec![output], deletes: vec![] }
    }

    /// Files 1 to 3 of the table: two chunks, the first of which was written to again.
    async fn three_files(&self) -> Keeper<Fake> {
        let mut keeper = self.keeper().await;
        self.snapshot(&mut keeper, durable(1), &[(TABLE, 0), (TABLE, GEN1_NS)]).await;
        self.snapshot(&mut keeper, durable(2), &[(TABLE, 0)]).await;
        keeper
    }

    fn shown(&self) -> Vec<u64> {
        self.fake.files().iter().map(|file| file.id & 0xffff).collect()
    }
}

async fn clean_up(keeper: &mut Keeper<Fake>) {
    keeper.sweep().await.unwrap();
    let files = keeper.deletable();
    let deleted = delete_objects(&keeper.settings, &keeper.peers, files).await;
    keeper.note_deleted(deleted).await.unwrap();
}

#[actix_rt::test]
async fn one_file_takes_the_place_of_others() {
    let world = World::new(Objects::memory());
    let mut keeper = world.three_files().await;
    let append = world.compacted(&keeper, &[1, 2, 3], 7).await;
    let added = keeper.append_compaction(append.clone()).await.unwrap();
    assert_eq!((added.len(), added[0].row_count), (1, 9));
    assert_eq!(world.shown(), [0]);
    // Who asks again is told the same, and nothing happens.
    assert_eq!(keeper.append_compaction(append).await.unwrap(), added);
    let index = load(&world.objects, NODE).await.unwrap();
    assert_eq!((index.files().count(), index.removed().count()), (1, 3));
    let manifest = paths::compaction_manifest(NODE, index.sequence());
    assert!(world.exists(&manifest).await, "other programs can follow");
    // The objects stay until their time has come.
    clean_up(&mut keeper).await;
    assert_eq!(load(&world.objects, NODE).await.unwrap().removed().count(), 3);
}

#[actix_rt::test]
async fn what_does_not_fit_is_refused() {
    let world = World::new(Objects::memory());
    let mut keeper = world.three_files().await;
    let good = world.compacted(&keeper, &[1, 3], 1).await;

    // A file that was written in between is left out.
    world.snapshot(&mut keeper, durable(3), &[(TABLE, 0)]).await;
    let hole = world.compacted(&keeper, &[1, 4], 2).await;
    let refused = keeper.append_compaction(hole).await.unwrap_err();
    assert_eq!(refused, CompactionRefused::Stale("a file was written in between"));

    // Rows of the same times that were written in between may still come.
    let placed = placed(4, 50);
    let mark = SnapshotMark { durable_stamp: placed.stamp - 1, ..placed.mark };
    world.snapshot(&mut keeper, PlacedMark { mark, ..placed }, &[(TABLE, 0)]).await;
    let early = world.compacted(&keeper, &[4, 5], 3).await;
    let text = "rows that were written in between may not be in files yet";
    assert_eq!(keeper.append_compaction(early).await.unwrap_err(), CompactionRefused::Stale(text));

    // An input is gone.
    keeper.append_compaction(good).await.unwrap();
    let append = AppendCompaction {
        table: TableId(TABLE),
        inputs: vec![1, 2],
        outputs: vec![ParquetFile {
            compacted: Some(Compacted { generation: 2, nonce: 9, deletes_through: 0 }),
            ..keeper.log.index().file(2).unwrap().as_ref().clone()
        }],
        deletes: vec![],
    };
    let text = "a file that went in is no longer part of the table";
    assert_eq!(keeper.append_compaction(append).await.unwrap_err(), CompactionRefused::Stale(text));

    // The table is gone.
    let late = world.compacted(&keeper, &[2, 4], 5).await;
    world.publisher.publish(catalog(2, None, &[TABLE]));
    let refused = keeper.append_compaction(late).await.unwrap_err();
    assert_eq!(refused, CompactionRefused::Stale("the table is gone"));
}

#[actix_rt::test]
async fn a_step_that_the_shards_did_not_hear_of_is_told_by_the_next_life() {
    let world = World::new(Objects::memory());
    let mut keeper = world.three_files().await;
    let append = world.compacted(&keeper, &[1, 2, 3], 7).await;
    // The shards have what they had before the step.
    let before = world.fake.files();
    keeper.append_compaction(append).await.unwrap();
    {
        let mut state = world.fake.state.lock().unwrap();
        state.files = before.into_iter().map(|file| (file.id, file)).collect();
    }
    let manifest = paths::compaction_manifest(NODE, keeper.log.index().sequence());
    world.objects.store.delete(&Path::from(manifest.as_str())).await.unwrap();
    drop(keeper);
    let mut next_life = world.keeper().await;
    next_life.sweep().await.unwrap();
    assert_eq!(world.shown(), [0], "the new file, and none of the old ones");
    assert!(world.exists(&manifest).await);
}

#[actix_rt::test]
async fn objects_stay_while_a_view_is_held() {
    let mut world = World::new(Objects::memory());
    world.settings.cleanup_wait = Duration::ZERO;
    let mut keeper = world.three_files().await;
    let paths: Vec<_> =
        world.fake.files().iter().map(|file| paths::parquet_file(NODE, file)).collect();
    let append = world.compacted(&keeper, &[1, 2, 3], 7).await;
    let epoch = world.fake.state.lock().unwrap().epoch;
    world.fake.state.lock().unwrap().held_epoch = Some(epoch);
    keeper.append_compaction(append).await.unwrap();
    clean_up(&mut keeper).await;
    assert!(world.exists(&paths[0]).await, "a query reads it");
    world.fake.state.lock().unwrap().held_epoch = None;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    clean_up(&mut keeper).await;
    for path in paths {
        assert!(!world.exists(&path).await, "{path}");
    }
    let index = load(&world.objects, NODE).await.unwrap();
    assert_eq!((index.files().count(), index.removed().count()), (1, 0));
}

#[actix_rt::test]
async fn what_nobody_names_is_deleted_and_nothing_else() {
    let world = World::new(Objects::memory());
    let mut keeper = world.three_files().await;
    let used = world.compacted(&keeper, &[1, 2, 3], 1).await;
    let orphan = world.compacted(&keeper, &[1, 2, 3], 2).await;
    keeper.append_compaction(used.clone()).await.unwrap();
    assert_eq!(keeper.sweep_orphans().await, Ok(Some(1)));
    assert_eq!(keeper.sweep_orphans().await, Ok(Some(0)));
    let path = |append: &AppendCompaction| paths::parquet_file(NODE, &append.outputs[0]);
    assert!(world.exists(&path(&used)).await && !world.exists(&path(&orphan)).await);
    // One that was superseded again stays for those who read it.
    world.now_ns.store(2 * HOUR_NS, Ordering::Relaxed);
    world.snapshot(&mut keeper, durable(3), &[(TABLE, 0)]).await;
    let inputs: Vec<u64> = keeper.log.index().files().map(|file| file.id).collect();
    let again = world.compacted(&keeper, &inputs, 3).await;
    keeper.append_compaction(again).await.unwrap();
    assert_eq!(keeper.sweep_orphans().await, Ok(Some(0)));
    assert!(world.exists(&path(&used)).await);
}

#[actix_rt::test]
async fn a_process_that_was_replaced_deletes_nothing_of_its_successor() {
    let world = World::new(Objects::memory());
    let mut stalled = world.three_files().await;
    let mut successor = world.keeper_of(2).await;
    let append = world.compacted(&successor, &[1, 2, 3], 1).await;
    successor.append_compaction(append.clone()).await.unwrap();
    // The one that wakes does not know the file.
    assert!(stalled.sweep_orphans().await.is_err());
    let path = Path::from(paths::parquet_file(NODE, &append.outputs[0]));
    let found: Result<_, Error> = world.objects.store.head(&path).await;
    assert!(found.is_ok());
    // And takes no step.
    let late = world.compacted(&stalled, &[1, 2, 3], 4).await;
    assert_eq!(stalled.append_compaction(late).await, Err(CompactionRefused::Fenced));
}
