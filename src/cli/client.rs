//! The HTTP client behind the client commands.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::tls::Version;
use reqwest::{Certificate, ClientBuilder, Method, Request, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::connection::ConnectionArgs;
use super::transport::unreachable;
use super::trust;

/// How often a write that a busy server turned away is tried again.
const RETRIES_MAX: u32 = 6;
/// The first wait if the server does not say how long; doubled each time.
const RETRY_WAIT: Duration = Duration::from_millis(250);
/// The longest wait, whatever the server says.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);

/// An answer of the server that is not a success.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = error_text(&self.body);
        write!(f, "server responded with error [{}]: {text}", self.status)
    }
}

impl std::error::Error for Refused {}

/// A connection to one server. Clones share their sockets.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// Trusts what `--tls-ca` says and nothing else. It is tried first.
    given: Option<reqwest::Client>,
    base: Url,
    token: Option<String>,
}

impl Client {
    /// A client for `base`, or for the host of `connection` if that is `None`.
    pub(super) fn new(connection: ConnectionArgs, base: Option<Url>) -> Result<Self> {
        let base = base.unwrap_or(connection.host);
        let mut http = reqwest::Client::builder()
            .min_tls_version(Version::TLS_1_2)
            .danger_accept_invalid_certs(connection.tls_no_verify);
        let own = match (&connection.tls_client_cert, &connection.tls_client_key) {
            (Some(certificate), Some(key)) => Some(trust::read_own(certificate, key)?),
            _ => None,
        };
        if let Some(own) = &own {
            http = http.identity(own.identity()?);
        }
        let mut given = None;
        if let Some(path) = connection.tls_ca {
            let certificates = trust::read_certificates(&path)?;
            for certificate in &certificates {
                http = http.add_root_certificate(Certificate::from_der(certificate)?);
            }
            if !connection.tls_no_verify {
                let config = trust::config(certificates, own)?;
                let client = reqwest::Client::builder().use_preconfigured_tls(config);
                given = Some(built(client, &base)?);
            }
        }
        let http = built(http, &base)?;
        // An empty variable in a deployment file means that there is no token.
        let token = connection.token.filter(|token| !token.is_empty());
        Ok(Self { http, given, base, token })
    }

