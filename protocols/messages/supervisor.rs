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

impl LifeEvent {
    /// How the actor is from then on.
    pub fn state(self) -> &'static str {
        match self {
            Self::Started | Self::Rebuilt => "running",
            Self::Died => "rebuilding",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// News of an actor. Sent by its guardian.
#[derive(Clone, Debug)]
pub struct ActorNews {
    /// Name of the actor, for example `store-1`.
    pub actor: String,
    /// The server does not go on without it.
    pub vital: bool,
    /// What happened.
    pub event: LifeEvent,
}

impl Command for ActorNews {
    type Reply = ();
    const NAME: &'static str = "ActorNews";
}

/// Asks for the state of every actor that was born and has not been ended.
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
    /// The server does not go on without it.
    pub vital: bool,
    /// `running`, `rebuilding` or `failed`.
    pub state: &'static str,
    /// How often it was rebuilt.
    pub restarts: u64,
}
