//! Rules of the tree that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| !name(path).starts_with('.') && name(path) != "target");
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// All Rust files below `folder`, with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for path in entries(folder) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            found.push((path, text));
        }
    }
    found
}

#[test]
fn the_top_level_is_as_listed() {
    let found: Vec<String> = entries(root()).iter().map(|path| name(path)).collect();
    let listed = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "actors",
        "deploy",
        "load-tests",
        "protocols",
        "src",
        "tests",
    ];
    assert_eq!(found, listed);
}

#[test]
fn every_file_says_what_it_is() {
    let sources = sources(root());
    assert!(sources.len() > 100, "{} files found", sources.len());
    for (path, text) in sources {
        assert!(text.starts_with("//! "), "{} opens without a //! comment", path.display());
    }
}

#[test]
fn no_test_is_left_out() {
    // Written in two parts, so that this file does not hold what it looks for.
    let marks = [concat!("#[", "ignore"), concat!("#[", "should_panic")];
    for (path, text) in sources(root()) {
        for mark in marks {
            assert!(!text.contains(mark), "{} has {mark}", path.display());
        }
    }
}

#[test]
fn protocols_stays_free_of_input_and_output() {
    let manifest = fs::read_to_string(root().join("protocols/Cargo.toml")).expect("a manifest");
    let dependencies = manifest.split("\n[dependencies]\n").nth(1).expect("dependencies");
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    for line in dependencies.lines().filter(|line| !line.trim().is_empty()) {
        let crate_name = line.split([' ', '=', '.']).next().unwrap_or_default();
        let denied = ["actix", "tokio", "datafusion", "object_store", "reqwest", "chrono", "rand"];
        assert!(!denied.iter().any(|d| crate_name.starts_with(d)), "protocols needs {crate_name}");
    }
}

#[test]
fn every_actor_has_its_page() {
    for folder in entries(&root().join("actors")).into_iter().filter(|path| path.is_dir()) {
        let module = folder.join("mod.rs");
        // What is no actor: the kits, where bytes and caches are, the merging and writing of rows, and
        // what runs all of them.
        let none = [
            "runtime",
            "storage",
            "cache_kit",
            "cache_directory",
            "dedup",
            "deleted_rows",
            "file_writer",
            "server",
            "simulation",
        ];
        if none.contains(&name(&folder).as_str()) || !module.exists() {
            continue;
        }
        let text = fs::read_to_string(&module).expect("UTF-8");
        for heading in ["Owns", "Accepts", "Emits", "Invariants", "On failure"] {
            let has_heading = text.contains(&format!("//! ## {heading}\n"));
            assert!(has_heading, "{} lacks `{heading}`", module.display());
        }
    }
}

#[test]
fn only_the_kit_speaks_to_actix_addresses() {
    let calls = [".do_send(", ".try_send(", "SyncArbiter", "Recipient<"];
    for (path, text) in sources(&root().join("actors")) {
        let is_kit = path.starts_with(root().join("actors/runtime"));
        for call in calls.iter().filter(|call| !is_kit && text.contains(**call)) {
            // Tokio's channels have a `try_send` of their own.
            let is_actix = text.contains("actix::") || !call.contains("try_send");
            assert!(!is_actix, "{} has {call}", path.display());
        }
    }
}
