//! The threads that plugins run on.

use crate::columns::Stream;
use crate::link::{Link, read};
use bytes::Bytes;
use crossbeam_channel::{Sender, unbounded};
use protocols::plugins::host::{
    Count, Event, FromHost, Outcome, Part, Response, Run, Source, ToHost,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::collections::{BTreeMap, HashMap};
use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

/// Bytes of a thread's stack: what Python's own recursion limit lets C code take, and more.
const STACK_BYTES: usize = 4 * 1024 * 1024;

/// A plugin and which version of it.
struct Loaded {
    version: u64,
    source: Source,
}

/// A run and the plugin as it was when the server asked for the run.
struct Job {
    run: Run,
    body: Vec<u8>,
    plugin: Arc<Loaded>,
}

/// What is done beside runs; it may have to wait for the interpreter.
enum Control {
    Interrupt(u64),
    Forget(u64),
}

/// All triggers and their threads.
pub(crate) struct Runs {
    host: Arc<Py<PyModule>>,
    link: Arc<Link>,
    plugins: HashMap<u64, Arc<Loaded>>,
    /// Of triggers whose runs do not overlap.
    threads: HashMap<u64, Sender<Job>>,
    control: Sender<Control>,
    next_version: u64,
}

/// What `host.py` returns of a run.
type Returned = (
    Option<String>,
    Vec<(String, String)>,
    Vec<String>,
    Option<(u16, Vec<(String, String)>, Vec<u8>)>,
    u64,
    Vec<(String, BTreeMap<String, String>, u64)>,
);

impl Runs {
    pub(crate) fn new(host: Py<PyModule>, link: Arc<Link>) -> Self {
        let host = Arc::new(host);
        let (control, controls) = unbounded();
        let of_control = Arc::clone(&host);
        spawn("control", move || {
            for control in controls {
                Python::attach(|py| {
                    let host = of_control.bind(py);
                    let done = match control {
                        Control::Interrupt(run) => host.call_method1("interrupt", (run,)),
                        Control::Forget(trigger) => host.call_method1("forget", (trigger,)),
                    };
                    if let Err(error) = done {
                        error.print(py);
                    }
                });
            }
        });
        let (plugins, threads) = (HashMap::new(), HashMap::new());
        Self { host, link, plugins, threads, control, next_version: 0 }
    }

    /// Does what the server says until it is gone, or says what nobody understands.
    pub(crate) fn serve(mut self, input: UnixStream) {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        while let Ok((head, body)) = read(&mut input) {
            match head {
                ToHost::Load { trigger, source } => self.load(trigger, source),
                ToHost::Run(run) => self.start(run, body),
                ToHost::Interrupt { run } => {
                    self.link.interrupt(run);
                    self.interrupt(run);
                }
                ToHost::Forget { trigger } => self.forget(trigger),
                ToHost::Reply { call, error } => self.link.reply(call, error, body),
            }
        }
    }

    fn load(&mut self, trigger: u64, source: Source) {
        self.next_version += 1;
        let loaded = Loaded { version: self.next_version, source };
        self.plugins.insert(trigger, Arc::new(loaded));
    }

    fn start(&mut self, run: Run, body: Vec<u8>) {
        let Some(plugin) = self.plugins.get(&run.trigger).map(Arc::clone) else {
            let error = Some("the plugin was not loaded".to_owned());
            self.link.done(run.run, Outcome { error, ..Outcome::default() }, &[]);
            return;
        };
        let (trigger, run_async) = (run.trigger, run.run_async);
        let mut job = Job { run, body, plugin };
        let (host, link) = (Arc::clone(&self.host), Arc::clone(&self.link));
        if run_async {
            let name = Arc::clone(&job.run.name);
            spawn(&name, move || execute(&host, &link, job));
            return;
        }
        if let Some(thread) = self.threads.get(&trigger) {
            match thread.send(job) {
                Ok(()) => return,
                // The thread has ended: another one takes its place.
                Err(unsent) => job = unsent.0,
            }
        }
        let (sender, jobs) = unbounded::<Job>();
        let name = Arc::clone(&job.run.name);
        spawn(&name, move || jobs.iter().for_each(|job| execute(&host, &link, job)));
        sender.send(job).ok();
        self.threads.insert(trigger, sender);
    }

    fn interrupt(&self, run: u64) {
        self.control.send(Control::Interrupt(run)).ok();
    }

    fn forget(&mut self, trigger: u64) {
        self.plugins.remove(&trigger);
        self.threads.remove(&trigger);
        self.control.send(Control::Forget(trigger)).ok();
    }
}

/// A thread that is refused ends the process: the server starts another one, and says why.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let name = name.replace('\0', "");
    let spawned = thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(work);
    if let Err(error) = spawned {
        eprintln!("no thread for a plugin: {error}");
        std::process::exit(1);
    }
}

