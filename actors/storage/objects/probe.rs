//! What has to be known of a store before data goes there.

use crate::runtime::random;
use anyhow::{Context, bail};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use std::fmt::Write;

const FIRST: &[u8] = b"first";
const SECOND: &[u8] = b"second";

/// What a store can do.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It creates objects only where there is none.
    Fenced,
    /// It does not, for this reason.
    Unfenced(String),
}

/// Writes an object, tries to create it once more, reads it and removes it.
///
/// # Errors
/// When that cannot be done; the text says what is wrong.
pub(super) async fn run(store: &dyn ObjectStore, node: &str) -> anyhow::Result<Verdict> {
    let path = Path::from(format!("{node}/probe/{}", random::uuid()));
    let verdict = match create(store, &path, FIRST).await {
        Ok(()) => match create(store, &path, SECOND).await {
            Err(Error::AlreadyExists { .. }) => Verdict::Fenced,
            Ok(()) => Verdict::Unfenced("it replaced one".to_owned()),
            Err(error) => Verdict::Unfenced(in_full(&error)),
        },
        // Is it the condition that the store does not know, or can nothing be written at all?
        Err(conditional) => match store.put(&path, PutPayload::from_static(FIRST)).await {
            Ok(_) => Verdict::Unfenced(in_full(&conditional)),
            Err(error) => bail!(explain(&error)),
        },
    };
    let found = async { store.get(&path).await?.bytes().await };
    let found = found.await.map_err(|e| anyhow::anyhow!(explain(&e)));
    let found = found.context("objects can be written but not read")?;
    if matches!(verdict, Verdict::Fenced) && found != FIRST {
        bail!("it gave back other bytes than were written");
    }
    if let Err(error) = store.delete(&path).await {
        tracing::warn!(
            error = in_full(&error),
            "the object store does not remove objects: what is no longer needed will stay"
        );
    }
    Ok(verdict)
}

async fn create(store: &dyn ObjectStore, path: &Path, bytes: &'static [u8]) -> Result<(), Error> {
    store.put_opts(path, PutPayload::from_static(bytes), PutMode::Create.into()).await.map(|_| ())
}

/// What an error at start means to whoever has to mend it.
fn explain(error: &Error) -> String {
    let cause = in_full(error);
    match error {
        Error::NotFound { .. } => format!("the bucket or container does not exist: {cause}"),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            format!("the credentials were refused, or they do not permit it: {cause}")
        }
        _ => cause,
    }
}

/// The error and what lies below it, as far as it does not say so itself, on one line.
fn in_full(error: &Error) -> String {
    let mut text = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) && write!(text, ": {cause_text}").is_err() {
            break;
        }
        below = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
