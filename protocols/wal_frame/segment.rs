//! A WAL file: header, then frames. Reading one tells a torn end from damage.
//!
//! A group of requests is written and synced as one frame. A crash can leave the last frame that
//! its writer wrote in any state: that group was never acknowledged. Everything before it was
//! synced, so that a bad byte there is damage and is reported. Two facts tell the difference: each
//! frame carries how many bytes of the file were synced when it was written, and the header of the
//! next file says how many bytes of this one count. What lies beyond these does not: its writer has
//! given it up, or was replaced before it came, and whoever made the next file has copied into it
//! what is to stay.

use super::FrameError;
use super::wire::Reader;
use bytes::Bytes;

/// Marks the file, and ends in its version. The header is the same in every version. Frames of
/// version 1 have no stamp, and files of version 2 no cuts.
const TAG: &[u8; 8] = b"ix3.wal3";
/// The oldest version that is read.
const OLDEST_VERSION: u8 = b'1';
/// Bytes of a file's header.
pub const HEADER_BYTES: usize = 8 + 16 + 8 + 8 + 4;
const FRAME_MAGIC: &[u8; 4] = b"GRUP";
const FRAME_HEADER_BYTES: usize = 4 + 4 + 8 + 8 + 8 + 4 + 4 + 4;
/// Bytes of a stamp.
const STAMP_BYTES: usize = 8;

/// Who wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Random at each start of a process: tells our own file from a rival's.
    pub writer: u128,
    /// Number of the file.
    pub sequence: u64,
    /// How many bytes of the file before this one count; 0 when that is not known.
    pub previous_bytes: u64,
}

/// How many bytes of a file count, by the header of the file after it, if that says so. Both must
/// lie where they were made, or one says nothing of the other.
pub fn counted_bytes(this: &Header, next: &Header) -> Option<u64> {
    let follows = this.sequence.checked_add(1) == Some(next.sequence);
    (follows && next.previous_bytes > 0).then_some(next.previous_bytes)
}

/// The bytes of a header.
pub fn encode_header(header: Header) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(TAG);
    out.extend_from_slice(&header.writer.to_le_bytes());
    out.extend_from_slice(&header.sequence.to_le_bytes());
    out.extend_from_slice(&header.previous_bytes.to_le_bytes());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The header of a file.
///
/// # Errors
/// When the file is too small, not a WAL file, or its header is damaged.
pub fn decode_header(file: &[u8]) -> Result<Header, FrameError> {
    let Some(bytes) = file.get(..HEADER_BYTES) else {
        return Err(FrameError::TooSmall { expected: HEADER_BYTES, got: file.len() });
    };
    let mut reader = Reader(bytes);
    let tag = reader.take(TAG.len())?;
    let version = tag[TAG.len() - 1];
    if tag[..TAG.len() - 1] != TAG[..TAG.len() - 1] {
        return Err(FrameError::UnknownFormat);
    }
    let (low, high) = (reader.u64()?, reader.u64()?);
    let header = Header {
        writer: u128::from(high) << 64 | u128::from(low),
        sequence: reader.u64()?,
        previous_bytes: reader.u64()?,
    };
    let covered = &bytes[..HEADER_BYTES - 4];
    if reader.u32()? != crc32fast::hash(covered) {
        return Err(FrameError::Checksum);
    }
    // Only now, so that damage is not taken for the work of a newer release.
    if !(OLDEST_VERSION..=TAG[TAG.len() - 1]).contains(&version) {
        return Err(FrameError::NewerVersion(char::from(version)));
    }
    Ok(header)
}

/// The version of a file whose header can be read.
fn version_of(file: &[u8]) -> u8 {
    file.get(TAG.len() - 1).copied().unwrap_or_default()
}

/// Appends the frame of one group. `synced_bytes` is the synced length of the file before it.
///
/// # Errors
/// [`FrameError::TooLarge`] when the group has more bytes than the format can say. Nothing was
/// appended then.
pub fn encode_frame(
    out: &mut Vec<u8>,
    (sequence, stamp): (u64, i64),
    synced_bytes: u64,
    entries: &[Bytes],
) -> Result<(), FrameError> {
    let payload_bytes: usize = entries.iter().map(|e| 4 + e.len()).sum();
    if u32::try_from(payload_bytes).is_err() {
        return Err(FrameError::TooLarge(payload_bytes));
    }
    out.reserve(FRAME_HEADER_BYTES + payload_bytes);
    let start = out.len();
    out.extend_from_slice(FRAME_MAGIC);
    out.extend_from_slice(&(payload_bytes as u32).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&stamp.to_le_bytes());
    out.extend_from_slice(&synced_bytes.to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    let mut payload_crc = crc32fast::Hasher::new();
    for entry in entries {
        payload_crc.update(&(entry.len() as u32).to_le_bytes());
        payload_crc.update(entry);
    }
    out.extend_from_slice(&payload_crc.finalize().to_le_bytes());
    let header_crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&header_crc.to_le_bytes());
    for entry in entries {
        out.extend_from_slice(&(entry.len() as u32).to_le_bytes());
        out.extend_from_slice(entry);
    }
    Ok(())
}

