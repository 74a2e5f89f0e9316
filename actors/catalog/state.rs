//! What the catalog knows, and how a change of the log alters it. Pure: no clock, no I/O.

use super::{downsample_plan, plugin_plan, row_delete_plan};
use hashbrown::HashMap;
use protocols::access::tokens::{Token, Tokens};
use protocols::caches::TableCaches;
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::Header;
use protocols::catalog_log::v1::{
    Change, Checkpoint, LogRecord, StoredColumn, StoredDatabase, StoredNode, StoredRowDeletes,
    StoredTable, StoredTokens,
};
use protocols::ids::{DbId, TableId};
use protocols::row_deletes::RowDeletes;
use protocols::schema::{ColumnSchema, DatabaseSchema, Deletion, IndexedColumns, TableSchema};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The catalog at one sequence number. Cheap to clone: a change copies only what it touches.
#[derive(Clone, Debug)]
pub(super) struct CatalogState {
    /// What everybody else sees.
    pub(super) snapshot: Arc<CatalogSnapshot>,
    /// The servers that used this catalog, by name.
    pub(super) nodes: Arc<BTreeMap<String, StoredNode>>,
}

/// A change that contradicts the catalog it is applied to: the log is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the change does not fit what came before it: {0}")]
pub(super) struct Unfit(String);

fn unfit<T>(why: String) -> Result<T, Unfit> {
    Err(Unfit(why))
}

impl CatalogState {
    /// A catalog without any record.
    pub(super) fn empty(uuid: Uuid) -> Self {
        let snapshot = CatalogSnapshot {
            uuid,
            sequence: 0,
            databases: HashMap::new(),
            gen1_duration_ns: 0,
            next_db_id: 0,
            next_table_id: 0,
            index: Default::default(),
            tokens: Arc::default(),
            row_deletes: Arc::default(),
        };
        Self { snapshot: Arc::new(snapshot), nodes: Arc::default() }
    }

    /// Identity and sequence of the next record.
    pub(super) fn next_header(&self) -> Header {
        Header { uuid: self.snapshot.uuid, sequence: self.snapshot.sequence + 1 }
    }

    /// Applies the record that follows. After an error the state is of no use.
    pub(super) fn apply_record(&mut self, record: &LogRecord) -> Result<(), Unfit> {
        for change in &record.changes {
            self.apply(change)?;
        }
        self.advance();
        Ok(())
    }

    /// Counts a record whose changes have been applied one by one.
    pub(super) fn advance(&mut self) {
        Arc::make_mut(&mut self.snapshot).sequence += 1;
    }

