//! The bytes of segments and bases.
//!
//! A header that is the same in every version, little-endian: a tag of 8 bytes, the version (4),
//! the size of the content (8), and the CRC-32 of all this and the content (4). The content is a run
//! of columns; that of a base is compressed with LZ4 in addition. Version 1 knows nothing of the
//! order of writes and of keys, and not why a file was removed; version 2 knows of no compacted files,
//! and version 3 of no deletes of rows. All are read, and never written.

use super::wire::{Reader, put_column, put_number, put_texts};
use super::{Cut, FileIndex, FormerFile, Removal, RemovedFile, Segment};
use crate::ids::{DbId, TableId};
use crate::snapshot::{
    COMPACTED_IDS, Compacted, KEY_BYTES_MAX, Keys, ParquetFile, PlacedMark, SnapshotMark, Stamps,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const SEGMENT_TAG: &[u8; 8] = b"ix3.iseg";
const BASE_TAG: &[u8; 8] = b"ix3.ibas";
const VERSION: u32 = 4;
/// The oldest version that is read.
const OLDEST_VERSION: u32 = 1;
/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 8 + 4;
/// Columns of [`put_files`] in version 1: each file takes at least so many bytes.
const FILE_COLUMNS: usize = 11;
/// Columns of [`put_marks`] in version 1.
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
    put_removals(&mut content, segment.removed.iter().map(|file| (file.removed_at_ns, file.why)));
    put_number(&mut content, segment.deleted.len() as u64);
    put_column(&mut content, segment.deleted.iter().copied());
    put_cuts(&mut content, segment.cuts.iter().copied());
    with_header(SEGMENT_TAG, &content)
}

/// The segment that [`encode_segment`] stored.
///
/// # Errors
/// When any byte differs.
pub fn decode_segment(bytes: &[u8]) -> Result<Segment, DecodeError> {
    let (version, content) = content_of(SEGMENT_TAG, bytes)?;
    segment_content(version, content)
}

fn segment_content(version: u32, content: &[u8]) -> Result<Segment, DecodeError> {
    let mut reader = Reader(content);
    let writer = u128::from_le_bytes(reader.array()?);
    let sequence = reader.number()?;
    let snapshot = match marks(&mut reader, version)?.as_slice() {
        [] => None,
        [placed] => Some(*placed),
        _ => return Err(DecodeError::Malformed("several snapshots in one segment")),
    };
    let added = files(&mut reader, version)?;
    let count = reader.count(2)?;
    let ids = reader.column(count)?;
    let removed = (ids.into_iter().zip(removals(&mut reader, version, count)?))
        .map(|(id, (removed_at_ns, why))| RemovedFile { id, removed_at_ns, why })
        .collect();
    let count = reader.count(1)?;
    let deleted = reader.column(count)?;
    let cuts = cuts(&mut reader, version)?;
    finish(&reader)?;
    Ok(Segment { writer, sequence, snapshot, added, removed, deleted, cuts })
}

/// The bytes of a base.
pub fn encode_base(index: &FileIndex) -> Vec<u8> {
    let mut plain = Vec::with_capacity(64 + 40 * index.files.len());
    put_number(&mut plain, index.sequence);
    put_number(&mut plain, index.next_file_id);
    put_number(&mut plain, index.next_compacted_id);
    put_marks(&mut plain, index.snapshots.iter());
    put_files(&mut plain, index.files.values().map(AsRef::as_ref));
    put_files(&mut plain, index.removed.values().map(|former| former.file.as_ref()));
    let removals = index.removed.values().map(|former| (former.removed_at_ns, former.why));
    put_removals(&mut plain, removals);
    let cuts = index.cuts.iter().map(|(tombstone, stamp)| (*tombstone, *stamp));
    put_cuts(&mut plain, cuts.map(|(tombstone, stamp)| Cut { tombstone, stamp }));
    with_header(BASE_TAG, &lz4_flex::block::compress_prepend_size(&plain))
}

/// The index that [`encode_base`] stored.
///
/// # Errors
/// When any byte differs.
pub fn decode_base(bytes: &[u8]) -> Result<FileIndex, DecodeError> {
    let (version, content) = content_of(BASE_TAG, bytes)?;
    let size = u32::from_le_bytes(Reader(content).array()?) as usize;
    // LZ4 cannot compress better than 255 to 1, so a larger claim is damage, not data.
    if size / 255 > content.len() {
        return Err(DecodeError::Malformed("impossible size"));
    }
    let plain = lz4_flex::block::decompress_size_prepended(content)
        .map_err(|_| DecodeError::Malformed("bad LZ4 block"))?;
    base_content(version, &plain)
}

