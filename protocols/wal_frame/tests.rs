//! The stored bytes of all versions: files that a released server wrote must stay readable.

use super::mark::Content;
use super::segment::{Header, encode_frame, encode_header, read};
use super::{entry, mark};
use crate::columns::{Bits, ColumnData, StoredColumn, StoredRows, Strings};
use crate::ids::{ColumnId, DbId, TableId};
use crate::row_deletes::RowCut;
use bytes::Bytes;

const GOLDEN_1: &[u8] = include_bytes!("../golden/wal_v1.wal");
const GOLDEN_2: &[u8] = include_bytes!("../golden/wal_v2.wal");
const GOLDEN_3: &[u8] = include_bytes!("../golden/wal_v3.wal");
/// The stamp of the group since version 2.
const STAMP: i64 = 1_700_000_000_123_456_789;

fn texts(texts: &[&str]) -> Strings {
    let mut strings = Strings::default();
    texts.iter().for_each(|text| strings.push(text.as_bytes()));
    strings
}

fn bits(set: &[bool]) -> Bits {
    let mut bits = Bits::default();
    set.iter().for_each(|bit| bits.push(*bit));
    bits
}

/// Every type of column, with and without missing values.
fn rows() -> StoredRows {
    let data = [
        ColumnData::Tag { keys: vec![0, 1, 0], dictionary: texts(&["Kitchen", "Bäder"]) },
        ColumnData::Float(vec![21.5, 0.0, f64::MIN]),
        ColumnData::Integer(vec![i64::MIN, 0, i64::MAX]),
        ColumnData::UInteger(vec![0, 300, u64::MAX]),
        ColumnData::String(texts(&["", "a\nb", "ü"])),
        ColumnData::Boolean(bits(&[true, false, true])),
    ];
    let columns = data.into_iter().enumerate().map(|(i, data)| StoredColumn {
        id: ColumnId(i as u32),
        data,
        validity: (i % 2 == 1).then(|| bits(&[true, false, true])),
    });
    StoredRows { table: TableId(3), times: vec![-1, 0, i64::MAX], columns: columns.collect() }
}

fn cut() -> RowCut {
    RowCut { table: TableId(3), min_time_ns: -5, max_time_ns: i64::MAX }
}

fn file() -> Vec<u8> {
    let mut out =
        encode_header(Header { writer: 0x0123_4567_89ab_cdef, sequence: 9, previous_bytes: 77 });
    let entries = [
        Bytes::from(entry::encode(DbId(2), &[rows()]).unwrap()),
        Bytes::from(mark::encode_cut(&cut())),
    ];
    let synced = out.len() as u64;
    encode_frame(&mut out, (5, STAMP), synced, &entries).unwrap();
    out
}

#[track_caller]
fn check_readable(golden: &'static [u8], stamp: i64, expected: &[Content]) {
    let segment = read(&Bytes::from_static(golden), None).unwrap();
    assert_eq!(segment.header.writer, 0x0123_4567_89ab_cdef);
    assert_eq!((segment.header.sequence, segment.header.previous_bytes), (9, 77));
    assert_eq!((segment.damaged.len(), segment.torn_at), (0, None));
    let [frame] = segment.frames.as_slice() else { panic!("one group") };
    assert_eq!((frame.sequence, frame.stamp), (5, stamp));
    let decoded: Vec<_> = frame.entries.iter().map(|e| mark::content(e).unwrap()).collect();
    assert_eq!(decoded, expected);
}

#[test]
fn all_versions_stay_readable() {
    let rows = Content::Rows(DbId(2), vec![rows()]);
    // Groups of the time before stamps have their number.
    check_readable(GOLDEN_1, 5, std::slice::from_ref(&rows));
    check_readable(GOLDEN_2, STAMP, std::slice::from_ref(&rows));
    check_readable(GOLDEN_3, STAMP, &[rows, Content::Cut(cut())]);
}

#[test]
fn what_is_written_today_has_the_same_layout() {
    // The compressed content may change with the library, the header may not.
    assert_eq!(file()[..super::segment::HEADER_BYTES], GOLDEN_3[..super::segment::HEADER_BYTES]);
    let segment = read(&Bytes::from(file()), None).unwrap();
    assert_eq!(entry::decode(&segment.frames[0].entries[0]), Ok((DbId(2), vec![rows()])));
}
