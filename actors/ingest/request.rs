//! One request from text to rows with the catalog's ids.

use super::config::IngestConfig;
use crate::runtime::clock;
use crate::runtime::mailbox::AskError;
use crate::wal::table_batch;
use protocols::access::rights::Right;
use protocols::catalog::CatalogSnapshot;
use protocols::columns::{StoredColumn, StoredRows, TableRows};
use protocols::error::ErrorKind;
use protocols::line_protocol::{ParseOptions, ParsedWrite, parse as parse_lines};
use protocols::messages::catalog::{By, CatalogError, EnsureSchema, TableShape};
use protocols::messages::ingest::{WriteError, WriteLines, WriteReport};
use protocols::messages::rank;
use protocols::messages::store::TableBatch;
use protocols::messages::wal::AppendRows;
use protocols::principal::Action;
use protocols::schema::{DatabaseSchema, TableSchema};
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

/// A request whose lines were looked at and whose names are durable.
pub(super) struct Checked {
    /// What is answered once the rows are stored.
    pub(super) report: WriteReport,
    /// The rows, if any line was good.
    pub(super) rows: Option<AppendRows>,
}

impl Checked {
    /// `database` has every name that the rows need.
    pub(super) fn new(
        lines: &WriteLines,
        database: &DatabaseSchema,
        mut parsed: ParsedWrite,
    ) -> Result<Self, WriteError> {
        let report = report(&mut parsed);
        if report.accepted_lines == 0 {
            return Ok(Self { report, rows: None });
        }
        let (entry, batches) = columns(database, parsed.tables)?;
        let rows = Some(AppendRows { entry: entry.into(), batches, sync: lines.sync });
        Ok(Self { report, rows })
    }
}

/// Makes the names durable that the rows need. `deadline` is that of the one who asked for it.
pub(super) async fn name(
    config: Arc<IngestConfig>,
    lines: WriteLines,
    mut parsed: ParsedWrite,
    mut snapshot: Arc<CatalogSnapshot>,
    deadline: Instant,
) -> Result<Checked, WriteError> {
    let in_vain = |parsed: &mut ParsedWrite| {
        let in_vain = parsed.accepted_lines == 0 && !lines.makes_empty_database;
        in_vain.then(|| Checked { report: report(parsed), rows: None })
    };
    if let Some(checked) = in_vain(&mut parsed) {
        return Ok(checked);
    }
    let mut conflicts = 0;
    loop {
        match ensure(&config, &lines, &parsed.tables, &snapshot, deadline).await {
            Ok(database) => return Checked::new(&lines, &database, parsed),
            // Somebody else gave a column another type, or took the last free place: the lines
            // are looked at again and get the errors that they deserve now.
            Err(WriteError::Catalog(
                CatalogError::TypeConflict { .. } | CatalogError::Limit(_),
            )) if conflicts < CONFLICTS_MAX && snapshot_moved(&config, &snapshot) => {
                conflicts += 1;
                snapshot = config.snapshot.load();
                parsed = parse(&config, &lines, &snapshot)?;
                if let Some(checked) = in_vain(&mut parsed) {
                    return Ok(checked);
                }
            }
            Err(error) => return Err(error),
        }
    }
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

/// Names that the database does not have yet.
fn lacks_names(rows: &TableRows) -> bool {
    rows.known.is_none() || rows.columns.iter().any(|column| column.id.is_none())
}

/// The database, if it has every table and column that the rows need.
pub(super) fn known(
    db: &str,
    tables: &[TableRows],
    snapshot: &CatalogSnapshot,
) -> Option<Arc<DatabaseSchema>> {
    let database = snapshot.database(db)?;
    (!tables.iter().any(lacks_names)).then(|| Arc::clone(database))
}

/// The same, once it has them.
async fn ensure(
    config: &IngestConfig,
    WriteLines { db, principal, origin, .. }: &WriteLines,
    tables: &[TableRows],
    snapshot: &CatalogSnapshot,
    deadline: Instant,
) -> Result<Arc<DatabaseSchema>, WriteError> {
    if let Some(database) = known(db, tables, snapshot) {
        return Ok(database);
    }
    let shape = |rows: &TableRows| TableShape {
        name: Arc::clone(&rows.name),
        columns: rows.columns.iter().map(|c| (Arc::clone(&c.name), c.data.kind())).collect(),
    };
    let shapes = tables.iter().filter(|rows| lacks_names(rows)).map(shape).collect();
    let change = EnsureSchema { db: db.clone(), tables: shapes };
    let ask = By { principal: principal.clone(), origin: origin.clone(), change };
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
