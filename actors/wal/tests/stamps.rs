//! The order of writes: every group has a larger stamp than those before it, whatever the clock says.

use super::*;
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use protocols::file_index::Segment;
use protocols::messages::wal::{CutRows, TakeSnapshot};
use protocols::row_deletes::RowCut;
use protocols::snapshot::{PlacedMark, SnapshotMark, Stamps};
use protocols::wal_frame::mark;
use protocols::wal_frame::segment::{HEADER_BYTES, Header, encode_frame, encode_header};
use std::sync::atomic::{AtomicI64, Ordering};

const GEN1_NS: i64 = 600_000_000_000;

fn at(clock: &Arc<AtomicI64>) -> Setup {
    Setup { clock: Clock::Fixed(Arc::clone(clock)), ..Setup::default() }
}

impl Node {
    /// One row in a chunk of its own, written while the clock shows `now_ns`.
    async fn write_at(&self, clock: &AtomicI64, now_ns: i64, chunk: i64) {
        clock.store(now_ns, Ordering::Relaxed);
        self.write(chunk * GEN1_NS).await.unwrap();
    }

    /// The stretches of writes of the chunks, by time.
    async fn orders(&self) -> Vec<Stamps> {
        let ask = ViewTable { table: TABLE, min_time_ns: i64::MIN, max_time_ns: i64::MAX };
        let view: TableView = self.shard.ask_from_edge(ask, soon()).await.unwrap();
        view.chunks.iter().map(|chunk| chunk.order).collect()
    }
}

#[test]
fn stamps_follow_the_clock_and_rise_when_it_goes_back() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in [Objects::memory(), Objects::directory(dir.path().to_owned()).unwrap()] {
            let clock = Arc::new(AtomicI64::new(0));
            let node = Node::start_with(&objects, at(&clock)).await;
            for (chunk, now_ns) in (0..).zip([1000, 1000, -5, 4000]) {
                node.write_at(&clock, now_ns, chunk).await;
            }
            let mut expected: Vec<_> = [1000, 1001, 1002, 4000].map(Stamps::at).to_vec();
            assert_eq!(node.orders().await, expected);

            // What is read back has the stamps of before, and what is written then is newer.
            clock.store(7, Ordering::Relaxed);
            let again = Node::start_with(&objects, at(&clock)).await;
            assert_eq!(again.orders().await, expected);
            again.write_at(&clock, 7, 4).await;
            again.write_at(&clock, 7, 0).await;
            expected.push(Stamps::at(4001));
            expected[0].hi = 4002;
            assert_eq!(again.orders().await, expected);
        }
    });
}

#[test]
fn a_cut_divides_what_was_written_before_from_what_comes_later_whenever_the_log_is_read() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for objects in [Objects::memory(), Objects::directory(dir.path().to_owned()).unwrap()] {
            let clock = Arc::new(AtomicI64::new(0));
            let node = Node::start_with(&objects, at(&clock)).await;
            let cut = |min_time_ns, max_time_ns| {
                CutRows(RowCut { table: TABLE, min_time_ns, max_time_ns })
            };
            node.write_at(&clock, 1000, 0).await;
            node.write_at(&clock, 1010, 1).await;
            let bound = node.wal.ask_from_edge(cut(5, 6), soon()).await.unwrap().unwrap();
            assert_eq!(bound, 1011, "behind all that was written");
            node.write_at(&clock, 7, 0).await;
            node.write_at(&clock, 7, 1).await;
            let of_one_time = [Stamps::at(1000), Stamps::at(1012)];
            let expected = [of_one_time[0], of_one_time[1], Stamps { lo: 1010, hi: 1013 }];
            assert_eq!(node.orders().await, expected);
            let last = node.wal.ask_from_edge(cut(i64::MIN, i64::MAX), soon()).await;
            assert_eq!(last.unwrap().unwrap(), 1014);

            // Also where the cut is the last that stands in the log.
            let again = Node::start_with(&objects, at(&clock)).await;
            assert_eq!(again.orders().await, expected);
            again.write_at(&clock, 7, 1).await;
            let newest = Stamps::at(1015);
            let expected = [expected[0], expected[1], expected[2], newest];
            assert_eq!(again.orders().await, expected);
            let third = Node::start_with(&objects, at(&clock)).await;
            assert_eq!(third.orders().await, expected);
        }
    });
}

#[test]
fn stamps_rise_above_those_of_files_whose_log_is_gone() {
    run(async {
        let mark = SnapshotMark { number: 1, end_time_ns: 0, ..SnapshotMark::default() };
        let snapshot = Some(PlacedMark { mark, sequence: 1, stamp: 5000 });
        let mut index = FileIndex::default();
        index.apply(&Segment { sequence: 1, snapshot, ..Segment::default() }).unwrap();
        let clock = Arc::new(AtomicI64::new(0));
        let setup = Setup { index, ..at(&clock) };
        let node = Node::start_with(&Objects::memory(), setup).await;
        node.write_at(&clock, 10, 0).await;
        assert_eq!(node.orders().await, [Stamps::at(5001)]);
    });
}

/// A file of the log as it was before there were stamps.
fn file_of_version_1(header: Header, groups: &[(u64, Vec<Bytes>)]) -> Vec<u8> {
    let mut file = encode_header(header);
    file[7] = b'1';
    let crc = crc32fast::hash(&file[..HEADER_BYTES - 4]);
    file[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    for (number, entries) in groups {
        let mut frame = Vec::new();
        encode_frame(&mut frame, (*number, 0), file.len() as u64, entries).unwrap();
        frame.drain(16..24); // the stamp
        let crc = crc32fast::hash(&frame[..32]);
        frame[32..36].copy_from_slice(&crc.to_le_bytes());
        file.extend(frame);
    }
    file
}

#[test]
fn groups_and_marks_from_before_there_were_stamps_come_first() {
    run(async {
        let number = 1_i64 << 27;
        let entry = |chunk: i64| write(chunk * GEN1_NS, SyncMode::Durable).entry;
        let known =
            SnapshotMark { number: 1, end_time_ns: GEN1_NS, wal_through: 1, ..Default::default() };
        let mut begins = mark::encode(&known);
        begins[4] = 1;
        begins.truncate(begins.len() - 8);
        let groups = [
            (number as u64 + 1, vec![entry(0)]),
            (number as u64 + 2, vec![entry(1), begins.into()]),
            (number as u64 + 3, vec![entry(0)]),
        ];
        let header = Header { writer: 7, sequence: 1, previous_bytes: 0 };
        let objects = Objects::memory();
        let path = Path::from(protocols::paths::wal_file("n", 1));
        objects.store.put(&path, file_of_version_1(header, &groups).into()).await.unwrap();

        let clock = Arc::new(AtomicI64::new(0));
        let node = Node::start_with(&objects, at(&clock)).await;
        let stamps = [number + 1, number + 3, number + 2].map(Stamps::at);
        assert_eq!(node.orders().await, stamps, "the frozen chunk comes before the live one");
        let begun = node.wal.ask_from_edge(TakeSnapshot, soon()).await.unwrap();
        let mark = SnapshotMark { durable_stamp: 1, ..known };
        let sequence = number as u64 + 2;
        assert_eq!(begun, Some(PlacedMark { mark, sequence, stamp: number + 2 }));
        node.write_at(&clock, 10, 2).await;
        assert_eq!(node.orders().await.last(), Some(&Stamps::at(number + 4)));
    });
}
