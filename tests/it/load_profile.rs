//! The smallest profile of the load tests, so that what measures the server stays in step with it.

use crate::support::server::BINARY;

#[test]
fn the_smoke_profile_measures_every_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    load_tests::run([
        "load-tests".to_owned(),
        "profile".to_owned(),
        "smoke".to_owned(),
        "--quiet".to_owned(),
        format!("--server={BINARY}"),
        format!("--scratch={}", path("data")),
        format!("--output={}", path("page")),
        format!("--json={}", path("results.jsonl")),
    ])
    .expect("every step succeeds");

    let page = std::fs::read_to_string(path("page/RESULTS.md")).expect("a page");
    for section in [
        "ingest",
        "latency",
        "queries",
        "snapshots",
        "restart",
        "access",
        "connections",
        "tables",
        "plugins",
        "compaction",
        "sweep",
    ] {
        assert!(page.contains(&format!("<!-- measured: {section} -->")), "{section}: {page}");
    }
    let plot = std::fs::read_to_string(path("page/plots/queries-1.svg")).expect("a plot");
    assert!(plot.contains("double-groupby-all"), "{plot}");
}
