//! The `Trigger` actors: one for each enabled trigger.
//!
//! ## Owns
//! The events that wait for the trigger, the plugin's text as it was read last, the time of the next
//! event of a schedule, and how far one that must miss nothing has been given the log.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `FireWrites` | `Triggers` (tell) | – |
//! | `LookForRows` | `Triggers` (tell) | – |
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
//! - A trigger with the delivery `AtLeastOnce` is not told of rows: it reads them from the log, from
//!   a place that is stored, and goes on only when it has done with those before. Rows of at most so
//!   many files of the log as its runs may overlap are in memory. The stored place is never
//!   behind rows that are not done with; a kill takes it back by a second.
//! - What a plugin has left to be written is written after it has returned, never after a failure.
//!
//! ## On failure
//! Rebuilt without events. Those that waited are lost, an event comes at most once; but those with
//! the delivery `AtLeastOnce` are read again.

mod actor;
mod config;
mod delivery;
mod queue;
pub(crate) mod rows;
mod run;
pub(crate) mod schedule;
mod standing;
mod streams;

pub use actor::Trigger;
pub use config::TriggerConfig;
pub(crate) use delivery::{Cursor, sweep_cursors};
pub use schedule::check_cron;
pub use standing::{Counted, TriggerStanding};
pub(crate) use streams::parts_of;
