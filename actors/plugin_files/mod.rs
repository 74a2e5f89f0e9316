//! The `PluginFiles` actor: the texts of plugins, in the plugin directory and in the repository.
//!
//! ## Owns
//! The plugin directory, together with whoever else edits files there. It keeps nothing in memory.
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `ReadPlugin` | `Trigger` before a run, `Triggers`, HTTP handlers | the text and its mark, or that it is as known |
//! | `SavePluginFile` | HTTP handlers | whether it is written |
//! | `ReplacePluginDirectory` | HTTP handlers | whether it is replaced |
//! | `ListPluginFiles` | `Query`, for a system table | the files of plugins |
//!
//! ## Emits
//! Requests to the repository of plugins, for paths that begin with `gh:`. It asks nobody.
//!
//! ## Invariants
//! - Nothing is read or written outside of the plugin directory, whatever links there are: each
//!   path is resolved, and held against the directory, each time.
//! - A reader sees a file, or a directory that is replaced, as it was before or as it is after.
//!
//! ## On failure
//! Rebuilt; what was being written is written whole or not at all.

mod directory;
mod paths;
mod repository;

use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::Responder;
use crate::runtime::pools::Pool;
use protocols::limits;
use protocols::messages::plugins::{
    ListPluginFiles, PluginError, ReadPlugin, ReplacePluginDirectory, SavePluginFile,
};
use protocols::messages::rank;
use std::path::PathBuf;

/// What stands before paths in the repository.
pub const REPOSITORY_MARK: &str = "gh:";

/// Without a plugin directory there is no processing engine.
pub const NO_DIRECTORY: &str = "Node not configured with plugin directory";

/// Threads that read and write files.
const THREADS: usize = 2;

/// Where plugins are.
#[derive(Clone, Debug)]
pub struct PluginFilesConfig {
    /// The plugin directory.
    pub directory: Option<PathBuf>,
    /// Address of the repository, with a slash at its end.
    pub repository: String,
}

/// See the module's page.
#[derive(Debug)]
pub struct PluginFiles {
    config: PluginFilesConfig,
    pool: Pool,
}

impl PluginFiles {
    /// The actor.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(config: PluginFilesConfig) -> anyhow::Result<Self> {
        let queue_max = limits::PLUGIN_FILES_MAILBOX_MESSAGES;
        Ok(Self { config, pool: Pool::new("plugin-files", THREADS, queue_max)? })
    }

    /// Does `work` in the plugin directory, off the actor's thread.
    fn on_disk<R, F>(&self, work: F) -> impl Future<Output = Result<R, PluginError>> + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(PathBuf) -> Result<R, PluginError> + Send + 'static,
    {
        let (directory, pool) = (self.config.directory.clone(), self.pool.clone());
        async move {
            let directory = directory.ok_or_else(|| PluginError::internal(NO_DIRECTORY))?;
            let done = pool.run(move || work(directory)).await;
            done.unwrap_or_else(|failed| Err(PluginError::internal(failed.to_string())))
        }
    }
}

impl Service for PluginFiles {
    const RANK: u8 = rank::PLUGIN_FILES;
}

impl Receive<ReadPlugin> for PluginFiles {
    fn receive(&mut self, read: ReadPlugin, reply: Responder<ReadPlugin>, cx: &mut Cx<'_, Self>) {
        let ReadPlugin { path, known, or_copy } = read;
        if let Some(path) = path.strip_prefix(REPOSITORY_MARK) {
            let (path, repository) = (path.to_owned(), self.config.repository.clone());
            let of_copy = path.clone();
            let copy = self.on_disk(move |directory| repository::read_copy(&directory, &of_copy));
            let pool = self.pool.clone();
            let directory = self.config.directory.clone();
            let work = async move {
                let fetched = repository::fetch(&repository, &path).await;
                match fetched {
                    Ok(text) => repository::keep(&pool, directory, path, text).await.map(Some),
                    Err(error) if or_copy => copy.await.map(Some).map_err(|_| error),
                    Err(error) => Err(error),
                }
            };
            cx.then(work, |_, text, _| reply.answer(text));
            return;
        }
        let read = self.on_disk(move |directory| directory::read(&directory, &path, known));
        cx.then(read, |_, source, _| reply.answer(source));
    }
}

impl Receive<SavePluginFile> for PluginFiles {
    fn receive(
        &mut self,
        save: SavePluginFile,
        reply: Responder<SavePluginFile>,
        cx: &mut Cx<'_, Self>,
    ) {
        let saved = self.on_disk(move |directory| directory::save(&directory, &save));
        cx.then(saved, |_, saved, _| reply.answer(saved));
    }
}

impl Receive<ReplacePluginDirectory> for PluginFiles {
    fn receive(
        &mut self,
        replace: ReplacePluginDirectory,
        reply: Responder<ReplacePluginDirectory>,
        cx: &mut Cx<'_, Self>,
    ) {
        let replaced = self.on_disk(move |directory| directory::replace(&directory, &replace));
        cx.then(replaced, |_, replaced, _| reply.answer(replaced));
    }
}

impl Receive<ListPluginFiles> for PluginFiles {
    fn receive(
        &mut self,
        list: ListPluginFiles,
        reply: Responder<ListPluginFiles>,
        cx: &mut Cx<'_, Self>,
    ) {
        let listed = self.on_disk(move |directory| Ok(directory::list(&directory, list.plugins)));
        cx.then(listed, |_, files, _| reply.answer(files.unwrap_or_default()));
    }
}
