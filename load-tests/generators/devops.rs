//! The whole devops data set: nine tables a host. At each instant one table of all hosts comes
//! before the next table.

use super::cpu::Usage;
use super::devops_tables::{DISKIO, Field, KERNEL, NET, NGINX, POSTGRESL, Process, REDIS};
use super::random::Random;
use super::{DataOptions, Rows, hosts, write_float, write_integer, write_time};

pub(super) const TABLES: usize = 9;

const DISK_BYTES: u64 = 1 << 40;
const INODE_BYTES: u64 = 4096;
const FILE_SYSTEMS: [&str; 3] = ["ext3", "ext4", "btrfs"];
const MEMORY_BYTES: [u64; 3] = [8 << 30, 12 << 30, 16 << 30];
/// The earliest boot time of a host, in seconds since 1970.
const BOOT_SECONDS: u64 = 1_451_000_000;

/// One table of one host.
struct Series {
    /// Table name, tags and the blank behind them.
    name: String,
    values: Values,
}

enum Values {
    Cpu(Usage),
    Disk { free: f64 },
    Memory { total: u64, used: f64, cached: f64, buffered: f64 },
    Listed { fields: &'static [Field], values: Vec<f64> },
}

impl Values {
    fn listed(fields: &'static [Field], random: &mut Random) -> Self {
        let start = |process: &Process, random: &mut Random| match *process {
            Process::Clamped { max, start, .. } => max * start,
            Process::Growing { .. } | Process::Free { .. } | Process::Uptime => 0.0,
            Process::Fixed { max } => (BOOT_SECONDS + random.below(max)) as f64,
        };
        Self::Listed { fields, values: fields.iter().map(|(_, p)| start(p, random)).collect() }
    }

    fn memory(random: &mut Random) -> Self {
        let total = random.pick(&MEMORY_BYTES);
        let mut part = || random.unit() * total as f64;
        Self::Memory { total, used: part(), cached: part(), buffered: part() }
    }

    fn step(&mut self, random: &mut Random, interval_seconds: f64) {
        match self {
            Self::Cpu(usage) => usage.step(random),
            Self::Disk { free } => {
                *free = (*free + 50.0 + random.normal()).clamp(0.0, DISK_BYTES as f64);
            }
            Self::Memory { total, used, cached, buffered } => {
                let total = *total as f64;
                for value in [used, cached, buffered] {
                    *value = (*value + random.normal() * total / 64.0).clamp(0.0, total);
                }
            }
            Self::Listed { fields, values } => {
                for ((_, process), value) in fields.iter().zip(values) {
                    *value = moved(*process, *value, random, interval_seconds);
                }
            }
        }
    }

