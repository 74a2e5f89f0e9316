//! The standard queries on `cpu`: what they ask, how each system is asked, and what they answer.

pub(crate) mod answer;
pub(crate) mod http_backends;
pub(crate) mod kinds;
pub(crate) mod measure;
pub(crate) mod python;
pub(crate) mod text;

use std::time::Duration;

use anyhow::Result;

use answer::Answer;
use kinds::Query;

/// A system that answers queries. One over another protocol is another implementation.
pub(crate) trait Backend {
    /// What the report calls it.
    fn name(&self) -> &str;

    /// Runs a query. The time is until the whole answer is there, before it is decoded; it is
    /// decoded only if `decode` is set.
    fn ask(&mut self, query: &Query, decode: bool) -> Result<Asked>;
}

/// What came of a query.
pub(crate) struct Asked {
    pub(crate) took: Duration,
    pub(crate) answer: Option<Answer>,
}
