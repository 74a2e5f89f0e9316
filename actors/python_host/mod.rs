//! The `PythonHost` actors: each is a process that runs plugins, the user's own Python. One is for
//! all triggers, and one for each trigger that asked for a process of its own.
//!
//! ## Owns
//! One process at most, the socket to it, and the runs under way. The process is started when the
//! first plugin has to run; an extension module in it speaks to this side (`actors/python_module`).
//! This process has nothing of Python.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `RunPlugin` | `Trigger`, `Triggers` | how the run has ended |
//! | `ForgetTrigger` | `Triggers` (tell) | – |
//! | `CheckHost` | HTTP handlers | whether plugins can run, and what is missing if not |
//! | `StopHost` | `Triggers`, at shutdown | when the process has ended |
//!
//! ## Emits
//! `RunStatement` to `Query` and `WriteLines` to `Ingest`, for plugins that ask; `KeepPluginLog` to
//! `PluginLog`, as a tell.
//!
//! ## Invariants
//! - Whatever a plugin does ends with the process: a run past its time is interrupted, and if that
//!   does not help within [`GRACE`] the process is ended, and another one started.
//! - Each `RunPlugin` is answered: when the process ends before a run does, its run has failed.
//! - The process ends when this one does, because its socket is closed then. Processes that plugins
//!   have started end with it, unless they left its process group. Where this process may make a control group they all end, and share
//!   the limit of memory; elsewhere each process has that limit by itself.
//!
//! ## On failure
//! Rebuilt without a process: the former one ends with its socket. Its runs have failed.

mod actor;
pub(crate) mod calls;
mod config;
mod control_group;
mod link;
mod process;
mod standing;

pub use actor::PythonHost;
pub use config::HostConfig;
pub use standing::HostStanding;

use std::time::Duration;

/// How long a run may take to end after it was interrupted.
pub const GRACE: Duration = Duration::from_secs(5);
