//! The command line: one binary that is server (`serve`) and client (everything else).
//!
//! [`parse`] reads `.env`, the environment and the arguments; [`run`] does what a client command
//! says. Exit codes: 0 done, 1 the server refused or the command failed, 2 the command line is
//! wrong, 3 no server answers, 4 done in part.

mod batches;
mod caches;
mod client;
mod compact;
mod completion;
mod confirm;
mod connection;
mod create;
pub mod debug;
mod delete;
mod dotenv;
mod downsamples;
mod failure;
mod file_indexes;
mod input;
mod output;
pub mod paths;
mod plugin_kinds;
mod plugin_runs;
mod plugins;
mod query;
mod report;
mod row_deletes;
pub mod serve;
mod show;
mod show_system;
mod table;
mod tally;
mod token;
mod transport;
mod triggers;
mod trust;
mod undelete;
mod update;
mod write;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::version;
pub use completion::{CompletionArgs, ManArgs};
use serve::ServeArgs;
use serve::ignored::IgnoredRuntimeArgs;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "influxdb3",
    version = version::text(),
    about = "Time-series database, compatible with InfluxDB 3 Core: server and client in one",
    after_long_help = failure::EXIT_CODES,
    disable_help_flag = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do; nothing means to serve with the defaults of a first start.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The place where scripts for other servers give it; [`parse_line`] hands it on to `serve`
    #[arg(long, alias = "num-threads", value_name = "N", hide = true)]
    num_io_threads: Option<usize>,

    /// What may stand there, too, and changes nothing.
    #[command(flatten)]
    ignored: IgnoredRuntimeArgs,

    /// Print a short help
    #[arg(short = 'h', long, global = true, action = clap::ArgAction::HelpShort)]
    help: Option<bool>,

    /// Print all options
    #[arg(long, global = true, action = clap::ArgAction::HelpLong)]
    help_all: Option<bool>,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(Box<ServeArgs>),

    /// Print what makes a shell complete commands and options
    Completion(CompletionArgs),

    /// Write the manual pages of all commands to a directory
    Man(ManArgs),

    /// Look at what a store holds, without a server and without changing it
    Debug(Box<debug::DebugArgs>),

    /// Anything that talks to a running server.
    #[command(flatten)]
    Client(Box<ClientCommand>),
}

/// A subcommand that talks to a running server.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Write line protocol
    #[command(visible_alias = "w")]
    Write(write::WriteArgs),

    /// Run an SQL query and print its result
    #[command(visible_alias = "q")]
    Query(query::QueryArgs),

    /// Create a database, a table, a cache, a downsample, a plugin, a trigger or a token
    Create(create::CreateArgs),

    /// Delete a database, a table, rows, a cache, a downsample, a plugin, a trigger or a token
    Delete(delete::DeleteArgs),
    /// Take a delete of rows back
    Cancel(row_deletes::CancelArgs),

    /// Bring a deleted database or table back
    Undelete(undelete::UndeleteArgs),

    /// Change a database, or the plugin of a trigger
    Update(update::UpdateArgs),

    /// List databases, their retention periods, tokens, downsamples, plugins and the system tables
    Show(show::ShowArgs),

    /// Merge Parquet files of time that is over
    Compact(compact::CompactArgs),

    /// Have a trigger or a downsample run
    Enable(triggers::SwitchArgs),

    /// Have a trigger or a downsample run no more
    Disable(triggers::SwitchArgs),

    /// Run a plugin without writing anything
    Test(plugin_runs::TestArgs),

    /// Begin a plugin, or run one of this machine on a server
    Plugin(plugin_runs::PluginArgs),

    /// Install Python packages for plugins
    Install(plugins::InstallArgs),
}

/// Reads the command line. Help, version and usage errors are printed here, and end the process.
///
/// Call it first: a `.env` file may have to replace the process to become its environment.
pub fn parse() -> Cli {
    dotenv::load();
    parse_line(std::env::args_os())
}

/// Reads `line`, the program's name first, like the command line.
pub fn parse_line(line: impl IntoIterator<Item = OsString>) -> Cli {
    hand_on(Cli::parse_from(with_joined_switches(line)))
}

/// Hands what stood before `serve` on to it.
fn hand_on(mut cli: Cli) -> Cli {
    if let Some(Command::Serve(args)) = &mut cli.command {
        args.num_io_threads = cli.num_io_threads.or(args.num_io_threads);
        args.ignored.meaningless.append(&mut cli.ignored.0);
    }
    cli
}

/// Options that may be followed by `true` or `false`, or by an argument of its own.
const SWITCHES: [&str; 1] = ["--accept-partial"];

