//! Steps of the index, round trips, damage, and the stored bytes of all versions.

use super::codec::HEADER_BYTES;
use super::*;
use crate::snapshot::{Compacted, Keys, SnapshotMark, Stamps};
use proptest::collection::vec;
use proptest::prelude::*;

const GOLDEN_SEGMENT_1: &[u8] = include_bytes!("../golden/index_v1.segment");
const GOLDEN_BASE_1: &[u8] = include_bytes!("../golden/index_v1.base");
const GOLDEN_SEGMENT_2: &[u8] = include_bytes!("../golden/index_v2.segment");
const GOLDEN_BASE_2: &[u8] = include_bytes!("../golden/index_v2.base");
const GOLDEN_SEGMENT_3: &[u8] = include_bytes!("../golden/index_v3.segment");
const GOLDEN_BASE_3: &[u8] = include_bytes!("../golden/index_v3.base");
const GOLDEN_SEGMENT: &[u8] = include_bytes!("../golden/index_v4.segment");
const GOLDEN_BASE: &[u8] = include_bytes!("../golden/index_v4.base");

const NONCE: u64 = 0x0123_4567_89ab_cdef;

/// When the snapshot of this number was taken.
fn stamp(number: u64) -> i64 {
    1_700_000_000_000_000_000 + 1000 * i64::try_from(number).unwrap()
}

fn placed(number: u64) -> PlacedMark {
    let mark = SnapshotMark {
        number,
        end_time_ns: 600_000_000_000 * i64::try_from(number).unwrap(),
        wal_through: 10 * number,
        forced: number.is_multiple_of(2),
        durable_stamp: stamp(number) - 5,
    };
    PlacedMark { mark, sequence: 10 * number + 3, stamp: stamp(number) }
}

fn file(id: u64) -> ParquetFile {
    let chunk_time_ns = 600_000_000_000 * i64::try_from(id).unwrap() - 1_200_000_000_000;
    ParquetFile {
        id,
        db: DbId(1),
        table: TableId((id % 3) as u32),
        chunk_time_ns,
        wal_file: 10 * id,
        part: (id % 2) as u32,
        size_bytes: 1_000_000 - id,
        row_count: 5 * id,
        min_time_ns: chunk_time_ns + 1,
        max_time_ns: chunk_time_ns + 599_999_999_999,
        crc32: 0xdead_beef ^ id as u32,
        order: Stamps { lo: stamp(id) - 700, hi: stamp(id) - 1 },
        keys: Keys {
            series: id,
            flags: id % 4,
            min: [2, 97].into(),
            max: vec![id as u8; 9].into(),
        },
        compacted: (id % 3 == 2).then_some(Compacted {
            generation: 5,
            nonce: NONCE,
            deletes_through: 3 * id,
        }),
    }
}

/// What a file or a mark of an older version is taken for.
trait Older {
    fn of_version_1(&self) -> Self;
}

/// Version 2 knows of no compacted files.
fn of_version_2(segment: &Segment) -> Segment {
    let files = segment.added.iter().map(|file| ParquetFile { compacted: None, ..file.clone() });
    Segment { added: files.collect(), ..segment.clone() }
}

/// Version 3 knows of no deletes of rows.
fn of_version_3(segment: &Segment) -> Segment {
    let known = |compacted| Compacted { deletes_through: 0, ..compacted };
    let files = segment.added.iter();
    let files =
        files.map(|file| ParquetFile { compacted: file.compacted.map(known), ..file.clone() });
    Segment { added: files.collect(), ..segment.clone() }
}

impl Older for ParquetFile {
    fn of_version_1(&self) -> Self {
        let order = Stamps::at(i64::try_from(self.wal_file).unwrap());
        Self { order, keys: Keys::default(), compacted: None, ..self.clone() }
    }
}

impl Older for PlacedMark {
    fn of_version_1(&self) -> Self {
        let durable_stamp = i64::try_from(self.mark.wal_through).unwrap();
        let mark = SnapshotMark { durable_stamp, ..self.mark };
        Self { mark, stamp: i64::try_from(self.sequence).unwrap(), sequence: self.sequence }
    }
}

impl Older for RemovedFile {
    fn of_version_1(&self) -> Self {
        Self { why: Removal::Expired, ..*self }
    }
}

