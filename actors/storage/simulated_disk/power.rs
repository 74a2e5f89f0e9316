//! What a disk holds after its power has failed, or after the process that wrote to it has died.

use super::{Content, Node, SimDisk};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl SimDisk {
    /// A process has died: what it could not write is not read any more by the next one.
    pub fn forget_lost(&mut self) {
        for content in self.contents.iter_mut().filter(|content| content.lost) {
            let dirty = content.seen.split_off(content.dirty_from.min(content.seen.len()));
            content.stable.resize(content.dirty_from, 0);
            content.seen = content.stable.clone();
            content.seen.extend_from_slice(&dirty);
            content.lost = false;
        }
    }

    /// The power fails: what was not synced is lost, in part or whole.
    pub fn lose_power(&mut self) {
        self.stop();
        for (_, changes) in std::mem::take(&mut self.unsynced) {
            // None, all, the first ones, or any: names reach the disk in no promised order.
            let kept = self.random.random_range(0..=changes.len());
            let any = self.random.random_bool(0.5);
            for (n, change) in changes.into_iter().enumerate() {
                let keep = if any { self.random.random_bool(0.5) } else { n < kept };
                if keep {
                    self.settle(change);
                }
            }
        }
        self.drop_orphans();
        for content in &mut self.contents {
            lose_unsynced(content, &mut self.random);
        }
        self.seen = self.stable.clone();
    }

    /// What is in a folder whose own name was lost is lost too.
    fn drop_orphans(&mut self) {
        let mut kept: BTreeMap<PathBuf, Node> = BTreeMap::new();
        // Folders come before what is in them.
        for (path, node) in std::mem::take(&mut self.stable) {
            let parent = Self::parent(&path);
            let at_root = parent.as_os_str().is_empty() || parent == Path::new("/");
            if at_root || kept.get(&parent) == Some(&Node::Folder) {
                kept.insert(path, node);
            }
        }
        self.stable = kept;
    }
}

/// What is left of a file after a power loss.
fn lose_unsynced(content: &mut Content, random: &mut StdRng) {
    let Content { seen, stable, dirty_from, lost } = content;
    *lost = false;
    let unsynced = seen.len() - (*dirty_from).min(seen.len());
    if unsynced > 0 {
        stable.resize(*dirty_from, 0);
        let kept = random.random_range(0..=unsynced);
        let dirty = &seen[*dirty_from..];
        match random.random_range(0..5) {
            0 => {}
            1 => stable.extend_from_slice(dirty),
            2 => stable.extend_from_slice(&dirty[..kept]),
            // The new size was stored, the bytes, or the last of them, were not.
            3 => {
                stable.extend_from_slice(&dirty[..kept]);
                stable.resize(*dirty_from + unsynced, 0);
            }
            // The last bytes were stored, the first were not.
            _ => {
                stable.resize(*dirty_from + kept, 0);
                stable.extend_from_slice(&dirty[kept..]);
            }
        }
    }
    seen.clone_from(stable);
    *dirty_from = seen.len();
}

#[cfg(test)]
mod tests {
    use super::super::{Call, FileId};
    use super::*;

    fn written(disk: &mut SimDisk, path: &str, sync: bool) -> FileId {
        let id = disk.create_new(Path::new(path)).unwrap();
        disk.write(id, b"bytes").unwrap();
        if sync {
            disk.sync(id).unwrap();
        }
        id
    }

    #[test]
    fn what_is_synced_survives_and_nothing_else_has_to() {
        let mut lost = [false; 3];
        for seed in 0..40 {
            let mut disk = SimDisk::new(seed);
            disk.create_folder(Path::new("/d")).unwrap();
            written(&mut disk, "/d/whole", true);
            disk.sync_folder(Path::new("/d")).unwrap();
            disk.sync_folder(Path::new("/")).unwrap();
            written(&mut disk, "/d/unnamed", true);
            let id = disk.open(Path::new("/d/whole")).unwrap();
            disk.write(id, b"more").unwrap();
            disk.lose_power();
            assert!(disk.read(Path::new("/d/whole")).is_err(), "it stands still");
            disk.start();
            let whole = disk.read(Path::new("/d/whole")).unwrap();
            assert!(whole.starts_with(b"bytes"));
            lost[0] |= whole == b"bytes";
            lost[1] |= whole.ends_with(b"\0");
            lost[2] |= !disk.exists(Path::new("/d/unnamed"));
        }
        assert_eq!(lost, [true; 3]);
    }

    #[test]
    fn a_name_without_synced_bytes_can_survive_empty() {
        let empty = (0..40).any(|seed| {
            let mut disk = SimDisk::new(seed);
            written(&mut disk, "/file", false);
            disk.sync_folder(Path::new("/")).unwrap();
            disk.lose_power();
            disk.start();
            disk.read(Path::new("/file")).unwrap().is_empty()
        });
        assert!(empty);
    }

    #[test]
    fn a_second_sync_does_not_make_good_for_the_first() {
        let gone = (0..40).any(|seed| {
            let mut disk = SimDisk::new(seed);
            let id = written(&mut disk, "/file", false);
            disk.sync_folder(Path::new("/")).unwrap();
            disk.fail_next(Call::Sync, 1);
            disk.sync(id).unwrap_err();
            disk.sync(id).unwrap();
            disk.lose_power();
            disk.start();
            disk.read(Path::new("/file")).unwrap() == [0; 5]
        });
        assert!(gone);
    }
}
