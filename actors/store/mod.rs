//! Placeholder page, written with the actor.

use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::{Mailbox, Responder};
use protocols::ids::TableId;
use protocols::messages::rank;
use protocols::messages::store::{ApplyRows, DropTables, KeepSorted, TableView, ViewTable};
use std::sync::Arc;

/// See the module's page.
#[derive(Debug, Default)]
pub struct Store {}

impl Service for Store {
    const RANK: u8 = rank::STORE;
}
impl Receive<ApplyRows> for Store {
    fn receive(&mut self, _: ApplyRows, reply: Responder<ApplyRows>, _: &mut Cx<'_, Self>) {
        reply.answer(());
    }
}
impl Receive<ViewTable> for Store {
    fn receive(&mut self, _: ViewTable, reply: Responder<ViewTable>, _: &mut Cx<'_, Self>) {
        reply.answer(TableView::default());
    }
}
impl Receive<KeepSorted> for Store {
    fn receive(&mut self, _: KeepSorted, reply: Responder<KeepSorted>, _: &mut Cx<'_, Self>) {
        reply.answer(());
    }
}
impl Receive<DropTables> for Store {
    fn receive(&mut self, _: DropTables, reply: Responder<DropTables>, _: &mut Cx<'_, Self>) {
        reply.answer(());
    }
}

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
        table.0 as usize % self.0.len()
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