impl Older for Segment {
    fn of_version_1(&self) -> Self {
        Self {
            snapshot: self.snapshot.map(|placed| placed.of_version_1()),
            added: self.added.iter().map(Older::of_version_1).collect(),
            removed: self.removed.iter().map(Older::of_version_1).collect(),
            cuts: Vec::new(),
            ..self.clone()
        }
    }
}

/// A segment in which every field says something.
fn full_segment() -> Segment {
    Segment {
        writer: 0x0123_4567_89ab_cdef_0011_2233_4455_6677,
        sequence: 3,
        snapshot: Some(placed(2)),
        added: vec![file(4), file(5)],
        removed: vec![RemovedFile {
            id: 2,
            removed_at_ns: 77,
            why: Removal::Superseded { by: 12 },
        }],
        deleted: vec![1],
        cuts: vec![Cut { tombstone: 3, stamp: stamp(1) + 1 }],
    }
}

/// Two steps that add files and remove one, on which [`full_segment`] follows.
fn steps() -> (Segment, Segment) {
    let first = Segment {
        sequence: 1,
        snapshot: Some(placed(1)),
        added: vec![file(1), file(2), file(3)],
        ..Segment::default()
    };
    let removed = vec![RemovedFile { id: 1, removed_at_ns: -5, why: Removal::Dropped }];
    let cuts = vec![Cut { tombstone: 2, stamp: -1 }];
    (first, Segment { sequence: 2, removed, cuts, ..Segment::default() })
}

fn index() -> FileIndex {
    let (first, second) = steps();
    index_of(&[first, second])
}

fn index_of(steps: &[Segment]) -> FileIndex {
    let mut index = FileIndex::default();
    steps.iter().for_each(|step| index.apply(step).unwrap());
    index
}

fn ids(index: &FileIndex) -> (Vec<u64>, Vec<(u64, i64)>) {
    let files = index.files().map(|file| file.id).collect();
    (files, index.removed().map(|former| (former.file.id, former.removed_at_ns)).collect())
}

#[test]
fn a_file_is_added_then_removed_then_deleted() {
    let mut index = index();
    assert_eq!(ids(&index), (vec![2, 3], vec![(1, -5)]));
    index.apply(&full_segment()).unwrap();
    assert_eq!(ids(&index), (vec![3, 4, 5], vec![(2, 77)]));
    assert_eq!((index.sequence(), index.next_file_id()), (3, 6));
    assert_eq!((index.last_snapshot(), index.wal_through()), (2, 20));
    assert_eq!((index.last_stamp(), index.durable_stamp()), (stamp(2), stamp(2) - 5));
    assert_eq!(index.file(3).map(|file| file.as_ref().clone()), Some(file(3)));
    assert_eq!(index.file(2), None);
    let of_table: Vec<_> = index.files_of(|_, t| t == TableId(1)).map(|f| f.id).collect();
    assert_eq!(of_table, [4]);
}

#[test]
fn an_empty_index_has_numbers_too() {
    let index = FileIndex::default();
    assert_eq!((index.sequence(), index.next_file_id()), (0, 1));
    assert_eq!((index.last_snapshot(), index.wal_through()), (0, 0));
    assert_eq!((index.last_stamp(), index.durable_stamp()), (i64::MIN, i64::MIN));
}

#[test]
fn only_the_very_snapshot_is_durable() {
    let index = index();
    assert!(index.is_durable(&placed(1)));
    assert!(!index.is_durable(&placed(2)));
    assert!(!index.is_durable(&PlacedMark { sequence: 14, ..placed(1) }));
}

#[test]
fn the_last_snapshots_are_remembered() {
    let mut index = FileIndex::default();
    let count = SNAPSHOTS_KEPT as u64 + 5;
    for sequence in 1..=count {
        let snapshot = Some(placed(sequence));
        index.apply(&Segment { sequence, snapshot, ..Segment::default() }).unwrap();
    }
    assert_eq!(index.snapshots().count(), SNAPSHOTS_KEPT);
    assert!(index.is_durable(&placed(6)) && index.is_durable(&placed(count)));
    assert!(!index.is_durable(&placed(5)));
}

