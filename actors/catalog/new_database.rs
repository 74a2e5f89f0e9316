//! Making a database, which writes and requests do alike.

use super::CatalogLimits;
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::Change;
use protocols::ids::DbId;
use protocols::messages::catalog::CatalogError;
use protocols::schema::{DatabaseSchema, INTERNAL_DB};

/// The change that creates a database, if the limit allows it. Its name has been checked.
pub(super) fn new_database(
    catalog: &CatalogSnapshot,
    name: &str,
    retention_ns: Option<i64>,
    limits: &CatalogLimits,
) -> Result<Change, CatalogError> {
    room_for_a_database(catalog, limits)?;
    let id = DbId(catalog.next_db_id);
    Ok(Change::CreateDatabase { id, db: name.into(), retention_ns })
}

/// Refuses one more live database than there may be.
pub(super) fn room_for_a_database(
    catalog: &CatalogSnapshot,
    limits: &CatalogLimits,
) -> Result<(), CatalogError> {
    let counts = |d: &DatabaseSchema| d.deletion.is_none() && d.name.as_ref() != INTERNAL_DB;
    match limits.databases {
        Some(limit) if catalog.databases.values().filter(|d| counts(d)).count() >= limit => {
            let text = format!("Adding a new database would exceed limit of {limit} databases");
            Err(CatalogError::Limit(text))
        }
        _ => Ok(()),
    }
}
