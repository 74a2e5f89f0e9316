//! The "cpu-only" devops data set of the Time Series Benchmark Suite: hosts with ten tags, each
//! reporting ten integer gauges at a fixed interval, all hosts of one instant before the next.

use super::random::Random;
use super::{DataOptions, Rows, hosts, write_integer, write_time};

/// The fields of `cpu`, in their order.
pub(crate) const FIELDS: [&str; 10] = [
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
];
const USAGE_MAX: f64 = 100.0;

/// The gauges of one host: clamped random walks.
pub(super) struct Usage([f64; FIELDS.len()]);

impl Usage {
    pub(super) fn new(random: &mut Random) -> Self {
        Self(std::array::from_fn(|_| random.unit() * USAGE_MAX))
    }

    pub(super) fn write(&self, line: &mut Vec<u8>) {
        for (index, (name, value)) in FIELDS.iter().zip(self.0).enumerate() {
            if index > 0 {
                line.push(b',');
            }
            line.extend_from_slice(name.as_bytes());
            line.push(b'=');
            write_integer(line, value as u64);
        }
    }

    /// Moves every gauge by one step.
    pub(super) fn step(&mut self, random: &mut Random) {
        for value in &mut self.0 {
            *value = (*value + random.normal()).clamp(0.0, USAGE_MAX);
        }
    }
}

/// One host: what never changes, already rendered, and where its gauges stand.
struct Host {
    series: String,
    usage: Usage,
}

/// The rows of the data set.
pub(super) struct CpuRows {
    hosts: Vec<Host>,
    random: Random,
    host_next: usize,
    time_ns: u64,
    interval_ns: u64,
    rows_left: u64,
}

impl CpuRows {
    pub(super) fn new(options: &DataOptions) -> Self {
        let mut random = Random::new(options.seed);
        let hosts = (0..options.hosts)
            .map(|number| Host {
                series: format!("cpu{} ", hosts::tags(number, &mut random)),
                usage: Usage::new(&mut random),
            })
            .collect();
        Self {
            hosts,
            random,
            host_next: 0,
            time_ns: options.start * 1_000_000_000,
            interval_ns: options.interval * 1_000_000_000,
            rows_left: options.row_count(),
        }
    }
}

impl Rows for CpuRows {
    fn write_line(&mut self, line: &mut Vec<u8>) -> bool {
        if self.rows_left == 0 {
            return false;
        }
        self.rows_left -= 1;
        let host = &mut self.hosts[self.host_next];
        line.extend_from_slice(host.series.as_bytes());
        host.usage.write(line);
        write_time(line, self.time_ns);

        host.usage.step(&mut self.random);
        self.host_next += 1;
        if self.host_next == self.hosts.len() {
            self.host_next = 0;
            self.time_ns += self.interval_ns;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generators::tests::text;

    /// The tags of every devops table, in their order.
    const TAGS: [&str; 10] = [
        "hostname",
        "region",
        "datacenter",
        "rack",
        "os",
        "arch",
        "team",
        "service",
        "service_version",
        "service_environment",
    ];

    fn options(seed: u64) -> DataOptions {
        DataOptions { seed, ..DataOptions::cpu_rows(100, 10_000) }
    }

    #[test]
    fn lines_have_the_length_of_the_suite() {
        let text = text(&options(1));
        assert_eq!(text.lines().count(), 10_000);
        let mean = text.len() / 10_000;
        assert!((325..=365).contains(&mean), "mean line length is {mean}");
    }

    #[test]
    fn all_hosts_of_an_instant_come_before_the_next() {
        for (row, line) in text(&options(1)).lines().enumerate() {
            let host = format!("cpu,hostname=host_{},", row % 100);
            let time =
                format!(" {}", 1_451_606_400_000_000_000 + (row as u64 / 100) * 10_000_000_000);
            assert!(line.starts_with(&host) && line.ends_with(&time), "row {row}: {line}");
        }
    }

    #[test]
    fn a_line_has_ten_tags_and_ten_integers_in_range() {
        for line in text(&options(3)).lines() {
            let parts: Vec<&str> = line.split(' ').collect();
            let [series, fields, _time] = parts[..] else { panic!("not three parts: {line}") };
            let tags: Vec<&str> =
                series.split(',').skip(1).map(|tag| tag.split('=').next().unwrap()).collect();
            assert_eq!(tags, TAGS);
            let values: Vec<u64> = fields
                .split(',')
                .map(|field| field.split_once('=').unwrap().1)
                .map(|value| value.strip_suffix('i').unwrap().parse().unwrap())
                .collect();
            assert_eq!(values.len(), 10);
            assert!(values.iter().all(|&value| value <= 100), "out of range: {line}");
        }
    }

    #[test]
    fn a_host_keeps_its_tags() {
        let text = text(&options(5));
        let series: std::collections::HashSet<&str> =
            text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(series.len(), 100);
    }
}
