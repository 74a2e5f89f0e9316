//! The places of queries that run, and who may have how many of them.
//!
//! A token may have so many places as are four times those that are free. One alone comes to four
//! fifths of all, two that want all they can get to four ninths each; and as long as there are five
//! places or more, whoever has none yet finds one. Nothing is kept for tokens that do not ask.

use super::errors;
use protocols::ids::TokenId;
use protocols::messages::query::QueryError;
use protocols::principal::Principal;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many times the free places a token may have.
const TIMES_FREE: usize = 4;
/// Of more tokens than this it is looked whether they still run anything.
const HOLDERS_MAX: usize = 256;

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    max: usize,
    token_max: Option<usize>,
    /// What the queries of each token hold together.
    holders: HashMap<TokenId, Weak<()>>,
}

/// The place of one query, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _holder: Option<Arc<()>>,
}

impl Places {
    pub(super) fn new(max: usize, token_max: Option<usize>) -> Self {
        let all = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { all, max, token_max, holders: HashMap::new() }
    }

    /// A place for a query of `principal`.
    ///
    /// # Errors
    /// When there is none, or the token has as many as it may have.
    pub(super) fn take(&mut self, principal: &Principal) -> Result<Place, QueryError> {
        let free = self.all.available_permits();
        let holder = match principal.token_id() {
            None => None,
            Some(id) => {
                let holder = self.holders.get(&id).and_then(Weak::upgrade).unwrap_or_default();
                // One of them is this one.
                let running = Arc::strong_count(&holder) - 1;
                if let Some(max) = self.token_max.filter(|max| running >= *max) {
                    count_refused();
                    return Err(errors::token_runs_too_many(max));
                }
                if free > 0 && running >= free.saturating_mul(TIMES_FREE) {
                    count_refused();
                    return Err(errors::token_has_its_share(running));
                }
                self.enter(id, &holder);
                Some(holder)
            }
        };
        match Arc::clone(&self.all).try_acquire_owned() {
            Ok(place) => Ok(Place { _place: place, _holder: holder }),
            Err(_) => Err(errors::too_many_queries(self.max)),
        }
    }

    fn enter(&mut self, id: TokenId, holder: &Arc<()>) {
        if self.holders.len() >= HOLDERS_MAX {
            self.holders.retain(|_, holder| holder.strong_count() > 0);
        }
        self.holders.insert(id, Arc::downgrade(holder));
    }
}

fn count_refused() {
    metrics::counter!("influxdb3_token_limited_total", "limit" => "queries").increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::access::rights::Rights;
    use protocols::access::tokens::{Secret, Token};
    use protocols::error::ErrorKind;
    use uuid::Uuid;

    fn token(id: u64) -> Principal {
        Principal::Token(Arc::new(Token {
            id: TokenId(id),
            name: "t".into(),
            secret: Secret::of(Uuid::nil(), "x"),
            rights: Rights::Admin,
            created_at_ns: 0,
            created_by: None,
            updated_at_ns: None,
            updated_by: None,
            expires_at_ns: None,
        }))
    }

    /// As many places as `principal` gets.
    fn all(places: &mut Places, principal: &Principal) -> (Vec<Place>, ErrorKind) {
        let mut taken = Vec::new();
        loop {
            match places.take(principal) {
                Ok(place) => taken.push(place),
                Err(error) => return (taken, error.kind),
            }
        }
    }

    #[test]
    fn one_token_leaves_places_for_others() {
        let mut places = Places::new(1000, None);
        let (first, kind) = all(&mut places, &token(1));
        assert_eq!((first.len(), kind), (800, ErrorKind::RateLimited));
        let (second, kind) = all(&mut places, &token(2));
        assert_eq!((second.len(), kind), (160, ErrorKind::RateLimited));
        assert!(places.take(&token(3)).is_ok());
        drop(first);
        assert!(places.take(&token(1)).is_ok());
        assert!(places.take(&token(2)).is_ok(), "there is room again");
    }

    #[test]
    fn whoever_has_no_token_may_have_all() {
        let mut places = Places::new(7, Some(2));
        let (taken, kind) = all(&mut places, &Principal::Everybody);
        assert_eq!((taken.len(), kind), (7, ErrorKind::Overloaded));
        assert_eq!(all(&mut places, &token(1)).1, ErrorKind::Overloaded);
    }

    #[test]
    fn a_token_has_as_many_as_it_may_have() {
        let mut places = Places::new(100, Some(2));
        let (taken, kind) = all(&mut places, &token(1));
        assert_eq!((taken.len(), kind), (2, ErrorKind::RateLimited));
        drop(taken);
        assert_eq!(all(&mut places, &token(1)).0.len(), 2);
    }

    #[test]
    fn tokens_that_run_nothing_are_forgotten() {
        let mut places = Places::new(10, None);
        for id in 0..10 * HOLDERS_MAX as u64 {
            drop(places.take(&token(id)));
        }
        assert!(places.holders.len() <= HOLDERS_MAX);
    }
}
