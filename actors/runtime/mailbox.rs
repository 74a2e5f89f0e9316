//! A mailbox bounded by messages and by bytes, whose asks have deadlines and always end.

use super::actor::{Hosted, Receive, Service, Stop};
use super::bounds::ActorConfig;
use super::responder::{Asker, Permit, Then};
use super::vitals::Vitals;
use actix::{Addr, Message};
use arc_swap::ArcSwapOption;
use metrics::{Counter, Gauge};
use protocols::limits::ADMISSION_WAIT_MS_MAX;
use protocols::messages::{Command, rank};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

pub use super::responder::{AskError, Responder, SharedResponder};

/// Control messages that a mailbox has room for beside its others.
const CONTROL_MESSAGES_MAX: usize = 64;

/// Pause before something that failed is tried again.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take that is asked for until it comes. It is short, for an actor that dies
/// after it has taken a message is noticed at once.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

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
        let (kind, bytes_max) = (config.kind, config.bytes_max);
        let label = config.label().to_owned();
        metrics::gauge!("actor_mailbox_capacity", "actor" => label.clone())
            .set(config.messages_max as f64);
        // A semaphore counts in u32 for one acquire, so bytes are counted in KiB.
        let kib_max = kib(bytes_max) as usize;
        let refused = |reason| {
            let (name, label) = ("actor_refused_total", label.clone());
            metrics::counter!(name, "actor" => label, "reason" => reason)
        };
        Self(Arc::new(Inner {
            kind,
            address: ArcSwapOption::empty(),
            vitals: Arc::new(Vitals::new(config, kib_max)),
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
        asker: Asker<M::Reply>,
        deadline: Option<Instant>,
    ) -> Result<(), AskError>
    where
        A: Receive<M>,
    {
        let address = self.0.address.load_full().ok_or(AskError::Died(self.0.kind))?;
        let reply = Responder::new(asker, deadline, permit);
        self.0.handled.increment(1);
        address.do_send(Ask { message, reply, queued_at: Instant::now(), deadline });
        Ok(())
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

    /// Like [`Self::ask`], repeated until there is an answer: an actor that does not answer now is
    /// being rebuilt or has too much to do, and the caller cannot go on without it.
    pub async fn ask_until_answered<const CALLER: u8, M: Command + Clone>(
        &self,
        message: M,
    ) -> M::Reply
    where
        A: Receive<M>,
    {
        let mut tries = 0_u64;
        loop {
            let deadline = Instant::now() + ANSWER_DEADLINE;
            match self.ask::<CALLER, _>(message.clone(), deadline).await {
                Ok(reply) => return reply,
                Err(error) if tries == 0 => {
                    tracing::warn!(message = M::NAME, %error, "asking until it is answered");
                }
                Err(_) => {}
            }
            tries += 1;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
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

    /// Sends `message` and goes on. What is to be done with the answer is done where it is given:
    /// on the thread of the actor that answers, or of the one that finds out that none will come.
    /// The one who waits for that does not depend on this actor any more. Nobody is told when
    /// `deadline` passes while the actor works on it.
    pub fn ask_then<const CALLER: u8, M: Command>(
        &self,
        message: M,
        deadline: Option<Instant>,
        then: impl FnOnce(Result<M::Reply, AskError>) + Send + 'static,
    ) where
        A: Receive<M>,
    {
        const { assert!(CALLER > A::RANK, "an ask goes only to an actor of lower rank") };
        let then = Then::new(self.0.kind, deadline, then);
        match self.permit(&message) {
            // An actor that is not there drops it, which says so.
            Some(permit) => drop(self.send(message, permit, Asker::Then(Box::new(then)), deadline)),
            None => {
                self.0.refused.increment(1);
                then.end(Err(AskError::Full(self.0.kind)));
            }
        }
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
        let (sender, receiver) = oneshot::channel();
        self.send(message, permit, Asker::Waits(sender), Some(deadline))?;
        replied(self.0.kind, receiver, deadline).await
    }

    /// Sends `message` without waiting. True if the actor has room and is alive.
    pub fn tell<M: Command>(&self, message: M) -> bool
    where
        A: Receive<M>,
    {
        let told = match self.permit(&message) {
            Some(permit) => {
                let (nobody, _) = oneshot::channel();
                self.send(message, permit, Asker::Waits(nobody), None).is_ok()
            }
            None => {
                self.0.refused.increment(1);
                false
            }
        };
        if !told {
            self.0.vitals.miss();
        }
        told
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
