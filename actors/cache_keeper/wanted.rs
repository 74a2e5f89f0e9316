//! The caches that the catalog has.

use protocols::caches::{DistinctCacheDef, LastCacheDef};
use protocols::catalog::CatalogSnapshot;
use protocols::messages::caches::CacheRef;
use protocols::schema::{ColumnKind, TIME_COLUMN, TableSchema};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a cache is made of.
#[derive(Clone, Debug)]
pub(super) enum Def {
    Last(Arc<LastCacheDef>),
    Distinct(Arc<DistinctCacheDef>),
}

impl Def {
    pub(super) fn name(&self) -> &Arc<str> {
        match self {
            Self::Last(def) => &def.name,
            Self::Distinct(def) => &def.name,
        }
    }

    pub(super) fn starts_empty(&self) -> bool {
        match self {
            Self::Last(def) => def.starts_empty,
            Self::Distinct(def) => def.starts_empty,
        }
    }

    /// For how many seconds a row counts.
    pub(super) fn seconds(&self) -> u64 {
        match self {
            Self::Last(def) => def.ttl_seconds,
            Self::Distinct(def) => def.max_age_seconds,
        }
    }

    /// The columns that it reads of its table.
    pub(super) fn columns(&self, table: &TableSchema) -> Vec<Arc<str>> {
        match self {
            Self::Last(def) => {
                // The tags tell which rows of one time are different ones.
                let tags = table.columns.iter().filter(|column| column.kind == ColumnKind::Tag);
                let tags = tags.map(|column| column.name.as_ref());
                let keys = def.keys.iter().map(AsRef::as_ref);
                let names: BTreeSet<&str> =
                    keys.chain(def.value_names(table)).chain(tags).collect();
                names.into_iter().map(Arc::from).collect()
            }
            Self::Distinct(def) => {
                def.columns.iter().cloned().chain([Arc::from(TIME_COLUMN)]).collect()
            }
        }
    }
}

/// A cache in the catalog.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) db: Arc<str>,
    pub(super) table: Arc<TableSchema>,
    pub(super) def: Def,
}

/// The caches of live tables in live databases.
pub(super) fn wanted(catalog: &CatalogSnapshot) -> BTreeMap<CacheRef, Wanted> {
    let mut caches = BTreeMap::new();
    for database in catalog.databases.values().filter(|db| db.deletion.is_none()) {
        for table in database.tables.values().filter(|table| table.deletion.is_none()) {
            let last = table.caches.last.iter();
            let last = last.map(|def| (def.id, Def::Last(Arc::clone(def))));
            let distinct = table.caches.distinct.iter();
            let distinct = distinct.map(|def| (def.id, Def::Distinct(Arc::clone(def))));
            for (cache, def) in last.chain(distinct) {
                let (db, schema) = (Arc::clone(&database.name), Arc::clone(table));
                let wanted = Wanted { db, table: schema, def };
                caches.insert(CacheRef { table: table.id, cache }, wanted);
            }
        }
    }
    caches
}
