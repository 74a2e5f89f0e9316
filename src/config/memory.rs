//! How much memory this process may use.

use std::fs::read_to_string;

/// Assumed where the system does not say.
const FALLBACK_BYTES: usize = 4 << 30;

/// Bytes of memory: the machine's, or the limit of the container if that is smaller.
pub fn available_bytes() -> usize {
    let limits = [
        "/sys/fs/cgroup/memory.max",                   // cgroup v2
        "/sys/fs/cgroup/memory/memory.limit_in_bytes", // cgroup v1
    ];
    let limits = limits.iter().filter_map(|path| read_to_string(path).ok()?.trim().parse().ok());
    limits.chain(machine_bytes()).min().unwrap_or(FALLBACK_BYTES)
}

#[cfg(target_os = "linux")]
fn machine_bytes() -> Option<usize> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(target_os = "macos")]
fn machine_bytes() -> Option<usize> {
    let output = std::process::Command::new("sysctl").args(["-n", "hw.memsize"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn machine_bytes() -> Option<usize> {
    None
}
