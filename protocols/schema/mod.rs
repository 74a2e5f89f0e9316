//! What the catalog knows about databases, tables and columns: immutable values that are shared
//! by `Arc` and replaced as a whole.

pub(crate) mod columns;

pub use columns::{
    CHUNK_ORDER_COLUMN, COLUMN_TYPE_KEY, ColumnKind, ColumnSchema, FieldType, TIME_COLUMN,
    TIMESTAMP_PLAIN_NAME, time_field, time_type,
};

use crate::caches::TableCaches;
use crate::downsamples::DatabaseDownsamples;
use crate::ids::{ColumnId, DbId, TableId};
use crate::plugins::DatabasePlugins;
use arrow_schema::{FieldRef, Schema, SchemaRef};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Name of the built-in database, which cannot be written through public endpoints.
pub const INTERNAL_DB: &str = "_internal";

/// When something was deleted, and when its bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Nanoseconds since 1970 at which the name was given up.
    pub deleted_at_ns: i64,
    /// Nanoseconds since 1970 at which the rows are removed; `None` means never.
    pub hard_delete_at_ns: Option<i64>,
    /// True once the rows are gone.
    pub rows_removed: bool,
}

/// Names of columns that files are indexed by. Those that a table does not have, or has for something
/// else than texts, do not matter for it.
pub type IndexedColumns = Arc<[Arc<str>]>;

/// A table (measurement).
#[derive(Clone, Debug)]
pub struct TableSchema {
    /// Identity over all databases.
    pub id: TableId,
    /// Name as written by the client, case-sensitive; a deleted table carries its new name.
    pub name: Arc<str>,
    /// Tags and fields in order of creation. The tags, in this order and followed by `time`, are
    /// the primary key and the sort order.
    pub columns: Vec<ColumnSchema>,
    /// Set once the table was deleted.
    pub deletion: Option<Deletion>,
    /// Rows older than this many nanoseconds are invisible. `None` leaves that to the database.
    pub retention_ns: Option<i64>,
    /// The columns that files are indexed by when they are merged. `None` leaves that to the database.
    pub indexed: Option<IndexedColumns>,
    /// Its caches; none once it was deleted.
    pub caches: Arc<TableCaches>,
    by_name: HashMap<Arc<str>, usize>,
    /// One for each column: batches share them.
    fields: Vec<FieldRef>,
    arrow: SchemaRef,
}

impl TableSchema {
    /// Builds the table with its look-up index and its Arrow schema, without caches and without
    /// settings of its own.
    pub fn new(
        id: TableId,
        name: Arc<str>,
        columns: Vec<ColumnSchema>,
        deletion: Option<Deletion>,
    ) -> Self {
        let by_name = columns.iter().enumerate().map(|(i, c)| (Arc::clone(&c.name), i)).collect();
        let fields: Vec<FieldRef> = columns.iter().map(|c| Arc::new(c.arrow_field())).collect();
        let mut sorted = fields.clone();
        sorted.push(Arc::new(time_field()));
        sorted.sort_by(|a, b| a.name().cmp(b.name()));
        let arrow = Arc::new(Schema::new(sorted));
        let (retention_ns, indexed, caches) = (None, None, Arc::default());
        Self { id, name, columns, deletion, retention_ns, indexed, caches, by_name, fields, arrow }
    }

    /// The same table with a retention period and an index of its own, or without.
    pub fn with_settings(self, retention_ns: Option<i64>, indexed: Option<IndexedColumns>) -> Self {
        Self { retention_ns, indexed, ..self }
    }

    /// The same table with the settings that another one has.
    pub fn with_settings_of(self, other: &Self) -> Self {
        self.with_settings(other.retention_ns, other.indexed.clone())
    }

    /// The same table with these caches.
    pub fn with_caches(self, caches: Arc<TableCaches>) -> Self {
        Self { caches, ..self }
    }

    /// False once the rows of a deleted table were removed.
    pub fn has_rows(&self) -> bool {
        self.deletion.is_none_or(|deletion| !deletion.rows_removed)
    }

