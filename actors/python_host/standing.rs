//! What a process that runs plugins takes, for whoever wants to know.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the processes of one host take. The host writes this, metrics read it.
#[derive(Debug, Default)]
pub struct HostStanding {
    ends: AtomicU64,
    /// Of processes that have ended.
    earlier_cpu_ms: AtomicU64,
    cpu_ms: AtomicU64,
    memory_bytes: AtomicU64,
}

impl HostStanding {
    /// Looks at the running process.
    pub(super) fn look(&self, pid: u32) {
        if let Some(taken) = taken(pid) {
            self.cpu_ms.store(taken.cpu_ms, Ordering::Relaxed);
            self.memory_bytes.store(taken.memory_bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn ended(&self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
        self.memory_bytes.store(0, Ordering::Relaxed);
        let cpu_ms = self.cpu_ms.swap(0, Ordering::Relaxed);
        self.earlier_cpu_ms.fetch_add(cpu_ms, Ordering::Relaxed);
    }

    /// How often a process has ended.
    pub fn ends(&self) -> u64 {
        self.ends.load(Ordering::Relaxed)
    }

    /// Processor time of all its processes, as of the last look, some tenths of a second ago. Zero
    /// where the system does not tell.
    pub fn cpu_time(&self) -> Duration {
        let ms = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Duration::from_millis(ms(&self.earlier_cpu_ms) + ms(&self.cpu_ms))
    }

    /// Resident memory of the process, without that of processes which plugins have started.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }
}

struct Taken {
    cpu_ms: u64,
    memory_bytes: u64,
}

/// The kernel tells programs of a hundred ticks a second, whatever its own clock does.
#[cfg(target_os = "linux")]
const MS_A_TICK: u64 = 10;

/// As Linux tells it: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "the kernel tells, no disk is read")]
fn taken(pid: u32) -> Option<Taken> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may have blanks and brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    let field = |at: usize| fields.split_ascii_whitespace().nth(at)?.parse::<u64>().ok();
    let cpu_ms = (field(11)? + field(12)?) * MS_A_TICK;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Taken { cpu_ms, memory_bytes: kib * 1024 })
}

#[cfg(not(target_os = "linux"))]
fn taken(_: u32) -> Option<Taken> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_looked_at() {
        let standing = HostStanding::default();
        standing.look(std::process::id());
        assert!(standing.memory_bytes() > 1_000_000);
        let before = standing.cpu_time();
        standing.ended();
        assert_eq!((standing.memory_bytes(), standing.ends()), (0, 1));
        assert_eq!(standing.cpu_time(), before);
    }
}
