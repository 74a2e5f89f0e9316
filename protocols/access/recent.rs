//! Tokens that were found lately: whoever sends one request after the other has their token hashed
//! with the first of them only.

use super::tokens::{Token, TokenHash, Tokens, is_same};
use std::sync::{Arc, Weak};
use uuid::Uuid;

/// So many are remembered. Looking through them takes less than a hash.
const KEPT: usize = 4;

/// Some tokens with their texts, as long as nothing has changed about any token. Texts are compared
/// in constant time; they are nowhere but in memory.
#[derive(Debug, Default)]
pub struct RecentTokens {
    known: [Option<Known>; KEPT],
    next: usize,
}

struct Known {
    text: Box<str>,
    token: Arc<Token>,
    /// Among which it was found. It does not keep them, and no others can take their place.
    among: Weak<Tokens>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Known").field(&self.token.name).finish()
    }
}

impl RecentTokens {
    /// The token of this text among those of `catalog`, as [`Tokens::find`] finds it by its hash.
    pub fn find(
        &mut self,
        tokens: &Arc<Tokens>,
        catalog: Uuid,
        text: &str,
        now_ns: i64,
    ) -> Option<Arc<Token>> {
        let is_it = |known: &&Known| {
            std::ptr::eq(known.among.as_ptr(), Arc::as_ptr(tokens))
                && is_same(known.text.as_bytes(), text.as_bytes())
        };
        // One that has expired meanwhile takes as long as one that nobody knows.
        let known = self.known.iter().flatten().find(is_it);
        if let Some(known) = known.filter(|known| known.token.is_valid_at(now_ns)) {
            return Some(Arc::clone(&known.token));
        }
        let token = Arc::clone(tokens.find(&TokenHash::of(catalog, text), now_ns)?);
        self.next = (self.next + 1) % KEPT;
        if let Some(place) = self.known.get_mut(self.next) {
            let (token, among) = (Arc::clone(&token), Arc::downgrade(tokens));
            *place = Some(Known { text: text.into(), token, among });
        }
        Some(token)
    }
}
