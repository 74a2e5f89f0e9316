//! The part of [`super::plan`] that says which columns files are indexed by. Pure.

use super::named::{database_of, table_of};
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::Change;
use protocols::messages::catalog::{CatalogError, SetIndexedColumns};
use protocols::schema::{IndexedColumns, TableSchema};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Sets the columns for a table, or for all tables of a database that have no setting of their own.
pub(super) fn set(
    catalog: &CatalogSnapshot,
    wanted: &SetIndexedColumns,
) -> Result<Vec<Change>, CatalogError> {
    let SetIndexedColumns { db, table, columns } = wanted;
    let database = database_of(catalog, db)?;
    let (table, tables, known) = match table {
        Some(name) => {
            let (_, table) = table_of(catalog, db, name)?;
            if table.deletion.is_some() {
                return Err(CatalogError::AlreadyDeleted(name.clone()));
            }
            (Some(Arc::clone(&table.name)), vec![table], &table.indexed)
        }
        None => {
            let tables = database.live_tables().into_iter().map(AsRef::as_ref).collect();
            (None, tables, &database.indexed)
        }
    };
    let columns: Option<IndexedColumns> = match columns {
        Some(columns) => Some(check(columns, &tables)?),
        None => None,
    };
    if *known == columns {
        return Ok(Vec::new());
    }
    Ok(vec![Change::SetIndexedColumns { db: Arc::clone(&database.name), table, columns }])
}

/// The columns, if each is in one of the tables and of texts in all that have it.
fn check(columns: &[String], tables: &[&TableSchema]) -> Result<IndexedColumns, CatalogError> {
    let invalid = |text: String| Err(CatalogError::InvalidFileIndex(text));
    if columns.is_empty() {
        return invalid("no columns were given".to_owned());
    }
    let mut seen = BTreeSet::new();
    for name in columns {
        let mut kinds = tables.iter().filter_map(|table| Some((table, table.column(name)?.kind)));
        let Some((first, kind)) = kinds.next() else {
            return invalid(format!("there is no tag and no field {name}"));
        };
        let others = std::iter::once((first, kind)).chain(kinds);
        if let Some((table, kind)) = others.into_iter().find(|(_, kind)| !kind.is_text()) {
            let (table, kind) = (&table.name, kind.plain_name());
            return invalid(format!(
                "only tags and string fields can be indexed, and {name} of table {table} is of type \
                 {kind}"
            ));
        }
        if !seen.insert(name) {
            return invalid(format!("column {name} is there twice"));
        }
    }
    Ok(columns.iter().map(|name| Arc::from(name.as_str())).collect())
}
