//! `influxdb3 completion` and `influxdb3 man`: the command line's own description, for shells and
//! for `man`.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Arg, Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;
use super::output::print_line;
use super::paths::path;

const NAME: &str = "influxdb3";

/// Options of `completion`.
#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Options of `man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Directory for the pages, such as `/usr/local/share/man/man1`
    #[arg(value_name = "DIR", value_parser = path())]
    directory: PathBuf,
}

pub(super) fn print(args: &CompletionArgs) -> Result<()> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(args.shell, &mut command, NAME, &mut script);
    let mut script = String::from_utf8(script).context("the script is not text")?;
    if args.shell == Shell::Bash {
        // What it offers, it lists; other shells leave out what is hidden by themselves.
        for name in hidden(&command) {
            script = script.replace(&format!(" --{name} "), " ");
        }
    }
    print_line(script.trim_end())
}

/// Names of options that no help shows.
fn hidden(command: &Command) -> Vec<&str> {
    let own = command.get_arguments().filter(|arg| arg.is_hide_set()).filter_map(Arg::get_long);
    own.chain(command.get_subcommands().flat_map(hidden)).collect()
}

pub(super) fn write_manual(args: &ManArgs) -> Result<()> {
    let cannot = || format!("cannot write to {}", args.directory.display());
    std::fs::create_dir_all(&args.directory).with_context(cannot)?;
    let mut command = unabridged(Cli::command());
    command.build();
    write_pages(&command, NAME, &args.directory).with_context(cannot)
}

/// The command with the help that its short form leaves out.
fn unabridged(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(unabridged)
}

/// A page for the command and one for each below it, as `git` names its own.
fn write_pages(command: &Command, name: &str, directory: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    Man::new(command.clone()).title(name).render(&mut page)?;
    std::fs::write(directory.join(format!("{name}.1")), page)?;
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    visible.into_iter().try_for_each(|command| {
        write_pages(command, &format!("{name}-{}", command.get_name()), directory)
    })
}
