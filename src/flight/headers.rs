//! What calls say in their headers.

use super::Peer;
use super::status::invalid;
use http::HeaderValue;
use protocols::messages::query::Language;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use tonic::metadata::MetadataMap;

const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
const ENCODING: &str = "grpc-encoding";

/// Leaves the answer uncompressed where compression only costs time: most libraries offer it
/// whether they want it or not, so on one machine it takes a client that compresses too.
pub(super) fn choose_compression<B>(request: &mut http::Request<B>) {
    let peer = request.extensions().get::<Peer>().and_then(|peer| peer.address);
    let is_local = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let compresses = |value: &HeaderValue| value != "identity";
    if is_local && !request.headers().get(ENCODING).is_some_and(compresses) {
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
}

/// When the client no longer wants the answer, if it says so.
pub(super) fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    let timeout = metadata.get("grpc-timeout")?.to_str().ok().and_then(timeout)?;
    Instant::now().checked_add(timeout)
}

/// Up to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| is_number)?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Names of the header that says which database a Flight SQL call is about.
const DATABASE: [&str; 4] = ["database", "bucket", "bucket-name", "iox-namespace-name"];

/// The database of a Flight SQL call.
///
/// # Errors
/// When the headers name none, or more than one.
pub(super) fn database(metadata: &MetadataMap) -> Result<String, Status> {
    let named: Vec<(&str, &str)> = DATABASE
        .into_iter()
        .filter_map(|name| Some((name, metadata.get(name)?.to_str().ok()?)))
        .collect();
    match named.as_slice() {
        [] => Err(invalid("no 'database' header in request")),
        [(_, first), others @ ..] if others.iter().all(|(_, db)| db == first) => {
            Ok((*first).to_owned())
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
            Err(invalid(format!(
                "More than one headers are found in request: {names:?}. Please include only one \
                 of them"
            )))
        }
    }
}

/// The word for tables that are no views: some tools know only `TABLE`.
///
/// # Errors
/// When the client wants a word that is not known.
pub(super) fn table_word(metadata: &MetadataMap) -> Result<&'static str, Status> {
    match metadata.get("x-influxdata-base-table-type").map(|value| value.to_str()) {
        None | Some(Ok("BASE TABLE")) => Ok("BASE TABLE"),
        Some(Ok("TABLE")) => Ok("TABLE"),
        Some(_) => Err(invalid("x-influxdata-base-table-type must be 'BASE TABLE' or 'TABLE'")),
    }
}

/// What statements are written in that do not say so themselves.
pub(super) fn language(metadata: &MetadataMap) -> Language {
    let language = metadata.get("x-influxdata-query-language").and_then(|l| l.to_str().ok());
    match language.is_some_and(|l| l.eq_ignore_ascii_case("influxql")) {
        true => Language::InfluxQl,
        false => Language::Sql,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        let check = |text: &str, expected: Option<Duration>| {
            assert_eq!(timeout(text), expected, "{text:?}");
        };
        check("1H", Some(Duration::from_secs(3600)));
        check("99999999H", Some(Duration::from_secs(99_999_999 * 3600)));
        check("300S", Some(Duration::from_secs(300)));
        check("250m", Some(Duration::from_millis(250)));
        check("7u", Some(Duration::from_micros(7)));
        check("7n", Some(Duration::from_nanos(7)));
        for text in ["", "S", "1", "+1S", "123456789S", "1s", "1é"] {
            check(text, None);
        }
    }

    fn metadata(headers: &[(&'static str, &'static str)]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for (name, value) in headers {
            metadata.insert(*name, value.parse().unwrap());
        }
        metadata
    }

    #[test]
    fn the_database() {
        let check = |headers: &[(&'static str, &'static str)], expected: Result<&str, &str>| {
            let found = database(&metadata(headers)).map_err(|s| s.message().to_owned());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
        };
        check(&[], Err("no 'database' header in request"));
        check(&[("bucket", "b")], Ok("b"));
        check(&[("bucket-name", "b"), ("iox-namespace-name", "b")], Ok("b"));
        check(
            &[("database", "a"), ("bucket", "b")],
            Err("More than one headers are found in request: [\"database\", \"bucket\"]. Please \
                 include only one of them"),
        );
    }

    #[test]
    fn the_word_for_tables() {
        let word = |value| table_word(&metadata(&[("x-influxdata-base-table-type", value)])).ok();
        assert_eq!(table_word(&MetadataMap::new()).ok(), Some("BASE TABLE"));
        assert_eq!((word("TABLE"), word("VIEW")), (Some("TABLE"), None));
    }
}
