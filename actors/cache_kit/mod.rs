//! What both kinds of caches stand on: keys, the actor around the content, what it notes of itself,
//! and the memory that all caches share.

mod actor;
mod blocks;
mod budget;
mod content;
mod dictionary;
mod keys;
mod numbers;
mod standing;
#[cfg(test)]
mod tests;

pub use actor::{Cache, CacheParts};
pub use blocks::Blocks;
pub use budget::{CacheBudget, Share};
pub use content::{Content, times_of};
pub use dictionary::Dictionary;
pub use keys::{KeyTable, shown};
pub use numbers::{KeyId, NONE};
pub use standing::{CacheState, CacheStatus, Standing};
