//! From a request to the changes it takes: every rule of the catalog. Pure: no I/O, and the time
//! is an argument.

use super::named::table_of;
use super::new_database::new_database;
use super::request::Request;
use super::state::CatalogState;
use super::{
    CatalogConfig, CatalogLimits, cache_plan, downsample_plan, indexed_plan, permission,
    plugin_plan, row_delete_plan, schema_plan, token_plan, undelete,
};
use crate::runtime::random;
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::{Change, StoredNode};
use protocols::ids::DbId;
use protocols::messages::catalog::{
    CatalogError, CreateDatabase, DeleteDatabase, DeleteTable, HardDelete, SetRetention,
    SetTableRetention,
};
use protocols::names::check_database_name;
use protocols::principal::Principal;
use protocols::schema::{Deletion, INTERNAL_DB};
use std::sync::Arc;

/// Retention period of `_internal`: seven days.
const INTERNAL_RETENTION_NS: i64 = 7 * 86_400 * 1_000_000_000;

/// The changes that `request` of `principal` takes, in order; none if all is as it wants.
pub(super) fn plan(
    state: &CatalogState,
    request: &Request,
    principal: &Principal,
    config: &CatalogConfig,
    now_ns: i64,
) -> Result<Vec<Change>, CatalogError> {
    let catalog = &state.snapshot;
    permission::check(catalog, request, principal)?;
    match request {
        Request::EnsureSchema(wanted) => {
            schema_plan::ensure_schema(catalog, wanted, &config.limits)
        }
        Request::CreateDatabase(wanted) => create_database(catalog, wanted, &config.limits),
        Request::SetRetention(wanted) => set_retention(catalog, wanted),
        Request::SetTableRetention(wanted) => set_table_retention(catalog, wanted),
        Request::SetIndexedColumns(wanted) => indexed_plan::set(catalog, wanted),
        Request::DeleteDatabase(unwanted) => delete_database(catalog, unwanted, config, now_ns),
        Request::CreateTable(wanted) => schema_plan::create_table(catalog, wanted, &config.limits),
        Request::DeleteTable(unwanted) => delete_table(catalog, unwanted, config, now_ns),
        Request::UndeleteDatabase(wanted) => undelete::database(catalog, wanted, &config.limits),
        Request::UndeleteTable(wanted) => undelete::table(catalog, wanted, &config.limits),
        Request::RequestRowDelete(wanted) => row_delete_plan::request(catalog, wanted, now_ns),
        Request::AcceptRowDelete(wanted) => row_delete_plan::accept(catalog, wanted),
        Request::DropRowDelete(unwanted) => Ok(row_delete_plan::drop(catalog, unwanted.sequence)),
        Request::CompleteRowDelete(ended) => {
            Ok(row_delete_plan::complete(catalog, ended.sequence, now_ns))
        }
        Request::AbortRowDelete(unwanted) => row_delete_plan::abort(catalog, unwanted, now_ns),
        Request::CreateLastCache(wanted) => {
            cache_plan::create_last(catalog, wanted, &config.limits)
        }
        Request::CreateDistinctCache(wanted) => cache_plan::create_distinct(catalog, wanted),
        Request::DeleteCache(unwanted) => cache_plan::delete(catalog, unwanted),
        Request::CreateToken(wanted) => token_plan::create(catalog, wanted, principal, now_ns),
        Request::RegenerateToken(wanted) => {
            token_plan::regenerate(catalog, wanted, principal, now_ns)
        }
        Request::DeleteToken(unwanted) => token_plan::delete(catalog, unwanted),
        Request::CreatePlugin(wanted) => plugin_plan::create_plugin(catalog, wanted),
        Request::DeletePlugin(unwanted) => plugin_plan::delete_plugin(catalog, unwanted),
        Request::CreateTrigger(wanted) => plugin_plan::create_trigger(catalog, wanted),
        Request::SetTriggerDisabled(wanted) => plugin_plan::set_disabled(catalog, wanted),
        Request::DeleteTrigger(unwanted) => plugin_plan::delete_trigger(catalog, unwanted),
        Request::CreateDownsample(wanted) => downsample_plan::create(catalog, wanted, now_ns),
        Request::SetDownsampleDisabled(wanted) => downsample_plan::set_disabled(catalog, wanted),
        Request::DeleteDownsample(unwanted) => downsample_plan::delete(catalog, unwanted),
        Request::SweepDeleted => Ok(sweep(catalog, config.delete_grace_ns, now_ns)),
        Request::NodeStopped => Ok(set_node(state, &config.node_id, false, now_ns)),
    }
}

