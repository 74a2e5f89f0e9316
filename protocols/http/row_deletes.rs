//! Deletes of rows over HTTP.

use crate::catalog::CatalogSnapshot;
use crate::row_deletes::{self, RowDelete, RowDeleteState};
use serde::{Deserialize, Serialize};

const SECOND_NS: i64 = 1_000_000_000;

/// What is to be deleted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteRowsBody {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// The first instant: nanoseconds since 1970, or as RFC 3339 has it.
    #[serde(default)]
    pub min_time: Option<WrittenInstant>,
    /// The instant behind the last one.
    #[serde(default)]
    pub max_time: Option<WrittenInstant>,
    /// Rows of all times.
    #[serde(default)]
    pub all_time: bool,
    /// Which tags they have.
    #[serde(default, alias = "delete_predicate")]
    pub predicate: Option<String>,
}

/// An instant as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum WrittenInstant {
    /// Nanoseconds since 1970.
    Number(i64),
    /// The same as text, or an instant as RFC 3339 has it.
    Text(String),
}

/// How a delete stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// The rows are hidden, and may still be somewhere.
    Pending,
    /// They are gone.
    Completed,
    /// It was taken back.
    Aborted,
}

impl Disposition {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
        }
    }
}

/// Which deletes are to be listed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRowDeletesParams {
    /// Those in this database.
    pub db: Option<String>,
    /// Those of tables of this name.
    pub table: Option<String>,
    /// Those that stand so.
    pub disposition: Option<Disposition>,
    /// Those from this number on.
    pub min_sequence: Option<u64>,
    /// Those up to this number.
    pub max_sequence: Option<u64>,
    /// Tell of pending ones where rows may still be.
    #[serde(default)]
    pub include_progress: bool,
}

/// Why a delete is taken back.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct AbortRowDeleteBody {
    /// In words.
    pub reason: Option<String>,
}

/// Where rows may be that a delete is about.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RowDeleteProgress {
    /// Files that are to be written anew.
    pub files_left: usize,
    /// Chunks in memory that are to become files first.
    pub chunks_left: usize,
}

/// A delete, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct RowDeleteShown {
    /// Its number.
    pub sequence: u64,
    /// Id of the database.
    pub db_id: u32,
    /// Id of the table.
    pub table_id: u32,
    /// What the database was called at the time.
    pub db_name: String,
    /// What the table was called at the time.
    pub table_name: String,
    /// True if it is called otherwise now, or gone.
    pub db_name_stale: bool,
    /// The same of the table.
    pub table_name_stale: bool,
    /// The first instant, nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_time: Option<i64>,
    /// The instant behind the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_time: Option<i64>,
    /// Which tags the rows have; empty for all of them.
    pub delete_predicate: String,
    /// When it was asked for, seconds since 1970.
    pub created_at: i64,
    /// How it stands.
    pub disposition: Disposition,
    /// Since when the rows are gone, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<i64>,
    /// When it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_at: Option<i64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_reason: Option<String>,
    /// Where rows may be that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<RowDeleteProgress>,
}

impl RowDeleteShown {
    /// Shows `delete` beside the names of now.
    pub fn new(delete: &RowDelete, catalog: &CatalogSnapshot) -> Self {
        let names = catalog.table_by_id(delete.table);
        let db_name_stale = names.is_none_or(|(db, _)| db.name != delete.db_name);
        let table_name_stale = names.is_none_or(|(_, table)| table.name != delete.table_name);
        let mut shown = Self {
            sequence: delete.sequence,
            db_id: delete.db.0,
            table_id: delete.table.0,
            db_name: delete.db_name.to_string(),
            table_name: delete.table_name.to_string(),
            db_name_stale,
            table_name_stale,
            min_time: delete.min_time_ns,
            max_time: delete.max_time_ns,
            delete_predicate: row_deletes::text(&delete.tags),
            created_at: delete.created_at_ns / SECOND_NS,
            disposition: Disposition::Pending,
            completed_at: None,
            aborted_at: None,
            abort_reason: None,
            progress: None,
        };
        match &delete.state {
            RowDeleteState::Pending => {}
            RowDeleteState::Completed { at_ns } => {
                shown.disposition = Disposition::Completed;
                shown.completed_at = Some(at_ns / SECOND_NS);
            }
            RowDeleteState::Aborted { at_ns, reason } => {
                shown.disposition = Disposition::Aborted;
                shown.aborted_at = Some(at_ns / SECOND_NS);
                shown.abort_reason = reason.as_deref().map(str::to_owned);
            }
        }
        shown
    }
}