    /// Applies one change. After an error the state is of no use.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Unfit> {
        if let Change::SetNode(node) = change {
            Arc::make_mut(&mut self.nodes).insert(node.node.clone(), node.clone());
            return Ok(());
        }
        let catalog = Arc::make_mut(&mut self.snapshot);
        catalog.index = Default::default(); // it is that of the state before
        if catalog.gen1_duration_ns == 0 && !matches!(change, Change::CreateCatalog { .. }) {
            return unfit("the log does not begin with the creation of the catalog".to_owned());
        }
        match change {
            Change::CreateCatalog { gen1_duration_ns } => {
                if catalog.gen1_duration_ns != 0 || *gen1_duration_ns <= 0 {
                    return unfit(
                        "the catalog is created twice, or with no chunk width".to_owned(),
                    );
                }
                catalog.gen1_duration_ns = *gen1_duration_ns;
            }
            Change::CreateDatabase { id, db, retention_ns } => {
                create_database(catalog, *id, db, *retention_ns)?;
            }
            Change::SetRetention { db, retention_ns } => {
                database(catalog, db)?.retention_ns = *retention_ns;
            }
            Change::SetTableRetention { db, table, retention_ns } => {
                let tables = &mut database(catalog, db)?.tables;
                let Some(known) = tables.get_mut(table) else {
                    return unfit(format!("table {table} of {db} is unknown"));
                };
                Arc::make_mut(known).retention_ns = *retention_ns;
            }
            Change::SetIndexedColumns { db, table, columns } => {
                set_indexed(database(catalog, db)?, table.as_ref(), columns.clone())?;
            }
            Change::DeleteDatabase { db, renamed, deletion } => {
                delete_database(catalog, db, renamed, *deletion)?;
            }
            Change::ForgetDatabase { db } => {
                if catalog.databases.remove(db).is_none_or(|d| d.deletion.is_none()) {
                    return unfit(format!("database {db} is not a deleted one"));
                }
            }
            Change::CreateTable { db, id, table, columns } => {
                create_table(catalog, db, *id, table, columns)?;
            }
            Change::AddColumns { db, table, columns } => {
                add_columns(database(catalog, db)?, table, columns)?;
            }
            Change::DeleteTable { db, table, renamed, deletion } => {
                delete_table(database(catalog, db)?, table, renamed, *deletion)?;
            }
            Change::UndeleteDatabase { db, renamed } => undelete_database(catalog, db, renamed)?,
            Change::UndeleteTable { db, table, renamed } => {
                undelete_table(database(catalog, db)?, table, renamed)?;
            }
            Change::ForgetTable { db, table } => {
                let removed = database(catalog, db)?.tables.remove(table);
                if removed.is_none_or(|t| t.deletion.is_none()) {
                    return unfit(format!("table {table} of {db} is not a deleted one"));
                }
            }
            Change::CreateLastCache { db, table, cache } => {
                let caches = caches_with(database(catalog, db)?, table, cache.id.0)?;
                caches.last.push(Arc::clone(cache));
            }
            Change::CreateDistinctCache { db, table, cache } => {
                let caches = caches_with(database(catalog, db)?, table, cache.id.0)?;
                caches.distinct.push(Arc::clone(cache));
            }
            Change::DeleteCache { db, table, cache } => {
                let caches = caches(database(catalog, db)?, table)?;
                let before = caches.last.len() + caches.distinct.len();
                caches.last.retain(|known| known.id != *cache);
                caches.distinct.retain(|known| known.id != *cache);
                if caches.last.len() + caches.distinct.len() == before {
                    return unfit(format!("table {table} of {db} has no cache {cache}"));
                }
            }
            Change::CreateToken(token) => {
                let token = Token::clone(token);
                Arc::make_mut(&mut catalog.tokens).add(token).map_err(Unfit)?;
            }
            Change::ReplaceToken { id, secret, updated_at_ns, updated_by } => {
                let tokens = Arc::make_mut(&mut catalog.tokens);
                let replaced = tokens.replace(*id, secret.clone(), *updated_at_ns, *updated_by);
                replaced.map_err(Unfit)?;
            }
            Change::DeleteToken { id } => {
                Arc::make_mut(&mut catalog.tokens).remove(*id).map_err(Unfit)?;
            }
            Change::CreatePlugin { db, .. }
            | Change::DeletePlugin { db, .. }
            | Change::CreateTrigger { db, .. }
            | Change::SetTriggerDisabled { db, .. }
            | Change::DeleteTrigger { db, .. } => {
                let plugins = Arc::make_mut(&mut database(catalog, db)?.plugins);
                plugin_plan::apply(plugins, change).map_err(Unfit)?;
            }
            Change::CreateDownsample { db, .. }
            | Change::SetDownsampleDisabled { db, .. }
            | Change::DeleteDownsample { db, .. } => {
                let downsamples = Arc::make_mut(&mut database(catalog, db)?.downsamples);
                downsample_plan::apply(downsamples, change).map_err(Unfit)?;
            }
            Change::RequestRowDelete(_)
            | Change::AcceptRowDelete { .. }
            | Change::DropRowDelete { .. }
            | Change::CompleteRowDelete { .. }
            | Change::AbortRowDelete { .. } => {
                let deletes = Arc::make_mut(&mut catalog.row_deletes);
                row_delete_plan::apply(deletes, change).map_err(Unfit)?;
            }
            Change::SetNode(_) => {} // handled above
        }
        Ok(())
    }

    /// Everything, in the form that is stored.
    pub(super) fn to_checkpoint(&self) -> (Header, Checkpoint) {
        let snapshot = &self.snapshot;
        let mut databases: Vec<_> =
            snapshot.databases.values().map(|d| stored_database(d)).collect();
        databases.sort_by_key(|d| d.id);
        let checkpoint = Checkpoint {
            gen1_duration_ns: snapshot.gen1_duration_ns,
            next_db_id: snapshot.next_db_id,
            next_table_id: snapshot.next_table_id,
            databases,
            nodes: self.nodes.values().cloned().collect(),
            tokens: StoredTokens::of(&snapshot.tokens),
            row_deletes: StoredRowDeletes::of(&snapshot.row_deletes),
        };
        (Header { uuid: snapshot.uuid, sequence: snapshot.sequence }, checkpoint)
    }

    /// The catalog that [`Self::to_checkpoint`] stored.
    pub(super) fn from_checkpoint(header: Header, stored: Checkpoint) -> Self {
        let databases = stored.databases.into_iter().map(|d| {
            let tables = d.tables.into_iter().map(|t| {
                let columns = t.columns.iter().map(column).collect();
                let name = Arc::clone(&t.name);
                let table = TableSchema::new(t.id, name, columns, t.deletion);
                let table = table.with_caches(t.caches);
                (t.name, Arc::new(table.with_settings(t.retention_ns, t.indexed)))
            });
            let database = DatabaseSchema {
                id: d.id,
                name: Arc::clone(&d.name),
                retention_ns: d.retention_ns,
                tables: tables.collect(),
                deletion: d.deletion,
                plugins: d.plugins,
                downsamples: d.downsamples,
                indexed: d.indexed,
            };
            (d.name, Arc::new(database))
        });
        let snapshot = CatalogSnapshot {
            uuid: header.uuid,
            sequence: header.sequence,
            databases: databases.collect(),
            gen1_duration_ns: stored.gen1_duration_ns,
            next_db_id: stored.next_db_id,
            next_table_id: stored.next_table_id,
            index: Default::default(),
            row_deletes: Arc::new(
                stored.row_deletes.map(|d| RowDeletes::new(d.last, d.deletes)).unwrap_or_default(),
            ),
            tokens: Arc::new(
                stored.tokens.map(|t| Tokens::new(t.next_id, t.tokens)).unwrap_or_default(),
            ),
        };
        let nodes = stored.nodes.into_iter().map(|n| (n.node.clone(), n)).collect();
        Self { snapshot: Arc::new(snapshot), nodes: Arc::new(nodes) }
    }
}

