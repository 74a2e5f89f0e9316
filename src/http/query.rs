//! `/api/v3/query_sql`.

use super::failure::Failure;
use super::{body, format, params};
use crate::edge::{self, state::ServerState};
use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use protocols::http::query::{QueryBody, QueryParams, ResultFormat, StatementParams};
use protocols::messages::query::{Delivery, Language, RunStatement, Statement};
use protocols::principal::Principal;
use protocols::trace_id::TraceId;

/// Parameters in the query string.
pub(super) async fn sql_get(
    state: web::Data<ServerState>,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    run_sql(&state, &req, asked_in_query_string(&req)?).await
}

/// Parameters in the body, whatever its content type.
pub(super) async fn sql_post(
    state: web::Data<ServerState>,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body = body::read(&req, payload, state.max_body_bytes).await?;
    run_sql(&state, &req, params::from_json(&body)?).await
}

fn asked_in_query_string(req: &HttpRequest) -> Result<QueryBody, Failure> {
    if req.query_string().is_empty() {
        return Err(Failure::bad_request("missing query parameters 'db' and 'q'"));
    }
    let QueryParams { db, q, format, params } = params::from_query(req)?;
    let params = params.map(|text| params::from_json(text.as_bytes())).transpose()?;
    Ok(QueryBody { db, q, format, params })
}

async fn run_sql(
    state: &ServerState,
    req: &HttpRequest,
    query: QueryBody,
) -> Result<HttpResponse, Failure> {
    let QueryBody { db, q, format, params } = query;
    let format = match format {
        Some(format) => format,
        None => accepted_format(req)?,
    };
    let StatementParams(params) = params.unwrap_or_default();
    let trace_id = TraceId::from_headers(|name| req.headers().get(name)?.to_str().ok());
    let statement = Statement {
        language: Language::Sql,
        text: q,
        params,
        db,
        principal: Principal::Everybody,
        trace_id,
    };
    let run = RunStatement { statement, delivery: Delivery::WithRows };
    let result = edge::query::ask(state, run, None).await?;
    format::respond(format, result.schema, result.batches).await
}

/// The first format in `Accept` that is known.
fn accepted_format(req: &HttpRequest) -> Result<ResultFormat, Failure> {
    let mut values = req.headers().get_all(ACCEPT).peekable();
    let Some(first) = values.peek().map(|value| String::from_utf8_lossy(value.as_bytes())) else {
        return Ok(ResultFormat::Json);
    };
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .find_map(|entry| match entry.split(';').next().unwrap_or_default().trim() {
            "*/*" | "application/json" | "text/html" => Some(ResultFormat::Json),
            "text/csv" => Some(ResultFormat::Csv),
            "text/plain" => Some(ResultFormat::Pretty),
            "application/vnd.apache.parquet" => Some(ResultFormat::Parquet),
            "application/jsonl" => Some(ResultFormat::JsonLines),
            _ => None,
        })
        .ok_or_else(|| Failure::bad_request(format!("invalid mime type ({first})")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use protocols::messages::query::ParamValue;

    #[test]
    fn the_first_known_format_is_taken() {
        let check = |accept: &str, expected: Result<ResultFormat, &str>| {
            let req = TestRequest::default().insert_header((ACCEPT, accept)).to_http_request();
            let format = accepted_format(&req).map_err(|failure| failure.to_string());
            assert_eq!(format, expected.map_err(str::to_owned), "{accept}");
        };
        check("*/*", Ok(ResultFormat::Json));
        check("application/json", Ok(ResultFormat::Json));
        check("application/json, text/plain", Ok(ResultFormat::Json));
        check("text/html,application/xhtml+xml,*/*;q=0.8", Ok(ResultFormat::Json));
        check("text/csv", Ok(ResultFormat::Csv));
        check("application/xml, text/csv;q=0.5", Ok(ResultFormat::Csv));
        check("text/plain", Ok(ResultFormat::Pretty));
        check("application/jsonl", Ok(ResultFormat::JsonLines));
        check("application/vnd.apache.parquet", Ok(ResultFormat::Parquet));
        check("image/png", Err("invalid mime type (image/png)"));
        let none = TestRequest::default().to_http_request();
        assert!(accepted_format(&none).is_ok_and(|format| format == ResultFormat::Json));
    }

    #[test]
    fn parameters_in_the_query_string() {
        let asked = |query: &str| {
            let req = TestRequest::with_uri(&format!("/api/v3/query_sql{query}"));
            asked_in_query_string(&req.to_http_request()).map_err(|failure| failure.to_string())
        };
        let query = asked("?db=d&q=SELECT+$a&params=%7B%22a%22:-1%7D&format=csv").expect("good");
        assert_eq!((query.q.as_str(), query.format), ("SELECT $a", Some(ResultFormat::Csv)));
        let params = vec![("a".to_owned(), ParamValue::Integer(-1))];
        assert_eq!(query.params, Some(StatementParams(params)));

        let wrong = [
            ("", "missing query parameters 'db' and 'q'"),
            ("?db=d", "serde error: missing field `q`"),
            ("?q=SELECT+1", "serde error: missing field `db`"),
            (
                "?db=d&q=x&format=bogus",
                "serde error: unknown variant `bogus`, expected one of `parquet`, `csv`, \
                 `pretty`, `json`, `json_lines`, `jsonl`",
            ),
            (
                "?db=d&q=x&params=%7B%22a%22:[1]%7D",
                "serde json error: JSON arrays are not supported as query parameters. Expected \
                 null, boolean, number, or string. at line 1 column 9",
            ),
        ];
        for (query, text) in wrong {
            assert_eq!(asked(query).expect_err(query), text);
        }
        let error = asked("?db=d&q=x&params=nonsense").expect_err("not JSON");
        assert!(error.starts_with("serde json error: "), "{error}");
    }

    #[test]
    fn parameters_in_the_body() {
        let asked = |text: &str| {
            params::from_json::<QueryBody>(text.as_bytes()).map_err(|failure| failure.to_string())
        };
        assert_eq!(asked(r#"{"db":"d","q":"SELECT 1","x":2}"#).expect("good").db, "d");
        let wrong = [
            ("", "serde json error: EOF while parsing a value at line 1 column 0"),
            ("x", "serde json error: expected value at line 1 column 1"),
            (r#"{"db":"servers"}"#, "serde json error: missing field `q` at line 1 column 16"),
        ];
        for (text, error) in wrong {
            assert_eq!(asked(text).expect_err(text), error);
        }
        let error = asked(r#"{"db":"d","q":"x","params":"{}"}"#).expect_err("text");
        assert!(error.contains("expected a map"), "{error}");
    }
}
