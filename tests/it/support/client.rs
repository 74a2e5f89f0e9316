//! HTTP as the tests speak it: any request, any answer.

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::runtime::Runtime;
use url::form_urlencoded;

/// Longer than any answer may take, so that a hang becomes a failure.
const TIMEOUT: Duration = Duration::from_secs(90);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Talks to one server. Each call blocks until the answer is there.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end_matches('\n').to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.body);
        parsed.unwrap_or_else(|e| panic!("not JSON ({e}): {} {}", self.status, self.text()))
    }

    /// A header's value, empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("header is text"))
    }
}

impl Client {
    /// A client of the server at `address`, `host:port`.
    pub(crate) fn new(address: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build();
        Self { http: http.expect("an HTTP client"), base: format!("http://{address}"), token: None }
    }

    /// The same with a token for each request that says nothing else of one.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same from another address of this machine, where it has more than one.
    pub(crate) fn with_source(&self, number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        let address = if cfg!(target_os = "linux") { [127, 1, high, low] } else { [127, 0, 0, 1] };
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
        let http = http.local_address(std::net::IpAddr::from(address)).build();
        Self { http: http.expect("an HTTP client"), ..self.clone() }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request; an error is one of the transport.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> reqwest::Result<Answer> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token
            && !headers.iter().any(|(name, _)| *name == "authorization")
        {
            request = request.bearer_auth(token);
        }
        RUNTIME.block_on(async {
            let response = request.body(body).send().await?;
            Ok(Answer {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                body: response.bytes().await?.to_vec(),
            })
        })
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let answer = self.try_send(method, path, headers, body.into());
        answer.unwrap_or_else(|e| panic!("{method} {path}: {e:?}"))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    pub(crate) fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send("POST", path, &[], body)
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "")
    }

    /// Sends a JSON body as such.
    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("content-type", "application/json")], body.to_string())
    }

    /// Writes lines with nanosecond times.
    pub(crate) fn write(&self, db: &str, lines: &str) -> Answer {
        self.post(&with_query("/api/v3/write_lp", &[("db", db), ("precision", "ns")]), lines)
    }

    /// Writes lines that have to be accepted.
    pub(crate) fn must_write(&self, db: &str, lines: &str) {
        let answer = self.write(db, lines);
        assert_eq!(answer.status, 204, "{}", answer.text());
        assert!(answer.body.is_empty());
    }

    /// Asks SQL in the default format.
    pub(crate) fn sql(&self, db: &str, statement: &str) -> Answer {
        self.get(&with_query("/api/v3/query_sql", &[("db", db), ("q", statement)]))
    }

    /// The rows of a query that has to succeed.
    pub(crate) fn rows(&self, db: &str, statement: &str) -> Value {
        let answer = self.sql(db, statement);
        assert_eq!(answer.status, 200, "{statement}: {}", answer.text());
        answer.json()
    }

    /// The single value of a query that has to succeed.
    pub(crate) fn value(&self, db: &str, statement: &str) -> Value {
        let rows = self.rows(db, statement);
        let values = rows.as_array().and_then(|rows| rows.first()).and_then(Value::as_object);
        values
            .and_then(|row| row.values().next().cloned())
            .unwrap_or_else(|| panic!("{statement}: no value in {rows}"))
    }

    /// How many rows a table has; 0 if it or its database does not exist.
    pub(crate) fn count(&self, db: &str, table: &str) -> u64 {
        let answer = self.sql(db, &format!("SELECT count(*) AS n FROM {table}"));
        match answer.status {
            200 => answer.json()[0]["n"].as_u64().expect("a count"),
            _ if answer.text().contains("not found") => 0,
            status => panic!("counting {table}: {status} {}", answer.text()),
        }
    }

    /// Names of all live databases.
    pub(crate) fn databases(&self) -> Vec<String> {
        let answer = self.get("/api/v3/configure/database?format=json");
        let rows = answer.json();
        let names = rows.as_array().expect("rows").iter();
        names.map(|row| row["iox::database"].as_str().expect("a name").to_owned()).collect()
    }

    /// The samples of a metric whose labels contain all of `labels`, added up; `None` if there is
    /// no such sample.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let text = self.get("/metrics").text();
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (rest, value) = rest.rsplit_once(' ')?;
            let is_it = rest.is_empty() || rest.starts_with('{');
            (is_it && labels.iter().all(|l| rest.contains(l))).then(|| value.parse::<f64>().ok())?
        });
        let found: Vec<f64> = samples.collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }
}

/// `path` with a form-encoded query string.
pub(crate) fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{path}?{encoded}")
}

/// One gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}
