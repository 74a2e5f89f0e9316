//! Profiles: a row of measurements, each of which starts the servers it needs, and ends with a
//! section of `RESULTS.md`.

mod access;
mod caches;
mod compaction;
mod connections;
mod ingest;
mod latency;
mod merge;
mod peers;
mod plugins;
mod queries;
mod restart;
mod sizes;
mod snapshot;
mod snapshots;
mod soak;
mod sweep;
mod tables;

use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::calendar;
use crate::process::Machine;
use crate::report::{Figure, Record, append, emit};
use crate::results::Section;
use crate::servers::{Launch, Product, Server};
use peers::{Other, Peers};
use sizes::{Profile, Sizes, Step};

#[derive(Debug, Args)]
pub(crate) struct ProfileOptions {
    /// What to measure
    #[arg(value_enum)]
    profile: Profile,

    /// Only these steps [default: all of the profile]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,

    /// The server
    #[arg(long, default_value = "target/release/influxdb3")]
    server: PathBuf,

    /// Folder of `RESULTS.md` and of its plots
    #[arg(long, default_value = "load-tests")]
    output: PathBuf,

    /// Parent of the servers' data; it should not lie in memory [default: the system's place for
    /// temporary files]
    #[arg(long)]
    scratch: Option<PathBuf>,

    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,

    #[command(flatten)]
    peers: Peers,
}

/// What every step needs.
struct Bench<'a> {
    options: &'a ProfileOptions,
    sizes: Sizes,
    scratch: PathBuf,
    json: Option<&'a Path>,
    heading: String,
}

impl Bench<'_> {
    /// How to start this server.
    fn launch(&self) -> Launch {
        Launch::new(Product::Influxdb3, &self.options.server)
    }

    /// An empty folder on the disk of all others.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.scratch.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// Starts a server on an empty folder.
    fn start(&self, launch: &Launch) -> Result<Server> {
        launch.start(&self.folder(launch.product.name())?)
    }

    fn record(&self, record: &Record) -> Result<()> {
        match self.options.quiet {
            true => append(record, self.json),
            false => emit(record, self.json),
        }
    }

    /// Tells how it goes.
    fn say(&self, text: &str) -> Result<()> {
        if self.options.quiet {
            return Ok(());
        }
        writeln!(stderr(), "== {text}").context("cannot print")
    }

    fn figure(&self, name: &str, value: f64, unit: &str) -> Result<f64> {
        let (name, unit) = (name.to_owned(), unit.to_owned());
        self.record(&Record::Figure(Figure { name, value, unit }))?;
        Ok(value)
    }

    /// A section that begins with where and when it was measured.
    fn section(&self, id: &'static str, title: &str) -> Section {
        let mut section = Section::new(id, title);
        section.add(&self.heading);
        section
    }

    fn other_servers(&self) -> &[Other] {
        &self.options.peers.other
    }
}

/// Runs the steps of a profile.
pub(crate) fn run(options: &ProfileOptions, json: Option<&Path>) -> Result<()> {
    let server = &options.server;
    ensure!(server.exists(), "{} is missing; give --server", server.display());
    let parent = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = parent.join(format!("load-tests-{}", std::process::id()));
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let measured = run_steps(options, json, &scratch);
    let removed = fs::remove_dir_all(&scratch);
    measured?;
    removed.with_context(|| format!("cannot remove {}", scratch.display()))
}

fn run_steps(options: &ProfileOptions, json: Option<&Path>, scratch: &Path) -> Result<()> {
    let machine = Machine::this();
    let sizes = options.profile.sizes();
    let steps = if options.only.is_empty() { sizes.steps } else { &options.only };
    let mut bench = Bench {
        options,
        sizes: options.profile.sizes(),
        scratch: scratch.to_owned(),
        json,
        heading: String::new(),
    };
    bench.record(&Record::Machine(machine.clone()))?;
    for step in steps {
        let began = Instant::now();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
        let profile = format!("{:?}", options.profile).to_lowercase();
        let name = format!("{step:?}").to_lowercase();
        bench.heading = format!(
            "Measured on {} by `load-tests/run {profile} {name}`: {}, {machine}.",
            calendar::date(now.as_secs() as i64),
            bench.launch().version(),
        );
        bench.say(&name)?;
        let section = match step {
            Step::Ingest => ingest::run(&bench)?,
            Step::Latency => latency::run(&bench)?,
            Step::Queries => queries::run(&bench)?,
            Step::Snapshots => snapshots::run(&bench)?,
            Step::Restart => restart::run(&bench)?,
            Step::Caches => caches::run(&bench)?,
            Step::Access => access::run(&bench)?,
            Step::Connections => connections::run(&bench)?,
            Step::Tables => tables::run(&bench)?,
            Step::Plugins => plugins::run(&bench)?,
            Step::Compaction => compaction::run(&bench)?,
            Step::Sweep => sweep::run(&bench)?,
            Step::Soak => soak::run(&bench)?,
        };
        match section {
            Some(section) => {
                section.write(&options.output)?;
                let page = options.output.join("RESULTS.md");
                bench.say(&format!("{name} is written into {}", page.display()))?;
            }
            None => bench.say(&format!("{name} cannot be measured here"))?,
        }
        bench.say(&format!("{name} took {:.0} s", began.elapsed().as_secs_f64()))?;
    }
    Ok(())
}