/// The first changes of a new catalog.
pub(super) fn creation(gen1_duration_ns: i64) -> Vec<Change> {
    vec![
        Change::CreateCatalog { gen1_duration_ns },
        Change::CreateDatabase {
            id: DbId(0),
            db: INTERNAL_DB.into(),
            retention_ns: Some(INTERNAL_RETENTION_NS),
        },
    ]
}

/// Records that the node runs or has stopped. Its instance id is made up once.
pub(super) fn set_node(
    state: &CatalogState,
    node: &str,
    running: bool,
    now_ns: i64,
) -> Vec<Change> {
    let known = state.nodes.get(node);
    if known.is_some_and(|n| n.running == running) {
        return Vec::new();
    }
    let instance = known.map_or_else(random::uuid, |n| n.instance);
    let node = node.to_owned();
    vec![Change::SetNode(StoredNode { node, instance, running, since_ns: now_ns })]
}

fn create_database(
    catalog: &CatalogSnapshot,
    wanted: &CreateDatabase,
    limits: &CatalogLimits,
) -> Result<Vec<Change>, CatalogError> {
    check_database_name(&wanted.name).map_err(CatalogError::InvalidName)?;
    if catalog.databases.contains_key(wanted.name.as_str()) {
        return Err(CatalogError::AlreadyExists);
    }
    new_database(catalog, &wanted.name, wanted.retention_ns, limits).map(|change| vec![change])
}

fn set_retention(
    catalog: &CatalogSnapshot,
    wanted: &SetRetention,
) -> Result<Vec<Change>, CatalogError> {
    if wanted.name == INTERNAL_DB {
        return Err(CatalogError::Internal("modify"));
    }
    let database = catalog
        .databases
        .get(wanted.name.as_str())
        .ok_or_else(|| CatalogError::NotFound(wanted.name.clone()))?;
    if database.deletion.is_some() {
        return Err(CatalogError::AlreadyDeleted(wanted.name.clone()));
    }
    if database.retention_ns == wanted.retention_ns {
        return Ok(Vec::new());
    }
    let db = Arc::clone(&database.name);
    Ok(vec![Change::SetRetention { db, retention_ns: wanted.retention_ns }])
}

fn set_table_retention(
    catalog: &CatalogSnapshot,
    wanted: &SetTableRetention,
) -> Result<Vec<Change>, CatalogError> {
    let SetTableRetention { db, table: name, retention_ns } = wanted;
    let (database, table) = table_of(catalog, db, name)?;
    if table.deletion.is_some() {
        return Err(CatalogError::AlreadyDeleted(name.clone()));
    }
    if table.retention_ns == *retention_ns {
        return Ok(Vec::new());
    }
    let (db, table) = (Arc::clone(&database.name), Arc::clone(&table.name));
    Ok(vec![Change::SetTableRetention { db, table, retention_ns: *retention_ns }])
}

fn delete_database(
    catalog: &CatalogSnapshot,
    unwanted: &DeleteDatabase,
    config: &CatalogConfig,
    now_ns: i64,
) -> Result<Vec<Change>, CatalogError> {
    let name = unwanted.name.as_str();
    if name == INTERNAL_DB {
        return Err(CatalogError::Internal("delete"));
    }
    let database =
        catalog.databases.get(name).ok_or_else(|| CatalogError::NotFound(name.to_owned()))?;
    let deletion = schedule(name, database.deletion, unwanted.when, config, now_ns)?;
    let renamed = match database.deletion {
        Some(_) => Arc::clone(&database.name),
        None => {
            undelete::name_after(name, database.id.0, now_ns, |n| catalog.databases.contains_key(n))
        }
    };
    Ok(vec![Change::DeleteDatabase { db: Arc::clone(&database.name), renamed, deletion }])
}

