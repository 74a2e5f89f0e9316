//! What an actor is here: a [`Service`] with one [`Receive`] for each message it takes, hosted by
//! an actix actor that measures, checks deadlines and signals death.

use super::bounds::ActorConfig;
use super::faults;
use super::mailbox::{Ask, Mailbox, Responder};
#[cfg(feature = "simulation")]
use actix::WrapFuture;
use actix::{Actor, AsyncContext, Context, Handler, Message};
use metrics::Histogram;
use protocols::messages::Command;
use std::collections::HashMap;
use std::future::Future;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The state of an actor and what it does when it starts.
pub trait Service: Sized + Unpin + Send + 'static {
    /// Its place in the order of who may wait for whom ([`protocols::messages::rank`]).
    const RANK: u8;

    /// Runs first, on the actor's own thread.
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        drop(cx.mailbox());
    }
}

/// Takes one kind of message. The handler finishes its change of state before it returns; longer
/// work goes through [`Cx::then`].
pub trait Receive<M: Command>: Service {
    /// Handles `message`. `reply` may be kept for later; dropping it unanswered tells the asker
    /// that the actor failed.
    fn receive(&mut self, message: M, reply: Responder<M>, cx: &mut Cx<'_, Self>);
}

/// What a handler can do besides changing its state.
pub struct Cx<'a, A: Service> {
    pub(super) context: &'a mut Context<Hosted<A>>,
    pub(super) mailbox: &'a Mailbox<A>,
}

impl<A: Service> Cx<'_, A> {
    /// The actor's own mailbox.
    pub fn mailbox(&self) -> Mailbox<A> {
        self.mailbox.clone()
    }

    /// Runs `work` beside the actor, which stays open for other messages, and hands its result to
    /// `finish` as a message to itself. If the actor has died by then, `finish` never runs.
    pub fn then<R: Send + 'static>(
        &mut self,
        work: impl Future<Output = R> + 'static,
        finish: impl FnOnce(&mut A, R, &mut Cx<'_, A>) + Send + 'static,
    ) {
        let address = self.context.address();
        actix_rt::spawn(async move {
            let result = work.await;
            address.do_send(Resume(Box::new(move |actor, cx| finish(actor, result, cx))));
        });
    }
}

type Step<A> = Box<dyn FnOnce(&mut A, &mut Cx<'_, A>) + Send>;

/// The continuation of an actor's own work, through its mailbox.
struct Resume<A: Service>(Step<A>);

impl<A: Service> Message for Resume<A> {
    type Result = ();
}

/// Ends the actor in good order.
pub(super) struct Stop;

impl Message for Stop {
    type Result = ();
}

/// The actix actor around a [`Service`].
pub(super) struct Hosted<A: Service> {
    inner: A,
    name: String,
    /// What its metrics are called.
    label: String,
    mailbox: Mailbox<A>,
    /// Sent when the actor stops in good order; dropped without a word when it panics, because
    /// unwinding drops the actor.
    death: Option<oneshot::Sender<()>>,
    handle_seconds: HashMap<&'static str, Histogram>,
    wait_seconds: Histogram,
}

impl<A: Service> Hosted<A> {
    pub(super) fn new(
        inner: A,
        config: &ActorConfig,
        mailbox: Mailbox<A>,
        death: oneshot::Sender<()>,
    ) -> Self {
        let label = config.label().to_owned();
        let wait_seconds = metrics::histogram!("actor_wait_seconds", "actor" => label.clone());
        Self {
            inner,
            name: config.name.clone(),
            label,
            mailbox,
            death: Some(death),
            handle_seconds: HashMap::new(),
            wait_seconds,
        }
    }

    /// Counts a message that was handled.
    fn handled(&mut self, message: &'static str, begun: Instant) {
        let (time, label) = (begun.elapsed(), &self.label);
        self.mailbox.vitals().handled_in(time);
        let histogram = self.handle_seconds.entry(message).or_insert_with(|| {
            metrics::histogram!(
                "actor_handle_seconds", "actor" => label.clone(), "message" => message
            )
        });
        histogram.record(time.as_secs_f64());
    }
}

impl<A: Service> Actor for Hosted<A> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        // The bound is kept by the mailbox's permits; actix's own would only add a second one.
        context.set_mailbox_capacity(usize::MAX >> 4);
        let mut cx = Cx { context, mailbox: &self.mailbox };
        self.inner.started(&mut cx);
    }
}

impl<A: Receive<M>, M: Command> Handler<Ask<M>> for Hosted<A> {
    type Result = ();

    fn handle(&mut self, ask: Ask<M>, context: &mut Context<Self>) {
        let begun = Instant::now();
        self.wait_seconds.record(begun.saturating_duration_since(ask.queued_at).as_secs_f64());
        if ask.deadline.is_some_and(|d| d < begun) {
            self.mailbox.count_expired();
            return; // the asker has its answer already
        }
        faults::plant_panic(&self.name, M::NAME);
        #[cfg(feature = "simulation")]
        if let Some(pause) = super::simulated::pause() {
            context.wait(tokio::time::sleep(pause).into_actor(self));
        }
        let (message, reply) = ask.into_parts();
        let mut cx = Cx { context, mailbox: &self.mailbox };
        self.inner.receive(message, reply, &mut cx);
        self.handled(M::NAME, begun);
    }
}

impl<A: Service> Handler<Resume<A>> for Hosted<A> {
    type Result = ();

    fn handle(&mut self, Resume(step): Resume<A>, context: &mut Context<Self>) {
        let begun = Instant::now();
        let mut cx = Cx { context, mailbox: &self.mailbox };
        step(&mut self.inner, &mut cx);
        self.handled("Resume", begun);
    }
}

impl<A: Service> Handler<Stop> for Hosted<A> {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        use actix::ActorContext;
        if let Some(death) = self.death.take() {
            // The guardian may be gone already when the whole process ends.
            death.send(()).ok();
        }
        context.stop();
    }
}
