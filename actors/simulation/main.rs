//! `simulate --seeds 1..1000`: runs seeds of the simulation and says which break a promise.
//! `simulate --seed 7 --verbose` runs one of them and shows what happens in it.

#![expect(clippy::print_stdout, reason = "its output is for a terminal")]
#![expect(clippy::disallowed_methods, reason = "it is outside of what is simulated")]

use actors::simulation::logging::keep_log;
use actors::simulation::{CANARIES, Report, run};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

/// Stack of the simulation's thread: plans of queries are walked on it.
const STACK_BYTES: usize = 256 * 1024 * 1024;
/// Every so many seeds one is run twice.
const TWICE_EVERY: u64 = 100;

struct Options {
    seeds: Range<u64>,
    verbose: bool,
    canary: Option<&'static str>,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(text) => {
            println!("{text}");
            println!("usage: simulate --seeds FROM..TO | --seed N [--verbose] [--canary NAME]");
            println!("canaries: {}", CANARIES.join(" "));
            return ExitCode::from(2);
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(|| simulate(options));
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(0)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options { seeds: 1..101, verbose: false, canary: None };
    let mut arguments = std::env::args().skip(1);
    let number = |text: &str| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--verbose" => options.verbose = true,
            "--seed" => {
                let seed = number(&value()?)?;
                options.seeds = seed..seed + 1;
            }
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").ok_or("seeds are FROM..TO")?;
                options.seeds = number(from)?..number(to)?;
            }
            "--canary" => {
                let text = value()?;
                let known = CANARIES.iter().find(|canary| **canary == text);
                options.canary = Some(known.ok_or_else(|| format!("no canary {text}"))?);
            }
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(options)
}

/// Runs the seeds. How many broke a promise?
fn simulate(options: Options) -> usize {
    if options.verbose {
        keep_log();
    }
    let begun = Instant::now();
    let (mut violations, mut stored, mut calls) = (0, 0, 0);
    for seed in options.seeds.clone() {
        let report = match run(seed, options.canary, options.verbose) {
            Ok(report) => report,
            Err(error) => {
                println!("seed {seed}: {error}");
                return 1;
            }
        };
        for line in &report.lines {
            println!("{line}");
        }
        if options.verbose {
            println!("digest {:016x}", report.digest);
        }
        violations += usize::from(!is_clean(&report, options.canary));
        stored += report.stored;
        calls += report.calls;
    }
    let seeds = options.seeds.end.saturating_sub(options.seeds.start);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds in {seconds:.1} s ({:.1} a second), {stored} writes stored, {calls} calls \
         to disk and store, {violations} violations",
        seeds as f64 / seconds
    );
    violations
}

/// Whether the run kept all promises, and is the same when it is repeated.
fn is_clean(report: &Report, canary: Option<&'static str>) -> bool {
    let seed = report.seed;
    let again = canary.map(|name| format!(" --canary {name}")).unwrap_or_default();
    if let Some(violation) = &report.violation {
        println!("seed {seed}: {violation}");
        println!("  again: simulate --seed {seed} --verbose{again}");
        return false;
    }
    if seed.is_multiple_of(TWICE_EVERY) {
        let digest = run(seed, canary, false).map(|second| second.digest).ok();
        if digest != Some(report.digest) {
            println!("seed {seed}: two runs of it differ{again}");
            return false;
        }
    }
    true
}
