//! The whole catalog as of one moment.

use crate::access::tokens::Tokens;
use crate::ids::TableId;
use crate::row_deletes::RowDeletes;
use crate::schema::{DatabaseSchema, TableSchema};
use hashbrown::HashMap;
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// The whole catalog at one sequence number. Immutable; the next one replaces it.
#[derive(Clone, Debug)]
pub struct CatalogSnapshot {
    /// Identity of the catalog, stable over restarts on the same store.
    pub uuid: Uuid,
    /// Number of the last log record that is part of this snapshot.
    pub sequence: u64,
    /// Databases by their name, deleted ones (under their new name) included.
    pub databases: HashMap<Arc<str>, Arc<DatabaseSchema>>,
    /// Width of a chunk by row time, in nanoseconds; fixed at the first start of a store.
    pub gen1_duration_ns: i64,
    /// The id that the next new database gets.
    pub next_db_id: u32,
    /// The id that the next new table gets.
    pub next_table_id: u32,
    /// The tokens by which requests are told apart.
    pub tokens: Arc<Tokens>,
    /// The deletes of rows.
    pub row_deletes: Arc<RowDeletes>,
    /// What is looked up by id, made when it is first needed.
    pub index: CatalogIndex,
}

/// What a snapshot of the catalog has by id. Clones begin without it: what they are a copy of may
/// be changed.
#[derive(Debug, Default)]
pub struct CatalogIndex(OnceLock<ById>);

#[derive(Debug)]
struct ById {
    live_tables: usize,
    tables: HashMap<TableId, (Arc<DatabaseSchema>, Arc<TableSchema>)>,
}

impl Clone for CatalogIndex {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl CatalogSnapshot {
    fn by_id(&self) -> &ById {
        self.index.0.get_or_init(|| {
            let mut by_id = ById { live_tables: 0, tables: HashMap::new() };
            for db in self.databases.values() {
                for table in db.tables.values() {
                    let is_live = db.deletion.is_none() && table.deletion.is_none();
                    by_id.live_tables += usize::from(is_live);
                    by_id.tables.insert(table.id, (Arc::clone(db), Arc::clone(table)));
                }
            }
            by_id
        })
    }

    /// The table of that id and its database, deleted ones included.
    pub fn table_by_id(&self, id: TableId) -> Option<(&Arc<DatabaseSchema>, &Arc<TableSchema>)> {
        self.by_id().tables.get(&id).map(|(db, table)| (db, table))
    }

    /// How many live tables the live databases have.
    pub fn live_table_count(&self) -> usize {
        self.by_id().live_tables
    }

    /// The live database of that name.
    pub fn database(&self, name: &str) -> Option<&Arc<DatabaseSchema>> {
        self.databases.get(name).filter(|d| d.deletion.is_none())
    }

    /// The live databases, sorted by name.
    pub fn live_databases(&self) -> Vec<&Arc<DatabaseSchema>> {
        let mut all: Vec<_> = self.databases.values().filter(|d| d.deletion.is_none()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DbId;
    use crate::schema::Deletion;

    fn table(id: u32, deletion: Option<Deletion>) -> Arc<TableSchema> {
        Arc::new(TableSchema::new(TableId(id), format!("t{id}").into(), Vec::new(), deletion))
    }

    fn catalog() -> CatalogSnapshot {
        let deleted = Deletion { deleted_at_ns: 1, hard_delete_at_ns: None, rows_removed: false };
        let database = |id: u32, tables: [Arc<TableSchema>; 2], deletion| {
            let name: Arc<str> = format!("d{id}").into();
            let tables = tables.map(|table| (Arc::clone(&table.name), table)).into_iter().collect();
            let (id, key) = (DbId(id), Arc::clone(&name));
            let schema = DatabaseSchema {
                id,
                name,
                retention_ns: None,
                tables,
                deletion,
                plugins: Arc::default(),
                downsamples: Arc::default(),
                indexed: None,
            };
            (key, Arc::new(schema))
        };
        let databases = [
            database(0, [table(0, None), table(1, Some(deleted))], None),
            database(1, [table(2, None), table(3, None)], Some(deleted)),
        ];
        CatalogSnapshot {
            tokens: Arc::default(),
            row_deletes: Arc::default(),
            uuid: Uuid::nil(),
            sequence: 1,
            databases: databases.into_iter().collect(),
            gen1_duration_ns: 1,
            next_db_id: 2,
            next_table_id: 4,
            index: CatalogIndex::default(),
        }
    }

    #[test]
    fn tables_are_found_by_id_and_counted() {
        let catalog = catalog();
        assert_eq!(catalog.live_table_count(), 1);
        let (db, table) = catalog.table_by_id(TableId(3)).unwrap();
        assert_eq!((db.name.as_ref(), table.name.as_ref()), ("d1", "t3"));
        assert!(catalog.table_by_id(TableId(4)).is_none());
        let mut changed = catalog.clone();
        changed.databases.remove("d0");
        assert_eq!(changed.live_table_count(), 0, "a copy does not keep what it was made of");
    }
}
