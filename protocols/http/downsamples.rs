//! Bodies and parameters of the endpoints of downsamples.

use super::row_deletes::WrittenInstant;
use serde::Deserialize;

/// Body that creates a downsample.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateDownsampleBody {
    /// Name of the database.
    pub db: String,
    /// The table that is read.
    pub table: String,
    /// The table that is written to.
    pub to: String,
    /// The database that is written to, if it is another one.
    pub to_db: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// How long an interval is.
    pub interval: String,
    /// How long after its end an interval is computed.
    pub offset: Option<String>,
    /// What is computed of each field.
    pub aggregates: Vec<String>,
    /// Rows that are there already are taken from this instant on: nanoseconds since 1970, or as
    /// RFC 3339 has it.
    pub from: Option<WrittenInstant>,
    /// All rows that are there already are taken.
    #[serde(default)]
    pub backfill: bool,
    /// Nothing is computed yet.
    #[serde(default)]
    pub disabled: bool,
}

/// Body or query string that names a downsample.
#[derive(Debug, Deserialize)]
pub struct DownsampleParams {
    /// Name of the database.
    pub db: String,
    /// Name of the downsample.
    pub name: String,
}
