//! The files of the catalog: log records and checkpoints.
//!
//! A file is one header line and one line of JSON, so `cat` shows it and `jq` reads it:
//!
//! ```text
//! influxdb3-catalog v1 log uuid=<catalog> sequence=7 bytes=184 crc32=5d0f2c11
//! {"nonce":"…","time_ns":…,"changes":[{"create_database":{…}}]}
//! ```
//!
//! The checksum covers the header before its own field, and the whole of the second line.

pub mod v1;

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use v1::{Checkpoint, LogRecord};

const TAG: &str = "influxdb3-catalog";
const VERSION: &str = "v1";
/// Longest header line: everything in it has a bounded length.
const HEADER_BYTES_MAX: usize = 256;

/// Which catalog a file belongs to, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Identity of the catalog.
    pub uuid: Uuid,
    /// Number of the log record, or of the last one that a checkpoint includes.
    pub sequence: u64,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The header line is missing or not ours.
    #[error("the file does not begin with the header of a catalog file")]
    NoHeader,
    /// Written by another release.
    #[error("format version {0} is not known to this release")]
    UnknownVersion(String),
    /// A checkpoint where a log record belongs, or the reverse.
    #[error("expected a {expected}, found a {found}")]
    OtherKind {
        /// What the caller asked for.
        expected: &'static str,
        /// What the header says.
        found: String,
    },
    /// The file was cut off, or something was appended.
    #[error("expected {expected} bytes after the header, found {found}")]
    Length {
        /// What the header says.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// The bytes are not those that were written.
    #[error("the checksum does not match")]
    Checksum,
    /// The checksum is right but the content makes no sense to this release.
    #[error("the content cannot be read: {0}")]
    Content(String),
}

/// What is done with the checksum of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// A file whose checksum is wrong is not read.
    Checked,
    /// It is read as far as it makes sense, for a person who looks what is left of it.
    Ignored,
}

/// The bytes of a log record.
pub fn encode_log(header: Header, record: &LogRecord) -> Vec<u8> {
    encode("log", header, record)
}

/// Reads what [`encode_log`] made.
///
/// # Errors
/// When any byte differs.
pub fn decode_log(bytes: &[u8]) -> Result<(Header, LogRecord), DecodeError> {
    decode_log_with(bytes, Checksums::Checked)
}

/// The same for a file that may be damaged.
///
/// # Errors
/// As [`decode_log`], but for what `checksums` passes over.
pub fn decode_log_with(
    bytes: &[u8],
    checksums: Checksums,
) -> Result<(Header, LogRecord), DecodeError> {
    decode("log", bytes, checksums)
}

/// The bytes of a checkpoint.
pub fn encode_checkpoint(header: Header, checkpoint: &Checkpoint) -> Vec<u8> {
    encode("checkpoint", header, checkpoint)
}

/// Reads what [`encode_checkpoint`] made.
///
/// # Errors
/// When any byte differs.
pub fn decode_checkpoint(bytes: &[u8]) -> Result<(Header, Checkpoint), DecodeError> {
    decode_checkpoint_with(bytes, Checksums::Checked)
}

/// The same for a file that may be damaged.
///
/// # Errors
/// As [`decode_checkpoint`], but for what `checksums` passes over.
pub fn decode_checkpoint_with(
    bytes: &[u8],
    checksums: Checksums,
) -> Result<(Header, Checkpoint), DecodeError> {
    decode("checkpoint", bytes, checksums)
}

fn encode<T: Serialize>(kind: &'static str, header: Header, content: &T) -> Vec<u8> {
    let mut body = serde_json::to_vec(content)
        .expect("structs of numbers, texts and lists always have a JSON form");
    body.push(b'\n');
    let Header { uuid, sequence } = header;
    let checked =
        format!("{TAG} {VERSION} {kind} uuid={uuid} sequence={sequence} bytes={}", body.len());
    let crc = checksum(&checked, &body);
    let mut bytes = format!("{checked} crc32={crc:08x}\n").into_bytes();
    bytes.append(&mut body);
    bytes
}

fn decode<T: DeserializeOwned>(
    kind: &'static str,
    bytes: &[u8],
    checksums: Checksums,
) -> Result<(Header, T), DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let (line, body) = split_header(bytes).ok_or(DecodeError::NoHeader)?;
    let mut words = line.split(' ');
    if words.next() != Some(TAG) {
        return Err(DecodeError::NoHeader);
    }
    let version = words.next().ok_or(DecodeError::NoHeader)?;
    if version != VERSION {
        return Err(DecodeError::UnknownVersion(version.to_owned()));
    }
    let found = words.next().ok_or(DecodeError::NoHeader)?;
    if found != kind {
        return Err(DecodeError::OtherKind { expected: kind, found: found.to_owned() });
    }
    let fields = Fields::read(words).ok_or(DecodeError::NoHeader)?;
    if fields.body_bytes != body.len() {
        return Err(DecodeError::Length { expected: fields.body_bytes, found: body.len() });
    }
    let (checked, _) = line.rsplit_once(' ').ok_or(DecodeError::NoHeader)?;
    if checksums == Checksums::Checked && checksum(checked, body) != fields.crc {
        return Err(DecodeError::Checksum);
    }
    let content = serde_json::from_slice(body).map_err(|e| DecodeError::Content(e.to_string()))?;
    Ok((fields.header, content))
}

/// The header line without its end, and what follows it.
fn split_header(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr(b'\n', bytes.get(..bytes.len().min(HEADER_BYTES_MAX))?)?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((std::str::from_utf8(line).ok()?, rest.get(1..)?))
}

/// The named fields of a header line.
struct Fields {
    header: Header,
    body_bytes: usize,
    crc: u32,
}

impl Fields {
    fn read<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let uuid = field("uuid")?.parse().ok()?;
        let sequence = field("sequence")?.parse().ok()?;
        let body_bytes = field("bytes")?.parse().ok()?;
        let crc = u32::from_str_radix(field("crc32")?, 16).ok()?;
        words.next().is_none().then_some(Self {
            header: Header { uuid, sequence },
            body_bytes,
            crc,
        })
    }
}

fn checksum(checked_header: &str, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(checked_header.as_bytes());
    hasher.update(body);
    hasher.finalize()
}
