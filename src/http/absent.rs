//! Endpoints that other servers with these interfaces have and this one has not: whoever asks for
//! one is told so, and what to ask instead.

use super::access;
use super::failure::Failure;
use super::needs::Needs;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

/// How the clients of an endpoint read an error.
#[derive(Clone, Copy)]
enum Reader {
    /// `{"error": …}`
    Json,
    /// `{"code": …, "message": …}`
    V2,
}

const FLUX: &str = "Flux is not offered; ask in SQL at /api/v3/query_sql";
const BUCKETS: &str = "of version 2 only writing is offered, at /api/v2/write; databases are managed \
                       at /api/v3/configure/database";

/// Paths, the first that fits counts. One that ends in `/` stands for all below it.
const ABSENT: &[(&str, Reader, &str)] = &[
    ("/api/v3/test/telemetry_snapshot", Reader::Json, "no telemetry is collected"),
    ("/debug/pprof/", Reader::Json, "profiles are not offered; see /metrics"),
    ("/api/v2/query", Reader::V2, FLUX),
    ("/api/v2/query/", Reader::V2, FLUX),
    ("/api/v2/delete", Reader::V2, "single points cannot be deleted"),
    ("/api/v2/", Reader::V2, BUCKETS),
];

/// Anything that the route table does not name. What somebody may look for is told in words.
pub(super) async fn not_found(req: HttpRequest) -> Result<HttpResponse, Failure> {
    access::admit(&req, Needs::Token).await?;
    Err(told(req.path()).unwrap_or_else(|| Failure::text(StatusCode::NOT_FOUND, "Not found")))
}

/// The answer to a request for `path`, if it is one of these.
fn told(path: &str) -> Option<Failure> {
    let fits = |name: &str| path == name || (name.ends_with('/') && path.starts_with(name));
    let (_, reader, words) = ABSENT.iter().find(|(name, ..)| fits(name))?;
    let failure = Failure::json(StatusCode::NOT_FOUND, format!("{path} is not there: {words}"));
    Some(match reader {
        Reader::Json => failure,
        Reader::V2 => failure.into_v2(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told_in_words() {
        let told = |path| told(path).map(|failure| failure.to_string());
        for path in ["/debug/pprof/heap", "/api/v2/buckets", "/api/v2/query"] {
            let text = told(path).unwrap_or_default();
            assert!(text.starts_with(&format!("{path} is not there: ")), "{text}");
        }
        for path in ["/", "/nope", "/querying", "/api/v3/query", "/api/v3/engine", "/api/v1/query"]
        {
            assert_eq!(told(path), None);
        }
    }
}
