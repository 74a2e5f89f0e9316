//! What the catalog knows about databases, tables and columns: immutable values that are shared
//! by `Arc` and replaced as a whole.

use crate::access::tokens::Tokens;
use crate::caches::TableCaches;
use crate::downsamples::DatabaseDownsamples;
use crate::ids::{ColumnId, DbId, TableId};
use crate::plugins::DatabasePlugins;
use crate::row_deletes::RowDeletes;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// Name of the timestamp column that every table has.
pub const TIME_COLUMN: &str = "time";
/// Second reserved column name, kept free for the order of chunks.
pub const CHUNK_ORDER_COLUMN: &str = "__chunk_order";
/// What people call the type of the column `time`.
pub const TIMESTAMP_PLAIN_NAME: &str = "timestamp";
/// Metadata key that tells a client what a column is.
pub const COLUMN_TYPE_KEY: &str = "iox::column::type";
/// Name of the built-in database, which cannot be written through public endpoints.
pub const INTERNAL_DB: &str = "_internal";

/// Type of a field value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// 64-bit IEEE float.
    Float,
    /// Signed 64-bit integer.
    Integer,
    /// Unsigned 64-bit integer.
    UInteger,
    /// UTF-8 text.
    String,
    /// True or false.
    Boolean,
}

/// What a column is: part of the key, or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Part of the primary key; dictionary-encoded text.
    Tag,
    /// A value of the given type.
    Field(FieldType),
}

impl ColumnKind {
    /// True for columns of texts: tags and fields.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Tag | Self::Field(FieldType::String))
    }

    /// The name that field metadata uses, for example `iox::column_type::field::float`.
    pub fn influx_name(self) -> &'static str {
        match self {
            Self::Tag => "iox::column_type::tag",
            Self::Field(FieldType::Float) => "iox::column_type::field::float",
            Self::Field(FieldType::Integer) => "iox::column_type::field::integer",
            Self::Field(FieldType::UInteger) => "iox::column_type::field::uinteger",
            Self::Field(FieldType::String) => "iox::column_type::field::string",
            Self::Field(FieldType::Boolean) => "iox::column_type::field::boolean",
        }
    }

    /// The name that people use.
    pub fn plain_name(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Field(FieldType::Float) => "float",
            Self::Field(FieldType::Integer) => "integer",
            Self::Field(FieldType::UInteger) => "unsigned integer",
            Self::Field(FieldType::String) => "string",
            Self::Field(FieldType::Boolean) => "boolean",
        }
    }

    /// The Arrow type of the column in queries and files.
    pub fn arrow_type(self) -> DataType {
        match self {
            Self::Tag => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Field(FieldType::Float) => DataType::Float64,
            Self::Field(FieldType::Integer) => DataType::Int64,
            Self::Field(FieldType::UInteger) => DataType::UInt64,
            Self::Field(FieldType::String) => DataType::Utf8,
            Self::Field(FieldType::Boolean) => DataType::Boolean,
        }
    }
}

/// Arrow type of the `time` column: nanoseconds since 1970, no zone.
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

/// A tag or field column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSchema {
    /// Identity inside the table.
    pub id: ColumnId,
    /// Name as written by the client, case-sensitive.
    pub name: Arc<str>,
    /// Tag, or field with its type. Never changes.
    pub kind: ColumnKind,
}

impl ColumnSchema {
    /// The column as an Arrow field, with the metadata that clients read.
    pub fn arrow_field(&self) -> Field {
        Field::new(self.name.as_ref(), self.kind.arrow_type(), true).with_metadata(
            [(COLUMN_TYPE_KEY.to_owned(), self.kind.influx_name().to_owned())].into(),
        )
    }
}

/// The `time` column as an Arrow field: never null.
pub fn time_field() -> Field {
    Field::new(TIME_COLUMN, time_type(), false).with_metadata(
        [(COLUMN_TYPE_KEY.to_owned(), "iox::column_type::timestamp".to_owned())].into(),
    )
}

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

