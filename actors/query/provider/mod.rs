//! A table as the engine sees it: its buffered rows and its Parquet files.
//!
//! A scan is a description (`scan`): columns, conditions, and the segments in which the table is
//! read. A segment is what hangs together in time, in order of time; chunks and files of the table
//! come from one view of its shard (`context`). One operator (`exec`) reads the segments, each
//! when the query comes to it and if it still matters by then (`reading`). To open one
//! (`open`) is to sort what nobody has sorted before and hand that back to the shard, to pick
//! series and spans of time by search, in files by what they say of values (`values`) and of times
//! (`narrowing`), to
//! merge key by key what shares its time with other rows, and to lay all else side by side. A query
//! for the newest rows reads through an operator of its own (`newest`), which tells the scan meanwhile
//! of which series it needs no older row, and so does one for so many rows of each series
//! (`series`); one for the newest bins of time (`bins`) has it read the newest rows first. What was
//! found out about files on the way serves later queries, too (`remembered`).

mod anew;
mod bins;
mod coalesce;
mod context;
mod counts;
mod covering;
mod decoder;
mod enough;
mod exec;
mod filters;
mod groups;
mod held;
mod key_sets;
mod merge;
mod narrowing;
mod newest;
mod newest_of_file;
mod open;
mod overlap;
mod parquet_files;
mod reader;
mod reading;
mod relevance;
mod remembered;
mod scan;
mod segment;
mod selection;
mod series;
mod short;
mod sorting;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod values;

pub(super) use anew::{ScanAnew, State, may_have_other_rows, without_rows};
pub(super) use bins::ReadNewestBins;
pub use context::{ScanContext, Seen};
pub(super) use counts::FILES_OPENED;
pub(super) use newest::ReadNewest;
pub use parquet_files::ParquetFiles;
pub use remembered::Remembered;
pub(super) use series::{Cut, SeriesPlanner, cut_series, is_cut_series};
pub use table::StoredTable;

use datafusion::datasource::DefaultTableSource;
use datafusion::logical_expr::TableSource;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use std::sync::Arc;

/// True if a plan yields rows of one scan, maybe fewer of them or of their columns.
pub(super) fn reads_rows_of_one_table(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let takes_rows = || plan.is::<FilterExec>() || plan.is::<ProjectionExec>();
    plan.is::<exec::ScanExec>()
        || (takes_rows() && plan.children().into_iter().all(reads_rows_of_one_table))
}

/// True for tables of which a plan may be kept: they are found anew in the session of each query.
pub(super) fn is_stored(source: &Arc<dyn TableSource>) -> bool {
    let source = source.downcast_ref::<DefaultTableSource>().map(|source| &source.table_provider);
    source.is_some_and(|table| table.is::<StoredTable>() || table.is::<newest::NewestRows>())
}
