//! Thousands of connections that do nothing, or hardly anything, beside a client that writes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::http::{ServerOptions, Target};
use crate::latency::Percentiles;
use crate::lone_writer;
use crate::process::ProcessMeter;
use crate::results::{Section, Table, number, ratio};

/// Bytes that each slow connection announces, a body that it never finishes.
const ANNOUNCED_BYTES: usize = 1_000_000;
/// How often each of them sends a line.
const SLOW_INTERVAL: Duration = Duration::from_secs(1);
const SLOW_LINE: &[u8] = b"slow f=1\n";

pub(super) fn run(bench: &Bench<'_>) -> Result<Option<Section>> {
    let sizes = &bench.sizes;
    let server = bench.start(&bench.launch())?;
    let options = server.options();
    let meter = ProcessMeter::start(server.pid())?;
    let writes = || {
        let latencies =
            lone_writer::time_writes(&options, Target::Influxdb3V3, sizes.lone_requests)?;
        Percentiles::of(latencies).context("no request was sent")
    };
    let alone = writes()?;
    let rss_alone = meter.read()?.rss_peak_mib;
    let idle = (0..sizes.idle_connections).map(|_| open_idle(&options)).collect::<Result<Vec<_>>>();
    let idle = idle.context("cannot open so many connections (ulimit -n)")?;
    let slow = (0..sizes.slow_connections).map(|_| open_slow(&options)).collect::<Result<Vec<_>>>();
    let slow = slow.context("cannot open so many connections (ulimit -n)")?;
    let beside = beside_slow(slow, writes)?;
    let rss_beside = meter.read()?.rss_peak_mib;
    drop(idle);

    let mut section = bench.section("connections", "Connections");
    section.add(&format!(
        "A client writes {} rows, one a request: alone, and beside {} idle connections and {} that \
         have announced a body of a megabyte and send {} bytes of it a second.",
        sizes.lone_requests,
        sizes.idle_connections,
        sizes.slow_connections,
        SLOW_LINE.len()
    ));
    let mut table = Table::new(["", "p50, ms", "p99, ms", "peak RSS, MiB"]);
    for (name, seen, rss) in [("alone", alone, rss_alone), ("beside them", beside, rss_beside)] {
        table.row([name.to_owned(), number(seen.p50_ms), number(seen.p99_ms), number(rss)]);
    }
    table.row([
        "ratio".to_owned(),
        ratio(Some(beside.p50_ms), Some(alone.p50_ms)),
        ratio(Some(beside.p99_ms), Some(alone.p99_ms)),
        ratio(Some(rss_beside), Some(rss_alone)),
    ]);
    section.add(&table.markdown());
    Ok(Some(section))
}

/// A connection that has had an answer.
fn open_idle(server: &ServerOptions) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.write_all(&server.get("/ping"))?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    ensure!(status.starts_with(b"HTTP/1.1 2"), "not answered: {}", status.escape_ascii());
    Ok(stream)
}

/// A connection whose request has begun.
fn open_slow(server: &ServerOptions) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address)?;
    let path = Target::Influxdb3V3.write_path(&server.db);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {ANNOUNCED_BYTES}\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(SLOW_LINE)?;
    Ok(stream)
}

/// What `work` gives while the slow connections go on.
fn beside_slow<T>(mut slow: Vec<TcpStream>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                // The server may have given one of them up: that is its good right.
                slow.retain_mut(|stream| stream.write_all(SLOW_LINE).is_ok());
                thread::sleep(SLOW_INTERVAL);
            }
        });
        let done = work();
        ended.store(true, Ordering::Relaxed);
        sender.join().ok().context("the sender panicked")?;
        done
    })
}
