//! What a client wants to be answered in, by its `Accept` header.

use super::failure::Failure;
use actix_web::http::header::{ACCEPT, HeaderMap};
use protocols::http::query::ResultFormat;

/// The media types of the list in its order, in lower case and without parameters: the weights of
/// all clients we know of follow the order anyway.
fn media_types(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let lists = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(|entry| entry.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
}

/// The first format in the list that is known.
///
/// # Errors
/// When none is.
pub(super) fn format(headers: &HeaderMap) -> Result<ResultFormat, Failure> {
    let mut unknown = None;
    for name in media_types(headers) {
        match name.as_str() {
            "*/*" | "application/*" | "application/json" | "text/html" => {
                return Ok(ResultFormat::Json);
            }
            "text/csv" | "application/csv" | "text/*" => return Ok(ResultFormat::Csv),
            "text/plain" => return Ok(ResultFormat::Pretty),
            "application/vnd.apache.parquet" => return Ok(ResultFormat::Parquet),
            "application/jsonl" | "application/x-ndjson" => return Ok(ResultFormat::JsonLines),
            _ => unknown = unknown.or(Some(name)),
        }
    }
    match unknown {
        None => Ok(ResultFormat::Json),
        Some(name) => Err(Failure::bad_request(format!("invalid mime type ({name})"))),
    }
}

/// Whether JSON is asked for rather than text.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    let known = |name: String| match name.as_str() {
        "application/json" | "application/*" => Some(true),
        "text/plain" | "text/html" | "text/*" | "*/*" => Some(false),
        _ => None,
    };
    media_types(headers).find_map(known).unwrap_or(false)
}

/// Whether JSON is among what is taken; without a list anything is.
pub(super) fn takes_json(headers: &HeaderMap) -> bool {
    let mut names = media_types(headers).peekable();
    let is_json = |name: String| {
        matches!(name.as_str(), "application/json" | "application/*" | "text/html" | "*/*")
    };
    names.peek().is_none() || names.any(is_json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn headers(accept: &str) -> HeaderMap {
        TestRequest::default().insert_header((ACCEPT, accept)).to_http_request().headers().clone()
    }

    #[test]
    fn the_first_known_format_is_taken() {
        let check = |accept: &str, expected: Result<ResultFormat, &str>| {
            let format = format(&headers(accept)).map_err(|failure| failure.to_string());
            assert_eq!(format, expected.map_err(str::to_owned), "{accept}");
        };
        check("*/*", Ok(ResultFormat::Json));
        check("*/*;q=0.1", Ok(ResultFormat::Json));
        check("", Ok(ResultFormat::Json));
        check("application/json", Ok(ResultFormat::Json));
        check("Application/JSON; charset=utf-8", Ok(ResultFormat::Json));
        check("application/json, text/plain", Ok(ResultFormat::Json));
        check("text/html,application/xhtml+xml,*/*;q=0.8", Ok(ResultFormat::Json));
        check("text/csv", Ok(ResultFormat::Csv));
        check("text/csv;q=0.9", Ok(ResultFormat::Csv));
        check("text/csv ; header=present", Ok(ResultFormat::Csv));
        check("application/csv", Ok(ResultFormat::Csv));
        check("application/xml, text/csv;q=0.5", Ok(ResultFormat::Csv));
        check("text/plain", Ok(ResultFormat::Pretty));
        check("application/jsonl", Ok(ResultFormat::JsonLines));
        check("application/vnd.apache.parquet", Ok(ResultFormat::Parquet));
        check("image/png", Err("invalid mime type (image/png)"));
        check("image/png;q=1, image/gif", Err("invalid mime type (image/png)"));
        let none = TestRequest::default().to_http_request();
        assert!(super::format(none.headers()).is_ok_and(|format| format == ResultFormat::Json));
    }

    #[test]
    fn json_is_taken_unless_something_else_is_named() {
        for (accept, expected) in [
            ("", true),
            ("*/*", true),
            ("text/plain, application/json;q=0.1", true),
            ("application/x-msgpack", false),
            ("application/csv", false),
        ] {
            assert_eq!(takes_json(&headers(accept)), expected, "{accept}");
        }
    }

    #[test]
    fn json_has_to_come_before_text() {
        let check = |accept: &str, expected: bool| {
            assert_eq!(prefers_json(&headers(accept)), expected, "{accept}");
        };
        check("application/json", true);
        check("image/png, application/json;q=0.5, text/plain", true);
        check("text/plain, application/json", false);
        check("text/html,application/json", false);
        check("*/*", false);
        check("", false);
        assert!(!prefers_json(TestRequest::default().to_http_request().headers()));
    }
}
