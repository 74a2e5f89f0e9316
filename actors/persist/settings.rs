//! What the work needs to know.

use super::PersistConfig;
use crate::runtime::published::Published;
use crate::storage::objects::Objects;
use protocols::catalog::CatalogSnapshot;
use std::time::Duration;

/// Text that a column of one file may have. Arrow counts it with 31 bits, and whoever merges two
/// files lays their columns end to end.
const TEXT_BYTES_MAX: usize = 1 << 30;

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) node: String,
    pub(super) objects: Objects,
    pub(super) catalog: Published<CatalogSnapshot>,
    pub(super) concurrency: usize,
    pub(super) bytes_max: usize,
    pub(super) wal_files_kept: u64,
    pub(super) wal_delete_delay: Duration,
    pub(super) text_bytes_max: usize,
}

impl Settings {
    pub(super) fn of(config: &PersistConfig) -> Self {
        Self {
            node: config.node.clone(),
            objects: config.objects.clone(),
            catalog: config.catalog.clone(),
            concurrency: config.concurrency.max(1),
            bytes_max: config.bytes_max,
            wal_files_kept: config.wal_files_kept,
            wal_delete_delay: config.wal_delete_delay,
            text_bytes_max: TEXT_BYTES_MAX,
        }
    }
}