#[test]
fn a_step_that_does_not_fit_changes_nothing() {
    let good = full_segment();
    let cases = [
        (Segment { sequence: 2, ..good.clone() }, IndexError::Sequence { state: 2, found: 2 }),
        (Segment { sequence: 4, ..good.clone() }, IndexError::Sequence { state: 2, found: 4 }),
        (Segment { sequence: 0, ..good.clone() }, IndexError::Sequence { state: 2, found: 0 }),
        (
            Segment { snapshot: Some(placed(1)), ..good.clone() },
            IndexError::Snapshot { last: 1, found: 1 },
        ),
        (Segment { added: vec![file(2)], ..good.clone() }, IndexError::FileIdInUse(2)),
        (Segment { added: vec![file(1)], ..good.clone() }, IndexError::FileIdInUse(1)),
        (Segment { added: vec![file(4), file(4)], ..good.clone() }, IndexError::FileIdInUse(4)),
        (Segment { removed: [good.removed[0]; 2].into(), ..good.clone() }, IndexError::NotAFile(2)),
        (Segment { deleted: vec![1, 1], ..good.clone() }, IndexError::NotRemoved(1)),
        (Segment { deleted: vec![2], ..good }, IndexError::NotRemoved(2)),
    ];
    for (segment, error) in cases {
        let mut index = index();
        assert_eq!(index.apply(&segment), Err(error));
        assert_eq!(index, self::index());
    }
}

#[test]
fn stored_bytes_of_version_1_are_read() {
    assert_eq!(decode_segment(GOLDEN_SEGMENT_1), Ok(full_segment().of_version_1()));
    let (first, second) = steps();
    let older = index_of(&[first.of_version_1(), second.of_version_1()]);
    assert_eq!(decode_base(GOLDEN_BASE_1), Ok(older.clone()));
    // What was read goes on as version 4, with the same content.
    assert_eq!(decode_base(&encode_base(&older)), Ok(older));
}

#[test]
fn stored_bytes_of_version_2_are_read() {
    assert_eq!(decode_segment(GOLDEN_SEGMENT_2), Ok(of_version_2(&full_segment())));
    let (first, second) = steps();
    let older = index_of(&[of_version_2(&first), of_version_2(&second)]);
    assert_eq!(decode_base(GOLDEN_BASE_2), Ok(older));
}

#[test]
fn stored_bytes_of_version_3_are_read() {
    assert_eq!(decode_segment(GOLDEN_SEGMENT_3), Ok(of_version_3(&full_segment())));
    let (first, second) = steps();
    let older = index_of(&[of_version_3(&first), of_version_3(&second)]);
    assert_eq!(decode_base(GOLDEN_BASE_3), Ok(older));
}

#[test]
fn stored_bytes_of_version_4_are_read_and_written() {
    assert_eq!(decode_segment(GOLDEN_SEGMENT), Ok(full_segment()));
    assert_eq!(encode_segment(&full_segment()), GOLDEN_SEGMENT);
    assert_eq!(decode_base(GOLDEN_BASE), Ok(index()));
    // The compressed content may change with the library, the tag and the version may not.
    assert_eq!(encode_base(&index())[..12], GOLDEN_BASE[..12]);
}

/// The same file with another content or version, and the checksum that belongs to it.
fn resealed(bytes: &[u8], version: u32, content: &[u8]) -> Vec<u8> {
    let mut out = bytes[..8].to_vec();
    out.extend(version.to_le_bytes());
    out.extend((content.len() as u64).to_le_bytes());
    let crc = crc32fast::hash(&[out.as_slice(), content].concat());
    out.extend(crc.to_le_bytes());
    out.extend(content);
    out
}

#[test]
fn damage_is_named() {
    let whole = encode_segment(&full_segment());
    let content = &whole[HEADER_BYTES..];
    let check = |bytes: &[u8], expected: &str| {
        assert_eq!(decode_segment(bytes).unwrap_err().to_string(), expected);
    };
    check(b"", "index file too small: expected at least 24 bytes, but got 0 bytes");
    check(
        &whole[..whole.len() - 1],
        &format!(
            "index file too small: expected at least {} bytes, but got {} bytes",
            whole.len(),
            whole.len() - 1
        ),
    );
    check(&[b"x", &whole[1..]].concat(), "Invalid index file identifier");
    check(&encode_base(&index()), "Invalid index file identifier");
    check(&resealed(&whole, 0, content), "Invalid index file identifier");
    let newer = resealed(&whole, 5, content);
    check(&newer, "format version 5 is newer than this release can read (4)");
    let mut flipped = whole.clone();
    flipped[8] ^= 1;
    check(&flipped, "crc32 checksum mismatch");
    check(&[&whole[..], b"x"].concat(), "malformed index file: bytes left over");
    let longer = resealed(&whole, 4, &[content, b"x"].concat());
    check(&longer, "malformed index file: bytes left over");
    let shorter = resealed(&whole, 4, &content[..content.len() - 1]);
    check(&shorter, "malformed index file: it ends too early");
    let endless = resealed(&whole, 4, &[[0; 16].as_slice(), &[0xff; 10]].concat());
    check(&endless, "malformed index file: a number is too large");
}

