//! Databases and tables by the names that a request gives.

use protocols::catalog::CatalogSnapshot;
use protocols::messages::catalog::CatalogError;
use protocols::schema::{DatabaseSchema, INTERNAL_DB, TableSchema};

/// A database whose tables may be changed.
pub(super) fn database_of<'a>(
    catalog: &'a CatalogSnapshot,
    db: &str,
) -> Result<&'a DatabaseSchema, CatalogError> {
    if db == INTERNAL_DB {
        return Err(CatalogError::Internal("modify"));
    }
    let database =
        catalog.databases.get(db).ok_or_else(|| CatalogError::DatabaseNotFound(db.to_owned()))?;
    if database.deletion.is_some() {
        return Err(CatalogError::AlreadyDeleted(db.to_owned()));
    }
    Ok(database)
}

/// A table that may be changed, deleted or not, and its database.
pub(super) fn table_of<'a>(
    catalog: &'a CatalogSnapshot,
    db: &str,
    table: &str,
) -> Result<(&'a DatabaseSchema, &'a TableSchema), CatalogError> {
    let database = database_of(catalog, db)?;
    let unknown = || CatalogError::TableNotFound { db: db.to_owned(), table: table.to_owned() };
    Ok((database, database.tables.get(table).ok_or_else(unknown)?))
}
