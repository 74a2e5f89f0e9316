//! The part of [`super::plan`] that makes tables and columns.

use super::CatalogLimits;
use super::new_database::new_database;
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::{Change, StoredColumn};
use protocols::ids::{ColumnId, TableId};
use protocols::limits::ELEMENT_BYTES_MAX;
use protocols::messages::catalog::{CatalogError, CreateTable, EnsureSchema};
use protocols::names::check_database_name;
use protocols::schema::{
    CHUNK_ORDER_COLUMN, ColumnKind, DatabaseSchema, TIME_COLUMN, TIMESTAMP_PLAIN_NAME, TableSchema,
};
use std::collections::HashMap;
use std::sync::Arc;

type Column = (Arc<str>, ColumnKind);

/// What is missing of the schema that a write needs.
pub(super) fn ensure_schema(
    catalog: &CatalogSnapshot,
    wanted: &EnsureSchema,
    limits: &CatalogLimits,
) -> Result<Vec<Change>, CatalogError> {
    check_database_name(&wanted.db).map_err(CatalogError::InvalidName)?;
    let mut changes = Vec::new();
    let database = catalog.databases.get(wanted.db.as_str());
    match database {
        Some(database) if database.deletion.is_some() => {
            return Err(CatalogError::SoftDeleted(wanted.db.clone()));
        }
        Some(_) => {}
        None => changes.push(new_database(catalog, &wanted.db, None, limits)?),
    }
    let mut new_tables = NewTables::new(catalog, &wanted.db, limits);
    for (name, columns) in by_table(wanted) {
        match database.and_then(|d| d.tables.get(name)) {
            Some(table) if table.deletion.is_some() => {
                return Err(CatalogError::SoftDeletedTable(name.to_string()));
            }
            Some(table) => {
                let missing = missing_columns(Some(table), &columns, limits)?;
                if !missing.is_empty() {
                    let (db, table) = (new_tables.db(), Arc::clone(name));
                    changes.push(Change::AddColumns { db, table, columns: missing });
                }
            }
            None => changes.push(new_tables.create(name, &columns)?),
        }
    }
    Ok(changes)
}

/// The tables of the request in order, each once.
fn by_table(wanted: &EnsureSchema) -> Vec<(&Arc<str>, Vec<&Column>)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut tables: Vec<(&Arc<str>, Vec<&Column>)> = Vec::with_capacity(wanted.tables.len());
    for shape in &wanted.tables {
        let place = *places.entry(&shape.name).or_insert(tables.len());
        if place == tables.len() {
            tables.push((&shape.name, Vec::with_capacity(shape.columns.len())));
        }
        tables[place].1.extend(&shape.columns);
    }
    tables
}

/// A table made by hand, and its database if that is missing.
pub(super) fn create_table(
    catalog: &CatalogSnapshot,
    wanted: &CreateTable,
    limits: &CatalogLimits,
) -> Result<Vec<Change>, CatalogError> {
    check_database_name(&wanted.db).map_err(CatalogError::InvalidName)?;
    if wanted.table.is_empty() {
        return Err(CatalogError::InvalidName("table name cannot be empty".to_owned()));
    }
    check_length(&wanted.table)?;
    let mut changes = Vec::new();
    match catalog.databases.get(wanted.db.as_str()) {
        Some(database) if database.deletion.is_some() => {
            return Err(CatalogError::AlreadyDeleted(wanted.db.clone()));
        }
        Some(database) if database.tables.contains_key(wanted.table.as_str()) => {
            return Err(CatalogError::AlreadyExists);
        }
        Some(_) => {}
        None => changes.push(new_database(catalog, &wanted.db, None, limits)?),
    }
    let tags = wanted.tags.iter().map(|name| (name, ColumnKind::Tag));
    let fields = wanted.fields.iter().map(|(name, field)| (name, ColumnKind::Field(*field)));
    let columns: Vec<Column> =
        tags.chain(fields).map(|(name, kind)| (name.as_str().into(), kind)).collect();
    check_once(&columns)?;
    let columns: Vec<&Column> = columns.iter().collect();
    let table = wanted.table.as_str().into();
    changes.push(NewTables::new(catalog, &wanted.db, limits).create(&table, &columns)?);
    Ok(changes)
}

/// A table made by hand names each column once.
fn check_once(columns: &[Column]) -> Result<(), CatalogError> {
    let mut names = std::collections::HashSet::new();
    for (name, _) in columns {
        if name.is_empty() {
            return Err(CatalogError::InvalidName("column name cannot be empty".to_owned()));
        }
        check_length(name)?;
        if !names.insert(name) {
            return Err(CatalogError::DuplicateColumn(name.to_string()));
        }
    }
    Ok(())
}

