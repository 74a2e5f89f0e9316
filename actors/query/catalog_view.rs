//! One database as the engine sees it: catalog `public` with the schemas `iox` and `system`.

use super::cache_tables::CacheTables;
use super::provider::{ScanContext, StoredTable};
use super::system_tables::SystemTables;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::TableType;
use protocols::schema::{DatabaseSchema, TableSchema};
use std::sync::Arc;

/// Name of the one catalog.
pub(super) const CATALOG: &str = "public";
/// Name of the schema that holds the tables of a database.
pub(super) const DEFAULT_SCHEMA: &str = "iox";
/// Name of the schema of the system tables.
const SYSTEM_SCHEMA: &str = "system";

/// The catalogs of a query: exactly one.
#[derive(Debug)]
pub(super) struct Catalogs {
    public: Arc<PublicCatalog>,
    caches: Option<Arc<CacheTables>>,
}

impl Catalogs {
    /// The view of `tables` and `system`, which belong to one database.
    pub(super) fn new(tables: UserTables, system: SystemTables) -> Self {
        let catalog = PublicCatalog { tables: Arc::new(tables), system: Arc::new(system) };
        Self { public: Arc::new(catalog), caches: None }
    }

    /// The same with the caches of the database.
    pub(super) fn with_caches(self, caches: Arc<CacheTables>) -> Self {
        Self { caches: Some(caches), ..self }
    }

    /// The database.
    pub(super) fn db(&self) -> &Arc<DatabaseSchema> {
        &self.public.tables.db
    }

    /// What the scans of its tables share.
    pub(super) fn scans(&self) -> &ScanContext {
        &self.public.tables.context
    }

    /// A live table of the database and its rows.
    pub(super) fn open_table(
        &self,
        name: &str,
    ) -> Option<(Arc<TableSchema>, Arc<dyn TableProvider>)> {
        let table = self.public.tables.db.table(name)?;
        Some((Arc::clone(table), self.public.tables.open(table)))
    }

    /// The caches of the database.
    pub(super) fn caches(&self) -> Option<&Arc<CacheTables>> {
        self.caches.as_ref()
    }
}

impl CatalogProviderList for Catalogs {
    /// Nothing can be added; DDL is refused before it gets here.
    fn register_catalog(
        &self,
        _name: String,
        _catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::clone(&self.public) as Arc<dyn CatalogProvider>)
    }
}

#[derive(Debug)]
struct PublicCatalog {
    tables: Arc<UserTables>,
    system: Arc<SystemTables>,
}

impl CatalogProvider for PublicCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![DEFAULT_SCHEMA.to_owned(), SYSTEM_SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            DEFAULT_SCHEMA => Some(Arc::clone(&self.tables) as Arc<dyn SchemaProvider>),
            SYSTEM_SCHEMA => Some(Arc::clone(&self.system) as Arc<dyn SchemaProvider>),
            _ => None,
        }
    }
}

/// The tables of a database: the live ones, and deleted ones under their new names until their rows
/// go, which are of another type, so that they can be left out of a list.
#[derive(Debug)]
pub(super) struct UserTables {
    /// The database.
    pub(super) db: Arc<DatabaseSchema>,
    /// What their scans share.
    pub(super) context: ScanContext,
}

impl UserTables {
    fn open(&self, table: &Arc<TableSchema>) -> Arc<dyn TableProvider> {
        Arc::new(StoredTable::new(Arc::clone(table), self.db.retention_of(table)))
    }
}

#[async_trait]
impl SchemaProvider for UserTables {
    fn table_names(&self) -> Vec<String> {
        self.db.readable_tables().iter().map(|t| t.name.to_string()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.db.readable_table(name).map(|table| self.open(table)))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.db.readable_table(name).map(|table| match table.deletion {
            None => TableType::Base,
            Some(_) => TableType::Temporary,
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.db.readable_table(name).is_some()
    }
}
