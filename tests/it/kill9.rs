//! The crash script `tests/crash/kill9.py`, a few rounds of it.

use crate::support::server::BINARY;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/kill9.py");

#[test]
fn three_rounds_of_killing_under_load() {
    let output = Command::new("python3").args([SCRIPT, BINARY, "--rounds", "3"]).output();
    let output = output.expect("python3 is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("3 kills, "), "{said}");
}
