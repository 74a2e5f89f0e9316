//! How much memory this process may use.

use std::fs::read_to_string;

/// Assumed where the system does not say.
const FALLBACK_BYTES: usize = 4 << 30;

/// What the process itself takes at most: its code, stacks, copies that are being made, and what
/// the allocator keeps for later. Measured: 100 to 200 MiB under full load.
const OWN_BYTES_MAX: usize = 128 << 20;

/// Bytes of memory for data, of which percentages count: what is available without what the
/// process itself takes, for which a quarter is kept free on small machines.
pub fn data_bytes() -> usize {
    without_own(available_bytes())
}

fn without_own(available: usize) -> usize {
    available - OWN_BYTES_MAX.min(available / 4)
}

/// Bytes of memory: the machine's, or the limit of the container, service or control group that
/// the process runs in, if that is smaller.
pub fn available_bytes() -> usize {
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups);
    let limits = limits.iter().filter_map(|path| read_to_string(path).ok()?.trim().parse().ok());
    limits.chain(machine_bytes()).min().unwrap_or(FALLBACK_BYTES)
}

/// The files that may hold a limit for a process with this `/proc/self/cgroup`: of its control
/// group and of those around it, in both versions of the interface (`man 7 cgroups`).
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let mut folder = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{folder}/{name}"));
            let Some((above, _)) = folder.rsplit_once('/') else { break };
            folder = above;
        }
    }
    files
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_leaves_room_for_the_process() {
        assert_eq!(without_own(256 << 20), 192 << 20);
        assert_eq!(without_own(512 << 20), 384 << 20);
        assert_eq!(without_own(8 << 30), (8 << 30) - (128 << 20));
    }

    #[test]
    fn limits_are_looked_for_in_all_groups_around_the_process() {
        let unified = "0::/system.slice/influxdb3.service\n";
        let expected = [
            "/sys/fs/cgroup/system.slice/influxdb3.service/memory.max",
            "/sys/fs/cgroup/system.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(limit_files(unified), expected);
        let legacy = "5:cpu,cpuacct:/x\n4:memory:/soak\n0::/\n";
        let expected = [
            "/sys/fs/cgroup/memory/soak/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(limit_files(legacy), expected);
        assert!(limit_files("").is_empty());
    }
}
