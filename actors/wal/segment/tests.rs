//! The files of the log: what is excluded, what a takeover copies, what failed starts leave.

use super::*;
use protocols::wal_frame::segment::counted_bytes;

fn group(sequence: u64) -> WalGroup {
    WalGroup { sequence, stamp: sequence as i64, entries: vec![Bytes::from_static(b"rows")] }
}

/// Takes over as `name` and opens.
fn open(root: &Path, name: &str, above: u64) -> SegmentFiles {
    let owner = root.join("owner");
    disk::replace_durable(&owner, name.as_bytes()).unwrap();
    SegmentFiles::open(root.join("wal"), (owner, name.to_owned()), above, true).unwrap()
}

#[test]
fn a_file_that_a_failed_start_left_is_skipped_and_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = open(dir.path(), "one", 0);
    files.append(&group(1)).unwrap();
    files.leave();
    // Made, but reported as failed.
    let header = Header { writer: files.writer, sequence: 2, previous_bytes: files.counted_bytes };
    disk::create_durable(&files.path(2), &encode_header(header)).unwrap();
    files.append(&group(2)).unwrap();
    let bytes = |n| Bytes::from(disk::read(&files.path(n)).unwrap());
    for n in 1..=3 {
        let vouched = (n < 3).then(|| decode_header(&bytes(n + 1)).unwrap().previous_bytes);
        assert!(read(&bytes(n), vouched).unwrap().damaged.is_empty(), "file {n}");
    }
    assert_eq!(read(&bytes(3), None).unwrap().frames.len(), 1);
}

/// The groups that count of each file, from the first one on.
fn counted_groups(files: &SegmentFiles) -> Vec<Vec<u64>> {
    let bytes = |n| Bytes::from(disk::read(&files.path(n)).unwrap());
    let groups = |n: u64| {
        let next = (n < files.newest).then(|| decode_header(&bytes(n + 1)).unwrap());
        let this = decode_header(&bytes(n)).unwrap();
        let counted = next.and_then(|next| counted_bytes(&this, &next));
        let segment = read(&bytes(n), counted).unwrap();
        assert!(segment.damaged.is_empty(), "{:?}", segment.damaged);
        segment.frames.iter().map(|frame| frame.sequence).collect()
    };
    (1..=files.newest).map(groups).collect()
}

#[test]
fn a_group_that_was_given_up_does_not_count_once_another_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = open(dir.path(), "one", 0);
    files.append(&group(1)).unwrap();
    // Written, but reported as failed.
    files.write(&group(2)).unwrap();
    files.leave();
    assert_eq!(counted_groups(&files), [vec![1, 2]], "a successor may count it still");
    files.append(&group(3)).unwrap();
    assert_eq!(counted_groups(&files), [vec![1], vec![3]]);
}

#[test]
fn the_last_group_of_a_former_writer_is_copied_and_what_it_writes_later_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let mut older = open(dir.path(), "one", 0);
    for sequence in 1..=3 {
        older.append(&group(sequence)).unwrap();
    }
    let newer = open(dir.path(), "two", 0);
    assert_eq!(counted_groups(&newer), [vec![1, 2], vec![3]]);
    assert_eq!(older.append(&group(4)), Err(LogError::Fenced));
    assert_eq!(counted_groups(&newer), [vec![1, 2], vec![3]]);
    // A sync of the third group that had failed may have left nothing of it on the disk.
    let (first, second) = (newer.path(1), disk::read(&newer.path(2)).unwrap());
    let counted = decode_header(&second).unwrap().previous_bytes;
    let kept = disk::read(&first).unwrap()[..counted as usize].to_vec();
    std::fs::write(&first, [kept, vec![0; 100]].concat()).unwrap();
    assert_eq!(counted_groups(&newer), [vec![1, 2], vec![3]]);
    let third = open(dir.path(), "three", 0);
    assert_eq!(counted_groups(&third), [vec![1, 2], vec![], vec![3]]);
}

#[test]
fn a_file_that_is_made_beforehand_takes_the_next_group() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = open(dir.path(), "one", 0);
    files.append(&group(1)).unwrap();
    files.prepare().unwrap();
    assert_eq!(counted_groups(&files), [vec![1]], "the current one has not ended");
    files.leave();
    files.prepare().unwrap();
    assert_eq!(counted_groups(&files), [vec![1], vec![]]);
    files.append(&group(2)).unwrap();
    assert_eq!(counted_groups(&files), [vec![1], vec![2]]);
}

#[test]
fn who_is_replaced_makes_no_file_beforehand() {
    let dir = tempfile::tempdir().unwrap();
    let mut older = open(dir.path(), "one", 0);
    older.append(&group(1)).unwrap();
    older.leave();
    older.prepare().unwrap();
    let mut newer = open(dir.path(), "two", 0);
    newer.append(&group(2)).unwrap();
    assert_eq!(older.append(&group(3)), Err(LogError::Fenced), "not even into its own");
    for n in 2..=newer.newest {
        disk::remove(&newer.path(n)).unwrap();
    }
    assert_eq!(older.prepare(), Err(LogError::Fenced));
    assert!(!disk::exists(&newer.path(2)));
}

#[test]
fn nothing_is_taken_over_from_a_file_that_nobody_reads_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut older = open(dir.path(), "one", 0);
    older.append(&group(1)).unwrap();
    let newer = open(dir.path(), "two", 1);
    assert_eq!(counted_groups(&newer), [vec![1], vec![]]);
}

#[test]
fn a_successor_is_noticed_even_when_its_files_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut older = open(dir.path(), "one", 0);
    older.append(&group(1)).unwrap();
    let newer = open(dir.path(), "two", 0);
    std::fs::remove_file(newer.path(newer.newest)).unwrap();
    assert_eq!(older.append(&group(2)), Err(LogError::Fenced));
}

#[test]
fn who_is_replaced_while_it_starts_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut successor = open(dir.path(), "two", 0);
    let replaced = (dir.path().join("owner"), "one".to_owned());
    let error = SegmentFiles::open(dir.path().join("wal"), replaced, 0, true).err().unwrap();
    assert!(error.to_string().contains("another process"), "{error}");
    successor.append(&group(1)).unwrap();
}

#[test]
fn numbers_go_on_above_files_that_a_snapshot_removed() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(open(dir.path(), "one", 41).newest, 42);
}
