//! Where the reply to a message goes: to whoever waits for it, or into the hands of what is to be
//! done with it.

use metrics::Gauge;
use protocols::error::ErrorKind;
use protocols::messages::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

/// Why an ask got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No room for another message.
    #[error("{0} is overloaded, try again later")]
    Full(&'static str),
    /// The actor failed while it held the message, or is being rebuilt.
    #[error("{0} failed and is being restarted, try again later")]
    Died(&'static str),
    /// The deadline passed; the message may still take effect.
    #[error("{0} did not answer in time; the outcome is unknown")]
    Deadline(&'static str),
}

impl AskError {
    /// What the caller has to do about it.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::Full(_) => ErrorKind::Overloaded,
            Self::Died(_) => ErrorKind::Unavailable,
            Self::Deadline(_) => ErrorKind::Timeout,
        }
    }
}

/// Room in a mailbox. Given back when the message was answered or dropped.
pub(super) struct Permit {
    pub(super) _message: OwnedSemaphorePermit,
    /// Control messages are counted by their number alone.
    pub(super) _bytes: Option<OwnedSemaphorePermit>,
    pub(super) depth: Gauge,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.depth.decrement(1.0);
    }
}

/// Who gets a reply.
pub(super) enum Asker<R> {
    /// One who waits for it.
    Waits(oneshot::Sender<R>),
    /// What is done with it, on the thread of the actor that answers.
    Then(Box<Then<R>>),
}

type Act<R> = Box<dyn FnOnce(Result<R, AskError>) + Send>;

/// What is done with a reply, or with the lack of one: that happens in any case.
pub(super) struct Then<R> {
    act: Option<Act<R>>,
    /// Of what kind the actor is that is to answer, and until when.
    kind: &'static str,
    deadline: Option<Instant>,
}

impl<R> Then<R> {
    pub(super) fn new(
        kind: &'static str,
        deadline: Option<Instant>,
        act: impl FnOnce(Result<R, AskError>) + Send + 'static,
    ) -> Self {
        Self { act: Some(Box::new(act)), kind, deadline }
    }

    pub(super) fn end(mut self, result: Result<R, AskError>) {
        if let Some(act) = self.act.take() {
            act(result);
        }
    }
}

impl<R> Drop for Then<R> {
    fn drop(&mut self) {
        if let Some(act) = self.act.take() {
            let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
            let error = if is_late { AskError::Deadline } else { AskError::Died };
            act(Err(error(self.kind)));
        }
    }
}

/// The place where the reply goes. It holds the mailbox permit, so what an actor keeps for later
/// still counts as waiting in its mailbox.
pub struct Responder<M: Command> {
    asker: Option<Asker<M::Reply>>,
    deadline: Option<Instant>,
    _permit: Permit,
}

impl<M: Command> Responder<M> {
    pub(super) fn new(asker: Asker<M::Reply>, deadline: Option<Instant>, permit: Permit) -> Self {
        Self { asker: Some(asker), deadline, _permit: permit }
    }

    /// Answers. An asker that has gone away is no error.
    pub fn answer(mut self, reply: M::Reply) {
        self.answer_early(reply);
    }

    /// Answers while the message still takes its room in the mailbox: until this is dropped.
    pub fn answer_early(&mut self, reply: M::Reply) {
        match self.asker.take() {
            Some(Asker::Waits(sender)) => {
                sender.send(reply).ok();
            }
            Some(Asker::Then(then)) => then.end(Ok(reply)),
            None => {}
        }
    }

    /// Until when the asker waits, for those who ask others on its behalf.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// True when nobody waits for the answer any more. Of a message that was passed on this is not
    /// known.
    pub fn is_abandoned(&self) -> bool {
        match &self.asker {
            Some(Asker::Waits(sender)) => sender.is_closed(),
            Some(Asker::Then(_)) => false,
            None => true,
        }
    }
}

/// A responder in several hands: the first answer counts.
///
/// For work that may be stuck on one thread while another one knows what has to be answered.
pub struct SharedResponder<M: Command>(Arc<Mutex<Option<Responder<M>>>>);

impl<M: Command> Clone for SharedResponder<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Command> From<Responder<M>> for SharedResponder<M> {
    fn from(responder: Responder<M>) -> Self {
        Self(Arc::new(Mutex::new(Some(responder))))
    }
}

impl<M: Command> SharedResponder<M> {
    fn lock(&self) -> MutexGuard<'_, Option<Responder<M>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers, unless somebody else has.
    pub fn answer(&self, reply: M::Reply) {
        let responder = self.lock().take();
        if let Some(responder) = responder {
            responder.answer(reply);
        }
    }

    /// True when an answer is still due and nobody waits for it any more.
    pub fn is_abandoned(&self) -> bool {
        self.lock().as_ref().is_some_and(Responder::is_abandoned)
    }
}