#[test]
fn bases_that_contradict_themselves_are_refused() {
    let check = |index: &FileIndex, expected: &str| {
        assert_eq!(decode_base(&encode_base(index)).unwrap_err().to_string(), expected);
    };
    let mut wrong = index();
    wrong.next_file_id = 3;
    check(&wrong, "malformed index file: the file ids are out of order");
    wrong = index();
    wrong.snapshots.push_back(placed(1));
    check(&wrong, "malformed index file: the snapshots are out of order");
    wrong = index();
    wrong.files.insert(1, Arc::new(file(1)));
    check(&wrong, "malformed index file: a file is there and removed");
    let whole = encode_base(&index());
    let bomb = resealed(&whole, 4, &[0xff; 8]);
    assert_eq!(decode_base(&bomb), Err(DecodeError::Malformed("impossible size")));
    let junk = resealed(&whole, 4, &[9, 0, 0, 0, 0xff, 0xff]);
    assert_eq!(decode_base(&junk), Err(DecodeError::Malformed("bad LZ4 block")));
}

#[test]
fn ids_of_compacted_files_are_counted_apart() {
    let mut index = index();
    let added = vec![ParquetFile { id: COMPACTED_IDS + 7, ..file(2) }];
    index.apply(&Segment { sequence: 3, added, ..Segment::default() }).unwrap();
    assert_eq!((index.next_file_id(), index.next_compacted_id()), (4, COMPACTED_IDS + 8));
    assert_eq!(decode_base(&encode_base(&index)), Ok(index.clone()));
    index.next_compacted_id = COMPACTED_IDS + 7;
    let error = DecodeError::Malformed("the file ids are out of order");
    assert_eq!(decode_base(&encode_base(&index)), Err(error));
}

#[test]
fn every_flipped_bit_and_every_truncation_is_an_error() {
    let segment = encode_segment(&full_segment());
    let base = encode_base(&index());
    for (whole, fails) in [
        (segment, (|bytes| decode_segment(bytes).is_err()) as fn(&[u8]) -> bool),
        (base, |bytes| decode_base(bytes).is_err()),
    ] {
        for i in 0..whole.len() {
            assert!(fails(&whole[..i]), "cut at {i}");
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[i] ^= 1 << bit;
                assert!(fails(&bytes), "byte {i}, bit {bit}");
            }
        }
    }
}

fn any_mark() -> impl Strategy<Value = PlacedMark> {
    (any::<[u64; 3]>(), any::<[i64; 3]>(), any::<bool>()).prop_map(
        |([number, wal_through, sequence], [end_time_ns, durable_stamp, stamp], forced)| {
            let mark = SnapshotMark { number, end_time_ns, wal_through, forced, durable_stamp };
            PlacedMark { mark, sequence, stamp }
        },
    )
}

fn any_file() -> impl Strategy<Value = ParquetFile> {
    let key = || vec(any::<u8>(), 0..9).prop_map(Vec::into_boxed_slice);
    let keys = (any::<[u64; 2]>(), key(), key()).prop_map(|([series, flags], min, max)| Keys {
        series,
        flags,
        min,
        max,
    });
    let compacted = proptest::option::of((1..=255_u8, any::<[u64; 2]>()).prop_map(
        |(generation, [nonce, deletes_through])| Compacted { generation, nonce, deletes_through },
    ));
    (any::<[u64; 4]>(), any::<[u32; 4]>(), any::<[i64; 5]>(), keys, compacted).prop_map(
        |(numbers, [db, table, part, crc32], [chunk, min, max, lo, hi], keys, compacted)| {
            let [id, wal_file, size_bytes, row_count] = numbers;
            ParquetFile {
                id: id % u64::MAX,
                db: DbId(db),
                table: TableId(table),
                chunk_time_ns: chunk,
                wal_file,
                part,
                size_bytes,
                row_count,
                min_time_ns: min,
                max_time_ns: max,
                crc32,
                order: Stamps { lo, hi },
                keys,
                compacted,
            }
        },
    )
}