/// One group of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Number of the group, over all files.
    pub sequence: u64,
    /// Its place in the order of writes: see [`Stamps`](crate::snapshot::Stamps). A group of
    /// version 1 has its number as stamp, which is far below all that a clock can say.
    pub stamp: i64,
    /// One entry a request, for [`super::entry::decode`].
    pub entries: Vec<Bytes>,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Who wrote it.
    pub header: Header,
    /// The intact groups in order.
    pub frames: Vec<Frame>,
    /// Byte ranges that were durable once and are damaged now.
    pub damaged: Vec<std::ops::Range<usize>>,
    /// Where an unfinished last group begins, if there is one.
    pub torn_at: Option<usize>,
    /// Where the last of `frames` begins, if there is one.
    pub last_frame_at: Option<usize>,
}

/// Reads a file. `counted` says how many of its bytes count, if that is known (see
/// [`counted_bytes`]): they were durable once, and there are no others.
///
/// # Errors
/// When the header cannot be read. Damage behind it is reported in the result.
pub fn read(file: &Bytes, counted: Option<u64>) -> Result<Segment, FrameError> {
    let mut segment = Segment {
        header: decode_header(file)?,
        frames: Vec::new(),
        damaged: Vec::new(),
        torn_at: None,
        last_frame_at: None,
    };
    let version = version_of(file);
    let whole = file;
    let limit = counted.map_or(whole.len(), |n| usize::try_from(n).unwrap_or(usize::MAX));
    let file = &whole.slice(..limit.clamp(HEADER_BYTES, whole.len()));
    let mut at = HEADER_BYTES;
    while at < file.len() {
        if let Some((frame, _, end)) = frame_at(file, at, version) {
            segment.frames.push(frame);
            segment.last_frame_at = Some(at);
            at = end;
            continue;
        }
        let next = next_frame(file, at + 1, version);
        let was_durable = counted.is_some()
            || next.is_some_and(|n| {
                frame_at(file, n, version).is_some_and(|(_, synced, _)| synced > at as u64)
            });
        if !was_durable {
            segment.torn_at = Some(at);
            break;
        }
        let end = next.unwrap_or(file.len());
        segment.damaged.push(at..end);
        at = end;
    }
    if limit > whole.len() {
        segment.damaged.push(whole.len()..whole.len());
    }
    Ok(segment)
}

/// The intact frame that begins at `at`, its synced length, and where it ends.
fn frame_at(file: &Bytes, at: usize, version: u8) -> Option<(Frame, u64, usize)> {
    let has_stamp = version != OLDEST_VERSION;
    let header_bytes = FRAME_HEADER_BYTES - if has_stamp { 0 } else { STAMP_BYTES };
    let header = file.get(at..at + header_bytes)?;
    let mut reader = Reader(header);
    if reader.take(4).ok()? != FRAME_MAGIC {
        return None;
    }
    let payload_bytes = reader.u32().ok()? as usize;
    let sequence = reader.u64().ok()?;
    let stamp = if has_stamp { reader.u64().ok()? } else { sequence } as i64;
    let synced_bytes = reader.u64().ok()?;
    let count = reader.u32().ok()?;
    let payload_crc = reader.u32().ok()?;
    if reader.u32().ok()? != crc32fast::hash(&header[..header_bytes - 4]) {
        return None;
    }
    let from = at + header_bytes;
    let end = from.checked_add(payload_bytes)?;
    let payload = file.get(from..end)?;
    if crc32fast::hash(payload) != payload_crc {
        return None;
    }
    let mut entries = Vec::with_capacity(count as usize);
    let mut left = Reader(payload);
    for _ in 0..count {
        let size = left.u32().ok()? as usize;
        entries.push(file.slice_ref(left.take(size).ok()?));
    }
    Some((Frame { sequence, stamp, entries }, synced_bytes, end))
}

