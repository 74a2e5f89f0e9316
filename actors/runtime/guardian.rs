//! Births, deaths and rebuilding of actors.

use super::actor::{Hosted, Service};
pub use super::bounds::ActorConfig;
use super::fatal::Fatal;
pub use super::lives::Factory;
use super::lives::Lives;
use super::mailbox::Mailbox;
use super::vitals::{LifeEvent, Roster, Vitals};
use actix::{Actor, Arbiter, ArbiterHandle};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Process exit code when going on could lose data (sysexits `EX_SOFTWARE`).
pub const EXIT_UNSAFE: i32 = 70;

/// First pause before a rebuild; it doubles up to [`REBUILD_PAUSE_MAX`].
const REBUILD_PAUSE_MIN: Duration = Duration::from_millis(100);
const REBUILD_PAUSE_MAX: Duration = Duration::from_secs(30);
/// So many deaths within [`DEATHS_WINDOW`] and the actor is given up.
const DEATHS_MAX: usize = 5;
const DEATHS_WINDOW: Duration = Duration::from_secs(60);

/// Births actors and keeps them alive. One for the whole server, on the system's own thread.
#[derive(Clone)]
pub struct Guardian {
    roster: Roster,
    fatal: Fatal,
}

impl Guardian {
    /// A guardian that has no actors yet, and raises `fatal` when one cannot be kept alive.
    pub fn new(fatal: Fatal) -> Self {
        Self { roster: Roster::default(), fatal }
    }

    /// The actors that were born and have not been ended, and how each is.
    pub fn roster(&self) -> Roster {
        self.roster.clone()
    }

    /// Builds the actor and starts it on a thread of its own. Its mailbox is `mailbox`, made with
    /// [`Guardian::mailbox`] beforehand so that actors can be given each other's.
    ///
    /// # Errors
    /// When its first life does not begin.
    pub async fn birth<A: Service>(
        &self,
        config: ActorConfig,
        mailbox: Mailbox<A>,
        lives: impl Into<Lives<A>>,
    ) -> anyhow::Result<Birth> {
        self.birth_at(Home::new(), config, mailbox, lives.into()).await
    }

    /// The same on one of `threads`, which other actors live on too.
    ///
    /// # Errors
    /// When its first life does not begin.
    pub async fn birth_among<A: Service>(
        &self,
        threads: &SharedThreads,
        config: ActorConfig,
        mailbox: Mailbox<A>,
        lives: impl Into<Lives<A>>,
    ) -> anyhow::Result<Birth> {
        self.birth_at(threads.next(), config, mailbox, lives.into()).await
    }

    async fn birth_at<A: Service>(
        &self,
        home: Home,
        config: ActorConfig,
        mailbox: Mailbox<A>,
        Lives { first, again }: Lives<A>,
    ) -> anyhow::Result<Birth> {
        let death = start(&home, &config, &mailbox, first.await?).await?;
        note(&config, mailbox.vitals(), LifeEvent::Started);
        self.roster.enter(mailbox.vitals());
        let name = config.name.clone();
        let end = Arc::new(Notify::new());
        let watch = self.clone().watch(home, config, mailbox, again, death, Arc::clone(&end));
        Ok(Birth { name, end, ended: actix_rt::spawn(watch) })
    }

    /// The mailbox of an actor to be born.
    pub fn mailbox<A: Service>(config: &ActorConfig) -> Mailbox<A> {
        Mailbox::new(config)
    }

    async fn watch<A: Service>(
        self,
        home: Home,
        config: ActorConfig,
        mailbox: Mailbox<A>,
        factory: Factory<A>,
        mut death: oneshot::Receiver<()>,
        end: Arc<Notify>,
    ) {
        let label = config.label().to_owned();
        let restarts = metrics::counter!("actor_restarts_total", "actor" => label);
        let mut deaths: VecDeque<Instant> = VecDeque::new();
        loop {
            let died = tokio::select! {
                biased;
                died = &mut death => died.is_err(),
                () = end.notified() => {
                    mailbox.stop();
                    (&mut death).await.ok();
                    false
                }
            };
            if !died {
                break;
            }
            mailbox.connect(None);
            restarts.increment(1);
            tracing::error!(actor = config.name, "actor panicked, rebuilding it");
            note(&config, mailbox.vitals(), LifeEvent::Died);
            match self.rebuild(&home, &config, &mailbox, &factory, &mut deaths).await {
                Some(next) => death = next,
                None => {
                    note(&config, mailbox.vitals(), LifeEvent::Failed);
                    tracing::error!(actor = config.name, "actor given up after repeated failures");
                    if config.vital {
                        let reason = format!("actor {} could not be kept alive", config.name);
                        self.fatal.raise(EXIT_UNSAFE, reason);
                    }
                    end.notified().await;
                    break;
                }
            }
            note(&config, mailbox.vitals(), LifeEvent::Rebuilt);
        }
        mailbox.connect(None);
        home.leave();
        note(&config, mailbox.vitals(), LifeEvent::Stopped);
        self.roster.leave(mailbox.vitals());
    }

