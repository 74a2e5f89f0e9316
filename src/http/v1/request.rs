//! What `/query` is asked: parameters in the URL, in a form, and the statements themselves.

use super::super::failure::Failure;
use super::super::format::v1::{Epoch, Form};
use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use protocols::http::query::StatementParams;
use std::collections::HashMap;
use url::form_urlencoded;

/// Rows in a part of a chunked answer, if nothing else is asked for.
const CHUNK_ROWS: usize = 10_000;

/// A request.
pub(super) struct Request {
    pub(super) q: String,
    pub(super) db: Option<String>,
    pub(super) rp: Option<String>,
    /// The parameter `p`, which is a token.
    pub(super) token: Option<String>,
    pub(super) epoch: Epoch,
    pub(super) form: Form,
    pub(super) chunked: bool,
    /// Rows in a part of a chunked answer; zero is no bound.
    pub(super) chunk_rows: usize,
    pub(super) params: StatementParams,
}

/// A request that cannot be understood.
pub(super) fn bad(message: impl Into<String>) -> Failure {
    Failure::json(StatusCode::BAD_REQUEST, message)
}

fn bad_parameter(message: impl std::fmt::Display) -> Failure {
    bad(format!("error decoding params from url: {message}"))
}

impl Request {
    /// Reads the parameters in the URL, and those in the body.
    pub(super) fn read(req: &HttpRequest, body: Option<&[u8]>) -> Result<Self, Failure> {
        let mut found: HashMap<String, String> =
            form_urlencoded::parse(req.query_string().as_bytes()).into_owned().collect();
        if let Some(body) = body {
            add_body(req, body, &mut found)?;
        }
        let Some(q) = found.remove("q") else {
            return Err(bad("expected a query to be provided in the query string or body"));
        };
        let pretty = flag(found.get("pretty"))?;
        let epoch = match found.get("epoch").map(String::as_str) {
            None | Some("") => Epoch::Text,
            Some(unit) => Epoch::Units(unit_ns(unit)?),
        };
        let chunk_rows = match found.get("chunk_size") {
            None => CHUNK_ROWS,
            Some(rows) => rows.parse().map_err(bad_parameter)?,
        };
        let params = match found.get("params").filter(|text| !text.is_empty()) {
            None => StatementParams::default(),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| bad(format!("error decoding query body: {error}")))?,
        };
        let q = q.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(q);
        Ok(Self {
            q,
            db: found.remove("db"),
            rp: found.remove("rp"),
            token: found.remove("p").filter(|token| !token.is_empty()),
            epoch,
            form: form(req, pretty)?,
            chunked: flag(found.get("chunked"))?,
            chunk_rows,
            params,
        })
    }
}

fn flag(text: Option<&String>) -> Result<bool, Failure> {
    match text.map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(bad_parameter("provided string was not `true` or `false`")),
    }
}

fn unit_ns(unit: &str) -> Result<i64, Failure> {
    Ok(match unit {
        "ns" | "n" => 1,
        "u" | "µ" | "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "w" => 604_800_000_000_000,
        other => {
            return Err(bad_parameter(format!(
                "unknown variant `{other}`, expected one of `ns`, `u`, `µ`, `ms`, `s`, `m`, `h`, \
                 `d`, `w`"
            )));
        }
    })
}

/// The form of the first media type of the list that is known.
fn form(req: &HttpRequest, pretty: bool) -> Result<Form, Failure> {
    let lists = req.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let mut unknown = None;
    for entry in lists.flat_map(|list| list.split(',')) {
        let name = entry.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "application/json" | "*/*" | "application/*" | "text/html" => {
                return Ok(Form::Json { pretty });
            }
            "application/csv" | "text/csv" => return Ok(Form::Csv),
            "application/x-msgpack" => return Ok(Form::MsgPack),
            "" => {}
            _ => unknown = unknown.or(Some(name)),
        }
    }
    match unknown {
        None => Ok(Form::Json { pretty }),
        Some(name) => Err(bad(format!("invalid mime type ({name})"))),
    }
}

fn add_body(
    req: &HttpRequest,
    body: &[u8],
    found: &mut HashMap<String, String>,
) -> Result<(), Failure> {
    let given = req.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        // Libraries name a type where they send nothing.
        _ if body.is_empty() => {}
        "" | "application/vnd.influxql" => {
            if !found.contains_key("q") {
                found.insert("q".to_owned(), text(body)?);
            }
        }
        "application/x-www-form-urlencoded" => {
            found.extend(form_urlencoded::parse(body).into_owned());
        }
        "multipart/form-data" => found.extend(multipart(given, &text(body)?)?),
        _ => return Err(bad(format!("invalid mime type ({given})"))),
    }
    Ok(())
}

fn text(body: &[u8]) -> Result<String, Failure> {
    let text = std::str::from_utf8(body);
    text.map(str::to_owned).map_err(|error| bad(format!("error decoding query body: {error}")))
}

/// The fields of a form in parts.
fn multipart(content_type: &str, body: &str) -> Result<Vec<(String, String)>, Failure> {
    let boundary = content_type.split(';').find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
    });
    let Some(boundary) = boundary.filter(|boundary| !boundary.is_empty()) else {
        return Err(bad("A boundary header is required for multipart upload"));
    };
    let mut fields = Vec::new();
    for part in body.split(&format!("--{boundary}")).skip(1) {
        let Some((head, value)) = part.split_once("\r\n\r\n") else { continue };
        let name = head.split("name=\"").nth(1).and_then(|rest| rest.split('"').next());
        if let Some(name) = name {
            let value = value.strip_suffix("\r\n").unwrap_or(value);
            fields.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn read(url: &str, content_type: &str, body: &str) -> Result<Request, String> {
        let mut req = TestRequest::with_uri(url);
        if !content_type.is_empty() {
            req = req.insert_header((CONTENT_TYPE, content_type));
        }
        Request::read(&req.to_http_request(), Some(body.as_bytes())).map_err(|e| e.to_string())
    }

    #[test]
    fn parameters_of_the_url_and_the_body() {
        let found = read("/query?db=a&epoch=ms", "application/x-www-form-urlencoded", "q=x+y&db=b");
        let found = found.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((found.q.as_str(), found.db.as_deref()), ("x y", Some("b")));
        assert_eq!(found.epoch, Epoch::Units(1_000_000));
        let parts = "--XX\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nSHOW DATABASES\r\n\
                     --XX--\r\n";
        let found = read("/query", "multipart/form-data; boundary=XX", parts);
        assert_eq!(found.unwrap_or_else(|error| panic!("{error}")).q, "SHOW DATABASES");
        let found = read("/query", "", "SELECT 1");
        assert_eq!(found.unwrap_or_else(|error| panic!("{error}")).q, "SELECT 1");
        let found = read("/query?q=SHOW+DATABASES", "application/json", "");
        assert_eq!(found.unwrap_or_else(|error| panic!("{error}")).q, "SHOW DATABASES");
        let wrong = |url: &str, content_type: &str| read(url, content_type, "x").err();
        let no_boundary = "A boundary header is required for multipart upload";
        assert_eq!(wrong("/query", "multipart/form-data").as_deref(), Some(no_boundary));
        let no_form = "invalid mime type (application/json)";
        assert_eq!(wrong("/query?q=x", "application/json").as_deref(), Some(no_form));
        let no_flag = "error decoding params from url: provided string was not `true` or `false`";
        assert_eq!(wrong("/query?q=x&chunked=x", "").as_deref(), Some(no_flag));
    }
}
