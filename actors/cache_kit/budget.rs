//! The memory that all caches share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
struct Counts {
    used_bytes: AtomicUsize,
    caches: AtomicUsize,
}

/// A bound on the memory of all caches together. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct CacheBudget {
    max_bytes: usize,
    counts: Arc<Counts>,
}

impl CacheBudget {
    /// A budget of so many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, counts: Arc::default() }
    }

    /// What the caches may take together.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The account of one more cache.
    pub fn open(&self) -> Share {
        self.counts.caches.fetch_add(1, Ordering::Relaxed);
        Share { budget: self.clone(), bytes: 0 }
    }
}

/// The account of one cache. What it holds is given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: CacheBudget,
    bytes: usize,
}

impl Share {
    /// Notes what the cache holds now.
    pub fn set(&mut self, bytes: usize) {
        let used = &self.budget.counts.used_bytes;
        used.fetch_add(bytes, Ordering::Relaxed);
        used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// To how many bytes the cache has to shrink, if the budget is exceeded and this cache holds
    /// more than its equal part of it. While all stay within their parts there is room.
    pub fn shrink_to(&self) -> Option<usize> {
        let counts = &self.budget.counts;
        let excess =
            counts.used_bytes.load(Ordering::Relaxed).saturating_sub(self.budget.max_bytes);
        let part = self.budget.max_bytes / counts.caches.load(Ordering::Relaxed).max(1);
        (excess > 0 && self.bytes > part).then(|| self.bytes.saturating_sub(excess).max(part))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
        self.budget.counts.caches.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_gives_way() {
        let budget = CacheBudget::new(1000);
        let (mut large, mut small) = (budget.open(), budget.open());
        large.set(900);
        small.set(100);
        assert_eq!((large.shrink_to(), small.shrink_to()), (None, None));
        small.set(300);
        assert_eq!((large.shrink_to(), small.shrink_to()), (Some(700), None));
        drop(small);
        assert_eq!(large.shrink_to(), None);
        large.set(1200);
        assert_eq!(large.shrink_to(), Some(1000));
    }
}
