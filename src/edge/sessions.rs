//! Sessions of web pages: a page that has shown a token once goes on with a cookie, which its
//! scripts cannot read. They are kept in memory only, and end with their token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocols::access::tokens::{Token, TokenHash};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Header that a changing request of a session has to carry, with any value: no form of a foreign
/// page can send it.
pub const PROOF: &str = "x-influxdb3-session";
/// How long a session is good.
pub const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Limit: sessions at one time. The one that ends next goes first.
const SESSIONS_MAX: usize = 10_000;

/// The sessions there are, by what is kept of their texts.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<TokenHash, Session>>);

#[derive(Clone, Debug)]
struct Session {
    token: Arc<Token>,
    ends: Instant,
}

impl Sessions {
    /// Begins a session of whoever has `token`; returns its text.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn begin(&self, token: Arc<Token>) -> Result<String, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let text = URL_SAFE_NO_PAD.encode(bytes);
        let (now, hash) = (Instant::now(), hash(&text));
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.ends > now);
        if sessions.len() >= SESSIONS_MAX {
            let next = sessions.iter().min_by_key(|(_, session)| session.ends);
            let next = next.map(|(hash, _)| *hash);
            next.map(|next| sessions.remove(&next));
        }
        sessions.insert(hash, Session { token, ends: now + LIFETIME });
        Ok(text)
    }

    /// The token of a session that has not ended.
    pub fn find(&self, text: &str) -> Option<Arc<Token>> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(&hash(text))?;
        (session.ends > Instant::now()).then(|| Arc::clone(&session.token))
    }

    /// Ends a session.
    pub fn end(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(text));
    }
}

fn hash(text: &str) -> TokenHash {
    TokenHash::of(Uuid::nil(), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::access::rights::Rights;
    use protocols::access::tokens::Secret;
    use protocols::ids::TokenId;

    #[test]
    fn sessions_begin_and_end() {
        let token = Arc::new(Token {
            id: TokenId(0),
            name: "t".into(),
            secret: Secret::of(Uuid::nil(), "x"),
            rights: Rights::Admin,
            created_at_ns: 0,
            created_by: None,
            updated_at_ns: None,
            updated_by: None,
            expires_at_ns: None,
        });
        let sessions = Sessions::default();
        let text = sessions.begin(Arc::clone(&token)).expect("randomness");
        assert_eq!(sessions.find(&text), Some(token));
        assert_eq!(sessions.find("x"), None);
        sessions.end(&text);
        assert_eq!(sessions.find(&text), None);
    }
}
