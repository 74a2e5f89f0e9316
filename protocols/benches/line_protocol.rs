//! How fast line protocol becomes columns, beside the published parser of the InfluxDB project,
//! which stops at borrowed slices of the text.
//!
//! The main load is that of server monitoring: one table, ten tags, ten integer fields, the hosts
//! taking turns. `first_seen` has each series once, `mixed` has several tables and strings.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use protocols::line_protocol::{ParseOptions, Precision, SchemaLimits, parse};
use std::fmt::Write;
use std::hint::black_box;

/// The allocator of the server.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const START_NS: i64 = 1_748_736_000_000_000_000;
const STEP_NS: i64 = 10_000_000_000;
const REGIONS: [&str; 5] = ["us-east-1", "us-west-1", "eu-central-1", "eu-west-1", "sa-east-1"];
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

/// A generator of numbers that is the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn tags(host: usize) -> String {
    let mut numbers = Numbers(host as u64);
    let region = REGIONS[host % REGIONS.len()];
    let zone = ["a", "b", "c"][host % 3];
    format!(
        "hostname=host_{host},region={region},datacenter={region}{zone},rack={},\
         os=Ubuntu16.04LTS,arch=x64,team=SF,service={},service_version={},\
         service_environment=production",
        numbers.below(100),
        numbers.below(20),
        numbers.below(2),
    )
}

/// `lines` lines of the table `cpu`, the hosts taking turns.
fn cpu_only(lines: usize, hosts: usize) -> String {
    let tags: Vec<String> = (0..hosts).map(tags).collect();
    let mut numbers = Numbers(1);
    let mut body = String::new();
    for line in 0..lines {
        body += "cpu,";
        body += &tags[line % hosts];
        for (i, field) in FIELDS.iter().enumerate() {
            body.push(if i == 0 { ' ' } else { ',' });
            write!(body, "{field}={}i", numbers.below(101)).expect("writes to a string");
        }
        let time = START_NS + (line / hosts) as i64 * STEP_NS;
        writeln!(body, " {time}").expect("writes to a string");
    }
    body
}

/// Tables taking turns, floats, strings with escapes, and a field that comes and goes.
fn mixed(lines: usize) -> String {
    let mut numbers = Numbers(2);
    let mut body = String::new();
    for line in 0..lines {
        let host = line / 4 % 200;
        let (whole, part) = (numbers.below(100), numbers.below(1000));
        let time = START_NS + line as i64;
        let text = match line % 4 {
            0 => format!("mem,host=h{host},region=eu used={whole}.{part},free={part}.5,pages=3u"),
            1 => format!("disk,host=h{host},path=/var used={whole}i,full=false"),
            2 => format!("log,host=h{host} level=\"info\",message=\"took \\\"{part}\\\" ms, ok\""),
            _ if whole < 30 => format!("net,host=h{host} in={part}i,out={whole}i,errors=1i"),
            _ => format!("net,host=h{host} in={part}i,out={whole}i"),
        };
        writeln!(body, "{text} {time}").expect("writes to a string");
    }
    body
}

fn line_protocol(criterion: &mut Criterion) {
    let options = ParseOptions {
        precision: Precision::Nanosecond,
        received_at_ns: START_NS,
        accept_partial: true,
        limits: SchemaLimits::default(),
        live_tables: 0,
        immutable_tags: false,
        oldest_ns: None,
    };
    let loads = [
        ("cpu_only", cpu_only(5000, 1000), 5000),
        ("first_seen", cpu_only(5000, 5000), 5000),
        ("mixed", mixed(5000), 5000),
    ];
    let mut group = criterion.benchmark_group("line_protocol");
    for (name, body, lines) in &loads {
        let write = parse(body.as_bytes(), None, &options).expect("the body is UTF-8");
        assert_eq!((write.accepted_lines, write.errors.len()), (*lines, 0));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::new("columns", name), body, |bencher, body| {
            bencher.iter(|| parse(black_box(body.as_bytes()), None, &options));
        });
        group.bench_with_input(BenchmarkId::new("reference", name), body, |bencher, body| {
            bencher.iter(|| {
                let lines = influxdb_line_protocol::parse_lines(black_box(body));
                lines.filter(Result::is_ok).count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, line_protocol);
criterion_main!(benches);