fn any_segment() -> impl Strategy<Value = Segment> {
    let why = prop_oneof![
        Just(Removal::Expired),
        Just(Removal::Dropped),
        any::<u64>().prop_map(|by| Removal::Superseded { by }),
    ];
    let removed = (any::<u64>(), any::<i64>(), why)
        .prop_map(|(id, removed_at_ns, why)| RemovedFile { id, removed_at_ns, why });
    let cut = any::<(u64, i64)>().prop_map(|(tombstone, stamp)| Cut { tombstone, stamp });
    (
        any::<u128>(),
        any::<u64>(),
        proptest::option::of(any_mark()),
        vec(any_file(), 0..5),
        vec(removed, 0..5),
        vec(any::<u64>(), 0..5),
        vec(cut, 0..3),
    )
        .prop_map(|(writer, sequence, snapshot, added, removed, deleted, cuts)| Segment {
            writer,
            sequence,
            snapshot,
            added,
            removed,
            deleted,
            cuts,
        })
}

/// An index as steps make it: some files are removed again, some of those deleted.
fn any_index() -> impl Strategy<Value = FileIndex> {
    (vec(any_file(), 0..20), vec(any_mark(), 0..5), any::<u64>()).prop_map(
        |(mut files, mut marks, fates)| {
            files.sort_by_key(|file| file.id);
            files.dedup_by_key(|file| file.id);
            marks.sort_by_key(|placed| placed.mark.number.max(1));
            marks.dedup_by_key(|placed| placed.mark.number.max(1));
            marks.retain(|placed| placed.mark.number > 0);
            let fate = |file: &ParquetFile, shift: u64| fates >> ((file.id + shift) % 64) & 1 == 1;
            let gone: Vec<_> = files.iter().filter(|f| fate(f, 0)).map(|f| f.id).collect();
            let removed = gone.iter().map(|id| RemovedFile {
                id: *id,
                removed_at_ns: -1,
                why: Removal::Superseded { by: *id },
            });
            let mut index = FileIndex::default();
            let mut segment = Segment { sequence: 1, added: files, ..Segment::default() };
            index.apply(&segment).unwrap();
            segment = Segment { sequence: 2, removed: removed.collect(), ..Segment::default() };
            index.apply(&segment).unwrap();
            let deleted = gone.into_iter().step_by(2).collect();
            segment = Segment { sequence: 3, deleted, ..Segment::default() };
            index.apply(&segment).unwrap();
            for (sequence, placed) in (4..).zip(marks) {
                let snapshot = Some(placed);
                index.apply(&Segment { sequence, snapshot, ..Segment::default() }).unwrap();
            }
            index
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(segment in any_segment(), index in any_index()) {
        prop_assert_eq!(decode_segment(&encode_segment(&segment)), Ok(segment));
        prop_assert_eq!(decode_base(&encode_base(&index)), Ok(index));
    }

    #[test]
    fn no_input_panics(content in vec(any::<u8>(), 0..400)) {
        prop_assert!(decode_segment(&content).is_err());
        prop_assert!(decode_base(&content).is_err());
        if let Ok(segment) = decode_segment(&resealed(GOLDEN_SEGMENT, 4, &content)) {
            prop_assert_eq!(decode_segment(&encode_segment(&segment)), Ok(segment));
        }
        let compressed = lz4_flex::block::compress_prepend_size(&content);
        if let Ok(index) = decode_base(&resealed(GOLDEN_BASE, 4, &compressed)) {
            prop_assert_eq!(decode_base(&encode_base(&index)), Ok(index));
        }
    }

    #[test]
    fn damaged_content_never_panics(
        segment in any_segment(),
        index in any_index(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let mut bytes = encode_segment(&segment);
        let i = HEADER_BYTES + at.index(bytes.len() - HEADER_BYTES);
        bytes[i] ^= flip;
        drop(decode_segment(&resealed(&bytes, 4, &bytes[HEADER_BYTES..])));
        let base = encode_base(&index);
        let mut plain =
            lz4_flex::block::decompress_size_prepended(&base[HEADER_BYTES..]).unwrap();
        let i = at.index(plain.len());
        plain[i] ^= flip;
        let compressed = lz4_flex::block::compress_prepend_size(&plain);
        if let Ok(index) = decode_base(&resealed(&base, 4, &compressed)) {
            prop_assert_eq!(decode_base(&encode_base(&index)), Ok(index));
        }
    }
}
