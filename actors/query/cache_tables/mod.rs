//! Last-value and distinct-value caches in queries: the table functions `last_cache` and
//! `distinct_cache`.

mod arguments;
mod cache;
mod exec;
mod function;
mod predicates;
mod table;

pub(super) use arguments::check;
pub(super) use cache::CacheTables;
pub(super) use function::functions;
pub(super) use table::is_cache;