/// The whole catalog at one sequence number. Immutable; the next one replaces it.
#[derive(Clone, Debug)]
pub struct CatalogSnapshot {
    /// Identity of the catalog, stable over restarts on the same store.
    pub uuid: Uuid,
    /// Number of the last log record that is part of this snapshot.
    pub sequence: u64,
    /// Databases by their name, deleted ones (under their new name) included.
    pub databases: HashMap<Arc<str>, Arc<DatabaseSchema>>,
    /// Width of a chunk by row time, in nanoseconds; fixed at the first start of a store.
    pub gen1_duration_ns: i64,
    /// The id that the next new database gets.
    pub next_db_id: u32,
    /// The id that the next new table gets.
    pub next_table_id: u32,
    /// The tokens by which requests are told apart.
    pub tokens: Arc<Tokens>,
    /// The deletes of rows.
    pub row_deletes: Arc<RowDeletes>,
    /// What is looked up by id, made when it is first needed.
    pub index: CatalogIndex,
}

/// What a snapshot of the catalog has by id. Clones begin without it: what they are a copy of may
/// be changed.
#[derive(Debug, Default)]
pub struct CatalogIndex(OnceLock<ById>);

#[derive(Debug)]
struct ById {
    live_tables: usize,
    tables: HashMap<TableId, (Arc<DatabaseSchema>, Arc<TableSchema>)>,
}

impl Clone for CatalogIndex {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl CatalogSnapshot {
    fn by_id(&self) -> &ById {
        self.index.0.get_or_init(|| {
            let mut by_id = ById { live_tables: 0, tables: HashMap::new() };
            for db in self.databases.values() {
                for table in db.tables.values() {
                    let is_live = db.deletion.is_none() && table.deletion.is_none();
                    by_id.live_tables += usize::from(is_live);
                    by_id.tables.insert(table.id, (Arc::clone(db), Arc::clone(table)));
                }
            }
            by_id
        })
    }

    /// The table of that id and its database, deleted ones included.
    pub fn table_by_id(&self, id: TableId) -> Option<(&Arc<DatabaseSchema>, &Arc<TableSchema>)> {
        self.by_id().tables.get(&id).map(|(db, table)| (db, table))
    }

    /// How many live tables the live databases have.
    pub fn live_table_count(&self) -> usize {
        self.by_id().live_tables
    }

    /// The live database of that name.
    pub fn database(&self, name: &str) -> Option<&Arc<DatabaseSchema>> {
        self.databases.get(name).filter(|d| d.deletion.is_none())
    }

    /// The live databases, sorted by name.
    pub fn live_databases(&self) -> Vec<&Arc<DatabaseSchema>> {
        let mut all: Vec<_> = self.databases.values().filter(|d| d.deletion.is_none()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
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

    fn catalog() -> CatalogSnapshot {
        let deleted = Deletion { deleted_at_ns: 1, hard_delete_at_ns: None, rows_removed: false };
        let database = |id: u32, tables: [Arc<TableSchema>; 2], deletion| {
            let name: Arc<str> = format!("d{id}").into();
            let tables = tables.map(|table| (Arc::clone(&table.name), table)).into_iter().collect();
            let (id, key) = (DbId(id), Arc::clone(&name));
            let schema = DatabaseSchema {
                id,
                name,
                retention_ns: None,
                tables,
                deletion,
                plugins: Arc::default(),
                downsamples: Arc::default(),
                indexed: None,
            };
            (key, Arc::new(schema))
        };
        let databases = [
            database(0, [table(0, None), table(1, Some(deleted))], None),
            database(1, [table(2, None), table(3, None)], Some(deleted)),
        ];
        CatalogSnapshot {
            tokens: Arc::default(),
            row_deletes: Arc::default(),
            uuid: Uuid::nil(),
            sequence: 1,
            databases: databases.into_iter().collect(),
            gen1_duration_ns: 1,
            next_db_id: 2,
            next_table_id: 4,
            index: CatalogIndex::default(),
        }
    }

    #[test]
    fn tables_are_found_by_id_and_counted() {
        let catalog = catalog();
        assert_eq!(catalog.live_table_count(), 1);
        let (db, table) = catalog.table_by_id(TableId(3)).unwrap();
        assert_eq!((db.name.as_ref(), table.name.as_ref()), ("d1", "t3"));
        assert!(catalog.table_by_id(TableId(4)).is_none());
        let mut changed = catalog.clone();
        changed.databases.remove("d0");
        assert_eq!(changed.live_table_count(), 0, "a copy does not keep what it was made of");
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
