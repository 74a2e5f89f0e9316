//! The socket to the process: what is said both ways, and the runs under way.

use super::GRACE;
use super::calls;
use super::config::HostConfig;
use super::control_group::ControlGroup;
use super::process::{Started, kill_all};
use super::standing::HostStanding;
use crate::runtime::pools::{self, Pool};
use bytes::Bytes;
use hashbrown::HashMap;
use protocols::durations::format_exact;
use protocols::messages::plugins::{KeepPluginLog, RunPlugin};
use protocols::plugins::host::{
    FromHost, Level, Outcome, PREFIX_BYTES, PROTOCOL, Run, ToHost, decode, encode, lengths,
};
use std::io::{self, BufRead, BufReader};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

/// How long a new process may take until it speaks.
const HELLO_TIME: Duration = Duration::from_secs(30);
/// How often it is looked whether the process still runs.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long the last words of a process that has ended are waited for.
const LAST_WORDS_TIME: Duration = Duration::from_millis(200);
/// Bytes that are made room for at once: a length is only believed as its bytes come.
const STEP_BYTES: usize = 1024 * 1024;

/// The process has ended.
pub(super) enum Died {
    /// Before the run began: it can be run elsewhere.
    Before(Box<RunPlugin>),
    /// Before the run did.
    Meanwhile,
}

/// A run under way.
struct Running {
    trigger: u64,
    name: Arc<str>,
    database: Arc<str>,
    done: oneshot::Sender<(Outcome, Bytes)>,
    /// What it has asked for.
    calls: Vec<AbortHandle>,
}

#[derive(Default)]
struct State {
    runs: HashMap<u64, Running>,
    /// The marks of the plugins that the process has, by trigger.
    loaded: HashMap<u64, i64>,
    next_run: u64,
    /// Nobody is left to run anything.
    has_ended: bool,
}

/// Number of a run, and what is told at its end.
type Begun = (u64, oneshot::Receiver<(Outcome, Bytes)>);

/// A running process.
pub(super) struct Link {
    config: Arc<HostConfig>,
    standing: Arc<HostStanding>,
    state: Mutex<State>,
    child: Mutex<Child>,
    /// Ends with the process.
    group: Mutex<Option<ControlGroup>>,
    output: mpsc::UnboundedSender<Vec<Bytes>>,
    ended: watch::Sender<Option<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Greets a process that was started.
    ///
    /// # Errors
    /// When it does not speak, or speaks another version.
    pub(super) async fn open(
        config: Arc<HostConfig>,
        standing: Arc<HostStanding>,
        started: Started,
    ) -> anyhow::Result<Arc<Self>> {
        let Started { mut child, socket, stdout, stderr, group } = started;
        socket.set_nonblocking(true)?;
        let (mut input, theirs) = UnixStream::from_std(socket)?.into_split();
        let said = Arc::new(Mutex::new(String::new()));
        let pool = Pool::new("plugin-output", 2, 2)?;
        if let Some(stdout) = stdout {
            drop(pool.run(move || copy_output(stdout, None)));
        }
        if let Some(stderr) = stderr {
            let said = Arc::clone(&said);
            drop(pool.run(move || copy_output(stderr, Some(&said))));
        }
        let hello = tokio::time::timeout(HELLO_TIME, read(&mut input)).await;
        match hello {
            Ok(Ok((FromHost::Hello { protocol: PROTOCOL, python }, _))) => {
                tracing::info!(python, pid = child.id(), "plugin host started");
            }
            Ok(Ok(_)) => {
                end(&mut child);
                anyhow::bail!("the extension module for Python is of another version");
            }
            Ok(Err(_)) | Err(_) => {
                end(&mut child);
                tokio::time::sleep(LAST_WORDS_TIME).await;
                let said = locked(&said).trim().to_owned();
                anyhow::bail!("Python could not be started: {said}");
            }
        }
        let (output, outgoing) = mpsc::unbounded_channel();
        let (ended, _) = watch::channel(None);
        let state = Mutex::default();
        let (child, group) = (Mutex::new(child), Mutex::new(group));
        let link = Arc::new(Self { config, standing, state, child, group, output, ended });
        spawn(send(theirs, outgoing));
        spawn(serve(Arc::clone(&link), input));
        Ok(link)
    }

    /// Why the process has ended, once it has.
    pub(super) fn end_of(&self) -> watch::Receiver<Option<String>> {
        self.ended.subscribe()
    }

    fn say(&self, head: &ToHost, body: Vec<Bytes>) {
        let bytes = body.iter().map(Bytes::len).sum();
        match encode(head, bytes) {
            Ok(head) => {
                let frame = std::iter::once(Bytes::from(head)).chain(body).collect();
                // A process that is gone is noticed by the one who reads.
                self.output.send(frame).ok();
            }
            Err(error) => {
                tracing::error!(%error, "the plugin host cannot be told");
                if let ToHost::Run(run) = head {
                    let error = Some(error.to_string());
                    self.done(run.run, Outcome { error, ..Outcome::default() }, Bytes::new());
                }
            }
        }
    }