fn base_content(version: u32, plain: &[u8]) -> Result<FileIndex, DecodeError> {
    let mut reader = Reader(plain);
    let (sequence, next_file_id) = (reader.number()?, reader.number()?);
    let next_compacted_id = if version < 3 { COMPACTED_IDS } else { reader.number()? };
    let next_ids = [next_file_id, next_compacted_id];
    let snapshots = marks(&mut reader, version)?;
    if !snapshots.is_sorted_by(|a, b| a.mark.number < b.mark.number) {
        return Err(DecodeError::Malformed("the snapshots are out of order"));
    }
    let files = files(&mut reader, version)?.into_iter().map(|f| (f.id, Arc::new(f)));
    let files = by_id(files, next_ids)?;
    let former = self::files(&mut reader, version)?;
    let removals = removals(&mut reader, version, former.len())?;
    let cuts = cuts(&mut reader, version)?;
    finish(&reader)?;
    let former = former.into_iter().zip(removals).map(|(file, (removed_at_ns, why))| {
        (file.id, FormerFile { file: Arc::new(file), removed_at_ns, why })
    });
    let removed = by_id(former, next_ids)?;
    if removed.keys().any(|id| files.contains_key(id)) {
        return Err(DecodeError::Malformed("a file is there and removed"));
    }
    let cuts = cuts.into_iter().map(|cut| (cut.tombstone, cut.stamp)).collect();
    let snapshots = snapshots.into();
    Ok(FileIndex { sequence, next_file_id, next_compacted_id, snapshots, files, removed, cuts })
}

/// A map of what must come by rising id, all of them below the next one of their kind.
fn by_id<T>(
    items: impl Iterator<Item = (u64, T)>,
    [next_file_id, next_compacted_id]: [u64; 2],
) -> Result<BTreeMap<u64, T>, DecodeError> {
    let items: Vec<_> = items.collect();
    let rising = items.is_sorted_by(|(a, _), (b, _)| a < b);
    let is_given = |id: u64| match id < COMPACTED_IDS {
        true => id < next_file_id,
        false => id < next_compacted_id,
    };
    if !rising || !items.iter().all(|(id, _)| is_given(*id)) {
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

/// The version, and what follows an intact header. The checksum comes before the version, so that damage is not
/// taken for the work of a newer release.
fn content_of<'a>(tag: &[u8; 8], bytes: &'a [u8]) -> Result<(u32, &'a [u8]), DecodeError> {
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
        OLDEST_VERSION..=VERSION => Ok((version, content)),
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
    put(|f| f.order.lo as u64);
    put(|f| f.order.hi.wrapping_sub(f.order.lo) as u64);
    put(|f| f.keys.series);
    put(|f| f.keys.flags);
    put_texts(out, files.iter().map(|file| &*file.keys.min));
    put_texts(out, files.iter().map(|file| &*file.keys.max));
    put_column(out, files.iter().map(|file| file.compacted.map_or(0, |c| c.generation.into())));
    put_column(out, files.iter().map(|file| file.compacted.map_or(0, |c| c.nonce)));
    put_column(out, files.iter().map(|file| file.deletes_through()));
}

fn files(reader: &mut Reader<'_>, version: u32) -> Result<Vec<ParquetFile>, DecodeError> {
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
    let mut known = order_and_keys(reader, version, wal_files)?.into_iter();
    let mut compacted = compacted(reader, version, count)?.into_iter();
    let small = |n: u64| u32::try_from(n).map_err(|_| DecodeError::Malformed("an id is too large"));
    let file = |i: usize| {
        let (order, keys) = known.next().unwrap_or_default();
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
            order,
            keys,
            compacted: compacted.next().flatten(),
        })
    };
    (0..count).map(file).collect()
}

/// What version 2 has of each file beyond version 1. Files of the time before were ordered by the
/// snapshot that they are of.
fn order_and_keys(
    reader: &mut Reader<'_>,
    version: u32,
    wal_files: &[u64],
) -> Result<Vec<(Stamps, Keys)>, DecodeError> {
    let count = wal_files.len();
    if version == 1 {
        let order = |wal_file: &u64| Stamps::at(i64::try_from(*wal_file).unwrap_or(i64::MAX));
        return Ok(wal_files.iter().map(|file| (order(file), Keys::default())).collect());
    }
    let (los, lengths) = (reader.column(count)?, reader.column(count)?);
    let (series, flags) = (reader.column(count)?, reader.column(count)?);
    let mins = reader.texts(count, KEY_BYTES_MAX)?;
    let maxes = reader.texts(count, KEY_BYTES_MAX)?;
    let keys = mins.into_iter().zip(maxes).zip(series.into_iter().zip(flags));
    let keys = keys.map(|((min, max), (series, flags))| Keys { series, flags, min, max });
    let order = los.into_iter().zip(lengths).map(|(lo, length)| {
        let lo = lo as i64;
        Stamps { lo, hi: lo.wrapping_add(length as i64) }
    });
    Ok(order.zip(keys).collect())
}

