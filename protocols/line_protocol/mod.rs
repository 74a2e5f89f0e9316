//! Line protocol: request bytes straight into per-table columns.
//!
//! The grammar, the error texts and the schema rules are those of InfluxDB 3 (line protocol
//! reference: <https://docs.influxdata.com/influxdb3/core/reference/line-protocol/>).

mod builder;
mod check;
mod escape;
mod fault;
mod lexer;
mod prefix;
mod reader;
mod series;
mod split;
mod time;
mod value;

#[cfg(test)]
mod against_reference;
#[cfg(test)]
mod tests;

pub use escape::{escaped_key, escaped_table, quoted};
pub use split::find_line;

use crate::columns::TableRows;
use crate::schema::DatabaseSchema;

/// Unit of the timestamps in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Decided for each line from the magnitude of its timestamp.
    #[default]
    Auto,
    /// Seconds.
    Second,
    /// Hours.
    Hour,
    /// Minutes.
    Minute,
    /// Milliseconds.
    Millisecond,
    /// Microseconds.
    Microsecond,
    /// Nanoseconds.
    Nanosecond,
}

/// Limits on what a request may add to the schema; `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaLimits {
    /// Tables over all databases.
    pub tables: Option<usize>,
    /// Tags and fields of a table.
    pub columns_per_table: Option<usize>,
    /// Tags of a table.
    pub tag_columns_per_table: Option<usize>,
}

/// How a request is to be read.
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions {
    /// Unit of the timestamps.
    pub precision: Precision,
    /// When the request arrived, in nanoseconds since 1970: the time of rows that carry none,
    /// truncated to the precision.
    pub received_at_ns: i64,
    /// False stops at the first bad line, whose error is then the only one reported.
    pub accept_partial: bool,
    /// Limits on new tables and columns.
    pub limits: SchemaLimits,
    /// How many live tables exist over all databases, for `limits.tables`.
    pub live_tables: usize,
    /// Refuse tags that an existing table does not have yet.
    pub immutable_tags: bool,
    /// Rows of existing tables older than this instant (nanoseconds since 1970) are refused.
    pub oldest_ns: Option<i64>,
}

/// A refused line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Number of the line, from 1, counting neither blank lines nor comments.
    pub line_number: usize,
    /// The line as sent, without what goes beyond [`REFUSED_LINE_BYTES_MAX`].
    ///
    /// [`REFUSED_LINE_BYTES_MAX`]: crate::limits::REFUSED_LINE_BYTES_MAX
    pub original_line: String,
    /// What is wrong with it.
    pub message: String,
    /// True when a configured limit refused it: the answer is then 422 rather than 400.
    pub is_limit: bool,
}

/// What a request holds.
#[derive(Clone, Debug, Default)]
pub struct ParsedWrite {
    /// The rows by table, tables in order of first appearance. A table or column that only a
    /// refused line named is not here.
    pub tables: Vec<TableRows>,
    /// The refused lines in order, at most [`REFUSED_LINES_TOLD_MAX`]. With `accept_partial` false
    /// at most one, and `tables` is then empty.
    ///
    /// [`REFUSED_LINES_TOLD_MAX`]: crate::limits::REFUSED_LINES_TOLD_MAX
    pub errors: Vec<LineError>,
    /// Number of refused lines, those included that `errors` has no room for.
    pub refused_lines: usize,
    /// Number of accepted lines.
    pub accepted_lines: usize,
    /// Bytes of the accepted lines.
    pub accepted_bytes: usize,
}

/// The body is not UTF-8; the text says where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("body content is not valid utf8: {0}")]
pub struct NotUtf8(pub String);

/// Reads a request body against what the catalog knows of its database (`None`: a database that
/// does not exist yet).
///
/// # Errors
/// Only when the body is not UTF-8. Bad lines are reported in [`ParsedWrite::errors`].
pub fn parse(
    body: &[u8],
    database: Option<&DatabaseSchema>,
    options: &ParseOptions,
) -> Result<ParsedWrite, NotUtf8> {
    match simdutf8::basic::from_utf8(body) {
        Ok(body) => Ok(reader::Reader::new(body, database, options).read()),
        // The fast check only says no; the slow one says where.
        Err(_) => match std::str::from_utf8(body) {
            Ok(body) => Ok(reader::Reader::new(body, database, options).read()),
            Err(error) if is_utf16(body) => {
                Err(NotUtf8(format!("{error}; it seems to be UTF-16: send it as UTF-8")))
            }
            Err(error) => Err(NotUtf8(error.to_string())),
        },
    }
}

/// Whether the body begins with the byte order mark that some editors and shells write.
fn is_utf16(body: &[u8]) -> bool {
    body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff])
}
