//! Something that is due when the last of several has arrived, wherever that is.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A value for the last of several to arrive. Everybody may say more than once that they have.
#[derive(Debug)]
pub struct LastOf<T>(Mutex<(BTreeSet<usize>, Option<T>)>);

impl<T> LastOf<T> {
    /// For the last of `all`, who are known by numbers.
    pub fn new(all: BTreeSet<usize>, value: T) -> Self {
        Self(Mutex::new((all, Some(value))))
    }

    /// `who` has arrived. The value, if nobody is missed any more.
    pub fn arrived(&self, who: usize) -> Option<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (missed, value) = &mut *state;
        missed.remove(&who);
        if missed.is_empty() { value.take() } else { None }
    }

    /// The value, if nobody has it yet: nobody is waited for any more.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_gets_it_and_nobody_else() {
        let last = LastOf::new([3, 7].into(), "value");
        assert_eq!(last.arrived(3), None);
        assert_eq!(last.arrived(3), None, "it was here before");
        assert_eq!(last.arrived(7), Some("value"));
        assert_eq!(last.arrived(7), None);
        assert_eq!(last.take(), None);
        let given_up = LastOf::new([1, 2].into(), "value");
        assert_eq!(given_up.arrived(2), None);
        assert_eq!(given_up.take(), Some("value"));
        assert_eq!(given_up.arrived(1), None);
    }
}
