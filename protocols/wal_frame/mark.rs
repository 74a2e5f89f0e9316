//! Entries of a group that are no rows. The mark of a snapshot: `tag, version, number, end, through,
//! forced, durable stamp`, of which version 1 lacks the last. A cut: `tag, version, table, first
//! time, last time`; its version is 3.

use super::FrameError;
use super::entry;
use super::wire::Reader;
use crate::columns::StoredRows;
use crate::ids::{DbId, TableId};
use crate::row_deletes::RowCut;
use crate::snapshot::SnapshotMark;

/// Stands where the entry of a request has its size, which is never so large.
const TAG: u32 = u32::MAX;
const VERSION: u8 = 2;
const CUT_VERSION: u8 = 3;

/// What an entry of a group is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The rows of one request.
    Rows(DbId, Vec<StoredRows>),
    /// A snapshot begins behind the rows of this group.
    Mark(SnapshotMark),
    /// Rows are divided behind those of this group.
    Cut(RowCut),
}

/// The bytes of a mark.
pub fn encode(mark: &SnapshotMark) -> Vec<u8> {
    let mut out = Vec::with_capacity(38);
    out.extend_from_slice(&TAG.to_le_bytes());
    out.push(VERSION);
    out.extend_from_slice(&mark.number.to_le_bytes());
    out.extend_from_slice(&mark.end_time_ns.to_le_bytes());
    out.extend_from_slice(&mark.wal_through.to_le_bytes());
    out.push(u8::from(mark.forced));
    out.extend_from_slice(&mark.durable_stamp.to_le_bytes());
    out
}

/// The bytes of a cut.
pub fn encode_cut(cut: &RowCut) -> Vec<u8> {
    let mut out = Vec::with_capacity(25);
    out.extend_from_slice(&TAG.to_le_bytes());
    out.push(CUT_VERSION);
    out.extend_from_slice(&cut.table.0.to_le_bytes());
    out.extend_from_slice(&cut.min_time_ns.to_le_bytes());
    out.extend_from_slice(&cut.max_time_ns.to_le_bytes());
    out
}

/// Reads an entry, whatever it is.
///
/// # Errors
/// When the bytes are neither rows nor a mark or cut of a known version.
pub fn content(bytes: &[u8]) -> Result<Content, FrameError> {
    let mut reader = Reader(bytes);
    if reader.u32()? != TAG {
        let (db, rows) = entry::decode(bytes)?;
        return Ok(Content::Rows(db, rows));
    }
    let version = reader.u8()?;
    if version == CUT_VERSION {
        return cut(reader).map(Content::Cut);
    }
    if !(1..=VERSION).contains(&version) {
        return Err(FrameError::Malformed("unknown kind of entry"));
    }
    let number = reader.u64()?;
    let end_time_ns = reader.u64()? as i64;
    let wal_through = reader.u64()?;
    let forced = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(FrameError::Malformed("a truth value other than 0 and 1")),
    };
    let durable_stamp = match version {
        1 => SnapshotMark::durable_stamp_of_version_1(wal_through),
        _ => reader.u64()? as i64,
    };
    if !reader.0.is_empty() {
        return Err(FrameError::Malformed("bytes behind a mark"));
    }
    Ok(Content::Mark(SnapshotMark { number, end_time_ns, wal_through, forced, durable_stamp }))
}

fn cut(mut reader: Reader<'_>) -> Result<RowCut, FrameError> {
    let table = TableId(reader.u32()?);
    let (min_time_ns, max_time_ns) = (reader.u64()? as i64, reader.u64()? as i64);
    if !reader.0.is_empty() {
        return Err(FrameError::Malformed("bytes behind a cut"));
    }
    Ok(RowCut { table, min_time_ns, max_time_ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_survive_the_round_trip(
            number in any::<u64>(),
            end_time_ns in any::<i64>(),
            wal_through in any::<u64>(),
            forced in any::<bool>(),
            durable_stamp in any::<i64>(),
        ) {
            let mark = SnapshotMark { number, end_time_ns, wal_through, forced, durable_stamp };
            let bytes = encode(&mark);
            prop_assert_eq!(content(&bytes), Ok(Content::Mark(mark)));
            for cut in 0..bytes.len() {
                prop_assert!(content(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn cuts_survive_the_round_trip(
            table in any::<u32>(),
            min_time_ns in any::<i64>(),
            max_time_ns in any::<i64>(),
        ) {
            let cut = RowCut { table: TableId(table), min_time_ns, max_time_ns };
            let bytes = encode_cut(&cut);
            prop_assert_eq!(content(&bytes), Ok(Content::Cut(cut)));
            for cut in 0..bytes.len() {
                prop_assert!(content(&bytes[..cut]).is_err());
            }
            prop_assert!(content(&[bytes, vec![0]].concat()).is_err());
        }
    }

    #[test]
    fn marks_of_version_1_are_read() {
        let mark =
            SnapshotMark { number: 7, end_time_ns: -1, wal_through: 9, ..Default::default() };
        let mut bytes = encode(&mark);
        bytes[4] = 1;
        bytes.truncate(bytes.len() - 8);
        let mark = SnapshotMark { durable_stamp: 9, ..mark };
        assert_eq!(content(&bytes), Ok(Content::Mark(mark)));
    }

    #[test]
    fn rows_are_told_from_marks() {
        let bytes = entry::encode(DbId(7), &[]).unwrap();
        assert_eq!(content(&bytes), Ok(Content::Rows(DbId(7), vec![])));
        let mut bytes = encode(&SnapshotMark::default());
        bytes[4] = 4;
        assert_eq!(content(&bytes), Err(FrameError::Malformed("unknown kind of entry")));
    }
}
