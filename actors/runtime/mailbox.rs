//! A mailbox bounded by messages and by bytes, whose asks have deadlines and always end.

use super::actor::{Hosted, Receive, Service, Stop};
use super::guardian::ActorConfig;
use super::vitals::Vitals;
use actix::{Addr, Message};
use arc_swap::ArcSwapOption;
use metrics::{Counter, Gauge};
use protocols::error::ErrorKind;
use protocols::limits::ADMISSION_WAIT_MS_MAX;
use protocols::messages::{Command, rank};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// Control messages that a mailbox has room for beside its others.
const CONTROL_MESSAGES_MAX: usize = 64;

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
struct Permit {
    _message: OwnedSemaphorePermit,
    /// Control messages are counted by their number alone.
    _bytes: Option<OwnedSemaphorePermit>,
    depth: Gauge,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.depth.decrement(1.0);
    }
}

/// A message on its way: the only thing that is ever sent to an actor from outside.
pub struct Ask<M: Command> {
    message: M,
    reply: Responder<M>,
    pub(super) queued_at: Instant,
    pub(super) deadline: Option<Instant>,
}

impl<M: Command> Message for Ask<M> {
    type Result = ();
}

impl<M: Command> Ask<M> {
    pub(super) fn into_parts(self) -> (M, Responder<M>) {
        (self.message, self.reply)
    }
}

/// The place where the reply goes. It holds the mailbox permit, so what an actor keeps for later
/// still counts as waiting in its mailbox.
pub struct Responder<M: Command> {
    sender: Option<oneshot::Sender<M::Reply>>,
    deadline: Option<Instant>,
    _permit: Permit,
}

impl<M: Command> Responder<M> {
    /// Answers. An asker that has gone away is no error.
    pub fn answer(mut self, reply: M::Reply) {
        self.answer_early(reply);
    }

    /// Answers while the message still takes its room in the mailbox: until this is dropped.
    pub fn answer_early(&mut self, reply: M::Reply) {
        if let Some(sender) = self.sender.take() {
            sender.send(reply).ok();
        }
    }

    /// Until when the asker waits, for those who ask others on its behalf.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// True when nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.sender.as_ref().is_none_or(oneshot::Sender::is_closed)
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

struct Inner<A: Service> {
    /// Kind of the actor, for texts: `wal`, `store`.
    kind: &'static str,
    address: ArcSwapOption<Addr<Hosted<A>>>,
    /// Has the permits.
    vitals: Arc<Vitals>,
    bytes_max: usize,
    /// Room for control messages.
    control: Arc<Semaphore>,
    depth: Gauge,
    handled: Counter,
    refused: Counter,
    /// Asks whose time was over before their turn came.
    expired: Counter,
}

/// The address of an actor that stays valid while the actor is rebuilt.
pub struct Mailbox<A: Service>(Arc<Inner<A>>);

impl<A: Service> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Service> std::fmt::Debug for Mailbox<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mailbox").field(&self.0.kind).finish()
    }
}

impl<A: Service> Mailbox<A> {
    /// A mailbox that nobody reads yet.
    pub(super) fn new(config: &ActorConfig) -> Self {
        let (kind, bytes_max, messages_max) = (config.kind, config.bytes_max, config.messages_max);
        let label = config.label().to_owned();
        metrics::gauge!("actor_mailbox_capacity", "actor" => label.clone())
            .set(messages_max as f64);
        // A semaphore counts in u32 for one acquire, so bytes are counted in KiB.
        let kib_max = kib(bytes_max) as usize;
        let refused = |reason| {
            let (name, label) = ("actor_refused_total", label.clone());
            metrics::counter!(name, "actor" => label, "reason" => reason)
        };
        Self(Arc::new(Inner {
            kind,
            address: ArcSwapOption::empty(),
            vitals: Arc::new(Vitals::new(kind, config.name.clone(), messages_max, kib_max)),
            bytes_max,
            control: Arc::new(Semaphore::new(CONTROL_MESSAGES_MAX)),
            depth: metrics::gauge!("actor_mailbox_messages", "actor" => label.clone()),
            handled: metrics::counter!("actor_messages_total", "actor" => label.clone()),
            refused: refused("full"),
            expired: refused("expired"),
        }))
    }

    /// Counts an ask whose time was over before its turn came.
    pub(super) fn count_expired(&self) {
        self.0.expired.increment(1);
    }

