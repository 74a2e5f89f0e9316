//! Tables, keys and lines as the driver of a run sees them.

/// A table by the number of its database and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableKey {
    /// Number of the database.
    pub db: u8,
    /// Number of the table.
    pub table: u8,
}

/// The key of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    /// Value of the tag that every row has.
    pub host: u8,
    /// Value of the tag that some rows have.
    pub rack: Option<u8>,
}

/// A line of a write.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it goes.
    pub table: TableKey,
    /// Its row.
    pub key: RowKey,
    /// The fields that it has.
    pub fields: Vec<&'static str>,
    /// The line as it is sent.
    pub text: String,
    /// It may be refused although nothing is wrong with it by itself.
    pub disputed: bool,
    /// It was refused, or has to be.
    pub refused: bool,
}
