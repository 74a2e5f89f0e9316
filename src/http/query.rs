//! `/api/v3/query_sql` and `/api/v3/query_influxql`.

use super::access::Who;
use super::failure::Failure;
use super::{accept, body, format, params};
use crate::edge::{self, influxql, state::ServerState};
use actix_web::{HttpRequest, HttpResponse, web};
use protocols::http::query::{QueryBody, QueryParams, StatementParams};
use protocols::messages::query::{Delivery, Language, RunStatement, Statement};
use serde::de::DeserializeOwned;

/// Parameters in the query string.
pub(super) async fn sql_get(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    run_sql(&state, who, &req, asked_in_query_string::<String>(&req)?).await
}

/// Parameters in the body, whatever its content type.
pub(super) async fn sql_post(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body = body::read(&state, &req, payload).await?;
    run_sql(&state, who, &req, params::from_json(&body)?).await
}

/// The same for InfluxQL, where the statement may name the database.
pub(super) async fn influxql_get(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
) -> Result<HttpResponse, Failure> {
    run_influxql(&state, who, &req, asked_in_query_string::<Option<String>>(&req)?).await
}

/// The same for InfluxQL, where the statement may name the database.
pub(super) async fn influxql_post(
    state: web::Data<ServerState>,
    who: Who,
    req: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let body = body::read(&state, &req, payload).await?;
    run_influxql(&state, who, &req, params::from_json(&body)?).await
}

fn asked_in_query_string<Db: DeserializeOwned>(
    req: &HttpRequest,
) -> Result<QueryBody<Db>, Failure> {
    if req.query_string().is_empty() {
        return Err(Failure::bad_request("missing query parameters 'db' and 'q'"));
    }
    let QueryParams { db, q, format, params } = params::from_query(req)?;
    let params = params.map(|text| params::from_json(text.as_bytes())).transpose()?;
    Ok(QueryBody { db, q, format, params })
}

async fn run_sql(
    state: &ServerState,
    who: Who,
    req: &HttpRequest,
    query: QueryBody,
) -> Result<HttpResponse, Failure> {
    run(state, who, req, Language::Sql, query).await
}

async fn run_influxql(
    state: &ServerState,
    who: Who,
    req: &HttpRequest,
    query: QueryBody<Option<String>>,
) -> Result<HttpResponse, Failure> {
    let QueryBody { db, q, format, params } = query;
    let q = without_mark(q);
    let mut statements = influxql::parse(&q).map_err(Failure::bad_request)?;
    let (Some(one), true) = (statements.pop(), statements.is_empty()) else {
        let text = "must provide only one InfluxQl statement per query";
        return Err(Failure::bad_request(text));
    };
    let db = influxql::database_of_v3(&one.statement, db.as_deref(), &state.visible(&who.0))
        .map_err(Failure::bad_request)?;
    let query = QueryBody { db, q, format, params };
    run(state, who, req, Language::InfluxQl, query).await
}

/// Some editors begin a file with a byte order mark, and it is sent as it is.
fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    }
}

async fn run(
    state: &ServerState,
    who: Who,
    req: &HttpRequest,
    language: Language,
    query: QueryBody,
) -> Result<HttpResponse, Failure> {
    let QueryBody { db, q, format, params } = query;
    let format = match format {
        Some(format) => format,
        None => accept::format(req.headers())?,
    };
    let text = without_mark(q);
    let StatementParams(params) = params.unwrap_or_default();
    let Who(principal, origin) = who;
    let statement = Statement { language, text, params, db, principal, origin };
    let run = RunStatement { statement, delivery: Delivery::WithRows };
    let result = edge::query::ask(state, run, None).await?;
    format::respond(format, result.schema, result.batches).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use protocols::http::query::ResultFormat;
    use protocols::messages::query::ParamValue;

    #[test]
    fn parameters_in_the_query_string() {
        let asked = |query: &str| {
            let req = TestRequest::with_uri(&format!("/api/v3/query_sql{query}"));
            asked_in_query_string::<String>(&req.to_http_request())
                .map_err(|failure| failure.to_string())
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
