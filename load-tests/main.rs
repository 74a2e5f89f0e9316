//! The command: everything is in the library, so that tests can run it too.

fn main() -> anyhow::Result<()> {
    load_tests::run(std::env::args_os())
}