    /// Tries until the actor runs again, or gives up.
    async fn rebuild<A: Service>(
        &self,
        home: &Home,
        config: &ActorConfig,
        mailbox: &Mailbox<A>,
        factory: &Factory<A>,
        deaths: &mut VecDeque<Instant>,
    ) -> Option<oneshot::Receiver<()>> {
        let mut pause = REBUILD_PAUSE_MIN;
        loop {
            let now = Instant::now();
            deaths.push_back(now);
            while deaths.front().is_some_and(|d| now.duration_since(*d) > DEATHS_WINDOW) {
                deaths.pop_front();
            }
            if deaths.len() > DEATHS_MAX {
                return None;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REBUILD_PAUSE_MAX);
            let born = match factory().await {
                Ok(actor) => start(home, config, mailbox, actor).await,
                Err(error) => Err(error),
            };
            match born {
                Ok(death) => return Some(death),
                Err(error) => {
                    tracing::error!(actor = config.name, %error, "actor could not be rebuilt");
                }
            }
        }
    }
}

/// Notes what happened to an actor where everybody can read it.
fn note(config: &ActorConfig, vitals: &Vitals, event: LifeEvent) {
    let was_up = vitals.state() == "running";
    vitals.note(event);
    let up = vitals.state() == "running";
    metrics::gauge!("actor_up", "actor" => config.label().to_owned())
        .increment(f64::from(i8::from(up) - i8::from(was_up)));
}

/// Where an actor runs, in this life and the next ones.
enum Home {
    /// On a thread of its own.
    Thread(Arbiter),
    /// On a thread with others.
    Shared(ArbiterHandle),
    /// On the one thread of a simulation.
    #[cfg(feature = "simulation")]
    Here,
}

impl Home {
    fn new() -> Self {
        #[cfg(feature = "simulation")]
        if super::simulated::is_active() {
            return Self::Here;
        }
        Self::Thread(Arbiter::new())
    }

    /// Runs `start` there. False when the thread is gone.
    fn run(&self, start: impl FnOnce() + Send + 'static) -> bool {
        match self {
            Self::Thread(arbiter) => arbiter.spawn_fn(start),
            Self::Shared(arbiter) => arbiter.spawn_fn(start),
            #[cfg(feature = "simulation")]
            Self::Here => {
                start();
                true
            }
        }
    }

    fn leave(self) {
        match self {
            Self::Thread(arbiter) => {
                arbiter.stop();
            }
            Self::Shared(_) => {}
            #[cfg(feature = "simulation")]
            Self::Here => {}
        }
    }
}

/// Threads for actors of which there may be many. They live as long as the process.
#[derive(Clone, Debug)]
pub struct SharedThreads {
    threads: Arc<[ArbiterHandle]>,
    next: Arc<AtomicUsize>,
}

impl SharedThreads {
    /// Starts so many threads. In a simulation there are none.
    pub fn start(threads: usize) -> Self {
        let threads = match Home::new() {
            Home::Thread(first) => {
                let more = (1..threads.max(1)).map(|_| Arbiter::new().handle());
                std::iter::once(first.handle()).chain(more).collect()
            }
            _ => Arc::from(Vec::new()),
        };
        Self { threads, next: Arc::default() }
    }

    /// The next thread in turn.
    fn next(&self) -> Home {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match self.threads.get(turn % self.threads.len().max(1)) {
            Some(thread) => Home::Shared(thread.clone()),
            None => Home::new(),
        }
    }
}

/// A running actor, for the one who ends it.
pub struct Birth {
    name: String,
    end: Arc<Notify>,
    ended: JoinHandle<()>,
}

impl Birth {
    /// Ends the actor in good order, without waiting for it.
    pub fn stop(&self) {
        self.end.notify_one();
    }

    /// Ends the actor in good order and waits for it, at most two seconds. One that is being
    /// rebuilt ends after that.
    pub async fn end(self) {
        self.stop();
        if tokio::time::timeout(Duration::from_secs(2), self.ended).await.is_err() {
            tracing::warn!(actor = self.name, "actor did not stop in time");
        }
    }
}

async fn start<A: Service>(
    home: &Home,
    config: &ActorConfig,
    mailbox: &Mailbox<A>,
    actor: A,
) -> anyhow::Result<oneshot::Receiver<()>> {
    let (death, on_death) = oneshot::channel();
    let (started, on_start) = oneshot::channel();
    let hosted = Hosted::new(actor, config, mailbox.clone(), death);
    let spawned = home.run(move || {
        started.send(hosted.start()).ok();
    });
    anyhow::ensure!(spawned, "the thread of {} is gone", config.name);
    mailbox.connect(Some(on_start.await?));
    Ok(on_death)
}
