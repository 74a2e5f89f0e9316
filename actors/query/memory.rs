//! What the engine's operators are told when they ask for memory.
//!
//! They say how much they take by the size of their arrays. Of rows that are part of a larger
//! block, such as those of a chunk, each batch is said to be as large as the block. So nobody is
//! refused for what it says; what counts is what the query really has. What operators ask is good
//! for one thing: those that can write to disk what they hold do so when they are refused.

use super::scope::Scope;
use datafusion::common::resources_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use std::fmt;
use std::sync::Arc;

/// Of its share, what a query may have until who can has to write to disk: for that it is sorted,
/// which takes as much again for the sorted rows and once more for what is compared.
const SPILL_PART: usize = 6;
/// Less is not worth a file.
const SPILL_BYTES_MIN: usize = 512 * 1024;

/// The memory of one query, as its operators see it.
#[derive(Debug)]
pub(super) struct QueryMemory {
    scope: Arc<Scope>,
    may_spill: bool,
}

impl QueryMemory {
    /// `may_spill` if there is a disk to write to.
    pub(super) fn of(scope: &Arc<Scope>, may_spill: bool) -> Self {
        Self { scope: Arc::clone(scope), may_spill }
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, _: &MemoryConsumer) {}

    fn unregister(&self, _: &MemoryConsumer) {}

    fn grow(&self, _: &MemoryReservation, _: usize) {}

    fn shrink(&self, _: &MemoryReservation, _: usize) {}

    fn try_grow(&self, reservation: &MemoryReservation, _: usize) -> Result<()> {
        let spills = self.may_spill
            && reservation.consumer().can_spill()
            && reservation.size() >= SPILL_BYTES_MIN;
        match spills && self.scope.allocated() > self.scope.share() / SPILL_PART {
            true => resources_err!("the query has a part of its memory to write to disk"),
            false => Ok(()),
        }
    }

    fn reserved(&self) -> usize {
        self.scope.allocated()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.scope.share())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scope::Pool;
    use super::*;

    #[tokio::test]
    async fn what_counts_is_what_a_query_has_and_not_what_it_says() {
        let scope = Pool::open(usize::MAX, 3 << 20).unwrap().scope().unwrap();
        let pool: Arc<dyn MemoryPool> = Arc::new(QueryMemory::of(&scope, true));
        let sort = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        let join = MemoryConsumer::new("join").register(&pool);
        sort.try_grow(1 << 30).unwrap();
        join.try_grow(1 << 30).unwrap();
        let taken = scope.wrap(async { vec![1_u8; 2 << 20] }).await;
        assert!(sort.try_grow(1).is_err(), "it can write to disk");
        join.try_grow(1).unwrap();
        drop(taken);
        sort.try_grow(1).unwrap();
    }
}