fn delete_table(
    catalog: &CatalogSnapshot,
    unwanted: &DeleteTable,
    config: &CatalogConfig,
    now_ns: i64,
) -> Result<Vec<Change>, CatalogError> {
    let name = unwanted.table.as_str();
    let (database, table) = table_of(catalog, &unwanted.db, name)?;
    let deletion = schedule(name, table.deletion, unwanted.when, config, now_ns)?;
    let renamed = match table.deletion {
        Some(_) => Arc::clone(&table.name),
        None => undelete::name_after(name, table.id.0, now_ns, |n| database.tables.contains_key(n)),
    };
    let (db, table) = (Arc::clone(&database.name), Arc::clone(&table.name));
    Ok(vec![Change::DeleteTable { db, table, renamed, deletion }])
}

/// The deletion of `name` after a request for `when`.
///
/// # Errors
/// When it was deleted before with the same schedule, or its rows are gone.
fn schedule(
    name: &str,
    before: Option<Deletion>,
    when: HardDelete,
    config: &CatalogConfig,
    now_ns: i64,
) -> Result<Deletion, CatalogError> {
    // The default delay counts from the first deletion, so asking for it again changes nothing.
    let deleted_at_ns = before.map_or(now_ns, |d| d.deleted_at_ns);
    let hard_delete_at_ns = match when {
        HardDelete::Default => Some(deleted_at_ns.saturating_add(config.hard_delete_default_ns)),
        HardDelete::Now => Some(now_ns),
        HardDelete::Never => None,
        HardDelete::At(at_ns) => Some(at_ns.max(now_ns)),
    };
    if let Some(before) = before {
        let due = |at: Option<i64>| at.is_some_and(|at_ns| at_ns <= now_ns);
        let same = before.hard_delete_at_ns == hard_delete_at_ns
            || (due(before.hard_delete_at_ns) && due(hard_delete_at_ns));
        if same || before.rows_removed {
            return Err(CatalogError::AlreadyDeleted(name.to_owned()));
        }
    }
    Ok(Deletion { deleted_at_ns, hard_delete_at_ns, rows_removed: false })
}

/// Marks what is due as without rows, and forgets what has been so for the grace period: in order
/// of age, so that the same catalog always gives the same record.
fn sweep(catalog: &CatalogSnapshot, grace_ns: i64, now_ns: i64) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut databases: Vec<_> = catalog.databases.values().collect();
    databases.sort_unstable_by_key(|database| database.id);
    for database in databases {
        let db = || Arc::clone(&database.name);
        match due(database.deletion, grace_ns, now_ns) {
            Due::Forget => {
                changes.push(Change::ForgetDatabase { db: db() });
                continue; // its tables go with it
            }
            Due::Rows(deletion) => {
                changes.push(Change::DeleteDatabase { db: db(), renamed: db(), deletion });
            }
            Due::Nothing => {}
        }
        let mut tables: Vec<_> = database.tables.values().collect();
        tables.sort_unstable_by_key(|table| table.id);
        for table in tables {
            let name = || Arc::clone(&table.name);
            match due(table.deletion, grace_ns, now_ns) {
                Due::Forget => changes.push(Change::ForgetTable { db: db(), table: name() }),
                Due::Rows(deletion) => {
                    let (table, renamed) = (name(), name());
                    changes.push(Change::DeleteTable { db: db(), table, renamed, deletion });
                }
                Due::Nothing => {}
            }
        }
    }
    changes
}

/// What the sweep has to do about something.
enum Due {
    Nothing,
    Rows(Deletion),
    Forget,
}

fn due(deletion: Option<Deletion>, grace_ns: i64, now_ns: i64) -> Due {
    let Some(deletion) = deletion else { return Due::Nothing };
    match deletion.hard_delete_at_ns {
        Some(at_ns) if deletion.rows_removed && at_ns.saturating_add(grace_ns) <= now_ns => {
            Due::Forget
        }
        Some(at_ns) if !deletion.rows_removed && at_ns <= now_ns => {
            Due::Rows(Deletion { rows_removed: true, ..deletion })
        }
        _ => Due::Nothing,
    }
}
