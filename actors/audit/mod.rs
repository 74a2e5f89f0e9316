//! The `Audit` actor: who has done what, and who was refused.
//!
//! ## Owns
//! The newest entries in memory, for `system.audit`; the file that all of them go to, if there is
//! one.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `KeepAudit` | `Catalog`, `Query`, HTTP, Flight, the process (tell) | – |
//! | `ReadAudit` | `Query`, for a system table | the entries, the oldest first |
//! | `FlushAudit` | shutdown | answered when all before it is synced |
//!
//! ## Emits
//! Lines of JSON to a file or to standard output. It asks nobody.
//!
//! ## Invariants
//! Nobody waits for an entry. Those that come while lines are being written go together in the next
//! write, which is synced; until then they take their room in the mailbox. An entry that finds no
//! room, and one whose line could not be written, is counted, and an entry of its own says how many
//! there were.
//!
//! ## On failure
//! Rebuilt with an empty table; lines that were not written are lost. The file is gone on with.

mod actor;
mod file;
mod target;

#[cfg(test)]
mod tests;

pub use actor::Audit;
pub use file::RotatedFile;
pub use target::{AuditOptions, AuditTarget};
