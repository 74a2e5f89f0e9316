//! The shards of the store, and which of them holds a table.

use super::Store;
use crate::runtime::mailbox::Mailbox;
use protocols::ids::TableId;
use std::sync::Arc;

/// The shards of the store, and which of them holds a table.
#[derive(Clone, Debug)]
pub struct StoreShards(Arc<[Mailbox<Store>]>);

impl StoreShards {
    /// All shards, in order.
    pub fn new(shards: Vec<Mailbox<Store>>) -> Self {
        assert!(!shards.is_empty(), "there is at least one shard");
        Self(shards.into())
    }

    /// Number of the shard that holds the table.
    pub fn index_of(&self, table: TableId) -> usize {
        shard_index(table, self.0.len())
    }

    /// The shard that holds the table.
    pub fn shard_of(&self, table: TableId) -> &Mailbox<Store> {
        &self.0[self.index_of(table)]
    }

    /// All shards, in order.
    pub fn all(&self) -> &[Mailbox<Store>] {
        &self.0
    }
}

/// Which of `shards` shards holds the table.
pub fn shard_index(table: TableId, shards: usize) -> usize {
    table.0 as usize % shards
}
