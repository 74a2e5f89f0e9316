//! The rows that both servers have.

use super::Chance;
use std::fmt::Write;

/// When the rows begin: 2020-01-01T00:00:00Z.
pub(super) const START_S: i64 = 1_577_836_800;
/// How long they go on.
pub(super) const LENGTH_S: i64 = 3_600;

/// Time zones, the days on which their clocks were changed, and when that was, in seconds since 1970.
pub(super) const CLOCK_CHANGES: [(&str, &str, i64); 4] = [
    ("Europe/Berlin", "2020-03-29", 1_585_443_600),
    ("Europe/Berlin", "2020-10-25", 1_603_587_600),
    ("America/New_York", "2020-03-08", 1_583_650_800),
    ("America/New_York", "2020-11-01", 1_604_210_400),
];

const SERIES: [(&str, &str); 7] = [
    ("host=a,region=x", "a"),
    ("host=a,region=y", "b"),
    ("host=b,region=x", "c"),
    ("host=c,region=y", "d"),
    ("host=c", "e"),
    ("region=x", "f"),
    ("host=it's\\ d", "g"),
];

/// Lines in the order of their writing, which is not that of their times.
///
/// In `m` no two rows have the same time; in `g` all series have rows at the same times; `z` has rows
/// around the changes of clocks.
pub(super) fn batches() -> Vec<String> {
    let mut chance = Chance(1);
    let mut lines = Vec::new();
    for (number, (tags, _)) in SERIES.iter().enumerate() {
        let mut time_s = START_S + chance.below(60) as i64;
        while time_s < START_S + LENGTH_S {
            let time_ns = time_s * 1_000_000_000 + number as i64 * 1_000_000;
            lines.push(line(&mut chance, "m", tags, time_ns));
            // Gaps of a few seconds, and now and then of many minutes.
            time_s += match chance.one_in(25) {
                true => 300 + chance.below(900) as i64,
                false => 5 + chance.below(40) as i64,
            };
        }
    }
    for tags in SERIES.iter().map(|(tags, _)| tags).take(4) {
        for step in 0..60 {
            let time_ns = (START_S + step * 60) * 1_000_000_000;
            if !chance.one_in(8) {
                lines.push(line(&mut chance, "g", tags, time_ns));
            }
        }
    }
    for step in 0..40 {
        let time_ns = (START_S + step * 90) * 1_000_000_000 + 7_000_000;
        // The same names with other types.
        lines.push(format!("n,host=a f={}i,t=\"n{}\" {time_ns}", chance.below(50), step % 3));
    }
    for (_, _, change_s) in CLOCK_CHANGES {
        for (number, tags) in ["host=a", "host=b"].iter().enumerate() {
            let mut time_s = change_s - 40 * 3_600 + chance.below(3_600) as i64;
            while time_s < change_s + 40 * 3_600 {
                let time_ns = time_s * 1_000_000_000 + number as i64 * 1_000_000;
                lines.push(line(&mut chance, "z", tags, time_ns));
                time_s += 600 + chance.below(6_000) as i64;
            }
        }
    }
    // Later rows are written first in each of a few batches.
    let mut batches = vec![String::new(); 4];
    for (at, line) in lines.iter().enumerate() {
        let batch = &mut batches[3 - (at * 4 / lines.len())];
        writeln!(batch, "{line}").expect("in memory");
    }
    batches
}

fn line(chance: &mut Chance, measurement: &str, tags: &str, time_ns: i64) -> String {
    let mut fields = Vec::new();
    if !chance.one_in(6) {
        fields.push(format!("f={}", chance.below(2_000) as f64 / 8.0 - 100.0));
    }
    if !chance.one_in(4) {
        fields.push(format!("i={}i", chance.below(100) as i64 - 20));
    }
    if chance.one_in(3) {
        fields.push(format!("s=\"t{}\"", chance.below(4)));
    }
    if fields.is_empty() || chance.one_in(3) {
        fields.push(format!("b={}", chance.one_in(2)));
    }
    format!("{measurement},{tags} {} {time_ns}", fields.join(","))
}
