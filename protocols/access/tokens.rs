//! Tokens: what is kept of them, and how the one is found that a request brings.

use super::rights::Rights;
use crate::ids::{DbId, TokenId};
use hashbrown::HashMap;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha512};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Name of the operator's token, which is the first and cannot be deleted.
pub const OPERATOR: &str = "_admin";
/// What every token begins with.
pub const PREFIX: &str = "apiv3_";
/// Hexadecimal digits that are shown of a token's hash.
const SHOWN_DIGITS: usize = 9;

/// What is kept of a token: SHA-512 of the identity of its catalog and its text. A token has
/// more entropy than the hash, so that a slow hash would gain nothing; the identity is the salt.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 64]);

impl TokenHash {
    /// The hash of `text` in the catalog of that identity.
    pub fn of(catalog: Uuid, text: &str) -> Self {
        let hash = Sha512::new().chain_update(catalog.as_bytes()).chain_update(text).finalize();
        Self(hash.into())
    }
}

/// Whether two secrets are the same, in a time that their lengths alone decide.
pub(super) fn is_same(one: &[u8], two: &[u8]) -> bool {
    let ((one, one_end), (two, two_end)) = (one.as_chunks::<8>(), two.as_chunks::<8>());
    if (one.len(), one_end.len()) != (two.len(), two_end.len()) {
        return false;
    }
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    let words = one.iter().zip(two).map(|(one, two)| word(one) ^ word(two));
    let ends = one_end.iter().zip(two_end).map(|(one, two)| u64::from(one ^ two));
    let difference = words.chain(ends).fold(0, |all, difference| all | difference);
    difference.ct_eq(&0).into()
}

/// SHA-512 of a token's text alone, in hexadecimal, as other servers tell it at the creation.
pub fn plain_hash(text: &str) -> String {
    hex(&Sha512::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a text cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Digits)
    }
}

/// Reads a hash where it stands: there may be very many.
struct Digits;

impl Visitor<'_> for Digits {
    type Value = TokenHash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the hash of a token")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TokenHash, E> {
        let wrong = || E::custom("a hash has 128 hexadecimal digits");
        let value = |digit: u8| char::from(digit).to_digit(16);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut hash = [0; 64];
        if pairs.len() != hash.len() || !rest.is_empty() {
            return Err(wrong());
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            let (high, low) = value(*high).zip(value(*low)).ok_or_else(wrong)?;
            // Each is less than 16.
            *byte = (high * 16 + low) as u8;
        }
        Ok(TokenHash(hash))
    }
}

/// A secret on its way to the catalog: what is kept of it and shown of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// By which it is found.
    pub hash: TokenHash,
    /// First digits of [`plain_hash`], by which its owner can tell it from others.
    pub shown: Arc<str>,
}

impl Secret {
    /// What is kept of `text`.
    pub fn of(catalog: Uuid, text: &str) -> Self {
        let mut shown = plain_hash(text);
        shown.truncate(SHOWN_DIGITS);
        Self { hash: TokenHash::of(catalog, text), shown: shown.into() }
    }
}

/// A token, but for its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its identity, never used again.
    pub id: TokenId,
    /// Its name, which no other token has.
    pub name: Arc<str>,
    /// What is kept of its text.
    pub secret: Secret,
    /// What it may do.
    pub rights: Rights,
    /// When it was made, nanoseconds since 1970.
    pub created_at_ns: i64,
    /// The token by which it was made; `None` for one that the operator made.
    pub created_by: Option<TokenId>,
    /// When it got another text, nanoseconds since 1970.
    pub updated_at_ns: Option<i64>,
    /// The token by which it got another text.
    pub updated_by: Option<TokenId>,
    /// From when on it is refused, nanoseconds since 1970; `None` is never.
    pub expires_at_ns: Option<i64>,
}

impl Token {
    /// True until it expires.
    pub fn is_valid_at(&self, now_ns: i64) -> bool {
        self.expires_at_ns.is_none_or(|at_ns| now_ns < at_ns)
    }
}

/// All tokens at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    by_hash: HashMap<TokenHash, Arc<Token>>,
    by_id: BTreeMap<TokenId, Arc<Token>>,
    ids: HashMap<Arc<str>, TokenId>,
    /// Names of databases that do not exist yet, with the tokens that have rights with them.
    expecting: BTreeSet<(Arc<str>, TokenId)>,
    /// The id that the next one gets.
    next_id: u64,
}

impl Tokens {
    /// The tokens of a checkpoint.
    pub fn new(next_id: u64, tokens: impl IntoIterator<Item = Arc<Token>>) -> Self {
        let tokens = tokens.into_iter();
        let mut all = Self { next_id, ..Self::default() };
        let at_least = tokens.size_hint().0;
        all.by_hash.reserve(at_least);
        all.ids.reserve(at_least);
        for token in tokens {
            all.insert(token);
        }
        all
    }