impl Link {
    fn done(&self, run: u64, outcome: Outcome, body: &[u8]) {
        self.ended(run);
        // A server that is gone ends the process, from the thread that reads.
        self.send(&FromHost::Done { run, outcome }, body).ok();
    }
}

fn execute(host: &Py<PyModule>, link: &Link, job: Job) {
    let run = job.run.run;
    let returned = Python::attach(|py| {
        let job = job_for_python(py, job)?;
        host.bind(py).call_method1("run", (job,))?.extract::<Returned>()
    });
    let (outcome, body) = match returned {
        Ok((error, writes, log_lines, response, lines, counts)) => {
            let (response, body) = match response {
                Some((status, headers, body)) => (Some(Response { status, headers }), body),
                None => (None, Vec::new()),
            };
            let count = |(name, labels, value)| Count { name, labels, value };
            let counts = counts.into_iter().map(count).collect();
            (Outcome { error, writes, log_lines, lines, counts, response }, body)
        }
        Err(error) => {
            let error = Some(error.to_string());
            (Outcome { error, ..Outcome::default() }, Vec::new())
        }
    };
    link.done(run, outcome, &body);
}

fn job_for_python(py: Python<'_>, job: Job) -> PyResult<Bound<'_, PyDict>> {
    let Job { run, body, plugin } = job;
    let dict = PyDict::new(py);
    dict.set_item("run", run.run)?;
    dict.set_item("trigger", run.trigger)?;
    dict.set_item("name", run.name.as_ref())?;
    dict.set_item("database", run.database.as_ref())?;
    dict.set_item("node", run.node.as_ref())?;
    dict.set_item("number", run.number)?;
    dict.set_item("test", run.test)?;
    dict.set_item("version", plugin.version)?;
    let (text, directory) = match &plugin.source {
        Source::Text(text) => (Some(text.as_ref()), None),
        Source::Directory { path, .. } => (None, Some(path.as_str())),
    };
    dict.set_item("text", text)?;
    dict.set_item("directory", directory)?;
    let arguments = PyDict::new(py);
    for (name, value) in &run.arguments {
        arguments.set_item(name.as_ref(), value.as_ref())?;
    }
    dict.set_item("arguments", arguments)?;
    let entry = match run.event {
        Event::Writes(parts) => {
            dict.set_item("tables", tables(py, &parts, body.into())?)?;
            "writes"
        }
        Event::Schedule { at_s } => {
            dict.set_item("at", at_s)?;
            "schedule"
        }
        Event::Request { query, headers } => {
            dict.set_item("query", query)?;
            dict.set_item("headers", headers)?;
            dict.set_item("body", PyBytes::new(py, &body))?;
            "request"
        }
        Event::Snapshot(description) => {
            dict.set_item("snapshot", description.to_string())?;
            "snapshot"
        }
    };
    dict.set_item("entry", entry)?;
    Ok(dict)
}

/// The names of the tables that `process_writes` gets, and the rows of each.
fn tables<'py>(py: Python<'py>, parts: &[Part], mut body: Bytes) -> PyResult<Bound<'py, PyList>> {
    let tables = PyList::empty(py);
    for parts in parts.chunk_by(|a, b| a.table == b.table) {
        let Some(first) = parts.first() else { continue };
        let streams = PyList::empty(py);
        for part in parts {
            streams.append(Stream::new(body.split_to(part.bytes.min(body.len()))))?;
        }
        tables.append((first.table.as_ref(), streams))?;
    }
    Ok(tables)
}
