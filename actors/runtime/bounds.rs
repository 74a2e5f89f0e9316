//! What an actor is called, and how much may wait for it.

/// Name and bounds of an actor.
#[derive(Clone, Debug)]
pub struct ActorConfig {
    /// Kind of the actor, for texts: `store`.
    pub kind: &'static str,
    /// Name in metrics and logs, unique: `store-1`.
    pub name: String,
    /// Messages that may wait or be worked on.
    pub messages_max: usize,
    /// Bytes these may hold.
    pub bytes_max: usize,
    /// What happens when the actor cannot be kept alive: true ends the process.
    pub vital: bool,
}

impl ActorConfig {
    /// What its metrics are called. Actors that are not vital may come and go: those of one kind
    /// share their series, of which there would be ever more otherwise.
    pub(super) fn label(&self) -> &str {
        if self.vital { &self.name } else { self.kind }
    }
}
