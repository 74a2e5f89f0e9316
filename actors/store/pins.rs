//! Which files a query may still read: the epochs of views.
//!
//! An epoch ends whenever files are taken out of a table. Every view holds the pin of the epoch in
//! which it was made, so a file that went at the end of an epoch is read by nobody once the oldest
//! pin that is held is of a later one. Epochs go on over the lives of a shard: queries outlive it.

use crate::runtime::published::{Published, Publisher};
use protocols::messages::store::Pin;
use std::sync::{Arc, Weak};

/// Pins by their epochs, the newest last.
type PinsByEpoch = Vec<(u64, Weak<Pin>)>;

/// The epochs of all lives of a shard.
#[derive(Debug)]
pub struct Epochs(Publisher<PinsByEpoch>);

/// The epochs of one life.
#[derive(Debug)]
pub(super) struct Pins {
    epoch: u64,
    current: Arc<Pin>,
    held: Publisher<PinsByEpoch>,
}

impl Epochs {
    /// No view was made yet.
    pub fn new() -> Self {
        Self(Published::new(Arc::default()).0)
    }

    /// Another handle.
    #[must_use]
    pub fn again(&self) -> Self {
        Self(self.0.again())
    }

    /// Begins with the epochs of a life.
    pub(super) fn begin(&self) -> Pins {
        let held = self.0.load();
        Pins::begin(held.last().map_or(0, |(epoch, _)| epoch + 1), &held, self.0.again())
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

impl Pins {
    fn begin(epoch: u64, former: &PinsByEpoch, held: Publisher<PinsByEpoch>) -> Self {
        let current = Arc::new(Pin);
        let mut all = alive(former);
        all.push((epoch, Arc::downgrade(&current)));
        held.publish(Arc::new(all));
        Self { epoch, current, held }
    }

    /// What a view holds that is made now.
    pub(super) fn pin(&self) -> Arc<Pin> {
        Arc::clone(&self.current)
    }

    /// Ends the epoch, and tells which it was.
    pub(super) fn end_epoch(&mut self) -> u64 {
        let ended = self.epoch;
        let held = self.held.load();
        // Our own pin of the epoch is let go with `self`: only those of views are left.
        *self = Self::begin(ended + 1, &held, self.held.again());
        ended
    }

    /// The oldest epoch whose pin somebody holds.
    pub(super) fn oldest(&self) -> u64 {
        let held = self.held.load();
        alive(&held).first().map_or(self.epoch, |(epoch, _)| *epoch)
    }
}

fn alive(held: &PinsByEpoch) -> PinsByEpoch {
    held.iter().filter(|(_, pin)| pin.strong_count() > 0).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_epoch_is_that_of_the_oldest_view() {
        let mut pins = Epochs::new().begin();
        assert_eq!(pins.oldest(), 0);
        let first = pins.pin();
        assert_eq!(pins.end_epoch(), 0);
        let second = pins.pin();
        assert_eq!(pins.end_epoch(), 1);
        assert_eq!(pins.oldest(), 0);
        drop(first);
        assert_eq!(pins.oldest(), 1);
        drop(second);
        assert_eq!(pins.oldest(), 2);
    }

    #[test]
    fn views_outlive_the_shard_that_made_them() {
        let epochs = Epochs::new();
        let first_life = epochs.begin();
        let view = first_life.pin();
        drop(first_life);
        let mut next_life = epochs.again().begin();
        assert_eq!(next_life.end_epoch(), 1);
        assert_eq!(next_life.oldest(), 0);
        drop(view);
        assert_eq!(next_life.oldest(), 2);
    }
}
