//! The memory that the bodies of all requests may take together, from their first byte to the
//! answer.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A bound on the bytes of bodies. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    /// What is left, in KiB: one acquisition counts in 32 bits.
    kib: Arc<Semaphore>,
    kib_max: usize,
    /// How long a request waits for room.
    wait: Duration,
}

/// The budget has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl BodyBudget {
    /// A budget of so many bytes, for whose room a request waits so long.
    pub fn new(bytes_max: usize, wait: Duration) -> Self {
        let kib_max = bytes_max.div_ceil(1024).min(Semaphore::MAX_PERMITS);
        Self { kib: Arc::new(Semaphore::new(kib_max)), kib_max, wait }
    }

    /// The account of one request.
    pub fn open(&self) -> HeldBytes {
        HeldBytes { budget: self.clone(), kib: 0, permit: None }
    }
}

/// What one request holds. It is given back when this is dropped.
#[derive(Debug)]
pub struct HeldBytes {
    budget: BodyBudget,
    kib: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl HeldBytes {
    /// How many KiB are missing to so many bytes. A body larger than the whole budget takes all of
    /// it rather than never fitting.
    fn missing(&self, bytes: usize) -> u32 {
        let wanted = bytes.div_ceil(1024).min(self.budget.kib_max);
        u32::try_from(wanted.saturating_sub(self.kib)).unwrap_or(u32::MAX)
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        self.kib += more.num_permits();
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
    }

    /// Holds at least so many bytes, for which it may wait.
    ///
    /// # Errors
    /// When others hold too much for too long.
    pub async fn grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let missing = self.missing(bytes);
        if missing > 0 {
            let more = Arc::clone(&self.budget.kib).acquire_many_owned(missing);
            let more = timeout(self.budget.wait, more).await;
            self.add(more.map_err(|_| NoRoom)?.map_err(|_| NoRoom)?);
        }
        Ok(())
    }

    /// Holds at least so many bytes, if there is room now.
    ///
    /// # Errors
    /// When others hold too much.
    pub fn try_grow_to(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let missing = self.missing(bytes);
        if missing > 0 {
            let more = Arc::clone(&self.budget.kib).try_acquire_many_owned(missing);
            self.add(more.map_err(|_| NoRoom)?);
        }
        Ok(())
    }
}