    /// True once there was any: from then on every request has to bring one.
    pub fn are_required(&self) -> bool {
        self.next_id > 0
    }

    /// The id that the next one gets.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// All of them, by id.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.by_id.values()
    }

    /// The token of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<Token>> {
        self.by_id.get(self.ids.get(name)?)
    }

    /// The token whose text has this hash, unless it has expired. One that is unknown takes as
    /// long as one that is known.
    pub fn find(&self, hash: &TokenHash, now_ns: i64) -> Option<&Arc<Token>> {
        let found = self.by_hash.get(hash)?;
        let is_it = is_same(&found.secret.hash.0, &hash.0);
        (is_it && found.is_valid_at(now_ns)).then_some(found)
    }

    /// True if some token has this text.
    pub fn has(&self, secret: &Secret) -> bool {
        self.by_hash.contains_key(&secret.hash)
    }

    /// True while `token` is one of these, with the same text, and has not expired.
    pub fn still_has(&self, token: &Token, now_ns: i64) -> bool {
        self.find(&token.secret.hash, now_ns).is_some_and(|known| known.id == token.id)
    }

    /// Adds a token, and counts its id.
    ///
    /// # Errors
    /// When its id, its name or its text has been given out.
    pub fn add(&mut self, token: Token) -> Result<(), String> {
        if token.id.0 < self.next_id || token.id.0 == u64::MAX {
            return Err(format!("token id {} was given out before", token.id));
        }
        if self.ids.contains_key(&token.name) || self.by_hash.contains_key(&token.secret.hash) {
            return Err(format!("token {} is there already", token.name));
        }
        self.next_id = token.id.0 + 1;
        self.insert(Arc::new(token));
        Ok(())
    }

    /// Gives a token another text.
    ///
    /// # Errors
    /// When there is no such token, or the text is that of another.
    pub fn replace(
        &mut self,
        id: TokenId,
        secret: Secret,
        updated_at_ns: i64,
        updated_by: Option<TokenId>,
    ) -> Result<(), String> {
        let old = self.remove(id)?;
        if self.by_hash.contains_key(&secret.hash) {
            return Err(format!("token {} is there already", old.name));
        }
        let updated_at_ns = Some(updated_at_ns);
        let expires_at_ns = None;
        let old = Token::clone(&old);
        self.insert(Arc::new(Token { secret, updated_at_ns, updated_by, expires_at_ns, ..old }));
        Ok(())
    }

    /// Takes a token away.
    ///
    /// # Errors
    /// When there is no such token.
    pub fn remove(&mut self, id: TokenId) -> Result<Arc<Token>, String> {
        let token = self.by_id.remove(&id).ok_or_else(|| format!("token {id} is unknown"))?;
        self.ids.remove(&token.name);
        for expected in expected(&token) {
            self.expecting.remove(&expected);
        }
        self.by_hash.remove(&token.secret.hash);
        Ok(token)
    }

    /// True if a token has rights with the first database that gets this name.
    pub fn expect(&self, name: &Arc<str>) -> bool {
        let first = (Arc::clone(name), TokenId(0));
        self.expecting.range(first..).next().is_some_and(|(expected, _)| expected == name)
    }

    /// A database was made: tokens that were to have rights with it have them now.
    pub fn database_created(&mut self, name: &Arc<str>, id: DbId) {
        let first = (Arc::clone(name), TokenId(0));
        let expecting = self.expecting.range(first..).take_while(|(expected, _)| expected == name);
        let expecting: Vec<TokenId> = expecting.map(|(_, token)| *token).collect();
        for token in expecting {
            let Ok(token) = self.remove(token) else { continue };
            let mut token = Token::clone(&token);
            if let Rights::Listed(listed) = &mut token.rights {
                listed.created(name, id);
            }
            self.insert(Arc::new(token));
        }
    }

    fn insert(&mut self, token: Arc<Token>) {
        self.expecting.extend(expected(&token));
        self.ids.insert(Arc::clone(&token.name), token.id);
        self.by_hash.insert(token.secret.hash, Arc::clone(&token));
        self.by_id.insert(token.id, token);
    }
}

/// The names of databases that do not exist yet and that a token has rights with, each with the
/// token's id.
fn expected(token: &Token) -> Vec<(Arc<str>, TokenId)> {
    match &token.rights {
        Rights::Admin => Vec::new(),
        Rights::Listed(listed) => {
            listed.expected.keys().map(|name| (Arc::clone(name), token.id)).collect()
        }
    }
}
