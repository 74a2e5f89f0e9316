//! The bytes of segments and bases.
//!
//! A header that is the same in every version, little-endian: a tag of 8 bytes, the version (4),
//! the size of the content (8), and the CRC-32 of all this and the content (4). The content of
//! version 1 is a run of columns; that of a base is compressed with LZ4 in addition.

use super::wire::{Reader, put_column, put_number};
use super::{FileIndex, FormerFile, RemovedFile, Segment};
use crate::ids::{DbId, TableId};
use crate::snapshot::{ParquetFile, PlacedMark, SnapshotMark};
use std::collections::BTreeMap;
use std::sync::Arc;

const SEGMENT_TAG: &[u8; 8] = b"ix3.iseg";
const BASE_TAG: &[u8; 8] = b"ix3.ibas";
const VERSION: u32 = 1;
/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 8 + 4;
/// Columns of [`put_files`]: each file takes at least so many bytes.
const FILE_COLUMNS: usize = 11;
/// Columns of [`put_marks`].
const MARK_COLUMNS: usize = 5;

/// Why a file of the index cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The file ends too early.
    #[error("index file too small: expected at least {expected} bytes, but got {got} bytes")]
    TooSmall {
        /// Bytes that the header asks for, or those of the header itself.
        expected: u64,
        /// Bytes of the file.
        got: u64,
    },
    /// The file is not one of ours, or not of the kind that belongs there.
    #[error("Invalid index file identifier")]
    UnknownFormat,
    /// The checksum does not match.
    #[error("crc32 checksum mismatch")]
    Checksum,
    /// Written by a newer release.
    #[error("format version {0} is newer than this release can read ({VERSION})")]
    NewerVersion(u32),
    /// The checksum matches, but the content makes no sense.
    #[error("malformed index file: {0}")]
    Malformed(&'static str),
}

/// The bytes of a segment.
pub fn encode_segment(segment: &Segment) -> Vec<u8> {
    let mut content = Vec::with_capacity(64 + 40 * segment.added.len());
    content.extend_from_slice(&segment.writer.to_le_bytes());
    put_number(&mut content, segment.sequence);
    put_marks(&mut content, segment.snapshot.as_slice().iter());
    put_files(&mut content, segment.added.iter());
    put_number(&mut content, segment.removed.len() as u64);
    put_column(&mut content, segment.removed.iter().map(|file| file.id));
    put_column(&mut content, segment.removed.iter().map(|file| file.removed_at_ns as u64));
    put_number(&mut content, segment.deleted.len() as u64);
    put_column(&mut content, segment.deleted.iter().copied());
    with_header(SEGMENT_TAG, &content)
}

/// The segment that [`encode_segment`] stored.
///
/// # Errors
/// When any byte differs.
pub fn decode_segment(bytes: &[u8]) -> Result<Segment, DecodeError> {
    segment_content(content_of(SEGMENT_TAG, bytes)?)
}

fn segment_content(content: &[u8]) -> Result<Segment, DecodeError> {
    let mut reader = Reader(content);
    let writer = u128::from_le_bytes(reader.array()?);
    let sequence = reader.number()?;
    let snapshot = match marks(&mut reader)?.as_slice() {
        [] => None,
        [placed] => Some(*placed),
        _ => return Err(DecodeError::Malformed("several snapshots in one segment")),
    };
    let added = files(&mut reader)?;
    let count = reader.count(2)?;
    let removed = (reader.column(count)?.into_iter().zip(reader.column(count)?))
        .map(|(id, at)| RemovedFile { id, removed_at_ns: at as i64 })
        .collect();
    let count = reader.count(1)?;
    let deleted = reader.column(count)?;
    finish(&reader)?;
    Ok(Segment { writer, sequence, snapshot, added, removed, deleted })
}

