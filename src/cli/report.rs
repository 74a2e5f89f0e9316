//! What `write` tells on stderr while it works.

use std::fmt::Display;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// What has been sent so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

/// Tells of progress: one line a finished request, or a bar that is redrawn, or nothing.
pub(super) struct Report {
    started: Instant,
    totals: Totals,
    manner: Manner,
}

enum Manner {
    Quiet,
    Lines,
    Bar(ProgressBar),
}

impl Report {
    /// `expected_bytes` is the size of the input if it is known and takes several requests: then
    /// a terminal gets a bar.
    pub(super) fn new(is_quiet: bool, expected_bytes: Option<u64>) -> Self {
        let manner = match expected_bytes {
            _ if is_quiet => Manner::Quiet,
            Some(bytes) if std::io::stderr().is_terminal() => Manner::Bar(bar(bytes)),
            _ => Manner::Lines,
        };
        Self { started: Instant::now(), totals: Totals::default(), manner }
    }

    /// One request was accepted.
    pub(super) fn add(&mut self, lines: u64, bytes: u64) {
        self.totals.requests += 1;
        self.totals.lines += lines;
        self.totals.bytes += bytes;
        match &self.manner {
            Manner::Quiet => {}
            Manner::Lines => eprintln!("{}", line(self.totals, self.started.elapsed())),
            Manner::Bar(bar) => {
                bar.set_position(self.totals.bytes);
                bar.set_message(format!("{} lines", self.totals.lines));
            }
        }
    }

    /// Something worth knowing happened, such as a busy server.
    pub(super) fn note(&self, text: &str) {
        match &self.manner {
            Manner::Quiet => {}
            Manner::Lines => eprintln!("{text}"),
            Manner::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
        }
    }

    /// All requests are done. The bar leaves the last report line behind.
    pub(super) fn finish(self) {
        if let Manner::Bar(bar) = self.manner {
            bar.finish_and_clear();
            if self.totals.requests > 0 {
                eprintln!("{}", line(self.totals, self.started.elapsed()));
            }
        }
    }
}

fn bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "  [{elapsed}] {bar:40} {bytes}/{total_bytes} ({bytes_per_sec}), {msg}, {eta} left",
    );
    let bar = ProgressBar::new(bytes);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// `  10ms: 1 request (95.24 requests/sec), 6 lines (571 lines/s), 500B (46KB/s)`. Scripts look
/// for the counts, so `lines` does not change with its number.
fn line(totals: Totals, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let per_second = |count: u64| count as f64 / seconds;
    let requests = if totals.requests == 1 { "request" } else { "requests" };
    format!(
        "  {}: {} {requests} ({:.2} requests/sec), {} lines ({:.0} lines/s), {} ({}/s)",
        human_elapsed(elapsed),
        totals.requests,
        per_second(totals.requests),
        totals.lines,
        per_second(totals.lines),
        human_bytes(totals.bytes),
        human_bytes(per_second(totals.bytes) as u64),
    )
}

fn human_elapsed(elapsed: Duration) -> impl Display {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    humantime::format_duration(Duration::from_millis(millis))
}

fn human_bytes(bytes: u64) -> String {
    let (value, unit) = match bytes {
        0..1024 => return format!("{bytes}B"),
        1024..0x10_0000 => (bytes as f64 / 1024.0, "KB"),
        0x10_0000..0x4000_0000 => (bytes as f64 / 1_048_576.0, "MB"),
        _ => (bytes as f64 / 1_073_741_824.0, "GB"),
    };
    if value < 10.0 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_counts_and_rates() {
        let totals = Totals { requests: 1, lines: 6, bytes: 500 };
        assert_eq!(
            line(totals, Duration::from_millis(10)),
            "  10ms: 1 request (100.00 requests/sec), 6 lines (600 lines/s), 500B (49KB/s)"
        );
        let totals = Totals { requests: 12, lines: 1_000_000, bytes: 100 * 1_048_576 };
        assert_eq!(
            line(totals, Duration::from_millis(2_500)),
            "  2s 500ms: 12 requests (4.80 requests/sec), 1000000 lines (400000 lines/s), \
             100MB (40MB/s)"
        );
    }

    #[test]
    fn an_instant_answer_has_finite_rates() {
        let totals = Totals { requests: 1, lines: 1, bytes: 5 };
        let text = line(totals, Duration::ZERO);
        assert!(text.starts_with("  1ms: 1 request (1000.00 requests/sec), 1 lines"), "{text}");
    }

    #[test]
    fn sizes_are_rounded() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1536, "1.5KB"),
            (20 * 1024, "20KB"),
            (5 * 1_048_576, "5.0MB"),
            (3 * 1_073_741_824, "3.0GB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
