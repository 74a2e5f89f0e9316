//! One request from text to receipt.

use super::actor::IngestConfig;
use crate::runtime::clock;
use crate::runtime::mailbox::AskError;
use crate::wal::table_batch;
use protocols::access::rights::Right;
use protocols::columns::{StoredColumn, StoredRows, TableRows};
use protocols::error::ErrorKind;
use protocols::line_protocol::{ParseOptions, ParsedWrite, parse as parse_lines};
use protocols::messages::catalog::{By, CatalogError, EnsureSchema, TableShape};
use protocols::messages::ingest::{WriteError, WriteLines, WriteReport};
use protocols::messages::rank;
use protocols::messages::store::TableBatch;
use protocols::messages::wal::AppendRows;
use protocols::principal::Action;
use protocols::schema::{CatalogSnapshot, DatabaseSchema, TableSchema};
use protocols::wal_frame::entry;
use std::sync::Arc;
use tokio::time::Instant;

/// How often a request is parsed anew because somebody else changed the schema meanwhile.
const CONFLICTS_MAX: u32 = 8;

impl From<AskError> for WriteError {
    fn from(error: AskError) -> Self {
        Self::Undelivered(error.kind(), error.to_string())
    }
}

/// Reads the lines against what the catalog knows.
pub(super) fn parse(
    config: &IngestConfig,
    lines: &WriteLines,
    snapshot: &CatalogSnapshot,
) -> Result<ParsedWrite, WriteError> {
    let write = Action::In(Right::Write, &lines.db);
    lines.principal.authorize(write, snapshot).map_err(CatalogError::from)?;
    let known = snapshot.databases.get(lines.db.as_str());
    if known.is_some_and(|db| db.deletion.is_some()) {
        return Err(CatalogError::SoftDeleted(lines.db.clone()).into());
    }
    let live_tables = match config.limits.tables {
        None => 0, // not looked at
        Some(_) => snapshot.live_table_count(),
    };
    let oldest_ns = config.write_window.map(|window| clock::before(lines.received_at_ns, window));
    let options = ParseOptions {
        precision: lines.precision,
        received_at_ns: lines.received_at_ns,
        accept_partial: lines.accept_partial,
        limits: config.limits,
        live_tables,
        immutable_tags: config.immutable_tags,
        oldest_ns,
    };
    let parsed = parse_lines(&lines.body, known.map(AsRef::as_ref), &options)
        .map_err(|e| WriteError::NotUtf8(e.to_string()))?;
    if parsed.accepted_lines == 0 && parsed.errors.is_empty() {
        return Err(WriteError::Empty);
    }
    match parsed.errors.first() {
        Some(first) if !lines.accept_partial => Err(WriteError::Line(first.clone())),
        _ => Ok(parsed),
    }
}

/// Makes the schema, then the rows, durable. `deadline` is that of the one who asked for it.
pub(super) async fn store(
    config: Arc<IngestConfig>,
    lines: WriteLines,
    mut parsed: ParsedWrite,
    mut snapshot: Arc<CatalogSnapshot>,
    deadline: Instant,
) -> Result<WriteReport, WriteError> {
    let is_in_vain =
        |parsed: &ParsedWrite| parsed.accepted_lines == 0 && !lines.makes_empty_database;
    if is_in_vain(&parsed) {
        return Ok(report(&mut parsed));
    }
    let mut conflicts = 0;
    let database = loop {
        match ensure(&config, &lines, &parsed.tables, &snapshot, deadline).await {
            Ok(database) => break database,
            // Somebody else gave a column another type, or took the last free place: the lines
            // are looked at again and get the errors that they deserve now.
            Err(WriteError::Catalog(
                CatalogError::TypeConflict { .. } | CatalogError::Limit(_),
            )) if conflicts < CONFLICTS_MAX && snapshot_moved(&config, &snapshot) => {
                conflicts += 1;
                snapshot = config.snapshot.load();
                parsed = parse(&config, &lines, &snapshot)?;
                if is_in_vain(&parsed) {
                    return Ok(report(&mut parsed));
                }
            }
            Err(error) => return Err(error),
        }
    };
    let report = report(&mut parsed);
    if report.accepted_lines > 0 {
        let (entry, batches) = columns(&database, parsed.tables)?;
        let rows = AppendRows { entry: entry.into(), batches, sync: lines.sync };
        config.wal.ask::<{ rank::INGEST }, _>(rows, deadline).await??;
    }
    Ok(report)
}