    /// How the actor behind it is.
    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.0.vitals
    }

    pub(super) fn connect(&self, address: Option<Addr<Hosted<A>>>) {
        self.0.address.store(address.map(Arc::new));
    }

    pub(super) fn stop(&self) {
        if let Some(address) = self.0.address.load_full() {
            address.do_send(Stop);
        }
    }

    /// Room for a message, if there is some now.
    fn permit<M: Command>(&self, message: &M) -> Option<Permit> {
        if M::IS_CONTROL {
            let control = Arc::clone(&self.0.control).try_acquire_owned().ok()?;
            return Some(self.count(control, None));
        }
        let cost = self.cost(message.cost_bytes());
        let message = Arc::clone(&self.0.vitals.messages).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.0.vitals.kib).try_acquire_many_owned(cost).ok()?;
        Some(self.count(message, Some(bytes)))
    }

    /// Room for a message, waited for until `until`.
    async fn permit_until<M: Command>(&self, message: &M, until: Instant) -> Option<Permit> {
        let cost = self.cost(message.cost_bytes());
        let both = async {
            if M::IS_CONTROL {
                let control = Arc::clone(&self.0.control).acquire_owned().await.ok()?;
                return Some(self.count(control, None));
            }
            let message = Arc::clone(&self.0.vitals.messages).acquire_owned().await.ok()?;
            let bytes = Arc::clone(&self.0.vitals.kib).acquire_many_owned(cost).await.ok()?;
            Some(self.count(message, Some(bytes)))
        };
        timeout_at(until, both).await.ok().flatten()
    }

    /// A message larger than the whole budget takes all of it rather than never fitting.
    fn cost(&self, cost_bytes: usize) -> u32 {
        kib(cost_bytes.min(self.0.bytes_max))
    }

    fn count(&self, message: OwnedSemaphorePermit, bytes: Option<OwnedSemaphorePermit>) -> Permit {
        self.0.depth.increment(1.0);
        Permit { _message: message, _bytes: bytes, depth: self.0.depth.clone() }
    }

    fn send<M: Command>(
        &self,
        message: M,
        permit: Permit,
        deadline: Option<Instant>,
    ) -> Result<oneshot::Receiver<M::Reply>, AskError>
    where
        A: Receive<M>,
    {
        let address = self.0.address.load_full().ok_or(AskError::Died(self.0.kind))?;
        let (sender, receiver) = oneshot::channel();
        let reply = Responder { sender: Some(sender), deadline, _permit: permit };
        self.0.handled.increment(1);
        address.do_send(Ask { message, reply, queued_at: Instant::now(), deadline });
        Ok(receiver)
    }

    /// Sends `message` and awaits its reply, from an actor of rank `CALLER`.
    ///
    /// # Errors
    /// [`AskError::Full`] at once when there is no room, [`AskError::Died`] when the actor fails
    /// before it answers, [`AskError::Deadline`] after `deadline`.
    pub async fn ask<const CALLER: u8, M: Command>(
        &self,
        message: M,
        deadline: Instant,
    ) -> Result<M::Reply, AskError>
    where
        A: Receive<M>,
    {
        const { assert!(CALLER > A::RANK, "an ask goes only to an actor of lower rank") };
        let Some(permit) = self.permit(&message) else {
            self.0.refused.increment(1);
            return Err(AskError::Full(self.0.kind));
        };
        self.reply(message, permit, deadline).await
    }

    /// Like [`Self::ask`], for the edges: waits a bounded moment for room.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`AskError::Full`] after the wait.
    pub async fn ask_from_edge<M: Command>(
        &self,
        message: M,
        deadline: Instant,
    ) -> Result<M::Reply, AskError>
    where
        A: Receive<M>,
    {
        const { assert!(rank::EDGE > A::RANK) };
        let until = deadline.min(Instant::now() + Duration::from_millis(ADMISSION_WAIT_MS_MAX));
        let Some(permit) = self.permit_until(&message, until).await else {
            self.0.refused.increment(1);
            return Err(AskError::Full(self.0.kind));
        };
        self.reply(message, permit, deadline).await
    }

    async fn reply<M: Command>(
        &self,
        message: M,
        permit: Permit,
        deadline: Instant,
    ) -> Result<M::Reply, AskError>
    where
        A: Receive<M>,
    {
        let receiver = self.send(message, permit, Some(deadline))?;
        replied(self.0.kind, receiver, deadline).await
    }

    /// Sends `message` without waiting. True if the actor has room and is alive.
    pub fn tell<M: Command>(&self, message: M) -> bool
    where
        A: Receive<M>,
    {
        match self.permit(&message) {
            Some(permit) => self.send(message, permit, None).is_ok(),
            None => {
                self.0.refused.increment(1);
                false
            }
        }
    }
}

/// The reply of an actor of that kind.
async fn replied<R>(
    kind: &'static str,
    receiver: oneshot::Receiver<R>,
    deadline: Instant,
) -> Result<R, AskError> {
    match timeout_at(deadline, receiver).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(_)) => Err(AskError::Died(kind)),
        Err(_) => Err(AskError::Deadline(kind)),
    }
}

/// Bytes in KiB, rounded up.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX >> 3).min(u32::MAX >> 3)
}
