//! The `Ingest` actors: line protocol becomes columns.
//!
//! ## Owns
//! Nothing lasting. Each member of the pool has a thread of its own, on which it parses.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `WriteLines` | HTTP handlers | what was stored and what was refused |
//!
//! ## Emits
//! `EnsureSchema` to `Catalog` when a request needs tables or columns that do not exist yet, and
//! awaits it; then `AppendRows` to `Wal`, which answers the one who asked.
//!
//! ## Invariants
//! A request is parsed against one catalog snapshot. Schema is durable before the rows that need
//! it go to the log. A refused line leaves no trace in the catalog.
//!
//! ## On failure
//! Rebuilt empty; the requests it worked on are answered 503, their outcome unknown. Those whose
//! rows `Wal` has already are not among them.

mod actor;
mod config;
mod request;

pub use actor::Ingest;
pub use config::IngestConfig;
