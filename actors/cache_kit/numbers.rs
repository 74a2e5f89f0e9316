//! What keys, words and rows are called.

/// Number of a key. Those of keys that went are used again.
pub type KeyId = u32;
/// No key, no row, no word.
pub const NONE: u32 = u32::MAX;
