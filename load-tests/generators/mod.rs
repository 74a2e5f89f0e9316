//! Data sets, one a file: rows of line protocol that depend on their options alone.

pub(crate) mod cpu;
mod devops;
mod devops_tables;
mod hosts;
mod iot;
pub(crate) mod random;

use std::io::Write;

use clap::{Args, ValueEnum};

use cpu::CpuRows;
use devops::DevopsRows;
use iot::IotRows;

/// 2016-01-01, where the public suite begins too.
pub(crate) const START_SECONDS: u64 = 1_451_606_400;
const ROWS_DEFAULT: u64 = 1_080_000;

/// Which data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataSet {
    /// One table of ten gauges a host
    CpuOnly,
    /// Nine tables a host
    Devops,
    /// Two tables of vehicles: late rows, absent fields and absent tags
    Iot,
}

impl DataSet {
    /// Rows that a host has at one instant.
    fn tables(self) -> u64 {
        match self {
            Self::CpuOnly => 1,
            Self::Devops => devops::TABLES as u64,
            Self::Iot => iot::TABLES,
        }
    }
}

/// The shape and size of a data set.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataOptions {
    /// Which data set
    #[arg(long, value_enum, default_value = "cpu-only")]
    pub(crate) set: DataSet,

    /// Hosts, or vehicles, that report
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) hosts: u32,

    /// Rows in all [default: 1080000, or as many as --span has]
    #[arg(long, conflicts_with = "span")]
    pub(crate) rows: Option<u64>,

    /// Seconds of row time that the data set covers
    #[arg(long)]
    pub(crate) span: Option<u64>,

    /// Seed of the values and of the tags
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Time of the first reading, in seconds since 1970
    #[arg(long, default_value_t = START_SECONDS, value_parser = clap::value_parser!(u64).range(..=9_000_000_000))]
    pub(crate) start: u64,

    /// Seconds between two readings of a host
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) interval: u64,
}

impl DataOptions {
    /// A data set with the usual seed, start and interval.
    pub(crate) fn new(set: DataSet, hosts: u32, span_seconds: u64) -> Self {
        Self {
            set,
            hosts,
            rows: None,
            span: Some(span_seconds),
            seed: 1,
            start: START_SECONDS,
            interval: 10,
        }
    }

    /// The usual cpu-only set with so many rows.
    pub(crate) fn cpu_rows(hosts: u32, rows: u64) -> Self {
        Self { rows: Some(rows), span: None, ..Self::new(DataSet::CpuOnly, hosts, 0) }
    }

    pub(crate) fn row_count(&self) -> u64 {
        match (self.rows, self.span) {
            (Some(rows), _) => rows,
            (None, Some(span)) => span.div_ceil(self.interval) * self.rows_an_instant(),
            (None, None) => ROWS_DEFAULT,
        }
    }

    /// Seconds between the first reading and the end of the last one's interval.
    pub(crate) fn span_seconds(&self) -> u64 {
        self.row_count().div_ceil(self.rows_an_instant()) * self.interval
    }

    fn rows_an_instant(&self) -> u64 {
        u64::from(self.hosts) * self.set.tables()
    }

    pub(crate) fn rows(&self) -> Box<dyn Rows + Send> {
        match self.set {
            DataSet::CpuOnly => Box::new(CpuRows::new(self)),
            DataSet::Devops => Box::new(DevopsRows::new(self)),
            DataSet::Iot => Box::new(IotRows::new(self)),
        }
    }
}

/// The rows of a data set, in the order in which they are sent.
pub(crate) trait Rows {
    /// Appends the next line with its newline, or returns false when all rows were given.
    fn write_line(&mut self, line: &mut Vec<u8>) -> bool;
}

/// FNV-1a over every byte of a data set: two loads with equal checksums sent the same data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checksum(u64);

impl Checksum {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Appends an integer field's value.
fn write_integer(line: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[first..]);
    line.push(b'i');
}

/// Appends the time and the end of a line.
fn write_time(line: &mut Vec<u8>, time_ns: u64) {
    line.push(b' ');
    write_integer(line, time_ns);
    line.pop();
    line.push(b'\n');
}

/// Appends a float field's value.
fn write_float(line: &mut Vec<u8>, value: f64, decimals: usize) {
    write!(line, "{value:.decimals$}").expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn text(options: &DataOptions) -> String {
        let mut rows = options.rows();
        let mut bytes = Vec::new();
        while rows.write_line(&mut bytes) {}
        String::from_utf8(bytes).unwrap()
    }

    fn checksum(options: &DataOptions) -> String {
        let mut checksum = Checksum::new();
        checksum.add(text(options).as_bytes());
        checksum.text()
    }

    const SETS: [DataSet; 3] = [DataSet::CpuOnly, DataSet::Devops, DataSet::Iot];

    #[test]
    fn same_options_give_the_same_bytes_and_another_seed_others() {
        for set in SETS {
            let options = DataOptions::new(set, 20, 600);
            assert_eq!(checksum(&options), checksum(&options));
            assert_ne!(checksum(&options), checksum(&DataOptions { seed: 2, ..options }));
        }
    }

    /// Whoever changes a data set must know it: recorded measurements then compare no longer.
    #[test]
    fn checksums_are_fixed() {
        let sums = SETS.map(|set| checksum(&DataOptions::new(set, 20, 600)));
        assert_eq!(sums, ["bcd2c1759685be0a", "6f64c152427904fd", "462cc2c334c51430"]);
    }

    #[test]
    fn spans_and_row_counts_agree() {
        for set in SETS {
            let options = DataOptions::new(set, 7, 605);
            assert_eq!(options.row_count(), 61 * 7 * set.tables());
            assert_eq!(options.span_seconds(), 610);
            assert_eq!(text(&options).lines().count() as u64, options.row_count());
        }
        let options = DataOptions::cpu_rows(100, 10_001);
        assert_eq!((options.row_count(), options.span_seconds()), (10_001, 1010));
    }

    #[test]
    fn integers_are_written_in_full() {
        for value in [0, 7, 10, 99, 100, 1_451_606_400_000_000_000, u64::MAX] {
            let mut line = Vec::new();
            write_integer(&mut line, value);
            assert_eq!(line, format!("{value}i").as_bytes());
        }
    }
}
