//! The binary: server and client in one.

use actors::query::Counting;
use influxdb3::cli::{self, Command};
use influxdb3::debug;
use influxdb3::server;
use mimalloc::MiMalloc;
use std::ffi::OsString;
use std::process::ExitCode;

/// Line protocol comes in as large short-lived buffers on many threads, which this allocator
/// hands back and forth much faster than the C library's. What queries take of it is counted.
#[global_allocator]
static ALLOCATOR: Counting<MiMalloc> = Counting::new(MiMalloc);

fn main() -> ExitCode {
    let command = cli::parse().command.or_else(|| cli::parse_line(quick_start()).command);
    match command {
        Some(Command::Client(client)) => run_client(*client),
        Some(Command::Debug(args)) => debug::run(*args),
        Some(Command::Completion(args)) => cli::complete(&args),
        Some(Command::Man(args)) => cli::write_manual(&args),
        Some(Command::Serve(args)) => server::serve(&args).unwrap_or_else(|error| {
            eprintln!("Serve command failed: {error:#}");
            ExitCode::FAILURE
        }),
        None => ExitCode::FAILURE, // the quick start always has a command
    }
}

fn run_client(command: cli::ClientCommand) -> ExitCode {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(cli::run(command)),
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The command line that one without a subcommand stands for: `serve`, with a node id if the
/// environment has none.
fn quick_start() -> Vec<OsString> {
    let mut line: Vec<OsString> = std::env::args_os().collect();
    line.push("serve".into());
    let named = ["INFLUXDB3_NODE_IDENTIFIER_PREFIX", "INFLUXDB3_NODE_IDENTIFIER_FROM_ENV"];
    if named.iter().all(|variable| std::env::var_os(variable).is_none()) {
        let node = hostname().map_or("primary-node".to_owned(), |host| format!("{host}-node"));
        eprintln!(
            "Using auto-generated node id: {node}. For production deployments, explicitly set \
             --node-id"
        );
        line.extend(["--node-id".into(), node.into()]);
    }
    line
}

/// The machine's name as far as it can be part of a node id.
fn hostname() -> Option<String> {
    let output = std::process::Command::new("hostname").output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    let name: String = name
        .trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .collect();
    (!name.is_empty()).then_some(name)
}
