//! The `Trigger` actors: one for each enabled trigger.
//!
//! ## Owns
//! The events that wait for the trigger, the plugin's text as it was read last, and the time of the
//! next event of a schedule.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `FireWrites` | `Triggers` (tell) | – |
//! | `FireSnapshot` | `Triggers` (tell) | – |
//! | `HandleRequest` | HTTP handlers | what the plugin answers |
//!
//! ## Emits
//! `ReadPlugin` to `PluginFiles` before each run, then `RunPlugin` to `PythonHost`; `WriteLines` to
//! `Ingest` with what the plugin has left to be written; `KeepPluginLog` and `KeepPluginRun` to
//! `PluginLog` (tells); `SetTriggerDisabled` to `Catalog` when a failure is to disable the trigger.
//! How it is doing it notes in a [`TriggerStanding`] for metrics and health.
//!
//! ## Invariants
//! - Runs do not overlap, unless the trigger is asynchronous; then so many do and no more.
//! - At most [`TRIGGER_EVENTS_MAX`](protocols::limits::TRIGGER_EVENTS_MAX) events wait. When there
//!   are more the oldest goes, and it is told at most once a minute.
//! - What a plugin has left to be written is written after it has returned, never after a failure.
//!
//! ## On failure
//! Rebuilt without events. Those that waited are lost: an event comes at most once.

mod actor;
mod config;
mod queue;
mod run;
pub(crate) mod schedule;
mod standing;
mod streams;

pub use actor::Trigger;
pub use config::TriggerConfig;
pub use schedule::check_cron;
pub use standing::{Counted, TriggerStanding};
pub(crate) use streams::parts_of;
