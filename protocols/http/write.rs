//! Query strings of the three write endpoints.

use crate::line_protocol::Precision;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Spellings of a precision on `/write`, as error texts list them.
const PRECISIONS_V1: &[&str] = &[
    "s",
    "second",
    "millisecond",
    "ms",
    "microsecond",
    "u",
    "us",
    "n",
    "nanosecond",
    "ns",
    "h",
    "m",
    "\u{b5}",
];
/// Spellings of a precision on `/api/v2/write`, as error texts list them.
const PRECISIONS_V2: &[&str] =
    &["s", "second", "millisecond", "ms", "microsecond", "u", "us", "n", "nanosecond", "ns"];
/// Spellings of a precision on `/api/v3/write_lp`, as error texts list them.
const PRECISIONS_V3: &[&str] = &[
    "auto",
    "s",
    "second",
    "millisecond",
    "ms",
    "microsecond",
    "u",
    "us",
    "n",
    "nanosecond",
    "ns",
];

/// Parameters of `/api/v3/write_lp`.
#[derive(Debug, Deserialize)]
pub struct WriteV3Params {
    /// Name of the database.
    pub db: String,
    /// Unit of the timestamps.
    #[serde(default, deserialize_with = "precision_v3")]
    pub precision: Precision,
    /// Keep the good lines when some are bad.
    #[serde(default = "yes")]
    pub accept_partial: bool,
    /// Answer before the rows are durable.
    #[serde(default)]
    pub no_sync: bool,
}

/// Parameters of `/write`.
#[derive(Debug, Deserialize)]
pub struct WriteV1Params {
    /// Name of the database.
    pub db: String,
    /// Retention policy: becomes part of the database's name.
    pub rp: Option<String>,
    /// Unit of the timestamps.
    #[serde(default = "nanosecond", deserialize_with = "precision_v1")]
    pub precision: Precision,
    /// Keep the good lines when some are bad.
    #[serde(default = "yes")]
    pub accept_partial: bool,
}

/// Parameters of `/api/v2/write`.
#[derive(Debug, Deserialize)]
pub struct WriteV2Params {
    /// Name of the database.
    pub bucket: String,
    /// Unit of the timestamps.
    #[serde(default = "nanosecond", deserialize_with = "precision_v2")]
    pub precision: Precision,
    /// Keep the good lines when some are bad.
    #[serde(default = "yes")]
    pub accept_partial: bool,
}

fn yes() -> bool {
    true
}

fn nanosecond() -> Precision {
    Precision::Nanosecond
}

fn precision_v1<'de, D: Deserializer<'de>>(from: D) -> Result<Precision, D::Error> {
    let text = String::deserialize(from)?;
    Precision::parse_v1(&text).ok_or_else(|| D::Error::unknown_variant(&text, PRECISIONS_V1))
}

fn precision_v2<'de, D: Deserializer<'de>>(from: D) -> Result<Precision, D::Error> {
    let text = String::deserialize(from)?;
    Precision::parse_v2(&text).ok_or_else(|| D::Error::unknown_variant(&text, PRECISIONS_V2))
}

fn precision_v3<'de, D: Deserializer<'de>>(from: D) -> Result<Precision, D::Error> {
    let text = String::deserialize(from)?;
    Precision::parse_v3(&text).ok_or_else(|| D::Error::unknown_variant(&text, PRECISIONS_V3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_spelling_is_understood() {
        assert!(PRECISIONS_V1.iter().all(|p| Precision::parse_v1(p).is_some()));
        assert!(PRECISIONS_V2.iter().all(|p| Precision::parse_v2(p).is_some()));
        assert!(PRECISIONS_V3.iter().all(|p| Precision::parse_v3(p).is_some()));
    }
}
