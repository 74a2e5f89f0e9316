//! How the server takes its memory.

#[cfg(target_os = "linux")]
#[test]
fn the_server_takes_no_huge_pages() {
    let server = super::support::server::Server::memory();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    // Kernels without huge pages have no such line.
    let allowed = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    assert!(allowed.is_none_or(|allowed| allowed.trim() == "0"), "{status}");
}
