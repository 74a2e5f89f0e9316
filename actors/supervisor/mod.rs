//! The `Supervisor` actor: who lives, who died and how often.
//!
//! ## Owns
//! The registry of all actors by name.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `ActorNews` | every guardian (tell) | – |
//! | `ListActors` | HTTP handlers | one status an actor, by name |
//!
//! ## Emits
//! Nothing: it asks nobody.
//!
//! ## Invariants
//! A name is in the registry from its actor's first start until the process ends.
//!
//! ## On failure
//! Rebuilt empty; actors show up again with their next news.

use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::Responder;
use protocols::messages::rank;
use protocols::messages::supervisor::{ActorNews, ActorStatus, LifeEvent, ListActors};
use std::collections::BTreeMap;

/// See the module's page.
#[derive(Debug, Default)]
pub struct Supervisor {
    actors: BTreeMap<String, (LifeEvent, u64)>,
}

impl Service for Supervisor {
    const RANK: u8 = rank::SUPERVISOR;
}

impl Receive<ActorNews> for Supervisor {
    fn receive(&mut self, news: ActorNews, reply: Responder<ActorNews>, _: &mut Cx<'_, Self>) {
        let entry = self.actors.entry(news.actor).or_insert((news.event, 0));
        entry.0 = news.event;
        entry.1 += u64::from(news.event == LifeEvent::Rebuilt);
        reply.answer(());
    }
}

impl Receive<ListActors> for Supervisor {
    fn receive(&mut self, _: ListActors, reply: Responder<ListActors>, _: &mut Cx<'_, Self>) {
        let status = |(name, (event, restarts)): (&String, &(LifeEvent, u64))| ActorStatus {
            actor: name.clone(),
            state: match event {
                LifeEvent::Started | LifeEvent::Rebuilt => "running",
                LifeEvent::Died => "rebuilding",
                LifeEvent::Failed => "failed",
                LifeEvent::Stopped => "stopped",
            },
            restarts: *restarts,
        };
        reply.answer(self.actors.iter().map(status).collect());
    }
}
