//! A server with very many tokens: how long it takes to start, and to find one of them.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{of, time_pings};
use crate::http::{Connection, ServerOptions};
use crate::process::ProcessMeter;
use crate::profile::Bench;
use crate::results::{Section, Table, number};
use crate::servers::{Launch, Server};

const POLL_INTERVAL: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_secs(600);

/// Starts of one server.
#[derive(Default)]
struct Starts {
    seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
    rss_mib: Vec<f64>,
    ping_cpu_us: Vec<f64>,
}

pub(super) fn run(bench: &Bench<'_>, section: &mut Section) -> Result<()> {
    let (count, rounds) = (bench.sizes.access_tokens, bench.sizes.access_rounds);
    let pings = bench.sizes.lone_requests.saturating_mul(10);
    // Whether a server is ready is asked without a token.
    let launch = bench.launch().asking_for_tokens(true).with("--disable-authz health");
    let [one, many] = [bench.folder("one-token")?, bench.folder("many-tokens")?];
    let files = [files(&one, 1)?, files(&many, count)?];
    let (server, made_in) = ready(&launch.clone().with(&files[1]), &many)?;
    server.kill()?;
    ready(&launch.clone().with(&files[0]), &one)?.0.kill()?;

    let again = launch.clone().with(&files[1]);
    let kinds = [(&launch, &one, 1), (&launch, &many, count), (&again, &many, count)];
    let mut all: [Starts; 3] = Default::default();
    for _ in 0..rounds {
        for (starts, (launch, folder, count)) in all.iter_mut().zip(kinds) {
            let (server, seconds) = ready(launch, folder)?;
            let used = ProcessMeter::from_birth(server.pid()).read()?;
            starts.seconds.push(seconds);
            starts.cpu_seconds.push(used.cpu_seconds);
            starts.rss_mib.push(used.rss_peak_mib);
            let user = ServerOptions { token: Some(text(count - 1)), ..server.options() };
            let meter = ProcessMeter::start(server.pid())?;
            time_pings(&user, pings)?;
            starts.ping_cpu_us.push(meter.read()?.cpu_seconds * 1e6 / f64::from(pings));
            server.kill()?;
        }
    }
    section.add(&format!(
        "**Many tokens**: from the start of the process to the first answer of `/health`, and \
         requests for `/ping` with one of the tokens, in turn, medians of {rounds}. The first start \
         with a file of {} tokens, which makes them, took {} s.",
        number(f64::from(count)),
        number(made_in)
    ));
    let mut table = Table::new(["", "start, s", "CPU s", "peak RSS, MiB", "`/ping`, CPU µs"]);
    for (name, starts) in
        ["one token", "so many", "so many, and their file once more"].into_iter().zip(&all)
    {
        table.row([
            name.to_owned(),
            number(of(&starts.seconds)),
            number(of(&starts.cpu_seconds)),
            number(of(&starts.rss_mib)),
            number(of(&starts.ping_cpu_us)),
        ]);
    }
    section.add(&table.markdown());
    Ok(())
}

/// As long as those of the server.
fn text(number: u32) -> String {
    format!("apiv3_{number:0>86}")
}

/// Writes an operator's token and so many others; returns the options by which they are read.
fn files(folder: &Path, count: u32) -> Result<String> {
    fs::create_dir_all(folder)?;
    let write = |name: &str, content: serde_json::Value| -> Result<String> {
        let path = folder.join(name);
        fs::write(&path, content.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    };
    let permissions = ["db:bench,other:read,write", "system:ping:read"];
    let tokens = (0..count).map(|number| {
        json!({"name": format!("token {number}"), "token": text(number), "permissions": permissions})
    });
    let more = write("more.json", tokens.collect())?;
    let admin = write("admin.json", json!({"name": "_admin", "token": "apiv3_operator"}))?;
    Ok(format!("--admin-token-file {admin} --permission-tokens-file {more}"))
}

/// Starts a server; returns it once it answers, and after how many seconds.
fn ready(launch: &Launch, folder: &Path) -> Result<(Server, f64)> {
    let began = Instant::now();
    let mut server = launch.spawn(folder)?;
    let request = server.options().get("/health");
    loop {
        let answer = Connection::open(server.address).and_then(|mut c| c.exchange(&request));
        if answer.is_ok_and(|answer| answer.is_success()) {
            return Ok((server, began.elapsed().as_secs_f64()));
        }
        ensure!(server.is_running(), "the server has ended by itself");
        ensure!(began.elapsed() < TIMEOUT, "the server is not ready after {TIMEOUT:?}");
        thread::sleep(POLL_INTERVAL);
    }
}
