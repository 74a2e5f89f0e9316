//! The shards of the store, and which of them holds a table.

use super::{Shard, Store};
use crate::runtime::mailbox::{AskError, Mailbox};
use crate::runtime::shared::Shared;
use protocols::ids::TableId;
use protocols::messages::rank;
use protocols::messages::store::{TableView, ViewTable};
use std::sync::Arc;
use tokio::time::Instant;

/// The shards of the store, and which of them holds a table.
#[derive(Clone, Debug)]
pub struct StoreShards {
    mailboxes: Arc<[Mailbox<Store>]>,
    /// What those of them have laid open that come first.
    open: Arc<[Shared<Shard>]>,
}

impl StoreShards {
    /// All shards, in order.
    pub fn new(shards: Vec<Mailbox<Store>>) -> Self {
        assert!(!shards.is_empty(), "there is at least one shard");
        Self { mailboxes: shards.into(), open: Arc::default() }
    }

    /// The same with what they have laid open, in order.
    #[must_use]
    pub fn laid_open(self, open: Vec<Shared<Shard>>) -> Self {
        Self { open: open.into(), ..self }
    }

    /// A view of a table, for a query.
    ///
    /// # Errors
    /// When its shard is dead, or has too much to do to answer until `deadline`.
    pub async fn view(
        &self,
        question: ViewTable,
        deadline: Instant,
    ) -> Result<TableView, AskError> {
        let open = self.open.get(self.index_of(question.table));
        let seen = open.and_then(|open| open.try_look(|shard| shard.view(&question)));
        match seen {
            Some(view) => Ok(view),
            None => {
                self.shard_of(question.table).ask::<{ rank::QUERY }, _>(question, deadline).await
            }
        }
    }

    /// Number of the shard that holds the table.
    pub fn index_of(&self, table: TableId) -> usize {
        shard_index(table, self.mailboxes.len())
    }

    /// The shard that holds the table.
    pub fn shard_of(&self, table: TableId) -> &Mailbox<Store> {
        &self.mailboxes[self.index_of(table)]
    }

    /// All shards, in order.
    pub fn all(&self) -> &[Mailbox<Store>] {
        &self.mailboxes
    }
}

/// Which of `shards` shards holds the table.
pub fn shard_index(table: TableId, shards: usize) -> usize {
    table.0 as usize % shards
}
