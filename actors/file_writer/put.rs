//! Putting objects, for as long as it takes.

use crate::runtime::faults;
use crate::runtime::mailbox::RETRY_PAUSE;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, Result};

/// Objects up to this size are put in one piece.
pub(crate) const ONE_PIECE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Size of the pieces of larger ones. Stores take 5 MiB or more, and up to 10 000 pieces.
const PIECE_BYTES: usize = 8 * 1024 * 1024;
/// Pieces on their way at once.
const PIECES_AT_ONCE: usize = 4;

/// Puts an object and repeats it until it is stored. What is there already is overwritten: an
/// object of that name has the same content or nobody knows of it.
pub(crate) async fn put_until_stored(
    store: &dyn ObjectStore,
    path: &str,
    bytes: &Bytes,
    fail_point: &str,
) {
    let location = Path::from(path);
    let mut tries = 0_u64;
    loop {
        let result = if faults::fails(fail_point) {
            Err(Error::Generic { store: "fail point", source: "planted failure".into() })
        } else {
            put(store, &location, bytes).await
        };
        let Err(error) = result else {
            if tries > 0 {
                tracing::info!(path, tries, "an object that could not be stored is stored now");
            }
            return;
        };
        if tries == 0 {
            tracing::error!(path, %error, "cannot store an object, trying again");
        }
        metrics::counter!("persist_upload_errors_total").increment(1);
        tries += 1;
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Puts an object once, in pieces when it is large.
pub(crate) async fn put(store: &dyn ObjectStore, location: &Path, bytes: &Bytes) -> Result<()> {
    if bytes.len() <= ONE_PIECE_BYTES_MAX {
        store.put(location, PutPayload::from(bytes.clone())).await?;
        return Ok(());
    }
    let mut upload = store.put_multipart(location).await?;
    let stored = put_pieces(upload.as_mut(), bytes).await;
    if stored.is_err()
        && let Err(error) = upload.abort().await
    {
        // The pieces take room until the store's own rule for unfinished uploads removes them.
        tracing::warn!(%location, %error, "cannot abort an upload that failed");
    }
    stored
}

async fn put_pieces(upload: &mut dyn MultipartUpload, bytes: &Bytes) -> Result<()> {
    let mut pieces = Vec::with_capacity(bytes.len().div_ceil(PIECE_BYTES));
    let mut from = 0;
    while from < bytes.len() {
        let to = bytes.len().min(from + PIECE_BYTES);
        pieces.push(upload.put_part(PutPayload::from(bytes.slice(from..to))));
        from = to;
    }
    stream::iter(pieces).buffer_unordered(PIECES_AT_ONCE).try_collect::<()>().await?;
    upload.complete().await?;
    Ok(())
}
