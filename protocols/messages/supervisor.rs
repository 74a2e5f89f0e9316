//! What the `Supervisor` actor accepts: news of births and deaths, and the question how all are.

use super::Command;
use serde::Serialize;

/// What happened to an actor. A tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeEvent {
    /// It runs for the first time.
    Started,
    /// It panicked and is being rebuilt.
    Died,
    /// It was rebuilt and runs again.
    Rebuilt,
    /// It panicked too often, or could not be rebuilt: it stays down.
    Failed,
    /// It ended in good order.
    Stopped,
}

/// News of an actor. Sent by its guardian.
#[derive(Clone, Debug)]
pub struct ActorNews {
    /// Name of the actor, for example `store-1`.
    pub actor: String,
    /// What happened.
    pub event: LifeEvent,
}

impl Command for ActorNews {
    type Reply = ();
    const NAME: &'static str = "ActorNews";
}

/// Asks for the state of every actor.
#[derive(Clone, Copy, Debug)]
pub struct ListActors;

impl Command for ListActors {
    type Reply = Vec<ActorStatus>;
    const NAME: &'static str = "ListActors";
}

/// State of one actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActorStatus {
    /// Its name.
    pub actor: String,
    /// `running`, `rebuilding`, `failed` or `stopped`.
    pub state: &'static str,
    /// How often it was rebuilt.
    pub restarts: u64,
}
