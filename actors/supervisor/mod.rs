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
//! A name is in the registry from its actor's first start until the actor was ended in good order:
//! one that was given up stays until then.
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
    actors: BTreeMap<String, Known>,
}

/// What is known of an actor.
#[derive(Debug)]
struct Known {
    vital: bool,
    event: LifeEvent,
    restarts: u64,
}

impl Service for Supervisor {
    const RANK: u8 = rank::SUPERVISOR;
}

impl Receive<ActorNews> for Supervisor {
    fn receive(&mut self, news: ActorNews, reply: Responder<ActorNews>, _: &mut Cx<'_, Self>) {
        let ActorNews { actor, vital, event } = news;
        if event == LifeEvent::Stopped {
            self.actors.remove(&actor);
        } else {
            let known = self.actors.entry(actor).or_insert(Known { vital, event, restarts: 0 });
            known.event = event;
            known.restarts += u64::from(event == LifeEvent::Rebuilt);
        }
        reply.answer(());
    }
}

impl Receive<ListActors> for Supervisor {
    fn receive(&mut self, _: ListActors, reply: Responder<ListActors>, _: &mut Cx<'_, Self>) {
        let status = |(name, known): (&String, &Known)| ActorStatus {
            actor: name.clone(),
            vital: known.vital,
            state: known.event.state(),
            restarts: known.restarts,
        };
        reply.answer(self.actors.iter().map(status).collect());
    }
}
