//! How much one token may ask for at once, and write in a second.

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use protocols::ids::TokenId;
use protocols::principal::Principal;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Of more tokens than this it is looked whether they still matter.
const TOKENS_MAX: usize = 1024;

/// What each token may do. Whoever comes without one is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLimits {
    /// Requests whose answers have not left yet.
    pub requests: Option<usize>,
    /// Bytes of line protocol a second, after decompression.
    pub write_bytes_per_second: Option<usize>,
}

/// Too much was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}, try again later")]
pub struct TooMuch {
    text: String,
    /// When to try again.
    pub after_seconds: u64,
}

/// What the tokens have under way.
#[derive(Debug, Default)]
pub struct Quota {
    limits: TokenLimits,
    tokens: Arc<Mutex<Usages>>,
}

type Usages = HashMap<TokenId, Usage>;

#[derive(Clone, Copy, Debug)]
struct Usage {
    requests: usize,
    /// Bytes that were written beyond what the time since then allows.
    written: f64,
    at: Instant,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    id: TokenId,
    tokens: Arc<Mutex<Usages>>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(usage) = lock(&self.tokens).get_mut(&self.id) {
            usage.requests = usage.requests.saturating_sub(1);
        }
    }
}

fn lock(tokens: &Mutex<Usages>) -> MutexGuard<'_, Usages> {
    tokens.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Quota {
    /// With these limits for each token.
    pub fn new(limits: TokenLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Counts a request of `principal` until what is returned is dropped. `None` if it is not
    /// limited.
    ///
    /// # Errors
    /// When as many are under way as may be.
    pub fn enter(&self, principal: &Principal) -> Result<Option<InFlight>, TooMuch> {
        let (Some(max), Some(id)) = (self.limits.requests, principal.token_id()) else {
            return Ok(None);
        };
        self.with(id, Instant::now(), |usage| {
            if usage.requests >= max {
                metrics::counter!("influxdb3_token_limited_total", "limit" => "requests")
                    .increment(1);
                let text = format!(
                    "{max} requests of this token are under way already (--token-max-requests)"
                );
                return Err(TooMuch { text, after_seconds: 1 });
            }
            usage.requests += 1;
            Ok(())
        })?;
        Ok(Some(InFlight { id, tokens: Arc::clone(&self.tokens) }))
    }

    /// Counts `bytes` that `principal` is about to write. A body may be larger than what is left:
    /// then the next one has to wait for longer.
    ///
    /// # Errors
    /// When what was written of late is more than may be.
    pub fn begin_write(&self, principal: &Principal, bytes: usize) -> Result<(), TooMuch> {
        self.begin_write_at(principal, bytes, Instant::now())
    }

    fn begin_write_at(
        &self,
        principal: &Principal,
        bytes: usize,
        now: Instant,
    ) -> Result<(), TooMuch> {
        let (Some(rate), Some(id)) = (self.limits.write_bytes_per_second, principal.token_id())
        else {
            return Ok(());
        };
        self.with(id, now, |usage| {
            let rate = rate as f64;
            usage.pass(rate, now);
            if usage.written >= rate {
                metrics::counter!("influxdb3_token_limited_total", "limit" => "write_bytes")
                    .increment(1);
                let text = format!(
                    "this token has written more than {rate} bytes a second \
                     (--token-write-bytes-per-second)"
                );
                let after_seconds = ((usage.written - rate) / rate).ceil().max(1.0) as u64;
                return Err(TooMuch { text, after_seconds });
            }
            usage.written += bytes as f64;
            Ok(())
        })
    }

    /// Counts more bytes of a body than it was announced with.
    pub fn wrote_more(&self, principal: &Principal, bytes: usize) {
        let limited = (self.limits.write_bytes_per_second, principal.token_id());
        if let (Some(rate), Some(id)) = limited {
            let now = Instant::now();
            self.with(id, now, |usage| {
                usage.pass(rate as f64, now);
                usage.written += bytes as f64;
            });
        }
    }

    fn with<R>(&self, id: TokenId, now: Instant, look: impl FnOnce(&mut Usage) -> R) -> R {
        let mut tokens = lock(&self.tokens);
        if tokens.len() >= TOKENS_MAX && !tokens.contains_key(&id) {
            let rate = self.limits.write_bytes_per_second.unwrap_or(1) as f64;
            tokens.retain(|_, usage| {
                usage.pass(rate, now);
                usage.requests > 0 || usage.written > 0.0
            });
        }
        look(tokens.entry(id).or_insert(Usage { requests: 0, written: 0.0, at: now }))
    }
}

impl Usage {
    /// What the time allows is as if it had not been written.
    fn pass(&mut self, rate: f64, now: Instant) {
        let passed: Duration = now.saturating_duration_since(self.at);
        self.written = (self.written - passed.as_secs_f64() * rate).max(0.0);
        self.at = now;
    }
}

/// The body of an answer whose request counts until it has left.
pub struct CountedBody<B> {
    body: B,
    _in_flight: InFlight,
}

impl<B> CountedBody<B> {
    /// `body`, and what its request counts for.
    pub fn new(body: B, in_flight: InFlight) -> Self {
        Self { body, _in_flight: in_flight }
    }
}

impl MessageBody for CountedBody<BoxBody> {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

impl Body for CountedBody<tonic::body::Body> {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::access::rights::Rights;
    use protocols::access::tokens::{Secret, Token};
    use uuid::Uuid;

    fn token(id: u64) -> Principal {
        Principal::Token(Arc::new(Token {
            id: TokenId(id),
            name: "t".into(),
            secret: Secret::of(Uuid::nil(), "x"),
            rights: Rights::Admin,
            created_at_ns: 0,
            created_by: None,
            updated_at_ns: None,
            updated_by: None,
            expires_at_ns: None,
        }))
    }

    #[test]
    fn requests_count_until_they_end() {
        let quota = Quota::new(TokenLimits { requests: Some(2), write_bytes_per_second: None });
        let enter = |id| quota.enter(&token(id));
        let (first, second) = (enter(1).unwrap(), enter(1).unwrap());
        assert!(first.is_some() && second.is_some());
        assert_eq!(enter(1).unwrap_err().after_seconds, 1);
        assert!(enter(2).is_ok(), "another token");
        assert!(quota.enter(&Principal::Everybody).unwrap().is_none());
        drop(first);
        assert!(enter(1).is_ok());
    }

    #[test]
    fn a_large_body_is_taken_and_waited_for_afterwards() {
        let limits = TokenLimits { requests: None, write_bytes_per_second: Some(100) };
        let (quota, now) = (Quota::new(limits), Instant::now());
        let write = |bytes, ms| {
            let at = now + Duration::from_millis(ms);
            quota.begin_write_at(&token(1), bytes, at).map_err(|error| error.after_seconds)
        };
        assert_eq!(write(40, 0), Ok(()));
        assert_eq!(write(960, 0), Ok(()));
        assert_eq!(write(1, 0), Err(9));
        assert_eq!(write(1, 8_500), Err(1));
        assert_eq!(write(1, 9_500), Ok(()));
        assert_eq!(quota.begin_write(&token(2), 1), Ok(()), "another token");
        assert_eq!(quota.begin_write(&Principal::Server, 1 << 30), Ok(()));
    }

    #[test]
    fn tokens_that_ask_no_more_are_forgotten() {
        let limits = TokenLimits { requests: Some(1), write_bytes_per_second: None };
        let quota = Quota::new(limits);
        for id in 0..3 * TOKENS_MAX as u64 {
            drop(quota.enter(&token(id)));
        }
        assert!(lock(&quota.tokens).len() <= TOKENS_MAX);
    }
}
