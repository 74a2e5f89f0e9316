//! The directory for what queries cannot hold in memory.

use actors::query::SpillOptions;
use anyhow::Context;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What queries write is worth nothing to anybody else: it goes when this is dropped.
#[derive(Debug)]
pub struct SpillDirectory(Option<PathBuf>);

impl SpillDirectory {
    /// Makes the directory, without what a process has left there that did not end by itself.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn prepare(options: Option<&SpillOptions>) -> anyhow::Result<Self> {
        let directory = options.map(|options| options.directory.clone());
        if let Some(path) = &directory {
            let made = remove(path).and_then(|()| fs::create_dir_all(path));
            made.with_context(|| format!("cannot make {} (--query-spill-bytes)", path.display()))?;
        }
        Ok(Self(directory))
    }
}

impl Drop for SpillDirectory {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = remove(path) {
            tracing::warn!(path = %path.display(), %error, "files of queries are left");
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
