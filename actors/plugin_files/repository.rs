//! Plugins of the repository: fetched, and kept for starts without a network.

use super::directory::keep_copy;
use super::paths::relative;
use crate::runtime::pools::Pool;
use protocols::error::ErrorKind;
use protocols::limits::PLUGIN_TEXT_BYTES_MAX;
use protocols::messages::plugins::{PluginError, PluginSource};
use protocols::plugins::host::Source;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the repository may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Folder of the plugin directory with what was fetched.
const COPIES: &str = ".repository";

/// A file of the repository.
pub(super) async fn fetch(repository: &str, path: &str) -> Result<String, PluginError> {
    relative(path)?;
    let url = format!("{}/{path}", repository.trim_end_matches('/'));
    let failed = |why: String| {
        let message = format!("error fetching plugin from repository: {why} {url}");
        PluginError::new(ErrorKind::Internal, message)
    };
    let client = reqwest::Client::builder().timeout(TIME_MAX).build();
    let client = client.map_err(|error| failed(error.to_string()))?;
    let answer = client.get(&url).send().await;
    let answer = answer.map_err(|error| failed(error.without_url().to_string()))?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(failed(answer.status().to_string()));
    }
    let text = answer.text().await.map_err(|error| failed(error.without_url().to_string()))?;
    match text.len() > PLUGIN_TEXT_BYTES_MAX {
        true => Err(failed("it is too long:".to_owned())),
        false => Ok(text),
    }
}

fn source(text: String) -> PluginSource {
    // It is read once for each start of its trigger, so that no two of them are compared.
    PluginSource {
        mark: i64::from(crc32fast::hash(text.as_bytes())),
        source: Source::Text(text.into()),
    }
}

/// Keeps what was fetched. That it could not be kept is only logged.
pub(super) async fn keep(
    pool: &Pool,
    directory: Option<PathBuf>,
    path: String,
    text: String,
) -> Result<PluginSource, PluginError> {
    if let Some(directory) = directory {
        let place = directory.join(COPIES).join(&path);
        let copy = text.clone();
        match pool.run(move || keep_copy(&place, &copy)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(path, %error, "no copy of a fetched plugin is kept"),
            Err(error) => tracing::warn!(path, %error, "no copy of a fetched plugin is kept"),
        }
    }
    Ok(source(text))
}

/// What was fetched before.
pub(super) fn read_copy(directory: &Path, path: &str) -> Result<PluginSource, PluginError> {
    let place = directory.join(COPIES).join(relative(path)?);
    let text = std::fs::read_to_string(&place)
        .map_err(|error| PluginError::internal(format!("reading plugin file: {error}")))?;
    tracing::warn!(path, "the repository of plugins cannot be reached, an earlier copy is used");
    Ok(source(text))
}
