//! What a process of this machine has used, read from `/proc`.

use std::{fmt, fs};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Clock ticks a second in `/proc/PID/stat`; Linux fixes it at 100 for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process used between two readings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProcessUse {
    pub(crate) cpu_seconds: f64,
    /// Since the process began, not only between the readings.
    pub(crate) rss_peak_mib: f64,
}

/// Where results are measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) cpu: String,
    pub(crate) kernel: String,
}

impl Machine {
    /// This one; what cannot be found out is called unknown.
    pub(crate) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib.unwrap_or_default() / 1024,
            cpu: value(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown CPU".to_owned()),
            kernel: if kernel.is_empty() { "unknown".to_owned() } else { kernel },
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.memory_mib as f64 / 1024.0;
        write!(
            out,
            "{} cores ({}), {gib:.0} GiB memory, Linux {}",
            self.cores, self.cpu, self.kernel
        )
    }
}

/// A process and the CPU time that it had used when the watch began.
pub(crate) struct ProcessMeter {
    pid: u32,
    cpu_seconds_before: f64,
}

impl ProcessMeter {
    pub(crate) fn start(pid: u32) -> Result<Self> {
        Ok(Self { pid, cpu_seconds_before: cpu_seconds(pid)? })
    }

    /// Counts from the process's beginning.
    pub(crate) fn from_birth(pid: u32) -> Self {
        Self { pid, cpu_seconds_before: 0.0 }
    }

    pub(crate) fn read(&self) -> Result<ProcessUse> {
        Ok(ProcessUse {
            cpu_seconds: cpu_seconds(self.pid)? - self.cpu_seconds_before,
            rss_peak_mib: rss_peak_mib(self.pid)?,
        })
    }
}

/// CPU seconds of those threads of a process whose names begin with `prefix`, since they began.
pub(crate) fn thread_cpu_seconds(pid: u32, prefix: &str) -> Result<f64> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).with_context(|| format!("cannot list {folder}"))?;
    let mut ticks = 0;
    for thread in threads {
        let path = thread.context("cannot list threads")?.path();
        // A thread may end while its files are read.
        let read = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
        if read("comm").starts_with(prefix) {
            ticks += cpu_ticks(&read("stat")).unwrap_or_default();
        }
    }
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    cpu_ticks(&text)
        .map(|ticks| ticks as f64 / TICKS_PER_SECOND)
        .with_context(|| format!("{path} has no CPU times"))
}

/// User plus system time. The name in the second field may hold blanks and brackets, so fields
/// are counted from the last bracket.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn rss_peak_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "VmHWM")
}

/// What a process has in memory now that is not of files.
pub(crate) fn rss_anonymous_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "RssAnon")
}

fn status_mib(pid: u32, name: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse().ok())
        .with_context(|| format!("{path} has no {name}"))?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_hostile_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 9 9 20 0 1 0 5 6";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let used = ProcessMeter::start(std::process::id()).unwrap().read().unwrap();
        assert!(used.cpu_seconds >= 0.0 && used.rss_peak_mib > 0.0);
        let pid = std::process::id();
        assert!(rss_anonymous_mib(pid).unwrap() > 0.0);
        assert!(thread_cpu_seconds(pid, "").unwrap() >= 0.0);
        assert_eq!(thread_cpu_seconds(pid, "no thread has this name").unwrap(), 0.0);
    }
}
