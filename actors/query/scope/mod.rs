//! What one query has: a flag that tells it to stop, and the memory that it really takes.
//!
//! ## Who runs for whom
//! A thread that works for a query carries the query's [`Tag`]. [`Scope::wrap`] puts it on for the
//! time of each poll, and tasks that the engine starts inherit it. So any code that runs for a
//! query can ask [`check`] whether to go on, without a handle being passed to it.
//!
//! ## Why a query stops
//! Nothing in the engine looks at a clock or a flag: operators work until they have rows to hand
//! on, and some make none for minutes (<https://github.com/apache/datafusion/issues/19358>). That
//! is mended in two places, `watched/` and `functions/`. What they wrap looks here before
//! it goes on:
//!
//! - every operator, each time that it is asked for rows: so whatever reads an input sees it;
//! - the condition of every join, once a batch of pairs: that is the loop that emits nothing;
//! - every call of a scalar function, and every step of a window: one over a whole partition is
//!   evaluated row by row in one piece.
//!
//! Any other loop of an operator ends with the rows that it holds. So between two looks there is at
//! most one computation over rows that are in memory already: the sorting or merging of a run, the
//! writing of a table of groups, one comparison or cast of a batch, one call of a function. The
//! memory of the query bounds the first, and `functions/bounded` the calls whose work or result
//! grows faster than their arguments.
//!
//! Not looked at is planning: it is bounded by what `guard` lets through.
//!
//! ## How memory is counted
//! The allocator (`counting`) marks each block with the tag of who took it, and whoever frees it
//! gives it back to the same account. Nothing is guessed from arrays, and no account drifts: rows
//! that leave the query stay on it until they are dropped or the query is over, and what it was
//! given by others (chunks, bytes of cached files) never comes onto it. A thread keeps to itself
//! what it has counted for the query that it works for, and passes it on in steps of 64 KiB and
//! when it turns to something else: a block costs no more than a look at the thread's own numbers.
//! Only who frees what another query took does so on the other's account at once.
//!
//! An allocator must neither fail nor unwind for this. It raises the query's flag, and the next
//! look ends the query. So a query may take more than its share for the time of one computation,
//! which may double what it has, and nothing may take a multiple of that. What can is asked before
//! ([`check_room`]):
//!
//! - joins, which repeat a value for many rows (`watched/`);
//! - windows, whose results share memory until they are copied (`functions/windows`);
//! - lists that become rows, constants and scalar subqueries that become columns, and texts that
//!   are put together (`narrow`, `growth`);
//! - functions whose results are larger than their arguments (`functions/bounded`).
//!
//! Not on the account are the answers once they leave the query: a batch as JSON, CSV or Arrow is
//! taken by the connection, one at a time.

mod accounts;
mod counting;
#[cfg(test)]
mod tests;

pub use counting::Counting;

use self::accounts::{Tag, Why};
use super::errors;
use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use datafusion::error::{DataFusionError, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use protocols::messages::query::QueryError;
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};

/// The account of all queries of a server.
#[derive(Debug)]
pub(super) struct Pool {
    tag: Tag,
    share: usize,
}

impl Pool {
    /// Queries may take `bytes` together, and one of them `share` of these. `None` if there are
    /// as many accounts as there can be.
    pub(super) fn open(bytes: usize, share: usize) -> Option<Arc<Self>> {
        inherit_in_tasks();
        let tag = accounts::open(bytes, Tag::NOBODY)?;
        Some(Arc::new(Self { tag, share: share.min(bytes) }))
    }

    /// An account for one more query, or `None` if there are as many as there can be.
    pub(super) fn scope(self: &Arc<Self>) -> Option<Arc<Scope>> {
        let tag = accounts::open(self.share, self.tag)?;
        Some(Arc::new(Scope { tag, pool: Arc::clone(self) }))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.tag.close();
    }
}

/// The account of one query. What still runs for it when this is dropped has to stop.
#[derive(Debug)]
pub(super) struct Scope {
    tag: Tag,
    pool: Arc<Pool>,
}

impl Scope {
    /// The same work, done for this query.
    pub(super) fn wrap<F: Future>(&self, work: F) -> Scoped<F> {
        Scoped { tag: self.tag, work: Box::pin(work) }
    }

    /// Tells the query to stop.
    pub(super) fn stop(&self) {
        self.tag.stop(Why::Told);
    }

    /// What the query has done wrong that it has to stop for, if anything.
    pub(super) fn fault(&self) -> Option<QueryError> {
        match self.tag.stopped()? {
            Why::Told => None,
            why => Some(error(why, self.tag)),
        }
    }

    /// Bytes that it has, but for what its threads have not passed on yet.
    pub(super) fn allocated(&self) -> usize {
        self.tag.allocated()
    }

    /// The most that it had at a time, in bytes.
    pub(super) fn peak(&self) -> usize {
        self.tag.peak()
    }

    /// Bytes that it may have.
    pub(super) fn share(&self) -> usize {
        self.pool.share
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.tag.close();
    }
}

/// Whether the query that this thread works for may go on.
///
/// # Errors
/// When it has to stop; the error says why.
pub(super) fn check() -> Result<()> {
    let tag = accounts::current();
    match tag.stopped() {
        None => Ok(()),
        Some(why) => Err(DataFusionError::External(Box::new(error(why, tag)))),
    }
}

/// Whether the query that this thread works for may take so many bytes more at once.
///
/// # Errors
/// When it has to stop, for this or another reason.
pub(super) fn check_room(bytes: usize) -> Result<()> {
    let tag = accounts::current();
    if tag != Tag::NOBODY && tag.allocated().saturating_add(bytes) > tag.limit() {
        tag.stop(Why::TakesTooMuch);
    }
    check()
}

fn error(why: Why, tag: Tag) -> QueryError {
    match why {
        Why::Told => errors::stopped(),
        Why::TakesTooMuch => errors::takes_too_much(tag.limit()),
        Why::PoolIsEmpty => errors::pool_is_empty(tag.whole().limit()),
    }
}

/// Work for a query.
#[derive(Debug)]
pub(super) struct Scoped<F> {
    tag: Tag,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = self.tag.enter();
        self.work.as_mut().poll(cx)
    }
}

/// Gives tasks of the engine the tag of the thread that starts them.
struct Inherit;

impl JoinSetTracer for Inherit {
    fn trace_future(
        &self,
        work: BoxFuture<'static, Box<dyn Any + Send>>,
    ) -> BoxFuture<'static, Box<dyn Any + Send>> {
        match accounts::current() {
            Tag::NOBODY => work,
            tag => Scoped { tag, work: Box::pin(work) }.boxed(),
        }
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        let tag = accounts::current();
        Box::new(move || {
            let _entered = tag.enter();
            work()
        })
    }
}

fn inherit_in_tasks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if set_join_set_tracer(&Inherit).is_err() {
            tracing::error!("tasks of queries are not counted: somebody else looks after them");
        }
    });
}
