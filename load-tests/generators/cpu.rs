//! The "cpu-only" devops data set of the Time Series Benchmark Suite: hosts with ten tags, each
//! reporting ten integer gauges at a fixed interval, all hosts of one instant before the next.
//! The same options always give the same bytes.

use std::io::Write;

use clap::Args;

const REGIONS: [(&str, &[&str]); 9] = [
    ("us-east-1", &["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1e"]),
    ("us-west-1", &["us-west-1a", "us-west-1b"]),
    ("us-west-2", &["us-west-2a", "us-west-2b", "us-west-2c"]),
    ("eu-west-1", &["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
    ("eu-central-1", &["eu-central-1a", "eu-central-1b"]),
    ("ap-southeast-1", &["ap-southeast-1a", "ap-southeast-1b"]),
    ("ap-southeast-2", &["ap-southeast-2a", "ap-southeast-2b"]),
    ("ap-northeast-1", &["ap-northeast-1a", "ap-northeast-1c"]),
    ("sa-east-1", &["sa-east-1a", "sa-east-1b", "sa-east-1c"]),
];
const RACKS: u64 = 100;
const OPERATING_SYSTEMS: [&str; 3] = ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"];
const ARCHITECTURES: [&str; 2] = ["x64", "x86"];
const TEAMS: [&str; 4] = ["SF", "NYC", "LON", "CHI"];
const SERVICES: u64 = 20;
const SERVICE_VERSIONS: u64 = 2;
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "test"];

const FIELDS: [&str; 10] = [
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

/// The shape and size of the data set.
#[derive(Debug, Clone, Args)]
pub(crate) struct CpuOptions {
    /// Hosts that report
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) hosts: u32,

    /// Rows in all
    #[arg(long, default_value_t = 1_080_000)]
    pub(crate) rows: u64,

    /// Seed of the values and of the tags
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Time of the first reading, in seconds since 1970
    #[arg(long, default_value_t = 1_451_606_400, value_parser = clap::value_parser!(u64).range(..=9_000_000_000))]
    pub(crate) start: u64,

    /// Seconds between two readings of a host
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) interval: u64,
}

/// One host: what never changes, already rendered, and where its gauges stand.
struct Host {
    series: String,
    usage: [f64; FIELDS.len()],
}

impl Host {
    fn new(number: u32, random: &mut Random) -> Self {
        let (region, datacenters) = random.pick(&REGIONS);
        let series = format!(
            "cpu,hostname=host_{number},region={region},datacenter={},rack={},os={},arch={},team={},\
             service={},service_version={},service_environment={} ",
            random.pick(datacenters),
            random.below(RACKS),
            random.pick(&OPERATING_SYSTEMS),
            random.pick(&ARCHITECTURES),
            random.pick(&TEAMS),
            random.below(SERVICES),
            random.below(SERVICE_VERSIONS),
            random.pick(&ENVIRONMENTS),
        );
        let usage = std::array::from_fn(|_| random.unit() * USAGE_MAX);
        Self { series, usage }
    }

    /// Moves every gauge by one step of its random walk.
    fn step(&mut self, random: &mut Random) {
        for value in &mut self.usage {
            *value = (*value + random.normal()).clamp(0.0, USAGE_MAX);
        }
    }
}

/// The rows of the data set, in the order in which they are sent.
pub(crate) struct CpuRows {
    hosts: Vec<Host>,
    random: Random,
    host_next: usize,
    time_ns: u64,
    interval_ns: u64,
    rows_left: u64,
}

impl CpuRows {
    pub(crate) fn new(options: &CpuOptions) -> Self {
        let mut random = Random { state: options.seed };
        Self {
            hosts: (0..options.hosts).map(|number| Host::new(number, &mut random)).collect(),
            random,
            host_next: 0,
            time_ns: options.start * 1_000_000_000,
            interval_ns: options.interval * 1_000_000_000,
            rows_left: options.rows,
        }
    }

    /// Appends the next line with its newline, or returns false when all rows were given.
    pub(crate) fn write_line(&mut self, line: &mut Vec<u8>) -> bool {
        if self.rows_left == 0 {
            return false;
        }
        self.rows_left -= 1;
        let host = &mut self.hosts[self.host_next];
        line.extend_from_slice(host.series.as_bytes());
        for (index, (name, value)) in FIELDS.iter().zip(host.usage).enumerate() {
            if index > 0 {
                line.push(b',');
            }
            line.extend_from_slice(name.as_bytes());
            write!(line, "={}i", value as u64).expect("writing to memory does not fail");
        }
        writeln!(line, " {}", self.time_ns).expect("writing to memory does not fail");

        host.step(&mut self.random);
        self.host_next += 1;
        if self.host_next == self.hosts.len() {
            self.host_next = 0;
            self.time_ns += self.interval_ns;
        }
        true
    }
}

/// SplitMix64. Written out here because a data set must not change with the version of a library.
struct Random {
    state: u64,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About normal, mean 0 and deviation 1: the sum of four uniform numbers, scaled. It takes
    /// one draw and no logarithm, whose last bit would differ between machines.
    fn normal(&mut self) -> f64 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
        let mean = 2.0 * f64::from(u16::MAX);
        (sum as f64 - mean) / f64::from(u16::MAX) * 3f64.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(seed: u64) -> CpuOptions {
        CpuOptions { hosts: 100, rows: 10_000, seed, start: 1_451_606_400, interval: 10 }
    }

    fn text(options: &CpuOptions) -> String {
        let mut rows = CpuRows::new(options);
        let mut bytes = Vec::new();
        while rows.write_line(&mut bytes) {}
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn same_seed_gives_the_same_bytes() {
        assert_eq!(text(&options(7)), text(&options(7)));
        assert_ne!(text(&options(7)), text(&options(8)));
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
            assert_eq!(series.split(',').count(), 11);
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
