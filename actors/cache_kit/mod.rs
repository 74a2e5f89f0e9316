//! What both kinds of caches stand on: keys, the actor around the content, the memory that all
//! caches share, and the directory through which rows and queries find them.

mod actor;
mod blocks;
mod budget;
mod content;
mod dictionary;
mod directory;
mod keys;
#[cfg(test)]
mod tests;

pub use actor::{Cache, CacheParts};
pub use blocks::Blocks;
pub use budget::{CacheBudget, Share};
pub use content::{Content, times_of};
pub use dictionary::Dictionary;
pub use directory::{
    CacheAddress, CacheDirectory, CacheEntry, CacheFeeds, CacheState, CacheStatus, Directory,
};
pub use keys::{KeyId, KeyTable, NONE, shown};