fn report(parsed: &mut ParsedWrite) -> WriteReport {
    WriteReport {
        accepted_lines: parsed.accepted_lines,
        accepted_bytes: parsed.accepted_bytes,
        rejected: std::mem::take(&mut parsed.errors),
        rejected_lines: parsed.refused_lines,
    }
}

fn snapshot_moved(config: &IngestConfig, seen: &CatalogSnapshot) -> bool {
    config.snapshot.load().sequence != seen.sequence
}

/// The database with every table and column that the rows need.
async fn ensure(
    config: &IngestConfig,
    WriteLines { db, principal, .. }: &WriteLines,
    tables: &[TableRows],
    snapshot: &CatalogSnapshot,
    deadline: Instant,
) -> Result<Arc<DatabaseSchema>, WriteError> {
    let missing = |rows: &&TableRows| {
        rows.known.is_none() || rows.columns.iter().any(|column| column.id.is_none())
    };
    let known = snapshot.database(db);
    if let Some(database) = known
        && !tables.iter().any(|rows| missing(&rows))
    {
        return Ok(Arc::clone(database));
    }
    let shape = |rows: &TableRows| TableShape {
        name: Arc::clone(&rows.name),
        columns: rows.columns.iter().map(|c| (Arc::clone(&c.name), c.data.kind())).collect(),
    };
    let shapes = tables.iter().filter(missing).map(shape).collect();
    let change = EnsureSchema { db: db.clone(), tables: shapes };
    let ask = By { principal: principal.clone(), change };
    let snapshot = config.catalog.ask::<{ rank::INGEST }, _>(ask, deadline).await??;
    snapshot
        .database(db)
        .map(Arc::clone)
        .ok_or_else(|| CatalogError::DatabaseNotFound(db.clone()).into())
}

/// The rows with the catalog's ids: as the log stores them, and as Arrow columns.
fn columns(
    database: &DatabaseSchema,
    tables: Vec<TableRows>,
) -> Result<(Vec<u8>, Vec<TableBatch>), WriteError> {
    let mut schemas: Vec<&Arc<TableSchema>> = Vec::with_capacity(tables.len());
    let mut stored = Vec::with_capacity(tables.len());
    for rows in tables {
        // A table can be deleted between the two looks at the catalog.
        let table = database.table(&rows.name).ok_or_else(|| gone(database, &rows.name))?;
        stored.push(with_ids(table, rows).ok_or_else(|| gone(database, &table.name))?);
        schemas.push(table);
    }
    let db = database.id;
    let bytes = entry::encode(db, &stored)
        .map_err(|e| WriteError::Undelivered(ErrorKind::LimitReached, e.to_string()))?;
    let batches = (stored.into_iter().zip(schemas))
        .map(|(rows, schema)| table_batch(db, rows, schema))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| WriteError::Undelivered(ErrorKind::Internal, e.to_string()))?;
    Ok((bytes, batches))
}

fn gone(database: &DatabaseSchema, table: &str) -> CatalogError {
    CatalogError::TableNotFound { db: database.name.to_string(), table: table.to_owned() }
}

fn with_ids(table: &TableSchema, rows: TableRows) -> Option<StoredRows> {
    let columns = rows.columns.into_iter().map(|column| {
        let known = table.column(&column.name).filter(|c| c.kind == column.data.kind())?;
        Some(StoredColumn { id: known.id, data: column.data, validity: column.validity })
    });
    let columns = columns.collect::<Option<Vec<_>>>()?;
    Some(StoredRows { table: table.id, times: rows.times, columns })
}
