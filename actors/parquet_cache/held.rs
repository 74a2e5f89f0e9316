//! Decoded rows as scans look at them, without a message.

use super::decoded::DecodedFiles;
use crate::runtime::shared::Shared;
use protocols::messages::parquet_cache::WantedFile;
use protocols::messages::store::SortedRows;
use std::sync::Arc;

/// The decoded rows that the cache holds.
#[derive(Clone, Debug, Default)]
pub struct HeldRows(pub(super) Shared<DecodedFiles>);

impl HeldRows {
    /// The rows of each of the files with these columns. `None` if some are not there, or the cache is
    /// at work: it is to be asked then, and decodes what is worth it.
    pub fn of_all(
        &self,
        files: &[WantedFile],
        columns: &[Arc<str>],
    ) -> Option<Vec<Arc<SortedRows>>> {
        let found = self.0.try_look(|decoded| decoded.all(files, columns)).flatten()?;
        metrics::counter!("parquet_cache_decoded_hits_total").increment(found.len() as u64);
        Some(found)
    }
}