    /// True once no run can begin any more.
    pub(super) fn has_ended(&self) -> bool {
        locked(&self.state).has_ended
    }

    /// Begins a run.
    fn begin(&self, wanted: RunPlugin) -> Result<Begun, Died> {
        let (done, on_done) = oneshot::channel();
        let mut state = locked(&self.state);
        if state.has_ended {
            return Err(Died::Before(Box::new(wanted)));
        }
        let RunPlugin { trigger, name, database, node, number, plugin, event, body, .. } = wanted;
        state.next_run += 1;
        let run = state.next_run;
        let calls = Vec::new();
        let running = Running {
            trigger,
            name: Arc::clone(&name),
            database: Arc::clone(&database),
            done,
            calls,
        };
        state.runs.insert(run, running);
        // Said under the lock: the plugin comes before its run.
        if state.loaded.insert(trigger, plugin.mark) != Some(plugin.mark) {
            self.say(&ToHost::Load { trigger, source: plugin.source }, Vec::new());
        }
        drop(state);
        let (arguments, run_async, test) = (wanted.arguments, wanted.run_async, wanted.test);
        let run_id = run;
        let run =
            Run { run, trigger, name, database, node, number, event, arguments, run_async, test };
        self.say(&ToHost::Run(run), body);
        Ok((run_id, on_done))
    }

    /// Runs a plugin. One that takes longer than it may is interrupted, and if that does not help
    /// the process is ended.
    pub(super) async fn run(&self, wanted: RunPlugin) -> Result<(Outcome, Bytes), Died> {
        let timeout = wanted.timeout;
        let (run, mut on_done) = self.begin(wanted)?;
        let Some(time) = timeout else { return on_done.await.map_err(|_| Died::Meanwhile) };
        if let Ok(done) = tokio::time::timeout(time, &mut on_done).await {
            return done.map_err(|_| Died::Meanwhile);
        }
        self.interrupt(run);
        let (mut outcome, body) = match tokio::time::timeout(GRACE, &mut on_done).await {
            Ok(done) => done.map_err(|_| Died::Meanwhile)?,
            Err(_) => {
                self.kill("a run took too long and could not be interrupted");
                (Outcome::default(), Bytes::new())
            }
        };
        let took = format_exact(u64::try_from(time.as_nanos()).ok());
        outcome.error = Some(format!("the run took longer than {took} and was ended"));
        outcome.writes.clear();
        Ok((outcome, body))
    }

    fn interrupt(&self, run: u64) {
        if let Some(running) = locked(&self.state).runs.get_mut(&run) {
            running.calls.drain(..).for_each(|call| call.abort());
        }
        self.say(&ToHost::Interrupt { run }, Vec::new());
    }

    fn runs_of(&self, trigger: Option<u64>) -> Vec<u64> {
        let state = locked(&self.state);
        let of_it = state.runs.iter().filter(|(_, r)| trigger.is_none_or(|t| r.trigger == t));
        of_it.map(|(run, _)| *run).collect()
    }

