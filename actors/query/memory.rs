//! The memory that one query reserves of what all queries share.

use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Passes everything on to the shared pool and remembers how much this query had at most.
#[derive(Debug)]
pub(super) struct QueryMemory {
    shared: Arc<dyn MemoryPool>,
    reserved: AtomicUsize,
    peak: AtomicUsize,
}

impl QueryMemory {
    pub(super) fn of(shared: &Arc<dyn MemoryPool>) -> Self {
        let shared = Arc::clone(shared);
        Self { shared, reserved: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// The most that was reserved at a time, in bytes.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn count(&self, additional: usize) {
        let reserved = self.reserved.fetch_add(additional, Ordering::Relaxed) + additional;
        self.peak.fetch_max(reserved, Ordering::Relaxed);
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        self.shared.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.grow(reservation, additional);
        self.count(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shared.shrink(reservation, shrink);
        self.reserved.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.shared.try_grow(reservation, additional)?;
        self.count(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.shared.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.shared.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    #[test]
    fn the_peak_is_that_of_this_query() {
        let shared: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1_000));
        let other = MemoryConsumer::new("other").register(&shared);
        other.try_grow(500).unwrap();
        let memory = Arc::new(QueryMemory::of(&shared));
        let pool: Arc<dyn MemoryPool> = Arc::clone(&memory) as _;
        let own = MemoryConsumer::new("own").register(&pool);
        own.try_grow(300).unwrap();
        own.shrink(200);
        own.try_grow(100).unwrap();
        assert!(own.try_grow(500).is_err(), "the others have the rest");
        assert_eq!((memory.peak(), shared.reserved()), (300, 700));
        drop(own);
        assert_eq!((memory.peak(), shared.reserved()), (300, 500));
    }
}
