//! Rows that a trigger must not miss: read from the log, from a place that survives the process.

use super::rows;
use crate::wal::{LogPlace, LogReader, ReplayError, Stretch};
use futures::TryStreamExt;
use hashbrown::HashSet;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutPayload};
use protocols::catalog::CatalogSnapshot;
use protocols::ids::DbId;
use protocols::messages::plugins::WriteEvent;
use protocols::paths;
use protocols::schema::TableSchema;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often the place is stored at most. What comes after it is delivered again after a kill.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// How far a trigger has been given the log, kept from life to life.
#[derive(Debug)]
pub(crate) struct Cursor {
    log: LogReader,
    db: DbId,
    key: Path,
    at: Mutex<At>,
}

#[derive(Clone, Copy, Debug)]
struct At {
    /// Nothing before it has to be delivered again.
    done: LogPlace,
    stored: LogPlace,
    stored_at: Instant,
}

impl Cursor {
    /// Where the trigger was, or the end of the log for one that is new.
    ///
    /// # Errors
    /// When the store does not answer, or what it has is no place.
    pub(crate) async fn open(log: LogReader, db: DbId, trigger: u32) -> anyhow::Result<Self> {
        let key = Path::from(paths::trigger_cursor(log.node(), db, trigger));
        let found = match log.objects().store.get(&key).await {
            Ok(found) => Some(found.bytes().await?),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let done = match found {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => log.end().await?,
        };
        let at = Mutex::new(At { done, stored: LogPlace::default(), stored_at: Instant::now() });
        let cursor = Self { log, db, key, at };
        cursor.store().await?;
        Ok(cursor)
    }

    fn at(&self) -> At {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the place, if it has moved.
    pub(crate) async fn store(&self) -> Result<(), Error> {
        let At { done, stored, .. } = self.at();
        if done != stored {
            let place = serde_json::to_vec(&done).unwrap_or_default();
            self.log.objects().store.put(&self.key, PutPayload::from(place)).await?;
            let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
            (at.stored, at.stored_at) = (done, Instant::now());
        }
        Ok(())
    }

    /// Forgets the place of a trigger that is no more.
    pub(crate) async fn remove(&self) -> Result<(), Error> {
        self.log.objects().store.delete(&self.key).await
    }
}

/// Removes the places of triggers that are no more.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn sweep_cursors(log: &LogReader, catalog: &CatalogSnapshot) -> Result<(), Error> {
    let of_database = |database: &Arc<protocols::schema::DatabaseSchema>| {
        let db = database.id;
        let ids: Vec<_> = database.plugins.triggers.iter().map(|trigger| trigger.id).collect();
        ids.into_iter().map(move |id| Path::from(paths::trigger_cursor(log.node(), db, id)))
    };
    let kept: HashSet<Path> = catalog.databases.values().flat_map(of_database).collect();
    let folder = Path::from(paths::trigger_cursors_dir(log.node()));
    let store = &log.objects().store;
    let found: Vec<_> = store.list(Some(&folder)).try_collect().await?;
    for object in found.into_iter().filter(|object| !kept.contains(&object.location)) {
        store.delete(&object.location).await?;
    }
    Ok(())
}

/// What one life of a trigger has read and not done with.
pub(super) struct Delivery {
    cursor: Arc<Cursor>,
    read: LogPlace,
    /// The places behind events that were read, in the order of the log, and whether they are done.
    open: VecDeque<(LogPlace, bool)>,
    /// The log is being read.
    pub(super) is_reading: bool,
}

/// What a reading has found.
pub(super) struct Found {
    pub(super) stretch: Stretch,
    pub(super) event: WriteEvent,
}

impl Delivery {
    pub(super) fn new(cursor: Arc<Cursor>) -> Self {
        let read = cursor.at().done;
        Self { cursor, read, open: VecDeque::new(), is_reading: false }
    }

    /// Reads what comes next; before that, stores how far the trigger has come.
    pub(super) fn next(
        &self,
        table: Option<String>,
    ) -> impl Future<Output = Result<Found, ReplayError>> + use<> {
        let (cursor, after) = (Arc::clone(&self.cursor), self.read);
        async move {
            if cursor.at().stored_at.elapsed() >= STORE_EVERY {
                cursor.store().await?;
            }
            let is_wanted = |db, found: &TableSchema| {
                let is_it = table.as_deref().is_none_or(|name| *found.name == *name);
                db == cursor.db && found.deletion.is_none() && is_it
            };
            let mut stretch = cursor.log.rows_after(after, is_wanted).await?;
            let catalog = cursor.log.catalog();
            let database = catalog.databases.values().find(|database| database.id == cursor.db);
            let batches = std::mem::take(&mut stretch.batches);
            let event = database.map(|database| rows::event(database, batches));
            Ok(Found { stretch, event: event.unwrap_or_default() })
        }
    }

    /// Notes what was read; `is_event` says that there is something to be done with it.
    pub(super) fn has_read(&mut self, through: LogPlace, is_event: bool) {
        self.read = through;
        self.open.push_back((through, !is_event));
        self.move_on();
    }

    /// Notes that an event is done with.
    pub(super) fn is_done(&mut self, through: LogPlace) {
        if let Some(open) = self.open.iter_mut().find(|(place, _)| *place == through) {
            open.1 = true;
        }
        self.move_on();
    }

    fn move_on(&mut self) {
        while let Some((place, true)) = self.open.front().copied() {
            self.open.pop_front();
            self.cursor.at.lock().unwrap_or_else(PoisonError::into_inner).done = place;
        }
    }
}