    /// Interrupts the runs of a trigger, or all; false if one has not ended after `grace`.
    async fn end_runs(&self, trigger: Option<u64>, grace: Duration) -> bool {
        let runs = self.runs_of(trigger);
        runs.iter().for_each(|run| self.interrupt(*run));
        let until = tokio::time::Instant::now() + grace;
        loop {
            let left = self.runs_of(trigger);
            if !left.iter().any(|run| runs.contains(run)) || self.ended.borrow().is_some() {
                return true;
            }
            if tokio::time::Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the runs of a trigger, and has the process forget it.
    pub(super) async fn forget(&self, trigger: u64) {
        if !self.end_runs(Some(trigger), GRACE).await {
            self.kill("a run of a trigger that has ended could not be interrupted");
        }
        locked(&self.state).loaded.remove(&trigger);
        self.say(&ToHost::Forget { trigger }, Vec::new());
    }

    /// Ends all runs and the process.
    pub(super) async fn stop(&self, grace: Duration) {
        self.end_runs(None, grace).await;
        let mut ended = self.end_of();
        self.kill("the server stops");
        tokio::time::timeout(Duration::from_secs(2), ended.wait_for(Option::is_some)).await.ok();
    }

    pub(super) fn kill(&self, why: &str) {
        tracing::info!(why, "ending the plugin host");
        // One that has ended already is noticed by the one who reads.
        kill_all(&mut locked(&self.child));
    }

    fn done(&self, run: u64, outcome: Outcome, body: Bytes) {
        if let Some(running) = locked(&self.state).runs.remove(&run) {
            running.calls.iter().for_each(AbortHandle::abort);
            running.done.send((outcome, body)).ok(); // its trigger may have ended
        }
    }

    fn log(&self, run: u64, level: Level, text: String) {
        let said = locked(&self.state).runs.get(&run).map(|running| KeepPluginLog {
            database: Arc::clone(&running.database),
            trigger: Arc::clone(&running.name),
            level,
            text,
        });
        if let Some(said) = said {
            // What finds no room is lost: a plugin may say a lot.
            self.config.log.tell(said);
        }
    }

    fn call(self: &Arc<Self>, run: u64, call: u64, what: protocols::plugins::host::Call) {
        let link = Arc::clone(self);
        let answer = spawn(async move {
            let (error, body) = match calls::answer(&link.config, what).await {
                Ok(body) => (None, vec![body]),
                Err(text) => (Some(text), Vec::new()),
            };
            link.say(&ToHost::Reply { call, error }, body);
        });
        match locked(&self.state).runs.get_mut(&run) {
            Some(running) => {
                running.calls.retain(|call| !call.is_finished());
                running.calls.push(answer);
            }
            None => answer.abort(),
        }
    }

    fn has_exited(&self) -> Option<ExitStatus> {
        locked(&self.child).try_wait().ok().flatten()
    }
}

/// Tasks of a process: they end with its socket.
fn spawn(work: impl Future<Output = ()> + 'static) -> AbortHandle {
    #[expect(clippy::disallowed_methods, reason = "it ends with the socket of the process")]
    let task = actix_rt::spawn(work);
    task.abort_handle()
}

fn end(child: &mut Child) {
    kill_all(child);
    child.wait().ok();
}

/// Sends what is to be sent until nobody is left who says anything.
async fn send(mut output: OwnedWriteHalf, mut outgoing: mpsc::UnboundedReceiver<Vec<Bytes>>) {
    while let Some(frame) = outgoing.recv().await {
        for piece in frame {
            if output.write_all(&piece).await.is_err() {
                return;
            }
        }
    }
}

async fn read(input: &mut OwnedReadHalf) -> io::Result<(FromHost, Bytes)> {
    let mut prefix = [0; PREFIX_BYTES];
    input.read_exact(&mut prefix).await?;
    let (head, body) = lengths(prefix).map_err(io::Error::other)?;
    let head = read_bytes(input, head).await?;
    let body = read_bytes(input, body).await?;
    Ok((decode(&head).map_err(io::Error::other)?, body.into()))
}

async fn read_bytes(input: &mut OwnedReadHalf, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length.min(STEP_BYTES));
    let read = input.take(length as u64).read_to_end(&mut bytes).await?;
    match read == length {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Does what the process says until it ends; then all its runs have failed.
async fn serve(link: Arc<Link>, mut input: OwnedReadHalf) {
    let listened = async {
        loop {
            match read(&mut input).await {
                Ok((FromHost::Done { run, outcome }, body)) => link.done(run, outcome, body),
                Ok((FromHost::Log { run, level, text }, _)) => link.log(run, level, text),
                Ok((FromHost::Call { call, run, what }, _)) => link.call(run, call, what),
                Ok((FromHost::Hello { .. }, _)) => {}
                Err(error) => return error,
            }
        }
    };
    let exited = async {
        let pid = locked(&link.child).id();
        while link.has_exited().is_none() {
            link.standing.look(pid);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        tokio::time::sleep(LAST_WORDS_TIME).await;
    };
    let why = tokio::select! {
        error = listened => error.to_string(),
        () = exited => "it has exited".to_owned(),
    };
    let ended = {
        let link = Arc::clone(&link);
        pools::spawn_blocking(move || {
            let mut child = locked(&link.child);
            kill_all(&mut child);
            locked(&link.group).take();
            child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
        })
    };
    let status = ended.await.unwrap_or_default();
    tracing::warn!(status, why, "plugin host ended");
    let runs = {
        let mut state = locked(&link.state);
        state.has_ended = true;
        std::mem::take(&mut state.runs)
    };
    runs.values().flat_map(|run| &run.calls).for_each(AbortHandle::abort);
    drop(runs); // whoever waits for one learns of its end
    link.ended.send_replace(Some(status));
}

/// Copies what the process writes outside of Python to the log; keeps the last of it in `last`.
fn copy_output(stream: impl io::Read, last: Option<&Mutex<String>>) {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without an end is no reason to hold all of it.
        let read = io::Read::take(&mut lines, 64 * 1024).read_until(b'\n', &mut line);
        if !matches!(read, Ok(bytes) if bytes > 0) {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        tracing::info!("plugin host: {}", text.trim_end());
        if let Some(last) = last {
            let mut last = locked(last);
            if last.len() > 4096 {
                last.clear();
            }
            last.push_str(&text);
        }
    }
}
