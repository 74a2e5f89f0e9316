//! One request and its answer, as the metrics count them.

use actix_web::body::BodySize;
use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Histogram, Label};
use std::cell::RefCell;
use std::collections::HashMap;
use tokio::time::Instant;

/// Label of paths and methods that the route table does not name: clients may send any number of
/// them, and each label value is kept for ever.
pub(super) const OTHER: &str = "other";

/// Counted when the answer has left or was given up.
pub(super) struct Exchange {
    pub(super) method: &'static str,
    /// As the route table has it.
    pub(super) path: &'static str,
    /// Unknown until a handler has answered.
    pub(super) status: Option<StatusCode>,
    begun: Instant,
    pub(super) body_bytes: u64,
    pub(super) is_complete: bool,
    body_bytes_expected: Option<u64>,
}

impl Exchange {
    pub(super) fn begin(method: &Method) -> Self {
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            Method::HEAD => "HEAD",
            Method::OPTIONS => "OPTIONS",
            _ => OTHER,
        };
        Self {
            method,
            path: OTHER,
            status: None,
            begun: Instant::now(),
            body_bytes: 0,
            is_complete: false,
            body_bytes_expected: None,
        }
    }

    pub(super) fn expect(&mut self, size: BodySize) {
        self.body_bytes_expected = match size {
            BodySize::None => Some(0),
            BodySize::Sized(bytes) => Some(bytes),
            BodySize::Stream => None,
        };
    }

    fn outcome(&self) -> &'static str {
        // A body of known length need not be asked for its end.
        let has_left = self.is_complete || self.body_bytes_expected == Some(self.body_bytes);
        match self.status {
            None => "aborted",
            Some(_) if !has_left && self.method != "HEAD" => "aborted",
            Some(status) if status.is_success() => "ok",
            Some(status) if status.is_client_error() => "client_error",
            Some(status) if status.is_server_error() => "server_error",
            Some(_) => "unexpected_response",
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let name = Name { method: self.method, path: self.path, outcome: self.outcome() };
        let (seconds, bytes) = (self.begun.elapsed().as_secs_f64(), self.body_bytes as f64);
        let count = |known: &RefCell<HashMap<Name, Series>>| {
            known.borrow_mut().entry(name).or_insert_with(|| name.series()).count(seconds, bytes);
        };
        // A thread that ends counts without its own list.
        if KNOWN.try_with(count).is_err() {
            name.series().count(seconds, bytes);
        }
    }
}

thread_local! {
    /// The series that this thread has counted in: to find one among all that the recorder has
    /// takes longer than many a request. There are as many as the route table has rows, at most.
    static KNOWN: RefCell<HashMap<Name, Series>> = RefCell::default();
}

/// By what exchanges are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    method: &'static str,
    path: &'static str,
    outcome: &'static str,
}

impl Name {
    fn series(self) -> Series {
        let labels = vec![
            Label::from_static_parts("method", self.method),
            Label::from_static_parts("path", self.path),
            Label::new("method_path", format!("{} {}", self.method, self.path)),
            Label::from_static_parts("status", self.outcome),
        ];
        Series {
            requests: metrics::counter!("http_requests_total", labels.clone()),
            seconds: metrics::histogram!("http_request_duration_seconds", labels.clone()),
            bytes: metrics::histogram!("http_response_body_size_bytes", labels),
        }
    }
}

/// What is counted of such exchanges.
struct Series {
    requests: Counter,
    seconds: Histogram,
    bytes: Histogram,
}

impl Series {
    fn count(&self, seconds: f64, bytes: f64) {
        self.requests.increment(1);
        self.seconds.record(seconds);
        self.bytes.record(bytes);
    }
}