    /// The column of that name, if it exists (`time` is not among them).
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.by_name.get(name).and_then(|i| self.columns.get(*i))
    }

    /// The column of that id and its Arrow field, if it exists.
    pub fn column_by_id(&self, id: ColumnId) -> Option<(&ColumnSchema, &FieldRef)> {
        // Ids are given in order, from 0 on.
        let in_place = self.columns.get(id.0 as usize).filter(|column| column.id == id);
        let at = match in_place {
            Some(_) => id.0 as usize,
            None => self.columns.iter().position(|column| column.id == id)?,
        };
        Some((self.columns.get(at)?, self.fields.get(at)?))
    }

    /// The tag columns in key order.
    pub fn tags(&self) -> impl Iterator<Item = &ColumnSchema> {
        self.columns.iter().filter(|c| c.kind == ColumnKind::Tag)
    }

    /// The Arrow schema that queries see: every column and `time`, in byte order of the names.
    pub fn arrow_schema(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The id that the next new column gets.
    pub fn next_column_id(&self) -> ColumnId {
        ColumnId(self.columns.iter().map(|c| c.id.0 + 1).max().unwrap_or(0))
    }
}

/// A database (bucket).
#[derive(Clone, Debug)]
pub struct DatabaseSchema {
    /// Identity, never used again.
    pub id: DbId,
    /// Name as written by the client; a deleted database carries its new name.
    pub name: Arc<str>,
    /// Rows older than this many nanoseconds are invisible. `None` keeps everything.
    pub retention_ns: Option<i64>,
    /// Tables by their name, deleted ones (under their new name) included.
    pub tables: HashMap<Arc<str>, Arc<TableSchema>>,
    /// Set once the database was deleted.
    pub deletion: Option<Deletion>,
    /// Its plugins and triggers.
    pub plugins: Arc<DatabasePlugins>,
    /// Its downsamples.
    pub downsamples: Arc<DatabaseDownsamples>,
    /// The columns that files are indexed by when they are merged. `None` is all tags.
    pub indexed: Option<IndexedColumns>,
}

impl DatabaseSchema {
    /// The columns that files of the table are indexed by when they are merged: its own setting
    /// counts before that of the database. `None` is all tags.
    pub fn indexed_columns(&self, table: &TableSchema) -> Option<IndexedColumns> {
        table.indexed.as_ref().or(self.indexed.as_ref()).cloned()
    }

    /// Rows of the table that are older than this many nanoseconds are invisible: its own period
    /// counts before that of the database.
    pub fn retention_of(&self, table: &TableSchema) -> Option<i64> {
        table.retention_ns.or(self.retention_ns)
    }

    /// The live table of that name.
    pub fn table(&self, name: &str) -> Option<&Arc<TableSchema>> {
        self.tables.get(name).filter(|t| t.deletion.is_none())
    }

    /// The table of that name if queries see it: a live one, or a deleted one that has its rows
    /// still.
    pub fn readable_table(&self, name: &str) -> Option<&Arc<TableSchema>> {
        self.tables.get(name).filter(|t| t.has_rows())
    }

    /// The tables that queries see, sorted by name.
    pub fn readable_tables(&self) -> Vec<&Arc<TableSchema>> {
        let mut tables: Vec<_> = self.tables.values().filter(|t| t.has_rows()).collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables
    }

    /// The live tables, sorted by name.
    pub fn live_tables(&self) -> Vec<&Arc<TableSchema>> {
        let mut tables: Vec<_> = self.tables.values().filter(|t| t.deletion.is_none()).collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::{ColumnData, StoredColumn, StoredRows};

    fn table(id: u32, deletion: Option<Deletion>) -> Arc<TableSchema> {
        let kind = ColumnKind::Field(FieldType::Integer);
        let column =
            |id: u32| ColumnSchema { id: ColumnId(id), name: format!("f{id}").into(), kind };
        let columns = (0..3).map(column).collect();
        Arc::new(TableSchema::new(TableId(id), format!("t{id}").into(), columns, deletion))
    }

    #[test]
    fn batches_of_a_table_share_their_fields() {
        let table = table(0, None);
        let batch = |ids: &[u32]| {
            let column = |id: &u32| StoredColumn {
                id: ColumnId(*id),
                data: ColumnData::Integer(vec![1]),
                validity: None,
            };
            let columns = ids.iter().map(column).collect();
            StoredRows { table: table.id, times: vec![1], columns }.into_arrow(&table).unwrap()
        };
        let (one, another) = (batch(&[0, 2]), batch(&[2, 1]));
        let field = |batch: &arrow_array::RecordBatch, at: usize| {
            Arc::clone(&batch.schema_ref().fields()[at])
        };
        assert!(Arc::ptr_eq(&field(&one, 1), &field(&another, 0)));
        assert!(Arc::ptr_eq(&field(&one, 2), &field(&another, 2)), "the time as well");
        let wrong =
            StoredColumn { id: ColumnId(3), data: ColumnData::Integer(vec![1]), validity: None };
        let rows = StoredRows { table: table.id, times: vec![1], columns: vec![wrong] };
        assert!(rows.into_arrow(&table).is_err());
    }
}
