//! Why a request is refused, in the forms that the API has for it.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use actors::runtime::mailbox::AskError;
use protocols::error::ErrorKind;
use protocols::http::errors::{ErrorBody, RefusedLines, V2ErrorBody};
use protocols::messages::catalog::CatalogError;
use protocols::messages::query::QueryError;
use std::fmt;
use std::num::NonZeroU32;

/// Seconds after which a client may try again what was refused for lack of room.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// How a client says who it is.
const SCHEMES: HeaderValue = HeaderValue::from_static("Bearer realm=\"influxdb3\"");

/// How a failure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The bare message.
    Text,
    /// `{"error": …}`
    Json,
    /// `{"code": …, "message": …}`
    V2,
}

/// An answer with an error status.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    form: Form,
    message: String,
    lines: Option<RefusedLines>,
    /// How many there are, if `lines` are not all.
    refused_lines: Option<usize>,
    /// The line that the message is about.
    line: Option<usize>,
    /// Seconds after which to try again.
    retry_after: Option<NonZeroU32>,
}

/// Left in the response for the log.
pub(super) struct FailureText(pub(super) String);

impl Failure {
    /// A bare message.
    pub(super) fn text(status: StatusCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            form: Form::Text,
            message,
            lines: None,
            refused_lines: None,
            line: None,
            retry_after: None,
        }
    }

    /// A bare message with status 400.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::text(StatusCode::BAD_REQUEST, message)
    }

    /// A message as JSON.
    pub(super) fn json(status: StatusCode, message: impl Into<String>) -> Self {
        Self { form: Form::Json, ..Self::text(status, message) }
    }

    /// A message as JSON, with the lines it is about.
    pub(super) fn lines(
        status: StatusCode,
        message: impl Into<String>,
        lines: RefusedLines,
    ) -> Self {
        Self { lines: Some(lines), ..Self::json(status, message) }
    }

    /// The same, where more lines were refused than are told.
    pub(super) fn of_refused_lines(self, refused_lines: usize) -> Self {
        Self { refused_lines: Some(refused_lines), ..self }
    }

    /// The same, about a line by its number.
    pub(super) fn at_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// What an actor told. Where trying again helps the form is JSON, else a bare message.
    pub(super) fn of_kind(kind: ErrorKind, message: impl Into<String>) -> Self {
        let status =
            StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let form = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Form::Json,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Form::Json,
            _ => Form::Text,
        };
        Self { form, ..Self::text(status, message) }
    }

    /// The same in the form of the v2 write endpoint.
    pub(super) fn into_v2(self) -> Self {
        Self { form: Form::V2, lines: None, ..self }
    }

    /// The same, to be tried again after so many seconds.
    pub(super) fn after(self, seconds: u64) -> Self {
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        Self { retry_after: NonZeroU32::new(seconds), ..self }
    }

    fn retry_after(&self) -> Option<HeaderValue> {
        match (self.retry_after, self.status) {
            (Some(seconds), _) => Some(seconds.get().into()),
            (None, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
                Some(RETRY_AFTER_SECONDS)
            }
            _ => None,
        }
    }

    fn body(&self) -> String {
        let body = match self.form {
            Form::Text => return self.message.clone(),
            Form::Json => {
                let body = ErrorBody {
                    error: &self.message,
                    data: self.lines.as_ref(),
                    refused_lines: self.refused_lines,
                };
                serde_json::to_string(&body)
            }
            Form::V2 => {
                let (code, message) = (v2_code(self.status), self.message.as_str());
                serde_json::to_string(&V2ErrorBody { code, message, line: self.line })
            }
        };
        body.unwrap_or_else(|_| self.message.clone())
    }
}

/// The v2 word for a status.
fn v2_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not found",
        413 => "request too large",
        429 => "too many requests",
        503 => "unavailable",
        500.. => "internal error",
        _ => "invalid",
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status).body(self.body());
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, SCHEMES);
        }
        response.extensions_mut().insert(FailureText(self.message.clone()));
        response
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::of_kind(error.kind(), error.to_string())
    }
}

/// What the administration endpoints answer.
impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::InvalidName(text) => Self::json(StatusCode::BAD_REQUEST, text),
            CatalogError::Limit(text) => Self::json(StatusCode::UNPROCESSABLE_ENTITY, text),
            error => Self::of_kind(error.kind(), error.to_string()),
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error.kind {
            ErrorKind::NotFound => {
                Self::json(StatusCode::NOT_FOUND, format!("query error: {}", error.message))
            }
            kind => Self::of_kind(kind, error.message),
        }
    }
}