/// The bytes of a base.
pub fn encode_base(index: &FileIndex) -> Vec<u8> {
    let mut plain = Vec::with_capacity(64 + 40 * index.files.len());
    put_number(&mut plain, index.sequence);
    put_number(&mut plain, index.next_file_id);
    put_marks(&mut plain, index.snapshots.iter());
    put_files(&mut plain, index.files.values().map(AsRef::as_ref));
    put_files(&mut plain, index.removed.values().map(|former| former.file.as_ref()));
    put_column(&mut plain, index.removed.values().map(|former| former.removed_at_ns as u64));
    with_header(BASE_TAG, &lz4_flex::block::compress_prepend_size(&plain))
}

/// The index that [`encode_base`] stored.
///
/// # Errors
/// When any byte differs.
pub fn decode_base(bytes: &[u8]) -> Result<FileIndex, DecodeError> {
    let content = content_of(BASE_TAG, bytes)?;
    let size = u32::from_le_bytes(Reader(content).array()?) as usize;
    // LZ4 cannot compress better than 255 to 1, so a larger claim is damage, not data.
    if size / 255 > content.len() {
        return Err(DecodeError::Malformed("impossible size"));
    }
    let plain = lz4_flex::block::decompress_size_prepended(content)
        .map_err(|_| DecodeError::Malformed("bad LZ4 block"))?;
    base_content(&plain)
}

fn base_content(plain: &[u8]) -> Result<FileIndex, DecodeError> {
    let mut reader = Reader(plain);
    let (sequence, next_file_id) = (reader.number()?, reader.number()?);
    let snapshots = marks(&mut reader)?;
    if !snapshots.is_sorted_by(|a, b| a.mark.number < b.mark.number) {
        return Err(DecodeError::Malformed("the snapshots are out of order"));
    }
    let files = by_id(files(&mut reader)?.into_iter().map(|f| (f.id, Arc::new(f))), next_file_id)?;
    let former = self::files(&mut reader)?;
    let times = reader.column(former.len())?;
    finish(&reader)?;
    let former = former
        .into_iter()
        .zip(times)
        .map(|(file, at)| (file.id, FormerFile { file: Arc::new(file), removed_at_ns: at as i64 }));
    let removed = by_id(former, next_file_id)?;
    if removed.keys().any(|id| files.contains_key(id)) {
        return Err(DecodeError::Malformed("a file is there and removed"));
    }
    Ok(FileIndex { sequence, next_file_id, snapshots: snapshots.into(), files, removed })
}

/// A map of what must come by rising id, all of them below `next_id`.
fn by_id<T>(
    items: impl Iterator<Item = (u64, T)>,
    next_id: u64,
) -> Result<BTreeMap<u64, T>, DecodeError> {
    let items: Vec<_> = items.collect();
    let rising = items.is_sorted_by(|(a, _), (b, _)| a < b);
    if !rising || items.last().is_some_and(|(id, _)| *id >= next_id) {
        return Err(DecodeError::Malformed("the file ids are out of order"));
    }
    Ok(items.into_iter().collect())
}

fn with_header(tag: &[u8; 8], content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + content.len());
    out.extend_from_slice(tag);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(content.len() as u64).to_le_bytes());
    let crc = checksum(&out, content);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(content);
    out
}

/// What follows an intact header. The checksum comes before the version, so that damage is not
/// taken for the work of a newer release.
fn content_of<'a>(tag: &[u8; 8], bytes: &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let too_small = |expected| DecodeError::TooSmall { expected, got: bytes.len() as u64 };
    let Some((header, content)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(too_small(HEADER_BYTES as u64));
    };
    let mut reader = Reader(header);
    if &reader.array()? != tag {
        return Err(DecodeError::UnknownFormat);
    }
    let version = u32::from_le_bytes(reader.array()?);
    let size = u64::from_le_bytes(reader.array()?);
    if size > content.len() as u64 {
        return Err(too_small(size.saturating_add(HEADER_BYTES as u64)));
    }
    if size < content.len() as u64 {
        return Err(DecodeError::Malformed("bytes left over"));
    }
    let checked = header.get(..HEADER_BYTES - 4).unwrap_or_default();
    if u32::from_le_bytes(reader.array()?) != checksum(checked, content) {
        return Err(DecodeError::Checksum);
    }
    match version {
        VERSION => Ok(content),
        0 => Err(DecodeError::UnknownFormat),
        newer => Err(DecodeError::NewerVersion(newer)),
    }
}