/// Where the next intact frame begins, searching from `from`.
fn next_frame(file: &Bytes, from: usize, version: u8) -> Option<usize> {
    memchr::memmem::find_iter(file.get(from..)?, FRAME_MAGIC)
        .map(|i| from + i)
        .find(|at| frame_at(file, *at, version).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(groups: &[&[&str]]) -> Vec<u8> {
        let header = Header { writer: 42, sequence: 3, previous_bytes: 0 };
        let mut out = encode_header(header);
        for (i, group) in groups.iter().enumerate() {
            let entries: Vec<_> = group.iter().map(|e| Bytes::from(e.to_string())).collect();
            let synced = out.len() as u64;
            let number = i as u64 + 1;
            encode_frame(&mut out, (number, 7 * number as i64), synced, &entries).unwrap();
        }
        out
    }

    #[test]
    fn a_group_that_could_not_be_read_back_is_not_written() {
        let entry = Bytes::from(vec![0; 1 << 20]);
        let mut out = Vec::new();
        let refused = encode_frame(&mut out, (1, 1), 0, &vec![entry; 4096]);
        assert_eq!(refused, Err(FrameError::TooLarge(4096 * ((1 << 20) + 4))));
        assert!(out.is_empty());
    }

    fn check(bytes: &[u8], counted: Option<u64>) -> (Vec<u64>, usize, bool) {
        let segment = read(&Bytes::copy_from_slice(bytes), counted).unwrap();
        let sequences = segment.frames.iter().map(|f| f.sequence).collect();
        (sequences, segment.damaged.len(), segment.torn_at.is_some())
    }

    #[test]
    fn groups_come_back_in_order() {
        let bytes = file(&[&["a", "bc"], &[], &["d"]]);
        let segment = read(&Bytes::from(bytes), None).unwrap();
        let entries: Vec<Vec<_>> = segment.frames.into_iter().map(|f| f.entries).collect();
        assert_eq!(entries, [vec!["a", "bc"], vec![], vec!["d"]]);
        assert_eq!(segment.header.writer, 42);
    }

    #[test]
    fn every_truncation_of_the_last_group_is_a_torn_end() {
        let whole = file(&[&["a"], &["bcdef"]]);
        let last = file(&[&["a"]]).len();
        for cut in last + 1..whole.len() {
            assert_eq!(check(&whole[..cut], None), (vec![1], 0, true), "cut at {cut}");
            assert_eq!(check(&whole[..cut], Some(last as u64)), (vec![1], 0, false));
        }
        assert_eq!(check(&whole[..last], None), (vec![1], 0, false));
    }

    #[test]
    fn every_flipped_byte_before_the_last_group_is_damage() {
        let whole = file(&[&["a"], &["bcdef"], &["g"]]);
        let (from, to) = (file(&[&["a"]]).len(), file(&[&["a"], &["bcdef"]]).len());
        for i in from..to {
            let mut bytes = whole.clone();
            bytes[i] ^= 1;
            assert_eq!(check(&bytes, None), (vec![1, 3], 1, false), "flip at {i}");
        }
    }

    #[test]
    fn what_the_next_file_vouches_for_is_damage_when_it_is_missing_or_bad() {
        let whole = file(&[&["a"], &["bcdef"]]);
        let n = whole.len() as u64;
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(check(&flipped, None), (vec![1], 0, true));
        assert_eq!(check(&flipped, Some(n)), (vec![1], 1, false));
        let shorter = file(&[&["a"]]);
        assert_eq!(check(&shorter, Some(n)), (vec![1], 1, false));
    }

    #[test]
    fn what_the_next_file_does_not_count_is_not_there() {
        let groups: &[&[&str]] = &[&["a"], &["bcdef"], &["g"]];
        let whole = file(groups);
        for frames in 0..=groups.len() {
            let counted = file(&groups[..frames]).len();
            let sequences: Vec<u64> = (1..=frames as u64).collect();
            let expected = (sequences, 0, false);
            assert_eq!(check(&whole, Some(counted as u64)), expected);
            // Its own bytes do not matter either.
            let mut bytes = whole.clone();
            bytes[counted..].fill(0xff);
            assert_eq!(check(&bytes, Some(counted as u64)), expected);
        }
        let segment = read(&Bytes::from(whole), None).unwrap();
        assert_eq!(segment.last_frame_at, Some(file(&groups[..2]).len()));
    }

    #[test]
    fn only_the_file_after_it_says_how_much_of_a_file_counts() {
        let header = |writer, sequence, previous_bytes| Header { writer, sequence, previous_bytes };
        let this = header(1, 3, 77);
        assert_eq!(counted_bytes(&this, &header(1, 4, 99)), Some(99));
        assert_eq!(counted_bytes(&this, &header(2, 4, 99)), Some(99));
        assert_eq!(counted_bytes(&this, &header(2, 4, 0)), None);
        assert_eq!(counted_bytes(&this, &header(1, 5, 99)), None);
    }

    #[test]
    fn headers_are_checked() {
        let whole = file(&[]);
        for cut in 0..whole.len() {
            let error = decode_header(&whole[..cut]).unwrap_err();
            assert_eq!(error, FrameError::TooSmall { expected: HEADER_BYTES, got: cut });
        }
        let mut bytes = whole.clone();
        bytes[0] = b'X';
        assert_eq!(decode_header(&bytes), Err(FrameError::UnknownFormat));
        bytes = whole;
        bytes[20] ^= 1;
        assert_eq!(decode_header(&bytes), Err(FrameError::Checksum));
    }
}
