//! Several actors of one kind behind one address.

use super::actor::{Receive, Service};
use super::mailbox::{AskError, Mailbox};
use protocols::messages::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

/// Hands each message to the next member in turn.
#[derive(Debug)]
pub struct MailboxPool<A: Service> {
    members: Arc<[Mailbox<A>]>,
    next: Arc<AtomicUsize>,
}

impl<A: Service> Clone for MailboxPool<A> {
    fn clone(&self) -> Self {
        Self { members: Arc::clone(&self.members), next: Arc::clone(&self.next) }
    }
}

impl<A: Service> MailboxPool<A> {
    /// A pool of `members`, of which there is at least one.
    pub fn new(members: Vec<Mailbox<A>>) -> Self {
        assert!(!members.is_empty(), "a pool has at least one member");
        Self { members: members.into(), next: Arc::default() }
    }

    /// Like [`Mailbox::ask_from_edge`], to the next member in turn. When that one is being
    /// rebuilt, the others are not tried: the message may have taken effect.
    ///
    /// # Errors
    /// As [`Mailbox::ask_from_edge`].
    pub async fn ask_from_edge<M: Command>(
        &self,
        message: M,
        deadline: Instant,
    ) -> Result<M::Reply, AskError>
    where
        A: Receive<M>,
    {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.members[turn % self.members.len()].ask_from_edge(message, deadline).await
    }
}