/// What version 3 has of each file beyond version 2, and version 4 beyond that: which deletes of rows
/// were applied.
fn compacted(
    reader: &mut Reader<'_>,
    version: u32,
    count: usize,
) -> Result<Vec<Option<Compacted>>, DecodeError> {
    if version < 3 {
        return Ok(vec![None; count]);
    }
    let (generations, nonces) = (reader.column(count)?, reader.column(count)?);
    let deletes = if version < 4 { vec![0; count] } else { reader.column(count)? };
    let compacted = |((generation, nonce), deletes_through)| {
        Ok(match (u8::try_from(generation), nonce, deletes_through) {
            (Ok(0), 0, 0) => None,
            (Ok(generation @ 1..), nonce, deletes_through) => {
                Some(Compacted { generation, nonce, deletes_through })
            }
            _ => return Err(DecodeError::Malformed("an impossible generation")),
        })
    };
    generations.into_iter().zip(nonces).zip(deletes).map(compacted).collect()
}

/// Appends when and why files were removed, without their count.
fn put_removals(out: &mut Vec<u8>, removals: impl Iterator<Item = (i64, Removal)> + Clone) {
    put_column(out, removals.clone().map(|(at, _)| at as u64));
    put_column(out, removals.clone().map(|(_, why)| why.code().0));
    put_column(out, removals.map(|(_, why)| why.code().1));
}

/// Version 1 does not say why.
fn removals(
    reader: &mut Reader<'_>,
    version: u32,
    count: usize,
) -> Result<Vec<(i64, Removal)>, DecodeError> {
    let times = reader.column(count)?.into_iter().map(|at| at as i64);
    if version == 1 {
        return Ok(times.map(|at| (at, Removal::Expired)).collect());
    }
    let (causes, steps) = (reader.column(count)?, reader.column(count)?);
    let why = |code: (u64, u64)| {
        Removal::of_code(code).ok_or(DecodeError::Malformed("removed for an unknown reason"))
    };
    times.zip(causes.into_iter().zip(steps)).map(|(at, code)| Ok((at, why(code)?))).collect()
}

fn put_cuts(out: &mut Vec<u8>, cuts: impl ExactSizeIterator<Item = Cut> + Clone) {
    put_number(out, cuts.len() as u64);
    put_column(out, cuts.clone().map(|cut| cut.tombstone));
    put_column(out, cuts.map(|cut| cut.stamp as u64));
}

fn cuts(reader: &mut Reader<'_>, version: u32) -> Result<Vec<Cut>, DecodeError> {
    if version == 1 {
        return Ok(Vec::new());
    }
    let count = reader.count(2)?;
    let (tombstones, stamps) = (reader.column(count)?, reader.column(count)?);
    let cuts = tombstones.into_iter().zip(stamps);
    Ok(cuts.map(|(tombstone, stamp)| Cut { tombstone, stamp: stamp as i64 }).collect())
}

fn put_marks<'a>(out: &mut Vec<u8>, marks: impl ExactSizeIterator<Item = &'a PlacedMark> + Clone) {
    put_number(out, marks.len() as u64);
    put_column(out, marks.clone().map(|p| p.mark.number));
    put_column(out, marks.clone().map(|p| p.mark.end_time_ns as u64));
    put_column(out, marks.clone().map(|p| p.mark.wal_through));
    put_column(out, marks.clone().map(|p| p.sequence));
    put_column(out, marks.clone().map(|p| p.mark.forced.into()));
    put_column(out, marks.clone().map(|p| p.stamp as u64));
    put_column(out, marks.map(|p| p.mark.durable_stamp as u64));
}

fn marks(reader: &mut Reader<'_>, version: u32) -> Result<Vec<PlacedMark>, DecodeError> {
    let count = reader.count(MARK_COLUMNS)?;
    let (numbers, ends) = (reader.column(count)?, reader.column(count)?);
    let (wals, sequences) = (reader.column(count)?, reader.column(count)?);
    let forced = reader.column(count)?;
    let (stamps, durable_stamps) = match version {
        1 => {
            let durable = |through: &u64| SnapshotMark::durable_stamp_of_version_1(*through) as u64;
            (sequences.clone(), wals.iter().map(durable).collect())
        }
        _ => (reader.column(count)?, reader.column(count)?),
    };
    let mark = |i: usize| {
        let forced = match forced[i] {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Malformed("neither true nor false")),
        };
        let (number, end_time_ns, wal_through) = (numbers[i], ends[i] as i64, wals[i]);
        let durable_stamp = durable_stamps[i] as i64;
        let mark = SnapshotMark { number, end_time_ns, wal_through, forced, durable_stamp };
        Ok(PlacedMark { mark, sequence: sequences[i], stamp: stamps[i] as i64 })
    };
    (0..count).map(mark).collect()
}
