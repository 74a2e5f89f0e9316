//! What the server and the process that runs Python say to each other, over one socket.
//!
//! A frame is the length of its head (u32), the length of its body (u32), both little-endian, the
//! head as JSON, and the body. Bodies are Arrow IPC streams where they are rows, and bytes as they
//! are elsewhere. Frames of one direction keep their order.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Version of what is said here. Both sides have to have the same.
pub const PROTOCOL: u32 = 2;

/// Bytes before a frame's head.
pub const PREFIX_BYTES: usize = 8;

/// Limit: bytes of a head. Heads carry plugins' texts and lines of line protocol.
pub const HEAD_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A head or a body is longer than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of the plugin host is too long")]
pub struct TooLong;

/// What goes before a head and a body of that many bytes.
///
/// # Errors
/// When they are too long.
pub fn prefix(head: usize, body: usize) -> Result<[u8; PREFIX_BYTES], TooLong> {
    if head > HEAD_BYTES_MAX {
        return Err(TooLong);
    }
    let head = u32::try_from(head).map_err(|_| TooLong)?;
    let body = u32::try_from(body).map_err(|_| TooLong)?;
    let [a, b, c, d] = head.to_le_bytes();
    let [e, f, g, h] = body.to_le_bytes();
    Ok([a, b, c, d, e, f, g, h])
}

/// The lengths of the head and the body that follow.
///
/// # Errors
/// When the head is too long to be one.
pub fn lengths(prefix: [u8; PREFIX_BYTES]) -> Result<(usize, usize), TooLong> {
    let [a, b, c, d, e, f, g, h] = prefix;
    let head = u32::from_le_bytes([a, b, c, d]) as usize;
    let body = u32::from_le_bytes([e, f, g, h]) as usize;
    if head > HEAD_BYTES_MAX { Err(TooLong) } else { Ok((head, body)) }
}

/// The bytes of a frame but its body, which follows.
///
/// # Errors
/// When it is too long.
pub fn encode<H: Serialize>(head: &H, body: usize) -> Result<Vec<u8>, TooLong> {
    let mut bytes = vec![0; PREFIX_BYTES];
    serde_json::to_writer(&mut bytes, head).map_err(|_| TooLong)?;
    let prefix = prefix(bytes.len() - PREFIX_BYTES, body)?;
    bytes.splice(..PREFIX_BYTES, prefix);
    Ok(bytes)
}

/// Reads the head of a frame.
///
/// # Errors
/// When it is none; says why.
pub fn decode<H: DeserializeOwned>(head: &[u8]) -> Result<H, String> {
    serde_json::from_slice(head).map_err(|error| error.to_string())
}

/// What the server says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToHost {
    /// The plugin of a trigger, before the first run and whenever it changes.
    Load {
        /// Which trigger.
        trigger: u64,
        /// Its plugin.
        source: Source,
    },
    /// Runs the plugin of a trigger. The body has the event's bytes.
    Run(Run),
    /// Ends a run, if it can be ended.
    Interrupt {
        /// Which run.
        run: u64,
    },
    /// A trigger has ended: what it keeps goes.
    Forget {
        /// Which trigger.
        trigger: u64,
    },
    /// Answers a call. The body has rows, if there are any.
    Reply {
        /// Which call.
        call: u64,
        /// Why it failed.
        error: Option<String>,
    },
}

/// What the host says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromHost {
    /// The first frame.
    Hello {
        /// Version of what is said.
        protocol: u32,
        /// Version of the interpreter.
        python: String,
    },
    /// A plugin asks for something and waits for the reply.
    Call {
        /// Which call.
        call: u64,
        /// The run that asks.
        run: u64,
        /// What it asks for.
        what: Call,
    },
    /// A plugin says something.
    Log {
        /// The run that says it.
        run: u64,
        /// How important it is.
        level: Level,
        /// What.
        text: String,
    },
    /// A run has ended. The body is that of the response, if there is one.
    Done {
        /// Which run.
        run: u64,
        /// How.
        outcome: Outcome,
    },
}

