//! Query strings and JSON bodies into typed parameters, with the texts that clients know.

use super::failure::Failure;
use actix_web::error::QueryPayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use chrono::DateTime;
use protocols::messages::catalog::HardDelete;
use serde::de::DeserializeOwned;

/// The parameters in a query string.
pub(super) fn from_query<T: DeserializeOwned>(req: &HttpRequest) -> Result<T, Failure> {
    decode_query(req.query_string())
        .map_err(|error| Failure::bad_request(format!("serde error: {error}")))
}

/// Like [`from_query`], with the bare reason for those who tell it in words of their own.
pub(super) fn decode_query<T: DeserializeOwned>(query: &str) -> Result<T, String> {
    match web::Query::<T>::from_query(query) {
        Ok(params) => Ok(params.into_inner()),
        Err(QueryPayloadError::Deserialize(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The parameters in a JSON text, which may begin with the byte order mark of a file.
pub(super) fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Failure> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    serde_json::from_slice(text)
        .map_err(|error| Failure::bad_request(format!("serde json error: {error}")))
}

/// Refuses a body that does not call itself JSON.
pub(super) fn expect_json(req: &HttpRequest) -> Result<(), Failure> {
    let content_type = req.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let media_type = media_type.to_ascii_lowercase();
    let is_json = match media_type.strip_prefix("application/") {
        Some(subtype) => subtype == "json" || subtype.ends_with("+json"),
        None => media_type.contains('/') && media_type.ends_with("+json"),
    };
    match is_json {
        true => Ok(()),
        false => Err(Failure::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unacceptable content-type, expected: application/json",
        )),
    }
}

/// When the rows of something deleted go: `default`, `now`, `never` or an instant. One that has
/// passed already means now.
pub(super) fn hard_delete(text: Option<&str>, now_ns: i64) -> Result<HardDelete, Failure> {
    match text {
        None | Some("default") => Ok(HardDelete::Default),
        Some("now") => Ok(HardDelete::Now),
        Some("never") => Ok(HardDelete::Never),
        Some(text) => {
            let instant = DateTime::parse_from_rfc3339(text).map_err(|error| {
                Failure::bad_request(format!("Cannot parse the timestamp: {error}"))
            })?;
            match instant.timestamp_nanos_opt() {
                Some(at_ns) if at_ns > now_ns => Ok(HardDelete::At(at_ns)),
                Some(_) => Ok(HardDelete::Now),
                None if instant.timestamp() < 0 => Ok(HardDelete::Now),
                None => Ok(HardDelete::Never),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn instants_of_deletion() {
        let check = |text, expected| {
            assert_eq!(hard_delete(text, 1_000_000_000_000_000_000).ok(), expected, "{text:?}");
        };
        check(None, Some(HardDelete::Default));
        check(Some("default"), Some(HardDelete::Default));
        check(Some("now"), Some(HardDelete::Now));
        check(Some("never"), Some(HardDelete::Never));
        check(Some("1970-01-01T00:00:00Z"), Some(HardDelete::Now));
        check(Some("0001-01-01T00:00:00Z"), Some(HardDelete::Now));
        check(
            Some("2033-05-18T05:33:20+02:00"),
            Some(HardDelete::At(1_999_999_999_000_000_000 + 1_000_000_000)),
        );
        check(Some("9999-01-01T00:00:00Z"), Some(HardDelete::Never));
        check(Some("tomorrow"), None);
        check(Some(""), None);
    }

    #[test]
    fn json_by_its_content_type() {
        let check = |content_type: &str, expected: bool| {
            let req = TestRequest::default().insert_header((CONTENT_TYPE, content_type));
            assert_eq!(expect_json(&req.to_http_request()).is_ok(), expected, "{content_type}");
        };
        check("application/json", true);
        check("application/json; charset=utf-8", true);
        check("Application/JSON", true);
        check("application/vnd.api+json", true);
        check("text/plain", false);
        check("application/x-www-form-urlencoded", false);
        check("json", false);
        assert!(expect_json(&TestRequest::default().to_http_request()).is_err());
    }
}
