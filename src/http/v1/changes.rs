//! Statements that change something: what old tools and client libraries send at their start.

use super::super::access::Who;
use super::super::databases::{change, check_name};
use crate::edge::row_deletes;
use crate::edge::state::ServerState;
use actix_web::web;
use actors::query::{DeletedRows, deleted_rows};
use actors::server::RowDeleteError;
use protocols::access::rights::Right;
use protocols::influxql::{Expr, Measurement, MeasurementName, PolicySettings, Source, Statement};
use protocols::messages::catalog::{
    By, CatalogError, CreateDatabase, DeleteDatabase, DeleteTable, HardDelete, RequestRowDelete,
    SetRetention,
};
use uuid::Uuid;

/// What is said of deletes that go by anything else than times and equal tags.
const NO_DELETE: &str = "datafusion error: This feature is not implemented: DELETE";
const NO_DROP: &str = "datafusion error: This feature is not implemented: DROP SERIES";

/// Has a change made in `db`.
///
/// # Errors
/// Says why there is none.
pub(super) async fn make(
    state: &web::Data<ServerState>,
    who: Who,
    db: String,
    statement: Statement,
) -> Result<(), String> {
    let snapshot = state.snapshot.load();
    let when = HardDelete::Default;
    let told = |failure: super::super::failure::Failure| failure.to_string();
    match statement {
        Statement::CreateDatabase { name, policy } => {
            check_name(&name).map_err(told)?;
            if snapshot.database(&name).is_some() {
                return Ok(()); // as version 1 has it
            }
            let retention_ns = retention(&policy);
            change(state, who, CreateDatabase { name, retention_ns }).await.map(drop).map_err(told)
        }
        Statement::DropDatabase { name } => {
            if snapshot.database(&name).is_none() {
                return Ok(());
            }
            change(state, who, DeleteDatabase { name, when }).await.map(drop).map_err(told)
        }
        Statement::DropMeasurement { name } => {
            let is_there = snapshot.database(&db).is_some_and(|db| db.table(&name).is_some());
            match is_there {
                true => change(state, who, DeleteTable { db, table: name, when })
                    .await
                    .map(drop)
                    .map_err(told),
                false => Err(format!("measurement not found: {name}")),
            }
        }
        Statement::CreatePolicy { name, on, settings }
        | Statement::AlterPolicy { name, on, settings } => {
            let db = of_policy(on, &name);
            check_name(&db).map_err(told)?;
            let retention_ns = retention(&settings);
            match snapshot.database(&db).is_some() {
                true if settings.duration_ns.is_none() => Ok(()),
                true => change(state, who, SetRetention { name: db, retention_ns })
                    .await
                    .map(drop)
                    .map_err(told),
                false => change(state, who, CreateDatabase { name: db, retention_ns })
                    .await
                    .map(drop)
                    .map_err(told),
            }
        }
        Statement::DropPolicy { name, on } => {
            let db = of_policy(on.clone(), &name);
            if db == on {
                return Err("the policy of a database goes with it: use DROP DATABASE".to_owned());
            }
            if snapshot.database(&db).is_none() {
                return Err(format!("retention policy not found: {name}"));
            }
            change(state, who, DeleteDatabase { name: db, when }).await.map(drop).map_err(told)
        }
        Statement::Delete { from, condition } => {
            delete_rows(state, who, &db, &from, condition.as_ref(), NO_DELETE).await
        }
        Statement::DropSeries { from, condition } => {
            delete_rows(state, who, &db, &from, condition.as_ref(), NO_DROP).await
        }
        Statement::Select(_) | Statement::Show(_) | Statement::Explain(_) => {
            Err("nothing to change".to_owned())
        }
    }
}

/// Deletes rows of measurements, if the condition is one of times and equal tags.
async fn delete_rows(
    state: &web::Data<ServerState>,
    Who(principal, origin): Who,
    db: &str,
    from: &[Source],
    condition: Option<&Expr>,
    refusal: &str,
) -> Result<(), String> {
    let refused = || refusal.to_owned();
    let table = |source: &Source| match source {
        Source::Measurement(Measurement { name: MeasurementName::Name(name), .. }) => {
            Some(name.clone())
        }
        _ => None,
    };
    let tables = from.iter().map(table).collect::<Option<Vec<_>>>().ok_or_else(refused)?;
    let rows = deleted_rows(condition, state.clock.now_ns()).ok_or_else(refused)?;
    if tables.is_empty() {
        return Err(refused());
    }
    let snapshot = state.snapshot.load();
    for table in tables {
        let is_there = snapshot.database(db).is_some_and(|db| db.table(&table).is_some());
        if !is_there || rows.is_nothing {
            continue; // as version 1 has it
        }
        let DeletedRows { min_time_ns, max_time_ns, tags, .. } = rows.clone();
        let (db, request) = (db.to_owned(), Uuid::new_v4());
        let change = RequestRowDelete { db, table, request, min_time_ns, max_time_ns, tags };
        let by = By { principal: principal.clone(), origin: origin.clone(), change };
        match row_deletes::delete(state, by).await {
            Ok(_) => {}
            Err(RowDeleteError::Catalog(CatalogError::InvalidRowDelete(_))) => {
                return Err(refused());
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// What a statement needs, and with which database; `db` is that of the statement.
pub(super) fn rights(statement: &Statement, db: &str) -> Vec<(Right, String)> {
    match statement {
        Statement::CreateDatabase { name, .. } => vec![(Right::Create, name.clone())],
        Statement::DropDatabase { name } => vec![(Right::Delete, name.clone())],
        Statement::DropMeasurement { .. }
        | Statement::DropSeries { .. }
        | Statement::Delete { .. } => {
            vec![(Right::Delete, db.to_owned())]
        }
        Statement::CreatePolicy { name, on, .. } => {
            vec![(Right::Create, of_policy(on.clone(), name))]
        }
        // Either makes it or changes its period.
        Statement::AlterPolicy { name, on, .. } => {
            let db = of_policy(on.clone(), name);
            vec![(Right::Create, db.clone()), (Right::Delete, db)]
        }
        Statement::DropPolicy { name, on } => vec![(Right::Delete, of_policy(on.clone(), name))],
        Statement::Select(_) | Statement::Show(_) | Statement::Explain(_) => {
            vec![(Right::Read, db.to_owned())]
        }
    }
}

/// The database that stands for a policy.
fn of_policy(db: String, policy: &str) -> String {
    match policy {
        "autogen" | "default" => db,
        policy => format!("{db}/{policy}"),
    }
}

/// How long rows are kept; zero is for ever.
fn retention(settings: &PolicySettings) -> Option<i64> {
    settings.duration_ns.filter(|ns| *ns > 0)
}
