//! The address of an actor for those who tell it one kind of message, and need not know whose
//! address it is.

use super::actor::Receive;
use super::mailbox::Mailbox;
use protocols::messages::Command;
use std::sync::Arc;

/// Takes messages of one kind.
pub struct Teller<M>(Arc<dyn Fn(M) -> bool + Send + Sync>);

impl<M: Command> Teller<M> {
    /// As [`Mailbox::tell`].
    pub fn tell(&self, message: M) -> bool {
        (self.0)(message)
    }
}

impl<A: Receive<M>, M: Command> From<Mailbox<A>> for Teller<M> {
    fn from(mailbox: Mailbox<A>) -> Self {
        Self(Arc::new(move |message| mailbox.tell(message)))
    }
}

impl<M> Clone for Teller<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Command> std::fmt::Debug for Teller<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Teller").field(&M::NAME).finish()
    }
}