/// The database of that name, deleted or not, to be changed.
fn database<'a>(
    catalog: &'a mut CatalogSnapshot,
    name: &str,
) -> Result<&'a mut DatabaseSchema, Unfit> {
    match catalog.databases.get_mut(name) {
        Some(database) => Ok(Arc::make_mut(database)),
        None => unfit(format!("database {name} is unknown")),
    }
}

/// Takes `id` from the counter `next`, which only ever grows: no id is given out twice.
fn take_id(next: &mut u32, id: u32) -> Result<(), Unfit> {
    match id.checked_add(1) {
        Some(after) if id >= *next => {
            *next = after;
            Ok(())
        }
        _ => unfit(format!("id {id} was given out before")),
    }
}

fn create_database(
    catalog: &mut CatalogSnapshot,
    id: DbId,
    name: &Arc<str>,
    retention_ns: Option<i64>,
) -> Result<(), Unfit> {
    take_id(&mut catalog.next_db_id, id.0)?;
    if catalog.tokens.expect(name) {
        Arc::make_mut(&mut catalog.tokens).database_created(name, id);
    }
    let name = Arc::clone(name);
    let database = DatabaseSchema {
        id,
        name: Arc::clone(&name),
        retention_ns,
        tables: HashMap::new(),
        deletion: None,
        plugins: Arc::default(),
        downsamples: Arc::default(),
        indexed: None,
    };
    match catalog.databases.insert(name, Arc::new(database)) {
        None => Ok(()),
        Some(old) => unfit(format!("database {} is there already", old.name)),
    }
}

fn delete_database(
    catalog: &mut CatalogSnapshot,
    name: &Arc<str>,
    renamed: &Arc<str>,
    deletion: Deletion,
) -> Result<(), Unfit> {
    let changed = database(catalog, name)?;
    changed.deletion = Some(deletion);
    changed.name = Arc::clone(renamed);
    if name == renamed {
        return Ok(());
    }
    let moved = catalog.databases.remove(name);
    match moved.and_then(|d| catalog.databases.insert(Arc::clone(renamed), d)) {
        None => Ok(()),
        Some(_) => unfit(format!("database {renamed} is there already")),
    }
}

fn create_table(
    catalog: &mut CatalogSnapshot,
    db: &str,
    id: TableId,
    name: &Arc<str>,
    columns: &[StoredColumn],
) -> Result<(), Unfit> {
    take_id(&mut catalog.next_table_id, id.0)?;
    let empty = TableSchema::new(id, Arc::clone(name), Vec::new(), None);
    let table = extended(&empty, columns)?;
    match database(catalog, db)?.tables.insert(Arc::clone(name), table) {
        None => Ok(()),
        Some(_) => unfit(format!("table {name} of {db} is there already")),
    }
}

fn add_columns(
    database: &mut DatabaseSchema,
    name: &str,
    columns: &[StoredColumn],
) -> Result<(), Unfit> {
    match database.tables.get_mut(name) {
        Some(table) => {
            *table = extended(table, columns)?;
            Ok(())
        }
        None => unfit(format!("table {name} of {} is unknown", database.name)),
    }
}

/// `table` with more columns.
fn extended(table: &TableSchema, added: &[StoredColumn]) -> Result<Arc<TableSchema>, Unfit> {
    let mut columns = table.columns.clone();
    let mut names: hashbrown::HashSet<&str> =
        table.columns.iter().map(|c| c.name.as_ref()).collect();
    for (stored, id) in added.iter().zip(table.next_column_id().0..) {
        if stored.id.0 != id || !names.insert(&stored.name) {
            return unfit(format!("column {} of {} is there already", stored.name, table.name));
        }
        columns.push(column(stored));
    }
    let (name, caches) = (Arc::clone(&table.name), Arc::clone(&table.caches));
    let extended = TableSchema::new(table.id, name, columns, table.deletion);
    Ok(Arc::new(extended.with_caches(caches).with_settings_of(table)))
}

