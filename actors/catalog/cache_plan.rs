//! From a request about caches to the changes it takes. Pure.

use super::CatalogLimits;
use protocols::caches::{DistinctCacheDef, LastCacheDef};
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::Change;
use protocols::ids::CacheId;
use protocols::messages::catalog::{
    CacheKind, CatalogError, CreateDistinctCache, CreateLastCache, DeleteCache,
};
use protocols::schema::{
    ColumnKind, DatabaseSchema, FieldType, INTERNAL_DB, TIME_COLUMN, TableSchema,
};
use std::sync::Arc;

/// Rows kept for each key, unless a request says otherwise.
const COUNT: u64 = 1;
/// Seconds for which a last value is shown, unless a request says otherwise: four hours.
const TTL_SECONDS: u64 = 4 * 3600;
/// Combinations kept, unless a request says otherwise.
const MAX_CARDINALITY: u64 = 100_000;
/// Seconds for which a combination is shown, unless a request says otherwise: a day.
const MAX_AGE_SECONDS: u64 = 24 * 3600;

pub(super) fn create_last(
    catalog: &CatalogSnapshot,
    wanted: &CreateLastCache,
    limits: &CatalogLimits,
) -> Result<Vec<Change>, CatalogError> {
    let (database, table) = live_table(catalog, &wanted.db, &wanted.table)?;
    let keys = match &wanted.keys {
        Some(keys) => {
            for key in keys {
                check_key(table, key)?;
            }
            shared(keys)
        }
        None => table.tags().map(|tag| Arc::clone(&tag.name)).collect(),
    };
    let values = wanted.values.as_ref().map(|values| shared(values));
    for value in values.iter().flatten() {
        if value.as_ref() != TIME_COLUMN && table.column(value).is_none() {
            return invalid(format!("invalid value column provided: {value}"));
        }
        if keys.contains(value) {
            return invalid(format!("column {value} is a key column and a value column"));
        }
    }
    check_once(&keys)?;
    check_once(values.as_deref().unwrap_or_default())?;
    let count = wanted.count.unwrap_or(COUNT);
    if count == 0 {
        return invalid("the count of a last value cache is at least 1".to_owned());
    }
    if let Some(limit) = limits.last_cache_count.filter(|limit| count > *limit) {
        let text = format!("a count of {count} exceeds the limit of {limit} rows for each key");
        return Err(CatalogError::Limit(text));
    }
    let name = wanted.name.clone().unwrap_or_else(|| default_name(table, &keys, "last_cache"));
    if table.caches.last(Some(&name)).is_some() {
        return Err(CatalogError::AlreadyExists);
    }
    let cache = Arc::new(LastCacheDef {
        id: CacheId(table.caches.next_id),
        name: name.into(),
        keys,
        values,
        count,
        ttl_seconds: wanted.ttl_seconds.unwrap_or(TTL_SECONDS),
        starts_empty: wanted.starts_empty,
    });
    let (db, table) = (Arc::clone(&database.name), Arc::clone(&table.name));
    Ok(vec![Change::CreateLastCache { db, table, cache }])
}

pub(super) fn create_distinct(
    catalog: &CatalogSnapshot,
    wanted: &CreateDistinctCache,
) -> Result<Vec<Change>, CatalogError> {
    let (database, table) = live_table(catalog, &wanted.db, &wanted.table)?;
    if wanted.columns.is_empty() {
        return invalid("no columns provided when creating distinct cache".to_owned());
    }
    for name in &wanted.columns {
        match table.column(name).map(|column| column.kind) {
            Some(ColumnKind::Tag | ColumnKind::Field(FieldType::String)) => {}
            None if name != TIME_COLUMN => {
                return invalid(format!("invalid column provided: {name}"));
            }
            _ => {
                return Err(CatalogError::CacheColumnType(
                    "only tag and string columns are supported in the distinct cache",
                ));
            }
        }
    }
    let columns = shared(&wanted.columns);
    check_once(&columns)?;
    let max_cardinality = wanted.max_cardinality.unwrap_or(MAX_CARDINALITY);
    if max_cardinality == 0 {
        return invalid("the maximum cardinality of a distinct cache is at least 1".to_owned());
    }
    let name =
        wanted.name.clone().unwrap_or_else(|| default_name(table, &columns, "distinct_cache"));
    if table.caches.distinct(Some(&name)).is_some() {
        return Err(CatalogError::AlreadyExists);
    }
    let cache = Arc::new(DistinctCacheDef {
        id: CacheId(table.caches.next_id),
        name: name.into(),
        columns,
        max_cardinality,
        max_age_seconds: wanted.max_age_seconds.unwrap_or(MAX_AGE_SECONDS),
        starts_empty: wanted.starts_empty,
    });
    let (db, table) = (Arc::clone(&database.name), Arc::clone(&table.name));
    Ok(vec![Change::CreateDistinctCache { db, table, cache }])
}

pub(super) fn delete(
    catalog: &CatalogSnapshot,
    unwanted: &DeleteCache,
) -> Result<Vec<Change>, CatalogError> {
    let (database, table) = live_table(catalog, &unwanted.db, &unwanted.table)?;
    let name = Some(unwanted.name.as_str());
    let cache = match unwanted.kind {
        CacheKind::Last => table.caches.last(name).map(|cache| cache.id),
        CacheKind::Distinct => table.caches.distinct(name).map(|cache| cache.id),
    };
    let cache = cache.ok_or_else(|| CatalogError::NotFound(unwanted.name.clone()))?;
    let (db, table) = (Arc::clone(&database.name), Arc::clone(&table.name));
    Ok(vec![Change::DeleteCache { db, table, cache }])
}

pub(super) fn live_table<'a>(
    catalog: &'a CatalogSnapshot,
    db: &str,
    table: &str,
) -> Result<(&'a DatabaseSchema, &'a TableSchema), CatalogError> {
    if db == INTERNAL_DB {
        return Err(CatalogError::Internal("modify"));
    }
    let database =
        catalog.database(db).ok_or_else(|| CatalogError::DatabaseNotFound(db.to_owned()))?;
    let found = database.table(table).ok_or_else(|| CatalogError::TableNotFound {
        db: db.to_owned(),
        table: table.to_owned(),
    })?;
    Ok((database, found))
}

fn check_key(table: &TableSchema, name: &str) -> Result<(), CatalogError> {
    use FieldType::{Boolean, Integer, String, UInteger};
    match table.column(name).map(|column| column.kind) {
        Some(ColumnKind::Tag | ColumnKind::Field(Integer | UInteger | Boolean | String)) => Ok(()),
        None if name != TIME_COLUMN => invalid(format!("invalid key column provided: {name}")),
        _ => Err(CatalogError::CacheColumnType(
            "only uint64, int64, bool, tag, and string columns are supported in the last cache",
        )),
    }
}

fn check_once(names: &[Arc<str>]) -> Result<(), CatalogError> {
    let twice = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
    match twice {
        Some((_, name)) => invalid(format!("column {name} is named twice")),
        None => Ok(()),
    }
}

fn shared(names: &[String]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(name.as_str())).collect()
}

fn default_name(table: &TableSchema, columns: &[Arc<str>], kind: &str) -> String {
    let mut parts = vec![table.name.as_ref()];
    parts.extend(columns.iter().map(AsRef::as_ref));
    parts.push(kind);
    parts.join("_")
}

fn invalid<T>(why: String) -> Result<T, CatalogError> {
    Err(CatalogError::InvalidCache(why))
}