    /// Sends a request without a body.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Response> {
        accepted(self.answer(self.request(method, path, parameters)).await?).await
    }

    /// Sends `body` as JSON.
    pub(super) async fn send_json(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Response> {
        let request = self
            .request(method, path, &[])
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        accepted(self.answer(request).await?).await
    }

    /// Posts line protocol. If the server is too busy and says when to come back (503 or 429
    /// with `Retry-After`), the body is sent again after that time, up to [`RETRIES_MAX`] times;
    /// `on_wait` is told of each wait. Any other refusal is final.
    pub(super) async fn post_lines(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        body: Bytes,
        is_gzip: bool,
        on_wait: impl Fn(Duration),
    ) -> Result<()> {
        let mut retries = 0;
        loop {
            let mut request = self.request(Method::POST, path, parameters).body(body.clone());
            if is_gzip {
                request = request.header(CONTENT_ENCODING, "gzip");
            }
            let response = self.answer(request).await?;
            match retry_wait(response.status(), response.headers(), retries) {
                Some(wait) if retries < RETRIES_MAX => {
                    on_wait(wait);
                    tokio::time::sleep(wait).await;
                    retries += 1;
                }
                _ => return accepted(response).await.map(drop),
            }
        }
    }

    /// Sends the request to a server that is trusted, for one reason or the other.
    async fn answer(&self, request: RequestBuilder) -> Result<Response> {
        let answer = self.try_answer(request.build()?).await;
        answer.map_err(|error| unreachable(&self.base, &error).into())
    }

    async fn try_answer(&self, request: Request) -> reqwest::Result<Response> {
        if let Some(given) = &self.given
            && let Some(request) = request.try_clone()
        {
            match given.execute(request).await {
                // Nothing has been sent, so nothing is sent twice.
                Err(error) if error.is_connect() => tracing::debug!(%error, "not by --tls-ca"),
                answer => return answer,
            }
        }
        self.http.execute(request).await
    }

    fn request(&self, method: Method, path: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
        let request = self.http.request(method, address(&self.base, path, parameters));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

fn built(client: ClientBuilder, base: &Url) -> Result<reqwest::Client> {
    // A proxy set for the outside world cannot reach a server on this machine.
    let client = if is_loopback(base) { client.no_proxy() } else { client };
    client.build().context("cannot set up the HTTP client")
}

/// `path` below `base`, which may itself have a path.
fn address(base: &Url, path: &str, parameters: &[(&str, &str)]) -> Url {
    let mut address = base.clone();
    address.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    address.set_query(None);
    if !parameters.is_empty() {
        address.query_pairs_mut().extend_pairs(parameters);
    }
    address
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// How long to wait before sending again, if the answer invites to: 503 with `Retry-After`.
fn retry_wait(status: StatusCode, headers: &HeaderMap, retries: u32) -> Option<Duration> {
    if !matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let said = headers.get(RETRY_AFTER)?;
    let said = said.to_str().ok().and_then(|text| text.trim().parse().ok());
    let backoff = RETRY_WAIT.saturating_mul(2_u32.saturating_pow(retries));
    let wait = said.map_or(backoff, Duration::from_secs).max(backoff);
    Some(wait.min(RETRY_WAIT_MAX))
}

/// Turns an answer that is not a success into an error with the server's words.
async fn accepted(response: Response) -> Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.bytes().await.unwrap_or_default();
    Err(Refused { status, body }.into())
}

/// The message of `{"error":"…"}`; any other body as it is, because it holds more than that.
fn error_text(body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) if members.len() == 1 => {
            if let Some(Value::String(message)) = members.get("error") {
                return message.clone();
            }
        }
        _ => {}
    }
    String::from_utf8_lossy(body).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn the_servers_words_are_shown() {
        assert_eq!(error_text(b"already exists\n"), "already exists");
        assert_eq!(error_text(br#"{"error":"no such database"}"#), "no such database");
        let partial = br#"{"error":"partial write","data":[]}"#;
        assert_eq!(error_text(partial), String::from_utf8_lossy(partial));
        assert_eq!(error_text(b""), "");
    }

    #[test]
    fn paths_and_parameters_are_appended() {
        let base = Url::parse("http://h:1/prefix/").expect("url");
        let url = address(&base, "/api/v3/write_lp", &[("db", "a b&c"), ("no_sync", "true")]);
        assert_eq!(url.as_str(), "http://h:1/prefix/api/v3/write_lp?db=a+b%26c&no_sync=true");
        let base = Url::parse("http://h:1").expect("url");
        assert_eq!(address(&base, "/ping", &[]).as_str(), "http://h:1/ping");
    }

    #[test]
    fn only_a_busy_server_is_asked_again() {
        let wait = |status, retry_after: Option<&'static str>, retries| {
            let headers = retry_after
                .map(|value| (RETRY_AFTER, HeaderValue::from_static(value)))
                .into_iter()
                .collect();
            retry_wait(status, &headers, retries)
        };
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(wait(busy, Some("2"), 0), Some(Duration::from_secs(2)));
        assert_eq!(wait(busy, Some("0"), 2), Some(RETRY_WAIT * 4));
        assert_eq!(wait(busy, Some("9999"), 0), Some(RETRY_WAIT_MAX));
        assert_eq!(wait(busy, Some("soon"), 0), Some(RETRY_WAIT));
        assert_eq!(wait(busy, None, 0), None);
        assert_eq!(wait(StatusCode::INTERNAL_SERVER_ERROR, Some("2"), 0), None);
    }

    #[test]
    fn this_machine_is_recognised() {
        for (url, expected) in [
            ("http://127.0.0.1:8181", true),
            ("http://localhost", true),
            ("http://[::1]:1", true),
            ("http://example.org", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).expect("url")), expected, "{url}");
        }
    }
}
