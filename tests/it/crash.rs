//! The fault scripts of `tests/crash`, a few rounds of each. Those that need what this machine does
//! not have, such as root, say so and count as passed, but not where `CI` is set.

use crate::support::server::BINARY;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash");

/// Runs a script with these options. Its closing line tells what it did.
fn run(script: &str, options: &[&str], closing: &str) {
    let script = Path::new(FOLDER).join(script);
    let output = Command::new("python3").arg(script).arg(BINARY).args(options).output();
    let output = output.expect("python3 is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    let may_skip = std::env::var_os("CI").is_none();
    assert!(said.contains(closing) || (may_skip && said.contains("skipped: ")), "{said}");
}

#[test]
fn killed_under_load() {
    run("kill9.py", &["--rounds", "8"], "8 kills, ");
}

#[test]
fn killed_while_the_log_is_read_back() {
    run("replay_kill.py", &["--rounds", "1"], "kills during replay, ");
}

#[test]
fn stopped_under_load() {
    run("sigterm.py", &["--rounds", "2"], "2 stops, ");
}

#[test]
fn killed_for_want_of_memory() {
    run("oom_kill.py", &["--rounds", "2"], "2 kills for want of memory, ");
}

#[test]
fn power_lost() {
    run("power_loss.py", &["--rounds", "3"], "3 power cuts, ");
}

#[test]
fn system_calls_fail() {
    run("io_errors.py", &["--rounds", "3"], "3 I/O errors ");
}

#[test]
fn a_full_disk() {
    run("disk_full.py", &["--rounds", "1"], "1 times a full disk, ");
}

#[test]
fn the_process_of_plugins_killed() {
    let options = ["--rounds", "1", "--kills", "2"];
    run("plugin_kill.py", &options, "2 kills of the process of plugins, ");
}

#[test]
fn several_processes_of_one_node() {
    run("twins.py", &["--rounds", "3"], "3 rounds of twins, ");
}

#[test]
fn a_bad_network_to_an_s3_store() {
    run("s3_faults.py", &["--rounds", "2"], "calls went wrong, ");
}

#[test]
fn damaged_files() {
    let kinds = ".wal,.segment,.base,.catalog,.checkpoint,.json,";
    run("damage.py", &["--rounds", "10", "--only", kinds], "10 cases of damage, ");
}
