//! A limit of memory for a process and all that it starts: a control group of its own, where the
//! system lets this process make one. Linux only; see `man 7 cgroups`.
//!
//! In version 1 of the interface any group that belongs to this process's user may have groups below
//! it. In version 2 the group around them must hand its control of memory down, which it may only
//! while no process is in it: so the new group is tried below that of this process, and beside it,
//! which is what `Delegate=` with `DelegateSubgroup=` of systemd makes room for.

#![expect(
    clippy::disallowed_methods,
    reason = "these files are not the disk's: the system answers"
)]

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How the names of the groups begin; the number of the server's process follows, and that of the
/// plugins'.
const PREFIX: &str = "influxdb3-plugins-";

/// A group. Dropping it ends whoever is in it.
#[derive(Debug)]
pub(super) struct ControlGroup {
    folder: PathBuf,
}

impl ControlGroup {
    /// Puts a process into a group of its own, all of which may take so much memory.
    ///
    /// # Errors
    /// When the system does not let it: the last of its reasons.
    pub(super) fn confine(process: u32, memory_bytes: u64) -> io::Result<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let mut refused = io::Error::from(io::ErrorKind::Unsupported);
        for (parent, limit) in parents(&groups) {
            remove_leftovers(&parent);
            let name = format!("{PREFIX}{}-{process}", std::process::id());
            match Self::make(&parent, &name, limit, process, memory_bytes) {
                Ok(group) => return Ok(group),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn make(
        parent: &Path,
        name: &str,
        limit: &str,
        process: u32,
        memory_bytes: u64,
    ) -> io::Result<Self> {
        let group = Self { folder: parent.join(name) };
        fs::create_dir(&group.folder)?;
        if !group.folder.join(limit).exists() {
            fs::write(parent.join("cgroup.subtree_control"), "+memory")?;
        }
        fs::write(group.folder.join(limit), memory_bytes.to_string())?;
        fs::write(group.folder.join("cgroup.procs"), process.to_string())?;
        Ok(group)
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let processes = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        let numbers = processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?));
        for process in numbers {
            kill_process(process, Signal::KILL).ok(); // it has ended already
        }
        // Refused as long as one of them is ending; then the next group's turn is time enough.
        fs::remove_dir(&self.folder).ok();
    }
}

/// Where a group may be made by a process with this `/proc/self/cgroup`, and which file has the limit.
fn parents(groups: &str) -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let group = group.trim_start_matches('/');
        if controllers.split(',').any(|name| name == "memory") {
            found.push((Path::new("/sys/fs/cgroup/memory").join(group), "memory.limit_in_bytes"));
        } else if controllers.is_empty() {
            let own = Path::new("/sys/fs/cgroup").join(group);
            let beside = own.parent().filter(|_| !group.is_empty()).map(Path::to_owned);
            found.extend([Some(own), beside].into_iter().flatten().map(|p| (p, "memory.max")));
        }
    }
    found
}

/// Removes the groups of servers that are gone, and of this one, in which nobody is any more.
fn remove_leftovers(parent: &Path) {
    for group in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = group.file_name();
        let numbers = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some((server, _)) = numbers.and_then(|numbers| numbers.split_once('-')) else {
            continue;
        };
        let Some(server) = server.parse().ok().and_then(Pid::from_raw) else { continue };
        let is_own = server.as_raw_nonzero().get().unsigned_abs() == std::process::id();
        if is_own || test_kill_process(server) == Err(Errno::SRCH) {
            fs::remove_dir(group.path()).ok(); // refused if somebody is in it
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn groups_are_made_below_and_beside_that_of_the_process() {
        let found =
            parents("9:name=systemd:/\n4:cpu,memory:/docker/1\n0::/system.slice/i.service\n");
        let wanted = [
            ("/sys/fs/cgroup/memory/docker/1", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup/system.slice/i.service", "memory.max"),
            ("/sys/fs/cgroup/system.slice", "memory.max"),
        ];
        assert_eq!(found, wanted.map(|(folder, file)| (PathBuf::from(folder), file)));
        assert_eq!(parents("0::/\n"), [(PathBuf::from("/sys/fs/cgroup/"), "memory.max")]);
        assert_eq!(parents("nothing\n"), []);
    }

    #[test]
    fn whoever_is_in_a_group_ends_with_it() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let confined = ControlGroup::confine(child.id(), 1 << 30);
        match confined {
            Ok(group) => {
                let of_child = fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
                assert!(of_child.contains(PREFIX), "{of_child}");
                drop(group);
                assert!(!child.wait().unwrap().success());
            }
            Err(error) => {
                // Most machines let nobody but root make groups. No trace of the try stays.
                child.kill().unwrap();
                child.wait().unwrap();
                assert!(error.raw_os_error().is_some(), "{error:?}");
            }
        }
    }
}
