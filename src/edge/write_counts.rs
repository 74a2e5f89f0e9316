//! What was written to each database, for the metrics.

use protocols::catalog::CatalogSnapshot;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many names more than there are databases are kept, before those of deleted ones go.
const DELETED_MAX: usize = 64;

/// Accepted lines, their bytes, and refused lines.
pub type Counts = [usize; 3];

/// Counts by the names of databases.
#[derive(Debug, Default)]
pub struct WriteCounts(Mutex<BTreeMap<String, Counts>>);

impl WriteCounts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what came of a request. A refused one may name any database: those that there are
    /// count.
    pub fn add(&self, catalog: &CatalogSnapshot, db: &str, more: Counts) {
        if catalog.database(db).is_none() {
            return;
        }
        let mut all = self.lock();
        if !all.contains_key(db) {
            if all.len() > catalog.databases.len() + DELETED_MAX {
                all.retain(|name, _| catalog.database(name).is_some());
            }
            all.insert(db.to_owned(), Counts::default());
        }
        if let Some(counts) = all.get_mut(db) {
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
    }

    /// The counts of the databases that there are.
    pub fn of_live(&self, catalog: &CatalogSnapshot) -> BTreeMap<String, Counts> {
        let mut all = self.lock();
        all.retain(|name, _| catalog.database(name).is_some());
        all.clone()
    }
}
