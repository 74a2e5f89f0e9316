//! When snapshots begin, what the log says of them, and what is read back.

use super::*;
use object_store::ObjectStoreExt;
use protocols::file_index::Segment;
use protocols::messages::store::{EndSnapshot, FrozenChunks};
use protocols::messages::wal::{SnapshotDone, SnapshotWanted, TakeSnapshot};
use protocols::snapshot::{PlacedMark, SnapshotMark};

const MINUTE: i64 = 60_000_000_000;
/// Width of a chunk in these tests.
const GEN1: i64 = 10 * MINUTE;

impl Node {
    async fn end_period(&self) {
        self.wal.ask_from_edge(PeriodDue, soon()).await.unwrap();
    }

    /// One write, alone in its period.
    async fn write_period(&self, time: i64) {
        self.write(time).await.unwrap();
        self.end_period().await;
    }

    async fn snapshot(&self) -> Option<PlacedMark> {
        self.wal.ask_from_edge(TakeSnapshot, soon()).await.unwrap()
    }

    /// The snapshot that has to begin.
    async fn begun(&self) -> PlacedMark {
        let give_up = soon();
        loop {
            if let Some(placed) = self.snapshot().await {
                return placed;
            }
            assert!(Instant::now() < give_up, "no snapshot");
        }
    }

    async fn frozen_chunks(&self, snapshot: u64) -> Vec<i64> {
        let frozen = self.shard.ask_from_edge(FrozenChunks { snapshot }, soon()).await.unwrap();
        frozen.chunks.iter().map(|c| c.chunk.chunk_time_ns).collect()
    }
}

fn small() -> Setup {
    Setup { snapshot_size: 4, ..Setup::default() }
}

fn stores(dir: &tempfile::TempDir) -> [Objects; 2] {
    [Objects::memory(), Objects::directory(dir.path().to_owned()).unwrap()]
}

#[test]
fn one_that_is_wanted_takes_all_rows_once() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in stores(&dir) {
            let node = Node::start_with(&objects, small()).await;
            node.write_period(5).await;
            node.wal.ask_from_edge(SnapshotWanted, soon()).await.unwrap();
            assert_eq!(node.snapshot().await, None, "the period goes on");
            node.end_period().await;
            let begun = node.begun().await;
            assert!(begun.mark.forced);
            assert_eq!(node.frozen_chunks(1).await, [0]);
            node.wal.ask_from_edge(SnapshotDone { number: 1 }, soon()).await.unwrap();
            node.end_period().await;
            node.write_period(6).await;
            assert_eq!(node.snapshot().await, None);
        }
    });
}

#[test]
fn a_snapshot_takes_full_chunks_and_leaves_the_newest() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in stores(&dir) {
            let node = Node::start_with(&objects, small()).await;
            for time in 0..5 {
                node.write_period(time).await;
            }
            assert_eq!(node.snapshot().await, None);
            node.write_period(GEN1).await;
            let begun = node.begun().await;
            // An object of its own takes the log over, a file is written to as well.
            let wal_through = if objects.directory.is_some() { 5 } else { 6 };
            let mark = SnapshotMark {
                number: 1,
                end_time_ns: GEN1,
                wal_through,
                forced: false,
                // The clock of the test stands still at 0: so many groups came before.
                durable_stamp: 4,
            };
            assert_eq!(begun.mark, mark);
            assert_eq!(node.frozen_chunks(1).await, [0]);
            assert_eq!(node.rows().await, 6);
            // One at a time, however many periods go by.
            for i in 1..20 {
                node.write_period(i * GEN1).await;
            }
            assert_eq!(node.snapshot().await, Some(begun));
            node.wal.ask_from_edge(SnapshotDone { number: 1 }, soon()).await.unwrap();
            assert_eq!(node.snapshot().await, None);
            node.write_period(20 * GEN1).await;
            assert_eq!(node.begun().await.mark.number, 2);
        }
    });
}

#[test]
fn a_snapshot_that_is_not_durable_is_repeated_after_a_restart() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in stores(&dir) {
            let node = Node::start_with(&objects, small()).await;
            for time in [0, 1, 2, 3, 4, GEN1, GEN1 + 1] {
                node.write_period(time).await;
            }
            let begun = node.begun().await;
            node.write(5).await.unwrap();
            let again = Node::start_with(&objects, small()).await;
            assert_eq!(again.snapshot().await, Some(begun));
            assert_eq!(again.frozen_chunks(1).await, [0]);
            assert_eq!(again.rows().await, 8);
        }
    });
}

#[test]
fn after_a_durable_snapshot_only_the_later_rows_are_read_back() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in stores(&dir) {
            let node = Node::start_with(&objects, small()).await;
            for time in [0, 1, 2, 3, 4, GEN1] {
                node.write_period(time).await;
            }
            let begun = node.begun().await;
            node.write(GEN1 + 5).await.unwrap();
            let again =
                Node::start_with(&objects, Setup { index: durable(begun), ..small() }).await;
            assert_eq!(again.snapshot().await, None);
            assert_eq!(again.times().await, BTreeSet::from([GEN1, GEN1 + 5]));
        }
    });
}

