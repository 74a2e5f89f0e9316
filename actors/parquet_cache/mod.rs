//! The `ParquetCache` actor: whole Parquet files in memory, so that queries of recent rows do not
//! wait for the object store, and the rows of those that are read often in decoded form.
//!
//! ## Owns
//! The bytes of files by path, when each was last asked for, and the fetches under way; decoded
//! columns of such files.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `LookUp` | readers of files | the bytes, or none: the reader asks the object store itself |
//! | `LookUpRows` | scans, for all files that they read, if they do not see for themselves that all are there | the rows of each, or none: the scan decodes the file itself |
//! | `NoteChecked` | readers of files, when the bytes had their checksum | – |
//! | `Insert` | `Persist` and `Compact`, for files that they have written | – |
//! | `Evict` | `Persist`, before it deletes objects | when the files are forgotten |
//! | `PruneDue` | a ticker | – |
//!
//! The decoded rows lie open (see `runtime::shared`): scans find them without a message.
//!
//! ## Emits
//! Nothing: it asks nobody. It reads the object store.
//!
//! ## Invariants
//! The files held are never more bytes than the cache may take. A file that was written enters
//! if it fits at all; the files that nobody asked for longest make room. A file that is asked for
//! and not held is fetched if it has recent rows and there is room; all who ask for it meanwhile
//! wait for that one fetch. What was evicted during its fetch does not enter. A file that was made of
//! others, all of which are held, enters in their place, however old its rows are.
//!
//! Decoded rows take what room the files leave. A file that is held and asked for a second time is
//! decoded beside the query, in threads of low priority: its key and the columns that were asked
//! for, other columns when somebody wants them. Rows in use do not make room for others.
//!
//! No failure here fails a query: the answer is none, and the reader goes to the object store.
//!
//! ## On failure
//! Rebuilt empty.

mod actor;
mod decode;
mod decoded;
mod entries;
mod held;
#[cfg(test)]
mod tests;

pub use actor::{DECODES_MAX, ParquetCache, ParquetCacheConfig, ParquetCacheOptions};
pub use held::HeldRows;
