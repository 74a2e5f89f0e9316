//! What is read and written: the stored state, and the WAL.

use super::state::{State, wanted};
use crate::wal::{LogPlace, LogReader, ReplayError, Stretch};
use hashbrown::HashSet;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutPayload};
use protocols::catalog::CatalogSnapshot;
use protocols::ids::{DbId, TableId};
use protocols::paths;
use protocols::schema::TableSchema;
use std::sync::Arc;

/// What is stored of all downsamples; `None` if it makes no sense.
pub(super) async fn load(log: LogReader) -> anyhow::Result<Option<State>> {
    let key = Path::from(paths::downsamples(log.node()));
    let bytes = match log.objects().store.get(&key).await {
        Ok(found) => found.bytes().await?,
        Err(Error::NotFound { .. }) => return Ok(Some(State::default())),
        Err(error) => return Err(error.into()),
    };
    let state = serde_json::from_slice(&bytes);
    Ok(state.inspect_err(|error| tracing::error!(%key, %error, "downsamples begin anew")).ok())
}

pub(super) async fn store(log: LogReader, state: State) -> anyhow::Result<()> {
    let key = Path::from(paths::downsamples(log.node()));
    if state.all.is_empty() {
        return match log.objects().store.delete(&key).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        };
    }
    let bytes = serde_json::to_vec(&state)?;
    log.objects().store.put(&key, PutPayload::from(bytes)).await?;
    Ok(())
}

/// The tables whose rows matter.
pub(super) struct Sources {
    named: HashSet<(DbId, Arc<str>)>,
    /// Those that were deleted since.
    known: HashSet<TableId>,
}

impl Sources {
    pub(super) fn of(state: &State, catalog: &CatalogSnapshot) -> Self {
        let wanted = wanted(catalog).into_iter();
        let named = wanted.map(|((db, _), wanted)| (db, Arc::clone(&wanted.def.source)));
        let known = state.all.iter().filter_map(|known| known.source);
        Self { named: named.collect(), known: known.collect() }
    }

    fn has(&self, db: DbId, table: &TableSchema) -> bool {
        let is_live = table.deletion.is_none();
        self.known.contains(&table.id)
            || (is_live && self.named.contains(&(db, Arc::clone(&table.name))))
    }
}

/// What the WAL has of these tables behind a place, or behind all that it has by now.
pub(super) async fn read(
    log: LogReader,
    place: Option<LogPlace>,
    sources: Sources,
) -> Result<(LogPlace, Stretch), ReplayError> {
    let place = match place {
        Some(place) => place,
        None => log.end().await?,
    };
    let stretch = log.rows_after(place, |db, table| sources.has(db, table)).await?;
    Ok((place, stretch))
}
