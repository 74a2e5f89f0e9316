//! From a request about deletes of rows to the changes it takes, and what these do. Pure.

use super::cache_plan::live_table;
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::Change;
use protocols::messages::catalog::{
    AbortRowDelete, AcceptRowDelete, CatalogError, RequestRowDelete,
};
use protocols::row_deletes::{PENDING_MAX, RowDelete, RowDeleteState, RowDeletes};
use protocols::schema::ColumnKind;
use std::sync::Arc;

/// Notes what is to be deleted. Nothing is yet: the bound in the order of writes has to be found.
pub(super) fn request(
    catalog: &CatalogSnapshot,
    wanted: &RequestRowDelete,
    now_ns: i64,
) -> Result<Vec<Change>, CatalogError> {
    let (database, table) = live_table(catalog, &wanted.db, &wanted.table)?;
    let invalid = |why: String| Err(CatalogError::InvalidRowDelete(why));
    let RequestRowDelete { request, min_time_ns, max_time_ns, ref tags, .. } = *wanted;
    if let (Some(min), Some(max)) = (min_time_ns, max_time_ns)
        && min >= max
    {
        return invalid(
            "the time range is empty: its end has to be after its beginning".to_owned(),
        );
    }
    for (tag, _) in tags {
        match table.column(tag).map(|column| column.kind) {
            Some(ColumnKind::Tag) => {}
            Some(ColumnKind::Field(_)) => return invalid(format!("{tag} is a field, not a tag")),
            None => return invalid(format!("table {} has no tag {tag}", table.name)),
        }
    }
    if catalog.row_deletes.pending() >= PENDING_MAX {
        return Err(CatalogError::TooManyRowDeletes(PENDING_MAX));
    }
    Ok(vec![Change::RequestRowDelete(Arc::new(RowDelete {
        sequence: catalog.row_deletes.last() + 1,
        request,
        db: database.id,
        table: table.id,
        db_name: Arc::clone(&database.name),
        table_name: Arc::clone(&table.name),
        min_time_ns,
        max_time_ns,
        tags: tags.clone(),
        created_at_ns: now_ns,
        bound: None,
        state: RowDeleteState::Pending,
    }))])
}

/// Has the rows hidden up to a bound.
pub(super) fn accept(
    catalog: &CatalogSnapshot,
    wanted: &AcceptRowDelete,
) -> Result<Vec<Change>, CatalogError> {
    let AcceptRowDelete { sequence, bound } = *wanted;
    let known = find(&catalog.row_deletes, sequence)?;
    Ok(match known.bound {
        None => vec![Change::AcceptRowDelete { sequence, bound }],
        Some(_) => Vec::new(),
    })
}

/// Forgets one that was not accepted.
pub(super) fn drop(catalog: &CatalogSnapshot, sequence: u64) -> Vec<Change> {
    let known = catalog.row_deletes.get(sequence);
    let is_awaited = known.is_some_and(|known| known.bound.is_none());
    if is_awaited { vec![Change::DropRowDelete { sequence }] } else { Vec::new() }
}

/// Notes the end of one in force.
pub(super) fn complete(catalog: &CatalogSnapshot, sequence: u64, at_ns: i64) -> Vec<Change> {
    let is_in_force = catalog.row_deletes.get(sequence).is_some_and(|known| known.is_in_force());
    if is_in_force { vec![Change::CompleteRowDelete { sequence, at_ns }] } else { Vec::new() }
}

/// Takes one back.
pub(super) fn abort(
    catalog: &CatalogSnapshot,
    wanted: &AbortRowDelete,
    at_ns: i64,
) -> Result<Vec<Change>, CatalogError> {
    let AbortRowDelete { sequence, ref reason } = *wanted;
    let known = find(&catalog.row_deletes, sequence)?;
    if !known.is_in_force() {
        return Err(CatalogError::RowDeleteEnded(sequence));
    }
    let reason = reason.as_deref().map(Arc::from);
    Ok(vec![Change::AbortRowDelete { sequence, at_ns, reason }])
}

fn find(deletes: &RowDeletes, sequence: u64) -> Result<&Arc<RowDelete>, CatalogError> {
    deletes.get(sequence).ok_or(CatalogError::RowDeleteNotFound(sequence))
}

/// Applies a change that is about deletes of rows.
pub(super) fn apply(deletes: &mut RowDeletes, change: &Change) -> Result<(), String> {
    let (sequence, bound, state) = match change {
        Change::RequestRowDelete(delete) => {
            if delete.sequence != deletes.last() + 1 {
                return Err(format!("row delete {} does not follow the last", delete.sequence));
            }
            deletes.put(Arc::clone(delete));
            return Ok(());
        }
        Change::DropRowDelete { sequence } => {
            return match deletes.remove(*sequence) {
                true => Ok(()),
                false => Err(format!("row delete {sequence} is unknown")),
            };
        }
        Change::AcceptRowDelete { sequence, bound } => (sequence, Some(*bound), None),
        Change::CompleteRowDelete { sequence, at_ns } => {
            (sequence, None, Some(RowDeleteState::Completed { at_ns: *at_ns }))
        }
        Change::AbortRowDelete { sequence, at_ns, reason } => {
            let reason = reason.clone();
            (sequence, None, Some(RowDeleteState::Aborted { at_ns: *at_ns, reason }))
        }
        _ => return Ok(()),
    };
    let Some(known) = deletes.get(*sequence) else {
        return Err(format!("row delete {sequence} is unknown"));
    };
    let mut changed = RowDelete::clone(known);
    changed.bound = bound.or(changed.bound);
    changed.state = state.unwrap_or(changed.state);
    deletes.put(Arc::new(changed));
    Ok(())
}