/// Joins such a value to its option by `=`, without which any argument would be taken for it.
fn with_joined_switches(line: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for argument in line {
        let is_value = argument == "true" || argument == "false";
        match joined.last_mut() {
            Some(last) if is_value && SWITCHES.iter().any(|switch| *last == **switch) => {
                last.push("=");
                last.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

/// Prints what a shell completes by.
pub fn complete(args: &CompletionArgs) -> ExitCode {
    ended("Completion", completion::print(args))
}

/// Writes the manual.
pub fn write_manual(args: &ManArgs) -> ExitCode {
    ended("Man", completion::write_manual(args))
}

/// Runs a client command and reports its failure on stderr.
pub async fn run(command: ClientCommand) -> ExitCode {
    let (verb, result) = match command {
        ClientCommand::Write(args) => ("Write", write::run(args).await),
        ClientCommand::Query(args) => ("Query", query::run(args).await),
        ClientCommand::Create(args) => ("Create", create::run(args).await),
        ClientCommand::Delete(args) => ("Delete", delete::run(args).await),
        ClientCommand::Cancel(args) => ("Cancel", row_deletes::cancel(args).await),
        ClientCommand::Undelete(args) => ("Undelete", undelete::run(args).await),
        ClientCommand::Update(args) => ("Update", update::run(args).await),
        ClientCommand::Show(args) => ("Show", show::run(args).await),
        ClientCommand::Compact(args) => ("Compact", compact::run(args).await),
        ClientCommand::Enable(args) => ("Enable", triggers::enable(args).await),
        ClientCommand::Disable(args) => ("Disable", triggers::disable(args).await),
        ClientCommand::Test(args) => ("Test", plugin_runs::test(args).await),
        ClientCommand::Plugin(args) => ("Plugin", plugin_runs::develop(args).await),
        ClientCommand::Install(args) => ("Install", plugins::install(args).await),
    };
    ended(verb, result)
}

/// Reports the failure of a command on stderr; returns its exit code.
pub(crate) fn ended(verb: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{verb} command failed: {error:#}");
            failure::exit_code(&error)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    /// Parses `line`, cut at blanks, and expects it to end in `kind`; returns what is printed.
    fn refused(line: &str, kind: ErrorKind) -> String {
        let error = Cli::try_parse_from(line.split(' ')).expect_err(line);
        assert_eq!(error.kind(), kind, "{line}: {error}");
        error.to_string()
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_subcommand_is_a_valid_line() {
        let cli = Cli::try_parse_from(["influxdb3"]).expect("quick start");
        assert!(cli.command.is_none());
    }

    #[test]
    fn threads_may_be_given_before_serve() {
        for (line, expected) in [
            ("influxdb3 --num-io-threads 3 serve --node-id n", 3),
            ("influxdb3 --num-threads=3 serve --node-id n", 3),
            ("influxdb3 serve --node-id n --num-io-threads 3", 3),
        ] {
            let cli = hand_on(Cli::try_parse_from(line.split(' ')).expect(line));
            let Some(Command::Serve(args)) = cli.command else { panic!("{line}") };
            assert_eq!(args.num_io_threads, Some(expected), "{line}");
        }
    }

    #[test]
    fn help_works_at_each_level_without_required_options() {
        for line in [
            "influxdb3 -h",
            "influxdb3 --help",
            "influxdb3 serve -h",
            "influxdb3 create -h",
            "influxdb3 create database --help",
            "influxdb3 create table -h",
            "influxdb3 write -h",
            "influxdb3 query --help-all",
            "influxdb3 --help-all",
        ] {
            let text = refused(line, ErrorKind::DisplayHelp);
            assert!(text.contains("Usage: influxdb3"), "{line}: {text}");
        }
        let text = refused("influxdb3 create table -h", ErrorKind::DisplayHelp);
        assert!(text.contains("Usage: influxdb3 create table"), "{text}");
        assert!(!text.contains("--tls-ca"), "{text}");
        let text = refused("influxdb3 create table --help-all", ErrorKind::DisplayHelp);
        assert!(text.contains("--tls-ca"), "{text}");
        refused("influxdb3 help", ErrorKind::InvalidSubcommand);
    }

    #[test]
    fn the_version_names_the_revision() {
        for line in ["influxdb3 --version", "influxdb3 -V"] {
            let text = refused(line, ErrorKind::DisplayVersion);
            assert!(text.starts_with("influxdb3 InfluxDB 3 Core, 3.10.0, revision "), "{text}");
            assert!(text.contains("independent implementation"), "{text}");
        }
    }

    #[test]
    fn usage_errors_name_what_is_wrong() {
        let wrong = [
            ("influxdb3 write --precision fake -d d x", "unrecognized precision unit: fake"),
            ("influxdb3 write --max-concurrent-requests 0 -d d x", "value must be at least 1"),
            ("influxdb3 write --max-request-size 0 -d d x", "value must be at least 1"),
            (
                "influxdb3 create table -d d -f x:decimal t",
                "decimal is not a valid data type, values are int64, uint64, float64, utf8, \
                 and bool",
            ),
            ("influxdb3 create table -d d -f x t", "invalid FIELD:VALUE. No `:` found in `x`"),
            ("influxdb3 create database --retention-period 7x d", "unknown time unit `x`"),
            ("influxdb3 delete database --hard-delete soon d", "now, never, default"),
            ("influxdb3 query -d d -H localhost:8181 x", "--host <HOST_URL>"),
            (
                "influxdb3 serve --node-id n --cluster-id c",
                "You've incorrectly specified a cluster-id for InfluxDB 3 Core OSS",
            ),
            ("influxdb3 serve --node-id n --max-http-request-size 0", "must be at least 1"),
            ("influxdb3 serve --node-id n --max-http-request-size 2gb", "less than 2 GiB"),
            ("influxdb3 serve --node-id n --wal-max-write-buffer-size 0", "must be at least 1"),
        ];
        for (line, text) in wrong {
            let error = Cli::try_parse_from(line.split(' ')).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(text), "{line}: {error}");
        }
        let text = refused("influxdb3 create table -d d t --tags", ErrorKind::InvalidValue);
        assert!(
            text.contains("a value is required for '--tags <TAGS>...' but none was supplied"),
            "{text}"
        );
        refused("influxdb3 query -d d SELECT 1", ErrorKind::UnknownArgument);
    }

    #[test]
    fn a_missing_database_is_named() {
        if std::env::var_os("INFLUXDB3_DATABASE_NAME").is_none() {
            let text = refused("influxdb3 query x", ErrorKind::MissingRequiredArgument);
            assert!(text.contains("--database <DATABASE_NAME>"), "{text}");
        }
    }

    #[test]
    fn the_lines_of_the_guide_are_accepted() {
        for line in [
            "influxdb3 write --database=mydb --file=server_data",
            "influxdb3 create database mydb",
            "influxdb3 query --database=servers SELECT",
            "influxdb3 q --database=servers --language=sql SELECT",
            "influxdb3 q -d servers --format json_lines SELECT",
            "influxdb3 w -d db --gzip --no-sync --accept-partial -q -p s cpu",
            "influxdb3 w -d db --accept-partial=false --on-error stop --from-line 7 -f -",
            "influxdb3 w -d db --accept-partial cpu",
            "influxdb3 q -d db --no-truncate -o - -",
            "influxdb3 create table -d foo --tags a,b -f x:int64,y:utf8 bar",
            "influxdb3 delete table -d foo bar -y",
            "influxdb3 delete database foo --hard-delete 2030-01-01T00:00:00Z",
            "influxdb3 undelete table -d foo bar-20260102T030405",
            "influxdb3 undelete database foo",
            "influxdb3 update database -d r -r none",
            "influxdb3 show retention --database r",
            "influxdb3 show databases --show-deleted --format csv",
            "influxdb3 show system -d X table-list",
            "influxdb3 show system table-list -d X",
            "influxdb3 show system --token t -d X table queries -l 5 -o id -s id,phase",
            "influxdb3 show s summary --database X --limit 3",
            "influxdb3 create plugin -d mydb --code-filename=/p/test.py test_plugin",
            "influxdb3 create trigger -d mydb --plugin=p --trigger-spec=table:foo \
             --trigger-arguments=arg1=hello,arg2=a=b trigger1",
            "influxdb3 create trigger -d d --path p.py --trigger-spec every:10s --disabled \
             --run-asynchronous --error-behavior retry --upload t",
            "influxdb3 enable trigger --database mydb trigger1",
            "influxdb3 disable trigger -d mydb trigger1",
            "influxdb3 delete trigger -d mydb --force trigger1",
            "influxdb3 delete plugin -d mydb p",
            "influxdb3 create downsample -d d -t cpu --to cpu_10m --interval 10m --agg avg,max \
             --offset 1m --backfill n",
            "influxdb3 create downsample -d d -t cpu --to c --interval 1d --agg mean --from -5",
            "influxdb3 show downsamples -d d --format csv",
            "influxdb3 disable downsample -d d n",
            "influxdb3 delete downsample -d d n",
            "influxdb3 update trigger -d mydb -t t -p p.py",
            "influxdb3 test wal_plugin --lp=m -d mydb --input-arguments=a=b,c=d test.py",
            "influxdb3 test schedule-plugin -d mydb --cache-name c test.py",
            "influxdb3 install package numpy==2",
            "influxdb3 install package -r requirements.txt",
            "influxdb3 show plugins --format csv",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_token_in_the_environment_is_not_shown() {
        let mut command = Cli::command();
        let query = command.find_subcommand_mut("query").expect("query is a command");
        let token = query.get_arguments().find(|arg| arg.get_id() == "token").expect("--token");
        assert!(token.is_hide_env_values_set());
    }
}
