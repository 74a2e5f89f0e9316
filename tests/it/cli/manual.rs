//! The description of the command line that shells and `man` read.

use super::without_server;

#[test]
fn shells_are_told_commands_and_options() {
    without_server(|shell| {
        for shell_name in ["bash", "zsh", "fish", "powershell"] {
            let script = shell.must(&["completion", shell_name]);
            for word in ["influxdb3", "distinct_cache", "accept-partial", "retention-period"] {
                assert!(script.contains(word), "{shell_name} lacks {word}");
            }
            let hidden = script.contains("--traces-exporter ");
            assert!(!hidden, "{shell_name} offers what is ignored");
        }
    });
}

#[test]
fn each_command_has_its_page() {
    without_server(|shell| {
        shell.must(&["man", "pages/man1"]);
        let pages = shell.directory.join("pages/man1");
        let page =
            |name: &str| std::fs::read_to_string(pages.join(format!("{name}.1"))).expect("a page");
        for (name, text) in [
            ("influxdb3", "Exit codes: 0 done"),
            ("influxdb3-serve", "INFLUXDB3_WAL_FLUSH_INTERVAL"),
            ("influxdb3-write", "from\\-line"),
            ("influxdb3-create-last_cache", "key\\-columns"),
            ("influxdb3-show-system-table-list", "List the system tables"),
        ] {
            assert!(page(name).contains(text), "{name}: {}", page(name));
            assert!(page(name).contains(".TH "), "{name}: {}", page(name));
        }
    });
}
