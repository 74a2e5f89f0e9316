//! See the module's page.

use super::config::HostConfig;
use super::link::{Died, Link};
use super::process;
use super::standing::HostStanding;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::guardian::ActorConfig;
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::Responder;
use crate::runtime::pools;
use protocols::error::ErrorKind;
use protocols::limits;
use protocols::messages::plugins::{CheckHost, ForgetTrigger, PluginError, RunPlugin, StopHost};
use protocols::messages::rank;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Pause before a process that has ended is started again; it doubles with each that does not live
/// for [`LIFE_MIN`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
const LIFE_MIN: Duration = Duration::from_secs(60);

/// How long runs may take to end when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

enum Waiting {
    Run(Box<RunPlugin>, Responder<RunPlugin>),
    Check(Responder<CheckHost>),
}

/// See the module's page.
pub struct PythonHost {
    config: Arc<HostConfig>,
    standing: Arc<HostStanding>,
    link: Option<Arc<Link>>,
    waiting: Vec<Waiting>,
    is_starting: bool,
    is_stopping: bool,
    started_at: Instant,
    /// Before the next start.
    pause: Duration,
}

impl PythonHost {
    /// How it is born under this name.
    pub fn config(name: String) -> ActorConfig {
        ActorConfig {
            kind: "python-host",
            name,
            messages_max: limits::PYTHON_HOST_MAILBOX_MESSAGES,
            bytes_max: limits::PYTHON_HOST_MAILBOX_BYTES,
            vital: false,
        }
    }

    /// How it comes to life, now and after each death.
    pub fn lives(config: Arc<HostConfig>, standing: Arc<HostStanding>) -> Lives<Self> {
        Lives::of(move || Ok(Self::new(Arc::clone(&config), Arc::clone(&standing))))
    }

    /// The actor, without a process.
    fn new(config: Arc<HostConfig>, standing: Arc<HostStanding>) -> Self {
        Self {
            config,
            standing,
            link: None,
            waiting: Vec::new(),
            is_starting: false,
            is_stopping: false,
            started_at: Instant::now(),
            pause: Duration::ZERO,
        }
    }

    /// Does what waits, if there is a process; else starts one.
    fn go_on(&mut self, cx: &mut Cx<'_, Self>) {
        if self.is_stopping {
            self.refuse("the server is shutting down");
            return;
        }
        let Some(link) = self.link.clone() else {
            self.start(cx);
            return;
        };
        for waiting in self.waiting.drain(..) {
            match waiting {
                Waiting::Check(reply) => reply.answer(Ok(())),
                Waiting::Run(run, reply) => {
                    let link = Arc::clone(&link);
                    cx.then(async move { link.run(*run).await }, |host, ended, cx| match ended {
                        Ok(ended) => reply.answer(Ok(ended)),
                        Err(Died::Before(run)) => host.run_elsewhere(run, reply, cx),
                        Err(Died::Meanwhile) => {
                            let text = "the process that runs plugins has ended";
                            reply.answer(Err(PluginError::new(ErrorKind::Unavailable, text)));
                        }
                    });
                }
            }
        }
    }

    /// Has a run wait for the next process.
    fn run_elsewhere(
        &mut self,
        run: Box<RunPlugin>,
        reply: Responder<RunPlugin>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.waiting.push(Waiting::Run(run, reply));
        // The end of a process that is not known here yet has all go on that waits.
        if self.link.as_ref().is_none_or(|link| !link.has_ended()) {
            self.go_on(cx);
        }
    }

    fn start(&mut self, cx: &mut Cx<'_, Self>) {
        if self.is_starting || self.waiting.is_empty() {
            return;
        }
        self.is_starting = true;
        let (config, standing) = (Arc::clone(&self.config), Arc::clone(&self.standing));
        let pause = self.pause;
        let work = async move {
            tokio::time::sleep(pause).await;
            let (environment, memory_bytes) = (config.environment.clone(), config.memory_bytes);
            let started =
                pools::spawn_blocking(move || process::start(environment.as_deref(), memory_bytes));
            Link::open(config, standing, started.await??).await
        };
        cx.then(work, |host, link: anyhow::Result<Arc<Link>>, cx| host.started(link, cx));
    }

    fn started(&mut self, link: anyhow::Result<Arc<Link>>, cx: &mut Cx<'_, Self>) {
        self.is_starting = false;
        self.started_at = Instant::now();
        match link {
            Ok(link) => {
                let mut end = link.end_of();
                self.link = Some(link);
                let ended = async move { end.wait_for(Option::is_some).await.map(drop) };
                cx.then(ended, |host, _, cx| host.ended(cx));
                self.go_on(cx);
            }
            Err(error) => {
                self.slow_down();
                let text = format!("{error:#}");
                tracing::error!(error = text, "plugins cannot run");
                self.refuse(&text);
            }
        }
    }

    /// The process has ended. Another one is started when there is something to run.
    fn ended(&mut self, cx: &mut Cx<'_, Self>) {
        self.link = None;
        self.slow_down();
        self.standing.ended();
        self.go_on(cx);
    }

    fn slow_down(&mut self) {
        let is_old = self.started_at.elapsed() > LIFE_MIN;
        let longer = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause = if is_old { PAUSE_MIN } else { longer };
    }

    fn refuse(&mut self, why: &str) {
        for waiting in self.waiting.drain(..) {
            let error = PluginError::internal(why);
            match waiting {
                Waiting::Check(reply) => reply.answer(Err(error)),
                Waiting::Run(_, reply) => reply.answer(Err(error)),
            }
        }
    }
}

impl Drop for PythonHost {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.kill("its actor has ended");
        }
    }
}

impl Service for PythonHost {
    const RANK: u8 = rank::PYTHON_HOST;
}

impl Receive<RunPlugin> for PythonHost {
    fn receive(&mut self, run: RunPlugin, reply: Responder<RunPlugin>, cx: &mut Cx<'_, Self>) {
        self.waiting.push(Waiting::Run(Box::new(run), reply));
        self.go_on(cx);
    }
}

impl Receive<CheckHost> for PythonHost {
    fn receive(&mut self, _: CheckHost, reply: Responder<CheckHost>, cx: &mut Cx<'_, Self>) {
        self.waiting.push(Waiting::Check(reply));
        self.go_on(cx);
    }
}

impl Receive<ForgetTrigger> for PythonHost {
    fn receive(
        &mut self,
        forget: ForgetTrigger,
        reply: Responder<ForgetTrigger>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.waiting.retain(
            |waiting| !matches!(waiting, Waiting::Run(run, _) if run.trigger == forget.trigger),
        );
        if let Some(link) = self.link.clone() {
            cx.then(async move { link.forget(forget.trigger).await }, |_, (), _| ());
        }
        reply.answer(());
    }
}

impl Receive<StopHost> for PythonHost {
    fn receive(&mut self, _: StopHost, reply: Responder<StopHost>, cx: &mut Cx<'_, Self>) {
        self.is_stopping = true;
        self.refuse("the server is shutting down");
        match self.link.clone() {
            Some(link) => {
                cx.then(async move { link.stop(STOP_GRACE).await }, |_, (), _| reply.answer(()));
            }
            None => reply.answer(()),
        }
    }
}
