//! Rendered write requests: made before the clock starts, or, when there are too many to keep, by a
//! thread that stays a little ahead of the senders.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use crate::generators::{Checksum, Rows};
use crate::http::ServerOptions;
use crate::load_options::LoadOptions;

/// Beyond so many rows (about 4 GB of line protocol) requests are made while they are sent, which
/// takes the server a core if it has only two.
const READY_ROWS_MAX: u64 = 12_000_000;
/// So many requests the making thread is ahead.
const AHEAD: usize = 64;

/// One request.
pub(crate) struct Request {
    /// Head and body as they are sent.
    pub(crate) bytes: Vec<u8>,
    /// Line protocol in it.
    pub(crate) body_bytes: u64,
    pub(crate) rows: u64,
    /// Rows of all requests before it.
    pub(crate) rows_before: u64,
}

/// All requests of a load, for several senders.
pub(crate) struct Requests(Source);

enum Source {
    Ready {
        requests: Vec<Arc<Request>>,
        next: AtomicUsize,
        checksum: Checksum,
    },
    Made {
        receiver: Mutex<Receiver<Result<Arc<Request>>>>,
        maker: Mutex<Option<JoinHandle<Checksum>>>,
    },
}

impl Requests {
    pub(crate) fn prepare(options: &LoadOptions) -> Result<Self> {
        let mut maker = Maker::new(options);
        if options.data.row_count() <= READY_ROWS_MAX {
            let mut requests = Vec::new();
            while let Some(request) = maker.make()? {
                requests.push(Arc::new(request));
            }
            let next = AtomicUsize::new(0);
            return Ok(Self(Source::Ready { requests, next, checksum: maker.checksum }));
        }
        let (sender, receiver) = sync_channel(AHEAD);
        let maker = std::thread::Builder::new()
            .name("requests".to_owned())
            .spawn(move || make_all(maker, &sender))
            .context("cannot start a thread")?;
        let (receiver, maker) = (Mutex::new(receiver), Mutex::new(Some(maker)));
        Ok(Self(Source::Made { receiver, maker }))
    }

    /// The next request that no sender has taken.
    pub(crate) fn next(&self) -> Option<Arc<Request>> {
        match &self.0 {
            Source::Ready { requests, next, .. } => {
                requests.get(next.fetch_add(1, Ordering::Relaxed)).map(Arc::clone)
            }
            Source::Made { receiver, .. } => {
                let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
                receiver.recv().ok()?.ok()
            }
        }
    }

    /// Of everything that was sent, once all of it was.
    pub(crate) fn checksum(&self) -> Result<String> {
        match &self.0 {
            Source::Ready { checksum, .. } => Ok(checksum.text()),
            Source::Made { maker, .. } => {
                let maker = maker.lock().unwrap_or_else(PoisonError::into_inner).take();
                let maker = maker.context("the checksum was asked for twice")?;
                let checksum = maker.join().ok().context("the generator panicked")?;
                Ok(checksum.text())
            }
        }
    }
}

fn make_all(mut maker: Maker, sender: &SyncSender<Result<Arc<Request>>>) -> Checksum {
    while let Some(request) = maker.make().transpose() {
        if sender.send(request.map(Arc::new)).is_err() {
            break;
        }
    }
    maker.checksum
}

/// Turns rows into requests.
struct Maker {
    rows: Box<dyn Rows + Send>,
    server: ServerOptions,
    path: String,
    lines_per_request: u64,
    gzip: bool,
    rows_before: u64,
    body: Vec<u8>,
    checksum: Checksum,
}

impl Maker {
    fn new(options: &LoadOptions) -> Self {
        Self {
            rows: options.data.rows(),
            server: options.server.clone(),
            path: options.target.write_path(&options.server.db),
            lines_per_request: u64::from(options.lines_per_request),
            gzip: options.gzip,
            rows_before: 0,
            body: Vec::new(),
            checksum: Checksum::new(),
        }
    }

    fn make(&mut self) -> Result<Option<Request>> {
        self.body.clear();
        let mut rows = 0;
        while rows < self.lines_per_request && self.rows.write_line(&mut self.body) {
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        self.checksum.add(&self.body);
        let bytes = if self.gzip {
            self.server.post_gzip(&self.path, &self.body).context("cannot compress a body")?
        } else {
            self.server.post(&self.path, &self.body)
        };
        let rows_before = self.rows_before;
        self.rows_before += rows;
        Ok(Some(Request { bytes, body_bytes: self.body.len() as u64, rows, rows_before }))
    }
}