fn set_indexed(
    database: &mut DatabaseSchema,
    table: Option<&Arc<str>>,
    columns: Option<IndexedColumns>,
) -> Result<(), Unfit> {
    let Some(name) = table else {
        database.indexed = columns;
        return Ok(());
    };
    let Some(table) = database.tables.get_mut(name) else {
        return unfit(format!("table {name} of {} is unknown", database.name));
    };
    Arc::make_mut(table).indexed = columns;
    Ok(())
}

fn delete_table(
    database: &mut DatabaseSchema,
    name: &Arc<str>,
    renamed: &Arc<str>,
    deletion: Deletion,
) -> Result<(), Unfit> {
    let Some(table) = database.tables.remove(name) else {
        return unfit(format!("table {name} of {} is unknown", database.name));
    };
    let columns = table.columns.clone();
    let deleted = TableSchema::new(table.id, Arc::clone(renamed), columns, Some(deletion))
        .with_settings_of(&table);
    match database.tables.insert(Arc::clone(renamed), Arc::new(deleted)) {
        None => Ok(()),
        Some(_) => unfit(format!("table {renamed} of {} is there already", database.name)),
    }
}

/// True for something deleted whose rows are still there.
fn can_return(deletion: Option<Deletion>) -> bool {
    deletion.is_some_and(|deletion| !deletion.rows_removed)
}

fn undelete_database(
    catalog: &mut CatalogSnapshot,
    name: &Arc<str>,
    renamed: &Arc<str>,
) -> Result<(), Unfit> {
    let Some(mut moved) = catalog.databases.remove(name).filter(|d| can_return(d.deletion)) else {
        return unfit(format!("database {name} is not a deleted one with rows"));
    };
    let database = Arc::make_mut(&mut moved);
    database.deletion = None;
    database.name = Arc::clone(renamed);
    match catalog.databases.insert(Arc::clone(renamed), moved) {
        None => Ok(()),
        Some(_) => unfit(format!("database {renamed} is there already")),
    }
}

fn undelete_table(
    database: &mut DatabaseSchema,
    name: &Arc<str>,
    renamed: &Arc<str>,
) -> Result<(), Unfit> {
    let Some(table) = database.tables.remove(name).filter(|t| can_return(t.deletion)) else {
        return unfit(format!("table {name} of {} is not a deleted one with rows", database.name));
    };
    let columns = table.columns.clone();
    let back =
        TableSchema::new(table.id, Arc::clone(renamed), columns, None).with_settings_of(&table);
    match database.tables.insert(Arc::clone(renamed), Arc::new(back)) {
        None => Ok(()),
        Some(_) => unfit(format!("table {renamed} of {} is there already", database.name)),
    }
}

fn column(stored: &StoredColumn) -> ColumnSchema {
    ColumnSchema { id: stored.id, name: Arc::clone(&stored.name), kind: stored.kind }
}

fn stored_database(database: &DatabaseSchema) -> StoredDatabase {
    let mut tables: Vec<_> = database.tables.values().map(|t| stored_table(t)).collect();
    tables.sort_by_key(|t| t.id);
    StoredDatabase {
        id: database.id,
        name: Arc::clone(&database.name),
        retention_ns: database.retention_ns,
        deletion: database.deletion,
        tables,
        plugins: Arc::clone(&database.plugins),
        downsamples: Arc::clone(&database.downsamples),
        indexed: database.indexed.clone(),
    }
}

fn stored_table(table: &TableSchema) -> StoredTable {
    let column =
        |c: &ColumnSchema| StoredColumn { id: c.id, name: Arc::clone(&c.name), kind: c.kind };
    StoredTable {
        id: table.id,
        name: Arc::clone(&table.name),
        deletion: table.deletion,
        columns: table.columns.iter().map(column).collect(),
        retention_ns: table.retention_ns,
        indexed: table.indexed.clone(),
        caches: Arc::clone(&table.caches),
    }
}

/// The caches of a table, to be changed.
fn caches<'a>(database: &'a mut DatabaseSchema, name: &str) -> Result<&'a mut TableCaches, Unfit> {
    match database.tables.get_mut(name).filter(|table| table.deletion.is_none()) {
        Some(table) => Ok(Arc::make_mut(&mut Arc::make_mut(table).caches)),
        None => unfit(format!("table {name} is unknown")),
    }
}

/// The same, with the id of a new cache counted.
fn caches_with<'a>(
    database: &'a mut DatabaseSchema,
    name: &str,
    id: u32,
) -> Result<&'a mut TableCaches, Unfit> {
    let caches = caches(database, name)?;
    take_id(&mut caches.next_id, id)?;
    Ok(caches)
}