    fn write(&self, line: &mut Vec<u8>) {
        match self {
            Self::Cpu(usage) => usage.write(line),
            Self::Disk { free } => write_disk(line, *free as u64),
            Self::Memory { total, used, cached, buffered } => {
                write_memory(line, *total, *used as u64, *cached as u64, *buffered as u64);
            }
            Self::Listed { fields, values } => {
                let pairs = fields.iter().zip(values);
                write_fields(line, pairs.map(|((name, _), value)| (*name, *value as u64)));
            }
        }
    }
}

/// The value of the next reading.
fn moved(process: Process, value: f64, random: &mut Random, interval_seconds: f64) -> f64 {
    match process {
        Process::Clamped { mean, max, .. } => (value + mean + random.normal()).clamp(0.0, max),
        Process::Growing { mean } => value + (mean + random.normal()).abs(),
        Process::Free { mean } => (value + mean + random.normal()).max(0.0),
        Process::Uptime => value + interval_seconds,
        Process::Fixed { .. } => value,
    }
}

fn write_fields(line: &mut Vec<u8>, fields: impl Iterator<Item = (&'static str, u64)>) {
    for (index, (name, value)) in fields.enumerate() {
        if index > 0 {
            line.push(b',');
        }
        line.extend_from_slice(name.as_bytes());
        line.push(b'=');
        write_integer(line, value);
    }
}

fn write_disk(line: &mut Vec<u8>, free: u64) {
    let used = DISK_BYTES - free;
    let inodes_total = DISK_BYTES / INODE_BYTES;
    let inodes_free = free / INODE_BYTES;
    let fields = [
        ("total", DISK_BYTES),
        ("free", free),
        ("used", used),
        ("used_percent", (100.0 * (used as f64 / DISK_BYTES as f64)) as u64),
        ("inodes_total", inodes_total),
        ("inodes_free", inodes_free),
        ("inodes_used", inodes_total - inodes_free),
    ];
    write_fields(line, fields.into_iter());
}

fn write_memory(line: &mut Vec<u8>, total: u64, used: u64, cached: u64, buffered: u64) {
    let available = total - used;
    let bytes = [
        ("total", total),
        ("available", available),
        ("used", used),
        ("free", available),
        ("cached", cached),
        ("buffered", buffered),
    ];
    write_fields(line, bytes.into_iter());
    let percents =
        [("used_percent", used), ("available_percent", available), ("buffered_percent", buffered)];
    for (name, part) in percents {
        line.push(b',');
        line.extend_from_slice(name.as_bytes());
        line.push(b'=');
        write_float(line, 100.0 * (part as f64 / total as f64), 6);
    }
}

/// The rows of the data set.
pub(super) struct DevopsRows {
    /// Series of table t and host h at t × hosts + h.
    series: Vec<Series>,
    random: Random,
    next: usize,
    time_ns: u64,
    interval_seconds: u64,
    rows_left: u64,
}

impl DevopsRows {
    pub(super) fn new(options: &DataOptions) -> Self {
        let mut random = Random::new(options.seed);
        let tags: Vec<String> =
            (0..options.hosts).map(|number| hosts::tags(number, &mut random)).collect();
        let mut series = Vec::with_capacity(tags.len() * TABLES);
        for table in 0..TABLES {
            series.extend(tags.iter().map(|tags| new_series(table, tags, &mut random)));
        }
        Self {
            series,
            random,
            next: 0,
            time_ns: options.start * 1_000_000_000,
            interval_seconds: options.interval,
            rows_left: options.row_count(),
        }
    }
}

fn new_series(table: usize, tags: &str, random: &mut Random) -> Series {
    let server = |name: &str, random: &mut Random| {
        let (port, server) = (1024 + random.below(20_000), random.below(100_000));
        format!("{name}{tags},port={port},server={name}_{server} ")
    };
    let (name, values) = match table {
        0 => (format!("cpu{tags} "), Values::Cpu(Usage::new(random))),
        1 => {
            let [a, b, c] = std::array::from_fn(|_| random.below(1000));
            let name = format!("diskio{tags},serial={a:03}-{b:03}-{c:03} ");
            (name, Values::listed(&DISKIO, random))
        }
        2 => {
            let (number, kind) = (random.below(10), random.pick(&FILE_SYSTEMS));
            let name = format!("disk{tags},path=/dev/sda{number},fstype={kind} ");
            (name, Values::Disk { free: DISK_BYTES as f64 / 2.0 })
        }
        3 => (format!("kernel{tags} "), Values::listed(&KERNEL, random)),
        4 => (format!("mem{tags} "), Values::memory(random)),
        5 => {
            let name = format!("net{tags},interface=eth{} ", random.below(4));
            (name, Values::listed(&NET, random))
        }
        6 => (server("nginx", random), Values::listed(&NGINX, random)),
        7 => (format!("postgresl{tags} "), Values::listed(&POSTGRESL, random)),
        _ => (server("redis", random), Values::listed(&REDIS, random)),
    };
    Series { name, values }
}

impl Rows for DevopsRows {
    fn write_line(&mut self, line: &mut Vec<u8>) -> bool {
        if self.rows_left == 0 {
            return false;
        }
        self.rows_left -= 1;
        let series = &mut self.series[self.next];
        line.extend_from_slice(series.name.as_bytes());
        series.values.write(line);
        write_time(line, self.time_ns);

        series.values.step(&mut self.random, self.interval_seconds as f64);
        self.next += 1;
        if self.next == self.series.len() {
            self.next = 0;
            self.time_ns += self.interval_seconds * 1_000_000_000;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generators::DataSet;
    use crate::generators::tests::text;
    use std::collections::{BTreeMap, HashSet};

    fn lines() -> String {
        text(&DataOptions::new(DataSet::Devops, 10, 3600))
    }

    fn fields(line: &str) -> BTreeMap<&str, f64> {
        let fields = line.split(' ').nth(1).unwrap();
        let pairs = fields.split(',').map(|field| field.split_once('=').unwrap());
        pairs.map(|(name, value)| (name, value.trim_end_matches('i').parse().unwrap())).collect()
    }

    #[test]
    fn nine_tables_have_their_fields() {
        let text = lines();
        let mut tables: BTreeMap<&str, HashSet<usize>> = BTreeMap::new();
        for line in text.lines() {
            let table = line.split(',').next().unwrap();
            tables.entry(table).or_default().insert(fields(line).len());
        }
        let counts: Vec<(&str, Vec<usize>)> = tables
            .into_iter()
            .map(|(table, counts)| (table, counts.into_iter().collect()))
            .collect();
        let expected = [
            ("cpu", 10),
            ("disk", 7),
            ("diskio", 7),
            ("kernel", 6),
            ("mem", 9),
            ("net", 8),
            ("nginx", 7),
            ("postgresl", 16),
            ("redis", 31),
        ];
        assert_eq!(counts, expected.map(|(table, count)| (table, vec![count])));
    }

    #[test]
    fn a_series_keeps_its_tags() {
        let text = lines();
        let series: HashSet<&str> = text.lines().map(|l| l.split(' ').next().unwrap()).collect();
        assert_eq!(series.len(), 10 * TABLES);
    }

    #[test]
    fn values_stay_in_their_ranges() {
        for line in lines().lines() {
            let fields = fields(line);
            if line.starts_with("mem,") {
                assert!(fields["used"] + fields["available"] == fields["total"], "{line}");
                assert!((0.0..=100.0).contains(&fields["used_percent"]), "{line}");
            } else if line.starts_with("disk,") {
                assert!(fields["used"] + fields["free"] == fields["total"], "{line}");
            } else if line.starts_with("postgresl,") {
                assert!(fields["numbackends"] <= 1000.0, "{line}");
            }
        }
    }

    #[test]
    fn counters_never_go_down() {
        let mut last: BTreeMap<String, f64> = BTreeMap::new();
        for line in lines().lines().filter(|line| line.starts_with("net,")) {
            let series = line.split(' ').next().unwrap().to_owned();
            let sent = fields(line)["bytes_sent"];
            let before = last.insert(series, sent).unwrap_or(0.0);
            assert!(sent >= before, "{line}");
        }
    }
}
