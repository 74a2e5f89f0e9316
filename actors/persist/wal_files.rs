//! Removing WAL files whose rows are in Parquet files.
//!
//! Some are kept: the newest ones, for whoever follows the log, and those that a copy of the
//! object store may still need that was begun before the last snapshot.

use super::settings::Settings;
use crate::runtime::faults;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use protocols::paths;
use protocols::wal_frame::segment::{Header, counted_bytes, decode_header, read};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Files that are removed in one go, so that a snapshot that falls due does not wait long.
const FILES_AT_ONCE: usize = 100;
/// Pause after the store failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// Which WAL files may go, and which are known to be there.
pub(super) struct WalFiles {
    /// Last WAL file of durable snapshots, and since when they are known to be durable. Of those
    /// whose delay is over only the newest.
    durable: VecDeque<(u64, Instant)>,
    /// Files up to this one were there at the start. Nobody has read them since they were made.
    unchecked_through: u64,
    /// Files that may go, ascending, of those up to `listed_through`.
    listed: VecDeque<u64>,
    listed_through: u64,
    not_before: Instant,
}

/// A file that was read.
struct Content {
    file: u64,
    bytes: Bytes,
}

impl WalFiles {
    /// `durable_through` is the last WAL file of the newest durable snapshot. When it became
    /// durable is not known, so its delay begins now.
    pub(super) async fn open(settings: &Settings, durable_through: u64) -> anyhow::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            durable: VecDeque::from([(durable_through, now)]),
            unchecked_through: list(settings).await?.last().copied().unwrap_or(0),
            listed: VecDeque::new(),
            listed_through: 0,
            not_before: now,
        })
    }

    /// A snapshot became durable.
    pub(super) fn note_durable(&mut self, wal_through: u64, at: Instant) {
        self.durable.push_back((wal_through, at));
    }

    /// The last file that may go now.
    fn removable_through(&mut self, settings: &Settings) -> u64 {
        let delay_over = |(_, at): &(u64, Instant)| at.elapsed() >= settings.wal_delete_delay;
        while self.durable.get(1).is_some_and(delay_over) {
            self.durable.pop_front();
        }
        let aged = self.durable.front().filter(|d| delay_over(d)).map_or(0, |(file, _)| *file);
        let newest = self.durable.back().map_or(0, |(file, _)| *file);
        aged.min(newest.saturating_sub(settings.wal_files_kept))
    }

    /// Removes files that are no longer needed, the oldest first: whoever finds the log finds its
    /// end. True when there are more.
    pub(super) async fn clean_up(&mut self, settings: &Settings) -> bool {
        if Instant::now() < self.not_before {
            return false;
        }
        match self.remove_some(settings).await {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "WAL files that are no longer needed stay for now");
                self.not_before = Instant::now() + FAILURE_PAUSE;
                false
            }
        }
    }

    async fn remove_some(&mut self, settings: &Settings) -> Result<bool, Error> {
        let through = self.removable_through(settings);
        if self.listed.is_empty() && through > self.listed_through {
            self.listed =
                list(settings).await?.into_iter().take_while(|file| *file <= through).collect();
            self.listed_through = through;
        }
        let mut read_ahead = None;
        for _ in 0..FILES_AT_ONCE {
            let Some(file) = self.listed.front().copied() else { return Ok(false) };
            if file <= self.unchecked_through {
                read_ahead = keep_if_damaged(settings, file, read_ahead).await?;
            }
            delete(settings, file).await?;
            self.listed.pop_front();
            metrics::counter!("wal_files_removed_total").increment(1);
            faults::fails("snap-mid-wal-delete");
        }
        Ok(!self.listed.is_empty())
    }
}

/// The numbers of all files of the log, ascending.
async fn list(settings: &Settings) -> Result<Vec<u64>, Error> {
    let folder = Path::from(paths::wal_dir(&settings.node));
    let mut listed = settings.objects.store.list(Some(&folder));
    let mut files = Vec::new();
    while let Some(object) = listed.try_next().await? {
        files.extend(object.location.filename().and_then(paths::wal_sequence));
    }
    files.sort_unstable();
    Ok(files)
}

fn path_of(settings: &Settings, file: u64) -> Path {
    Path::from(paths::wal_file(&settings.node, file))
}

/// The content of a file, unless it is gone.
async fn content(settings: &Settings, file: u64) -> Result<Option<Content>, Error> {
    let found = match settings.objects.store.get(&path_of(settings, file)).await {
        Ok(found) => found.bytes().await,
        Err(error) => Err(error),
    };
    match found {
        Ok(bytes) => Ok(Some(Content { file, bytes })),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Copies a file that is damaged to where nobody removes it: rows that cannot be read now may be
/// saved by hand. Returns the next file, which had to be read too.
async fn keep_if_damaged(
    settings: &Settings,
    file: u64,
    read_ahead: Option<Content>,
) -> Result<Option<Content>, Error> {
    let this = match read_ahead.filter(|ahead| ahead.file == file) {
        Some(this) => Some(this),
        None => content(settings, file).await?,
    };
    let Some(this) = this else { return Ok(None) };
    let next = content(settings, file + 1).await?;
    if let Some(damage) = damage(&this, next.as_ref()) {
        let name = paths::wal_file("", file);
        let name = name.rsplit('/').next().unwrap_or_default();
        let kept = format!("{}/{name}", paths::wal_damaged_dir(&settings.node));
        tracing::warn!(file, damage, kept, "a damaged WAL file is kept under another name");
        let store = &settings.objects.store;
        store.put(&Path::from(kept), this.bytes.into()).await?;
        metrics::counter!("wal_damaged_kept_total").increment(1);
    }
    Ok(next)
}

/// What is wrong with a file, if anything is.
fn damage(this: &Content, next: Option<&Content>) -> Option<String> {
    let in_place = |content: &Content| -> Option<Header> {
        decode_header(&content.bytes).ok().filter(|header| header.sequence == content.file)
    };
    // The next file says how much of this one counts.
    let headers = in_place(this).zip(next.and_then(in_place));
    let counted = headers.and_then(|(header, next)| counted_bytes(&header, &next));
    match read(&this.bytes, counted) {
        Err(error) => Some(error.to_string()),
        Ok(segment) if segment.header.sequence != this.file => {
            Some(format!("it is a copy of file {}", segment.header.sequence))
        }
        Ok(segment) => {
            segment.damaged.first().map(|bytes| format!("bytes {} to {}", bytes.start, bytes.end))
        }
    }
}

/// Removes a file. One that is gone already is as good.
async fn delete(settings: &Settings, file: u64) -> Result<(), Error> {
    match settings.objects.store.delete(&path_of(settings, file)).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