fn durable(placed: PlacedMark) -> FileIndex {
    let mut index = FileIndex::default();
    let segment = Segment { sequence: 1, snapshot: Some(placed), ..Segment::default() };
    index.apply(&segment).unwrap();
    index
}

/// The log dies after the index has become durable and before the shard has heard of the end of
/// the snapshot. Were the mark of the next one written now, the shard would pass it over.
#[test]
fn a_rebuilt_log_begins_no_snapshot_before_the_end_of_the_last_one_is_known() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in stores(&dir) {
            let mut node = Node::start_with(&objects, small()).await;
            for time in [0, 1, 2, 3, 4, GEN1] {
                node.write_period(time).await;
            }
            let begun = node.begun().await;
            node.rebuild_wal(durable(begun)).await;
            assert_eq!(node.snapshot().await, Some(begun), "to be ended");
            for i in 1..20 {
                node.write_period(i * GEN1 + 1).await;
            }
            assert_eq!(node.snapshot().await, Some(begun));
            let end = EndSnapshot { snapshot: begun, files: vec![] };
            node.shard.ask_from_edge(end, soon()).await.unwrap();
            node.wal.ask_from_edge(SnapshotDone { number: 1 }, soon()).await.unwrap();
            node.write_period(20 * GEN1).await;
            assert_eq!(node.begun().await.mark.number, 2);
            assert!(!node.frozen_chunks(2).await.is_empty());
        }
    });
}

#[test]
fn a_rebuilt_log_gives_no_number_of_a_removed_file_again() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in stores(&dir) {
            let setup = Setup { force_snapshot_bytes: 1, ..Setup::default() };
            let mut node = Node::start_with(&objects, setup).await;
            let give_up = soon();
            let mut time = 0;
            let begun = loop {
                node.write_period(time).await;
                time += 1;
                if let Some(begun) = node.snapshot().await {
                    break begun;
                }
                assert!(Instant::now() < give_up, "no snapshot");
            };
            let end = EndSnapshot { snapshot: begun, files: vec![] };
            node.shard.ask_from_edge(end, soon()).await.unwrap();
            node.wal.ask_from_edge(SnapshotDone { number: 1 }, soon()).await.unwrap();
            // No file is being made any more.
            assert_eq!(node.wal.ask_from_edge(Drain, soon()).await.unwrap(), Ok(()));
            let list = async || super::super::log::list(objects.store.as_ref(), "n").await.unwrap();
            for file in list().await {
                let path = protocols::paths::wal_file("n", file);
                objects.store.delete(&object_store::path::Path::from(path)).await.unwrap();
            }
            node.rebuild_wal(durable(begun)).await;
            node.write(GEN1).await.unwrap();
            assert!(node.times().await.contains(&GEN1), "the shard takes the group for a new one");
            let newest = list().await.last().copied().unwrap();
            assert!(newest > begun.mark.wal_through, "{newest} is not read at the next start");
        }
    });
}

#[test]
fn memory_pressure_takes_everything() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in stores(&dir) {
            let setup = Setup { force_snapshot_bytes: 1, ..Setup::default() };
            let node = Node::start_with(&objects, setup).await;
            node.write(3).await.unwrap();
            node.write(GEN1 + 3).await.unwrap();
            let give_up = soon();
            let begun = loop {
                node.end_period().await;
                if let Some(begun) = node.snapshot().await {
                    break begun;
                }
                assert!(Instant::now() < give_up, "no snapshot");
            };
            assert!(begun.mark.forced);
            assert_eq!(begun.mark.end_time_ns, 2 * GEN1);
            assert_eq!(node.frozen_chunks(1).await, [0, GEN1]);
            // The mark is in the log although no write came with it.
            let again = Node::start(&objects, None).await;
            assert_eq!(again.snapshot().await, Some(begun));
        }
    });
}

#[test]
fn a_remote_store_gets_one_object_a_period() {
    run(async {
        let objects = Objects::memory();
        let setup = Setup { put_by_period: true, ..Setup::default() };
        let node = Node::start_with(&objects, setup).await;
        let writes = join_all((0..3).map(|time| node.write(time)));
        let ends = async {
            // The period ends once all three wait.
            while node.wal.ask_from_edge(write(9, SyncMode::Buffered), soon()).await.unwrap()
                != Err(WalError::Full(3))
            {}
            node.end_period().await;
        };
        let (written, ()) = futures::join!(writes, ends);
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        let log = super::super::log::list(objects.store.as_ref(), "n").await.unwrap();
        assert_eq!(log, [1, 2], "that of the takeover, and that of the period");
        node.wal.ask_from_edge(Drain, soon()).await.unwrap().unwrap();
    });
}
