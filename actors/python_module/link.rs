//! The socket to the server: what is said to it, what is asked of it, and what it says.

use crossbeam_channel::{Sender, bounded};
use protocols::plugins::host::{Call, FromHost, PREFIX_BYTES, ToHost, decode, encode, lengths};
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a call has no result.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The run is to end.
    Interrupted,
    /// The server said why, or it is gone.
    Failed(String),
}

/// A call that waits for its reply.
struct Waiting {
    run: u64,
    reply: Sender<Result<Vec<u8>, CallError>>,
}

/// Calls under way, and the runs that may make no more.
#[derive(Default)]
struct Calls {
    waiting: HashMap<u64, Waiting>,
    interrupted: HashSet<u64>,
}

/// The server's end.
pub(crate) struct Link {
    output: Mutex<UnixStream>,
    calls: Mutex<Calls>,
    next_call: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the socket that is the standard input: what is sent, and what is read.
pub(crate) fn open() -> io::Result<(Arc<Link>, UnixStream)> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let input = socket.try_clone()?;
    let (output, calls) = (Mutex::new(socket), Mutex::default());
    Ok((Arc::new(Link { output, calls, next_call: AtomicU64::new(0) }), input))
}

impl Link {
    /// Sends a frame.
    pub(crate) fn send(&self, head: &FromHost, body: &[u8]) -> Result<(), CallError> {
        let failed = |error: &dyn std::fmt::Display| CallError::Failed(error.to_string());
        let bytes = encode(head, body.len()).map_err(|error| failed(&error))?;
        let mut output = locked(&self.output);
        output.write_all(&bytes).and_then(|()| output.write_all(body)).map_err(|e| failed(&e))
    }

    /// Asks, and waits for the reply's body.
    pub(crate) fn call(&self, run: u64, what: Call) -> Result<Vec<u8>, CallError> {
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let (reply, replied) = bounded(1);
        {
            let mut calls = locked(&self.calls);
            if calls.interrupted.contains(&run) {
                return Err(CallError::Interrupted);
            }
            calls.waiting.insert(call, Waiting { run, reply });
        }
        if let Err(error) = self.send(&FromHost::Call { call, run, what }, &[]) {
            locked(&self.calls).waiting.remove(&call);
            return Err(error);
        }
        replied.recv().unwrap_or_else(|_| Err(CallError::Failed("the server is gone".to_owned())))
    }

    /// A run has ended: nothing is kept of it.
    pub(crate) fn ended(&self, run: u64) {
        locked(&self.calls).interrupted.remove(&run);
    }

    /// Ends the calls of a run.
    pub(crate) fn interrupt(&self, run: u64) {
        let mut calls = locked(&self.calls);
        calls.interrupted.insert(run);
        let of_run: Vec<u64> =
            calls.waiting.iter().filter(|(_, w)| w.run == run).map(|(call, _)| *call).collect();
        for waiting in of_run.into_iter().filter_map(|call| calls.waiting.remove(&call)) {
            waiting.reply.send(Err(CallError::Interrupted)).ok();
        }
    }

    /// Hands the reply of the server to the call that waits for it.
    pub(crate) fn reply(&self, call: u64, error: Option<String>, body: Vec<u8>) {
        // One that was interrupted waits no more.
        let Some(waiting) = locked(&self.calls).waiting.remove(&call) else { return };
        waiting.reply.send(error.map_or(Ok(body), |text| Err(CallError::Failed(text)))).ok();
    }
}

/// Reads a frame.
pub(crate) fn read(input: &mut impl Read) -> io::Result<(ToHost, Vec<u8>)> {
    let mut prefix = [0; PREFIX_BYTES];
    input.read_exact(&mut prefix)?;
    let (head_bytes, body_bytes) = lengths(prefix).map_err(io::Error::other)?;
    let mut head = vec![0; head_bytes];
    input.read_exact(&mut head)?;
    let mut body = vec![0; body_bytes];
    input.read_exact(&mut body)?;
    Ok((decode(&head).map_err(io::Error::other)?, body))
}
