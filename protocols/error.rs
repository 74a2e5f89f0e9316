//! The kinds of failure that every actor's error maps to, and what they mean on the wire.

/// What went wrong, as far as a caller has to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is at fault: 400.
    InvalidInput,
    /// Who asks is not known: 401.
    Unauthenticated,
    /// Who asks may not do this: 403.
    Forbidden,
    /// The named thing does not exist: 404.
    NotFound,
    /// The named thing exists already or was deleted already: 409.
    Conflict,
    /// A configured limit would be exceeded: 422.
    LimitReached,
    /// The engine lacks this feature: 405, as the original answers.
    NotImplemented,
    /// Whoever asks has asked for too much at once or of late: 429 with `Retry-After`.
    RateLimited,
    /// A mailbox or a byte budget is full: 503 with `Retry-After`.
    Overloaded,
    /// The server is starting, stopping, or an actor is being rebuilt: 503 with `Retry-After`.
    Unavailable,
    /// The deadline passed, or the store did not answer well. For a write the outcome is unknown: 503
    /// with `Retry-After`.
    Timeout,
    /// Everything else: 500.
    Internal,
}

impl ErrorKind {
    /// The HTTP status of this kind.
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidInput => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::NotImplemented => 405,
            Self::Conflict => 409,
            Self::LimitReached => 422,
            Self::RateLimited => 429,
            Self::Overloaded | Self::Unavailable | Self::Timeout => 503,
            Self::Internal => 500,
        }
    }
}