/// Names made by hand are as long as line protocol can make them, and no longer.
pub(super) fn check_length(name: &str) -> Result<(), CatalogError> {
    if name.len() > ELEMENT_BYTES_MAX {
        return Err(CatalogError::InvalidName("String is greater than 1MB".to_owned()));
    }
    Ok(())
}

/// Gives new tables of one request their ids and counts them.
struct NewTables<'a> {
    db: Arc<str>,
    next_id: u32,
    /// How many live tables there are, if that is limited.
    count: Option<usize>,
    limits: &'a CatalogLimits,
}

impl<'a> NewTables<'a> {
    fn new(catalog: &CatalogSnapshot, db: &str, limits: &'a CatalogLimits) -> Self {
        let live = |d: &DatabaseSchema| d.tables.values().filter(|t| t.deletion.is_none()).count();
        let databases = catalog.databases.values().filter(|d| d.deletion.is_none());
        let count = limits.tables.map(|_| databases.map(|d| live(d)).sum());
        Self { db: db.into(), next_id: catalog.next_table_id, count, limits }
    }

    fn db(&self) -> Arc<str> {
        Arc::clone(&self.db)
    }

    fn create(&mut self, table: &Arc<str>, columns: &[&Column]) -> Result<Change, CatalogError> {
        self.count(1)?;
        let columns = missing_columns(None, columns, self.limits)?;
        let id = TableId(self.next_id);
        self.next_id += 1;
        Ok(Change::CreateTable { db: self.db(), id, table: Arc::clone(table), columns })
    }

    /// Counts so many more live tables, if there may be as many.
    fn count(&mut self, more: usize) -> Result<(), CatalogError> {
        let (Some(count), Some(limit)) = (&mut self.count, self.limits.tables) else {
            return Ok(());
        };
        if *count + more > limit {
            return Err(CatalogError::Limit(format!(
                "Update to schema would exceed number of tables limit: attempted to create table \
                 but already have {count} table(s) (limit: {limit})"
            )));
        }
        *count += more;
        Ok(())
    }
}

/// Refuses so many more live tables than there may be.
pub(super) fn room_for_tables(
    catalog: &CatalogSnapshot,
    more: usize,
    limits: &CatalogLimits,
) -> Result<(), CatalogError> {
    NewTables::new(catalog, "", limits).count(more)
}

/// The columns that `table` lacks; `None` is a table to be made.
fn missing_columns(
    table: Option<&Arc<TableSchema>>,
    wanted: &[&Column],
    limits: &CatalogLimits,
) -> Result<Vec<StoredColumn>, CatalogError> {
    let mut missing: Vec<StoredColumn> = Vec::new();
    let mut missing_kinds: HashMap<&str, ColumnKind> = HashMap::new();
    let next_id = table.map_or(0, |t| t.next_column_id().0);
    for (column, kind) in wanted.iter().copied() {
        let name = column.as_ref();
        let conflict = |expected| CatalogError::TypeConflict {
            column: name.to_owned(),
            expected,
            got: kind.plain_name(),
        };
        if name == TIME_COLUMN && table.is_some() {
            return Err(conflict(TIMESTAMP_PLAIN_NAME));
        }
        if name == TIME_COLUMN || name == CHUNK_ORDER_COLUMN {
            return Err(CatalogError::ReservedColumn(name.to_owned()));
        }
        let known = table
            .and_then(|t| t.column(name))
            .map(|c| c.kind)
            .or_else(|| missing_kinds.get(name).copied());
        match known {
            Some(known) if known != *kind => return Err(conflict(known.plain_name())),
            Some(_) => {}
            None => {
                missing_kinds.insert(name, *kind);
                let id = ColumnId(next_id + missing.len() as u32);
                missing.push(StoredColumn { id, name: Arc::clone(column), kind: *kind });
            }
        }
    }
    check_limits(table, &missing, limits)?;
    Ok(missing)
}

fn check_limits(
    table: Option<&Arc<TableSchema>>,
    missing: &[StoredColumn],
    limits: &CatalogLimits,
) -> Result<(), CatalogError> {
    if missing.is_empty() {
        return Ok(());
    }
    let columns = table.map_or(0, |t| t.columns.len()) + missing.len();
    if let Some(limit) = limits.columns_per_table.filter(|limit| columns > *limit) {
        return Err(CatalogError::Limit(format!(
            "Update to schema would exceed number of columns per table limit of {limit} columns"
        )));
    }
    let new_tags = missing.iter().filter(|c| c.kind == ColumnKind::Tag).count();
    let tags = table.map_or(0, |t| t.tags().count()) + new_tags;
    if let Some(limit) = limits.tag_columns_per_table.filter(|limit| new_tags > 0 && tags > *limit)
    {
        return Err(CatalogError::Limit(format!(
            "Update to schema would exceed number of tag columns per table limit of {limit} \
             columns"
        )));
    }
    Ok(())
}
