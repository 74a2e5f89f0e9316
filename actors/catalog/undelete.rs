//! The part of [`super::plan`] that brings back what was deleted, and the names that deleted things
//! have meanwhile.

use super::CatalogLimits;
use super::new_database::room_for_a_database;
use super::schema_plan::room_for_tables;
use hashbrown::HashMap;
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::Change;
use protocols::messages::catalog::{CatalogError, UndeleteDatabase, UndeleteTable};
use protocols::schema::{DatabaseSchema, Deletion, TableSchema};
use std::sync::Arc;

/// What something deleted is called: `{name}-{YYYYMMDDTHHMMSS}`, and its id where that is taken.
pub(super) fn name_after(
    name: &str,
    id: u32,
    deleted_at_ns: i64,
    taken: impl Fn(&str) -> bool,
) -> Arc<str> {
    let mut renamed = format!("{name}{}", stamp(deleted_at_ns));
    // Somebody may have made up the longer name too; each turn ends on a longer one.
    while taken(&renamed) {
        renamed = format!("{renamed}-{id}");
    }
    renamed.into()
}

fn stamp(deleted_at_ns: i64) -> String {
    chrono::DateTime::from_timestamp_nanos(deleted_at_ns).format("-%Y%m%dT%H%M%S").to_string()
}

/// Undoes [`name_after`].
fn name_before(renamed: &str, id: u32, deleted_at_ns: i64) -> Option<&str> {
    let (stamp, id) = (stamp(deleted_at_ns), format!("-{id}"));
    let mut rest = renamed;
    loop {
        if let Some(name) = rest.strip_suffix(&stamp) {
            return Some(name);
        }
        rest = rest.strip_suffix(&id)?;
    }
}

/// What databases and tables have in common.
trait Named {
    fn name(&self) -> &Arc<str>;
    fn id(&self) -> u32;
    fn deletion(&self) -> Option<Deletion>;

    /// When it was deleted and what it was called before.
    fn before(&self) -> Option<(i64, &str)> {
        let at_ns = self.deletion()?.deleted_at_ns;
        Some((at_ns, name_before(self.name(), self.id(), at_ns)?))
    }
}

impl Named for DatabaseSchema {
    fn name(&self) -> &Arc<str> {
        &self.name
    }
    fn id(&self) -> u32 {
        self.id.0
    }
    fn deletion(&self) -> Option<Deletion> {
        self.deletion
    }
}

impl Named for TableSchema {
    fn name(&self) -> &Arc<str> {
        &self.name
    }
    fn id(&self) -> u32 {
        self.id.0
    }
    fn deletion(&self) -> Option<Deletion> {
        self.deletion
    }
}

/// The deleted thing that `wanted` names, and the name that it had.
fn named<'a, T: Named>(
    all: &'a HashMap<Arc<str>, Arc<T>>,
    wanted: &str,
) -> Option<(&'a Arc<T>, &'a str)> {
    let exact = all.get(wanted).and_then(|one| Some((one, one.before()?.1)));
    let newest = || {
        let was_called = all.values().filter_map(|one| {
            let (at_ns, name) = one.before()?;
            (name == wanted).then_some(((at_ns, one.id()), (one, name)))
        });
        was_called.max_by_key(|(age, _)| *age).map(|(_, found)| found)
    };
    exact.or_else(newest)
}

/// What the deleted database is called now that `wanted` names; `wanted` itself if there is none.
pub(super) fn present_name<'a>(catalog: &'a CatalogSnapshot, wanted: &'a str) -> &'a str {
    named(&catalog.databases, wanted).map_or(wanted, |(db, _)| &db.name)
}

/// The deleted thing that `wanted` names, and the name that it gets back. `None` if there is none.
fn find<'a, T: Named>(
    all: &'a HashMap<Arc<str>, Arc<T>>,
    wanted: &str,
) -> Result<Option<(&'a Arc<T>, &'a str)>, CatalogError> {
    let Some((found, name)) = named(all, wanted) else { return Ok(None) };
    let deleted = found.name().to_string();
    if found.deletion().is_some_and(|deletion| deletion.rows_removed) {
        return Err(CatalogError::RowsRemoved(deleted));
    }
    if all.contains_key(name) {
        return Err(CatalogError::NameInUse { deleted, name: name.to_owned() });
    }
    Ok(Some((found, name)))
}

/// A database comes back, with the tables that it had when it was deleted.
pub(super) fn database(
    catalog: &CatalogSnapshot,
    wanted: &UndeleteDatabase,
    limits: &CatalogLimits,
) -> Result<Vec<Change>, CatalogError> {
    let found = find(&catalog.databases, &wanted.name)?;
    let (database, name) = found.ok_or_else(|| CatalogError::NotFound(wanted.name.clone()))?;
    room_for_a_database(catalog, limits)?;
    room_for_tables(catalog, database.live_tables().len(), limits)?;
    let db = Arc::clone(&database.name);
    Ok(vec![Change::UndeleteDatabase { db, renamed: name.into() }])
}

/// A table comes back, without the caches that it had.
pub(super) fn table(
    catalog: &CatalogSnapshot,
    wanted: &UndeleteTable,
    limits: &CatalogLimits,
) -> Result<Vec<Change>, CatalogError> {
    let UndeleteTable { db, table } = wanted;
    let database = catalog
        .databases
        .get(db.as_str())
        .ok_or_else(|| CatalogError::DatabaseNotFound(db.clone()))?;
    if database.deletion.is_some() {
        return Err(CatalogError::AlreadyDeleted(db.clone()));
    }
    let found = find(&database.tables, table)?;
    let (table, name) = found
        .ok_or_else(|| CatalogError::TableNotFound { db: db.clone(), table: table.clone() })?;
    room_for_tables(catalog, 1, limits)?;
    let (db, table) = (Arc::clone(&database.name), Arc::clone(&table.name));
    Ok(vec![Change::UndeleteTable { db, table, renamed: name.into() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_before_is_the_name_that_was_given_up() {
        let at_ns = 1_767_323_045_000_000_000; // 2026-01-02T03:04:05
        let free = |_: &str| false;
        assert_eq!(&*name_after("cpu", 5, at_ns, free), "cpu-20260102T030405");
        for name in ["cpu", "a-20260102T030405", "a-5", "", "a-20260102T030405-5"] {
            let renamed = name_after(name, 5, at_ns, free);
            assert_eq!(name_before(&renamed, 5, at_ns), Some(name), "{renamed}");
            let second = name_after(name, 5, at_ns, |taken| taken == &*renamed);
            assert_eq!(name_before(&second, 5, at_ns), Some(name), "{second}");
        }
        assert_eq!(name_before("cpu", 5, at_ns), None);
        assert_eq!(name_before("cpu-20260102T030405", 5, 0), None);
    }
}
