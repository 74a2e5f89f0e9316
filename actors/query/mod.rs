//! The `Query` actor: plans and runs statements in SQL and InfluxQL.
//!
//! ## Owns
//! The engine's settings and functions, the memory that queries share, the places of running
//! queries, and the log of the newest ones. The threads that queries run on are given to it, and so
//! is what looks after running queries: both outlive it.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `RunStatement` | HTTP handlers, Flight | the columns of the result and a stream of its batches |
//! | `PlanStatement` | Flight | the columns of the result and the placeholders; nothing runs |
//! | `ListTables` | Flight | the tables of a database and their columns |
//! | `CommandAnswered` | Flight | nothing; the command is entered in the log |
//! | `ScanTable` | `CacheKeeper` | the merged rows of a table, as a stream of batches |
//!
//! ## Emits
//! Running queries ask `Store` for views of tables and hand it back what they have sorted. They
//! ask `ParquetCache` for the bytes of the files that they open, and read from the object store
//! what it does not have. Of statements `Audit` is told at their end, if it is to be.
//!
//! ## Invariants
//! A query sees one catalog snapshot from its first look at a name to its end, and changes
//! nothing. A statement that does not get one of the places is refused at once, and no token gets
//! all of them (see `places`). A result that ends
//! without an error is complete. Dropping the stream ends the query. No thread that admits queries,
//! looks at their deadlines or ends them ever executes a plan. Whatever a query does, it ends soon
//! after it is told to, and when it has taken more memory than its share (see `scope`).
//!
//! ## On failure
//! Rebuilt with an empty log. Queries that run go on. A panic inside a query is that query's
//! error.

mod actor;
mod below;
mod cache_tables;
mod catalog_view;
mod config;
mod corrections;
mod errors;
mod extensions;
mod functions;
mod growth;
mod guard;
mod in_order;
mod influxql;
mod lanes;
mod log;
mod memory;
mod narrow;
mod params;
mod places;
mod plan_kit;
mod prepare;
pub mod provider;
mod redact;
mod rules;
mod running;
mod runs;
mod scope;
mod session;
mod shapes;
mod statement;
mod stream;
mod system_tables;
mod table_scan;
mod telling;
#[cfg(test)]
mod tests;
mod values;
mod view;
mod watched;

pub use actor::Query;
pub use config::{QueryConfig, QueryOptions, ServerFacts, SpillOptions, Telling};
pub use influxql::{DeletedRows, deleted_rows, is_time_zone};
pub use lanes::QueryRuntime;
pub use scope::Counting;
pub use system_tables::{PluginTables, system_table_names};
