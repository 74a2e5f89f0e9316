//! What queries have found out about files and sorted chunks, for those that come after them.

use super::key_sets::KeySets;
use super::narrowing::BlocksOfFiles;
use super::newest_of_file::NewestOfFiles;

/// See the page of this file.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// What tag values they have.
    pub(super) key_sets: KeySets,
    /// The newest rows of files.
    pub(super) newest: NewestOfFiles,
    /// How the times of their series run.
    pub(super) blocks: BlocksOfFiles,
}