fn checksum(header: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(content);
    hasher.finalize()
}

fn finish(reader: &Reader<'_>) -> Result<(), DecodeError> {
    if reader.0.is_empty() { Ok(()) } else { Err(DecodeError::Malformed("bytes left over")) }
}

/// Appends a count and the files, column by column. Times are stored as the distances that are
/// small: the first row from the start of the chunk, the last from the first.
fn put_files<'a>(out: &mut Vec<u8>, files: impl ExactSizeIterator<Item = &'a ParquetFile>) {
    let files: Vec<&ParquetFile> = files.collect();
    put_number(out, files.len() as u64);
    let mut put = |field: fn(&ParquetFile) -> u64| {
        put_column(out, files.iter().map(|file| field(file)));
    };
    put(|f| f.id);
    put(|f| f.db.0.into());
    put(|f| f.table.0.into());
    put(|f| f.chunk_time_ns as u64);
    put(|f| f.wal_file);
    put(|f| f.part.into());
    put(|f| f.size_bytes);
    put(|f| f.row_count);
    put(|f| f.min_time_ns.wrapping_sub(f.chunk_time_ns) as u64);
    put(|f| f.max_time_ns.wrapping_sub(f.min_time_ns) as u64);
    put(|f| f.crc32.into());
}

fn files(reader: &mut Reader<'_>) -> Result<Vec<ParquetFile>, DecodeError> {
    let count = reader.count(FILE_COLUMNS)?;
    let mut columns = Vec::with_capacity(FILE_COLUMNS);
    for _ in 0..FILE_COLUMNS {
        columns.push(reader.column(count)?);
    }
    let [ids, dbs, tables, chunks, wal_files, parts, sizes, rows, firsts, lengths, crcs] =
        columns.as_slice()
    else {
        return Err(DecodeError::Malformed("columns are missing"));
    };
    let small = |n: u64| u32::try_from(n).map_err(|_| DecodeError::Malformed("an id is too large"));
    let file = |i: usize| {
        let chunk_time_ns = chunks[i] as i64;
        let min_time_ns = chunk_time_ns.wrapping_add(firsts[i] as i64);
        Ok(ParquetFile {
            id: ids[i],
            db: DbId(small(dbs[i])?),
            table: TableId(small(tables[i])?),
            chunk_time_ns,
            wal_file: wal_files[i],
            part: small(parts[i])?,
            size_bytes: sizes[i],
            row_count: rows[i],
            min_time_ns,
            max_time_ns: min_time_ns.wrapping_add(lengths[i] as i64),
            crc32: small(crcs[i])?,
        })
    };
    (0..count).map(file).collect()
}

fn put_marks<'a>(out: &mut Vec<u8>, marks: impl ExactSizeIterator<Item = &'a PlacedMark> + Clone) {
    put_number(out, marks.len() as u64);
    put_column(out, marks.clone().map(|p| p.mark.number));
    put_column(out, marks.clone().map(|p| p.mark.end_time_ns as u64));
    put_column(out, marks.clone().map(|p| p.mark.wal_through));
    put_column(out, marks.clone().map(|p| p.sequence));
    put_column(out, marks.map(|p| p.mark.forced.into()));
}

fn marks(reader: &mut Reader<'_>) -> Result<Vec<PlacedMark>, DecodeError> {
    let count = reader.count(MARK_COLUMNS)?;
    let (numbers, ends) = (reader.column(count)?, reader.column(count)?);
    let (wals, sequences) = (reader.column(count)?, reader.column(count)?);
    let forced = reader.column(count)?;
    let mark = |i: usize| {
        let forced = match forced[i] {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Malformed("neither true nor false")),
        };
        let (number, end_time_ns, wal_through) = (numbers[i], ends[i] as i64, wals[i]);
        let mark = SnapshotMark { number, end_time_ns, wal_through, forced };
        Ok(PlacedMark { mark, sequence: sequences[i] })
    };
    (0..count).map(mark).collect()
}
