//! What a cache notes of itself, for everybody to read.

use protocols::messages::caches::CacheRef;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How a cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// Rows that were there before are on their way into it; questions wait.
    Filling,
    /// It has everything that it should have.
    Running,
    /// It had to remove rows, because the memory for caches is used up.
    Full,
    /// It died again and again. Its keeper tries anew after a while.
    Failed,
}

impl CacheState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Running => "running",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

/// What a cache says of itself. Only its actor changes it.
#[derive(Clone, Copy, Debug)]
pub struct CacheStatus {
    /// How it is, unless it died.
    pub state: CacheState,
    /// Number of its filling; it goes up each time that it begins anew.
    pub filling: u64,
    /// Keys that it holds.
    pub keys: usize,
    /// Rows that it holds.
    pub rows: usize,
    /// Bytes that it holds.
    pub bytes: usize,
    /// Keys that went for their age or number.
    pub evicted: u64,
    /// Keys that went for lack of memory.
    pub squeezed: u64,
}

/// How a cache stands, over all its lives.
#[derive(Debug)]
pub struct Standing {
    /// Which cache.
    pub cache: CacheRef,
    /// Its database, table and own name, for texts.
    pub names: [Arc<str>; 3],
    status: Mutex<CacheStatus>,
    /// It has missed rows.
    behind: AtomicBool,
    /// How often that happened.
    overruns: AtomicU64,
}

impl Standing {
    /// Of a cache that is about to be born.
    pub fn new(cache: CacheRef, names: [Arc<str>; 3]) -> Self {
        let status = CacheStatus {
            state: CacheState::Filling,
            filling: 0,
            keys: 0,
            rows: 0,
            bytes: 0,
            evicted: 0,
            squeezed: 0,
        };
        let (behind, overruns) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { cache, names, status: Mutex::new(status), behind, overruns }
    }

    /// What it says of itself.
    pub fn status(&self) -> CacheStatus {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what it says of itself.
    pub(super) fn publish(&self, status: CacheStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// True when it has missed rows and is about to begin anew.
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// How often it has missed rows.
    pub fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }

    /// Notes that rows did not find room in its mailbox.
    pub fn misses_rows(&self) {
        if !self.behind.swap(true, Ordering::AcqRel) {
            self.overruns.fetch_add(1, Ordering::Relaxed);
            let [_, table, name] = &self.names;
            tracing::warn!(%table, cache = %name, "cache cannot keep up and is rebuilt");
        }
    }

    /// Notes that the cache misses nothing that the rows which it will be filled with do not have.
    pub(super) fn catches_up(&self) {
        self.behind.store(false, Ordering::Release);
    }
}