/// The text of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// One file.
    Text(Arc<str>),
    /// A directory with an `__init__.py`.
    Directory {
        /// Where it is.
        path: String,
        /// When it changed last, nanoseconds since 1970.
        changed_ns: i64,
    },
}

/// A run of a plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Which run.
    pub run: u64,
    /// The trigger whose plugin runs.
    pub trigger: u64,
    /// Name of the trigger, for the plugin.
    pub name: Arc<str>,
    /// Name of the trigger's database.
    pub database: Arc<str>,
    /// Name of the node, for the plugin.
    pub node: Arc<str>,
    /// Which run of its trigger it is, from 1 on since the trigger was started; a run that is tried
    /// again is another one.
    pub number: u64,
    /// What happened.
    pub event: Event,
    /// What the plugin is given each time.
    pub arguments: BTreeMap<Arc<str>, Arc<str>>,
    /// Runs of the trigger may overlap.
    pub run_async: bool,
    /// Nothing is written: what would be is told. The text names the cache to use.
    pub test: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// Rows were written. The body has an Arrow IPC stream for each part, one after the other.
    Writes(Vec<Part>),
    /// An instant of the schedule has come.
    Schedule {
        /// Which one, seconds since 1970.
        at_s: i64,
    },
    /// Somebody asks. The body is that of the request.
    Request {
        /// Parameters of the query string.
        query: BTreeMap<String, String>,
        /// Headers by their names in small letters.
        headers: BTreeMap<String, String>,
    },
    /// A snapshot is durable, described in JSON.
    Snapshot(serde_json::Value),
}

/// Rows of one table. Parts of one table follow each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Name of the table.
    pub table: Arc<str>,
    /// Bytes of its stream.
    pub bytes: usize,
}

/// What a plugin asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Call {
    /// The rows of a statement in SQL.
    Query {
        /// Name of the database.
        database: String,
        /// The statement.
        text: String,
        /// Values of its placeholders.
        parameters: BTreeMap<String, String>,
    },
    /// Writes lines at once.
    Write {
        /// Name of the database.
        database: String,
        /// The lines.
        lines: String,
        /// Do not wait until they are durable.
        no_sync: bool,
    },
}

/// How important something is that a plugin says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Odd.
    Warn,
    /// Wrong.
    Error,
}

impl Level {
    /// The name in tables and tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// How a run has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Why it failed.
    pub error: Option<String>,
    /// What is to be written: names of databases, and lines. Nothing after a failure.
    pub writes: Vec<(String, String)>,
    /// What was said, of a test only.
    pub log_lines: Vec<String>,
    /// Lines of `writes`, and those that were written at once.
    pub lines: u64,
    /// What was counted, of failed runs too.
    pub counts: Vec<Count>,
    /// What a request is answered with.
    pub response: Option<Response>,
}

/// Something that a plugin counted. The server adds the values of all runs up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What it is called.
    pub name: String,
    /// The plugin's own labels.
    pub labels: BTreeMap<String, String>,
    /// How many more there are.
    pub value: u64,
}

/// What a request is answered with, but for the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_long_it_is() {
        let bytes = encode(&ToHost::Interrupt { run: 7 }, 3).unwrap();
        let (start, head) = bytes.split_first_chunk::<PREFIX_BYTES>().unwrap();
        assert_eq!(lengths(*start), Ok((head.len(), 3)));
        assert!(matches!(decode(head), Ok(ToHost::Interrupt { run: 7 })));
    }

    #[test]
    fn bytes_that_are_no_frame_are_refused() {
        assert_eq!(lengths([0xff; PREFIX_BYTES]), Err(TooLong));
        assert_eq!(prefix(HEAD_BYTES_MAX + 1, 0), Err(TooLong));
        assert!(decode::<ToHost>(b"{}").is_err());
        assert!(decode::<ToHost>(br#"{"Interrupt":{"run":-1}}"#).is_err());
    }
}
