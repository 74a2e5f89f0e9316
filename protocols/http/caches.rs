//! Bodies, parameters and answers of the endpoints that administer caches.

use crate::caches::{DistinctCacheDef, LastCacheDef};
use crate::catalog::CatalogSnapshot;
use crate::schema::{ColumnKind, DatabaseSchema, TableSchema};
use serde::Deserialize;
use serde_json::{Value, json};

/// Body that creates a last-value cache.
#[derive(Debug, Deserialize)]
pub struct CreateLastCacheBody {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Name of the cache.
    pub name: Option<String>,
    /// Key columns in order.
    pub key_columns: Option<Vec<String>>,
    /// Value columns in order.
    pub value_columns: Option<Vec<String>>,
    /// Rows kept for each key.
    pub count: Option<u64>,
    /// Seconds for which a row is shown.
    pub ttl: Option<u64>,
    /// Never fill the cache from existing rows, neither now nor when the server starts.
    #[serde(default)]
    pub start_empty: bool,
}

/// Body that creates a distinct-value cache.
#[derive(Debug, Deserialize)]
pub struct CreateDistinctCacheBody {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Name of the cache.
    pub name: Option<String>,
    /// The columns in order.
    pub columns: Vec<String>,
    /// Combinations kept.
    pub max_cardinality: Option<u64>,
    /// Seconds for which a combination is shown after its newest row.
    pub max_age: Option<u64>,
    /// Never fill the cache from existing rows, neither now nor when the server starts.
    #[serde(default)]
    pub start_empty: bool,
}

/// Query string or body that deletes a cache.
#[derive(Debug, Deserialize)]
pub struct DeleteCacheParams {
    /// Name of the database.
    pub db: String,
    /// Name of the table.
    pub table: String,
    /// Name of the cache.
    pub name: String,
}

/// What the creation of a last-value cache is answered with.
pub fn last_cache_created(
    snapshot: &CatalogSnapshot,
    (db, table): (&DatabaseSchema, &TableSchema),
    cache: &LastCacheDef,
    time_ns: i64,
) -> Value {
    let keys: Vec<Value> = cache.keys.iter().map(|name| column_id(table, name)).collect();
    let values = match &cache.values {
        None => json!("all_non_key_columns"),
        Some(names) => {
            let columns: Vec<Value> = names.iter().map(|name| column_id(table, name)).collect();
            json!({ "explicit": { "columns": columns } })
        }
    };
    let op = json!({ "CreateLastCache": {
        "table_id": table.id,
        "table": table.name,
        "node_spec": "all",
        "id": cache.id,
        "name": cache.name,
        "key_columns": keys,
        "value_columns": values,
        "count": cache.count,
        "ttl": cache.ttl_seconds,
    }});
    batch(snapshot, db, &op, time_ns)
}

/// What the creation of a distinct-value cache is answered with.
pub fn distinct_cache_created(
    snapshot: &CatalogSnapshot,
    (db, table): (&DatabaseSchema, &TableSchema),
    cache: &DistinctCacheDef,
    time_ns: i64,
) -> Value {
    let columns: Vec<Value> = cache.columns.iter().map(|name| column_id(table, name)).collect();
    let op = json!({ "CreateDistinctCache": {
        "table_id": table.id,
        "table_name": table.name,
        "node_spec": "all",
        "cache_id": cache.id,
        "cache_name": cache.name,
        "column_ids": columns,
        "max_cardinality": cache.max_cardinality,
        "max_age_seconds": cache.max_age_seconds,
        "source": { "type": "User" },
    }});
    batch(snapshot, db, &op, time_ns)
}

fn batch(snapshot: &CatalogSnapshot, db: &DatabaseSchema, op: &Value, time_ns: i64) -> Value {
    json!({
        "catalog_batch": { "Database": {
            "time_ns": time_ns,
            "database_id": db.id,
            "database_name": db.name,
            "ops": [op],
        }},
        "sequence_number": snapshot.sequence,
    })
}

/// A column by its kind and its place among those of that kind; fields are in family 0.
fn column_id(table: &TableSchema, name: &str) -> Value {
    let Some(column) = table.column(name) else { return json!("timestamp") };
    let is_tag = column.kind == ColumnKind::Tag;
    let same = table.columns.iter().filter(|c| (c.kind == ColumnKind::Tag) == is_tag);
    let place = same.take_while(|c| c.id != column.id).count();
    if is_tag { json!({ "tag": place }) } else { json!({ "field": [0, place] }) }
}
