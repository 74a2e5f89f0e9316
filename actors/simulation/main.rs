//! `simulate --seeds 1..1000`: runs seeds of the simulation and says which break a promise.
//! `simulate --seed 7 --verbose` runs one of them and shows what happens in it. With `--twice` each
//! seed is run twice, and says where its runs differ, which they must not.

#![expect(clippy::print_stdout, reason = "its output is for a terminal")]
#![expect(clippy::disallowed_methods, reason = "it is outside of what is simulated")]

use actors::simulation::logging::keep_log;
use actors::simulation::{CANARIES, Report, run};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

/// Stack of the simulation's thread: plans of queries are walked on it.
const STACK_BYTES: usize = 256 * 1024 * 1024;
/// Without `--twice`, every so many seeds one is run twice.
const TWICE_EVERY: u64 = 20;

struct Options {
    seeds: Range<u64>,
    verbose: bool,
    twice: bool,
    canary: Option<&'static str>,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(text) => {
            println!("{text}");
            println!(
                "usage: simulate --seeds FROM..TO | --seed N [--verbose] [--twice] [--canary NAME]"
            );
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
    let mut options = Options { seeds: 1..101, verbose: false, twice: false, canary: None };
    let mut arguments = std::env::args().skip(1);
    let number = |text: &str| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--verbose" => options.verbose = true,
            "--twice" => options.twice = true,
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
        let twice = options.twice || seed.is_multiple_of(TWICE_EVERY);
        let report = match run(seed, options.canary, options.verbose || twice) {
            Ok(report) => report,
            Err(error) => {
                println!("seed {seed}: {error}");
                return 1;
            }
        };
        if options.verbose {
            report.lines.iter().for_each(|line| println!("{line}"));
            println!("digest {:016x}", report.digest);
        }
        let clean = is_clean(&report, options.canary) && (!twice || repeats(&report, &options));
        violations += usize::from(!clean);
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

/// Whether the run kept all promises.
fn is_clean(report: &Report, canary: Option<&'static str>) -> bool {
    let seed = report.seed;
    let again = canary.map(|name| format!(" --canary {name}")).unwrap_or_default();
    if let Some(violation) = &report.violation {
        println!("seed {seed}: {violation}");
        println!("  again: simulate --seed {seed} --verbose{again}");
        return false;
    }
    true
}

/// Whether the run is the same when it is repeated.
fn repeats(first: &Report, options: &Options) -> bool {
    let seed = first.seed;
    let second = match run(seed, options.canary, true) {
        Ok(second) => second,
        Err(error) => {
            println!("seed {seed}: {error}");
            return false;
        }
    };
    if second.digest == first.digest {
        return true;
    }
    println!("seed {seed}: two runs of it differ");
    let mut pairs = first.lines.iter().zip(&second.lines);
    match pairs.find(|(a, b)| a != b) {
        Some((a, b)) => println!("  {a}\n  {b}"),
        None => println!("  in the rows of an answer, or in how many lines there are"),
    }
    false
}
