//! The eight tables that `devops` has besides `cpu`: which fields, and how each moves. Names and
//! processes are those that the public Time Series Benchmark Suite describes.

/// How a field moves from one reading to the next. Steps are about normal with deviation 1.
#[derive(Debug, Clone, Copy)]
pub(super) enum Process {
    /// Steps with this mean, kept between 0 and a bound, beginning at a part of the bound.
    Clamped { mean: f64, max: f64, start: f64 },
    /// Steps with this mean, never down.
    Growing { mean: f64 },
    /// Steps with this mean, down as well, never below 0.
    Free { mean: f64 },
    /// Seconds since the first reading.
    Uptime,
    /// One number a host, drawn once.
    Fixed { max: u64 },
}

/// A field: its name and how it moves.
pub(super) type Field = (&'static str, Process);

const LOW: f64 = 5.0;
const HIGH: f64 = 50.0;
const SIXTEEN_GIB: f64 = 17_179_869_184.0;

const fn growing(mean: f64) -> Process {
    Process::Growing { mean }
}

/// Steps of about 5 up to a thousand: most gauges of the suite.
const fn to_a_thousand() -> Process {
    Process::Clamped { mean: LOW, max: 1000.0, start: 0.0 }
}

const fn memory() -> Process {
    Process::Clamped { mean: HIGH, max: SIXTEEN_GIB, start: 0.5 }
}

pub(super) const DISKIO: [Field; 7] = [
    ("reads", growing(HIGH)),
    ("writes", growing(HIGH)),
    ("read_bytes", growing(100.0)),
    ("write_bytes", growing(100.0)),
    ("read_time", growing(LOW)),
    ("write_time", growing(LOW)),
    ("io_time", growing(LOW)),
];

pub(super) const KERNEL: [Field; 6] = [
    ("boot_time", Process::Fixed { max: 240 }),
    ("interrupts", growing(LOW)),
    ("context_switches", growing(LOW)),
    ("processes_forked", growing(LOW)),
    ("disk_pages_in", growing(LOW)),
    ("disk_pages_out", growing(LOW)),
];

pub(super) const NET: [Field; 8] = [
    ("bytes_sent", growing(HIGH)),
    ("bytes_recv", growing(HIGH)),
    ("packets_sent", growing(HIGH)),
    ("packets_recv", growing(HIGH)),
    ("err_in", growing(LOW)),
    ("err_out", growing(LOW)),
    ("drop_in", growing(LOW)),
    ("drop_out", growing(LOW)),
];

const NGINX_GAUGE: Process = Process::Clamped { mean: LOW, max: 100.0, start: 0.0 };
pub(super) const NGINX: [Field; 7] = [
    ("accepts", growing(LOW)),
    ("active", NGINX_GAUGE),
    ("handled", growing(LOW)),
    ("reading", NGINX_GAUGE),
    ("requests", growing(LOW)),
    ("waiting", NGINX_GAUGE),
    ("writing", NGINX_GAUGE),
];

pub(super) const POSTGRESL: [Field; 16] = [
    ("numbackends", to_a_thousand()),
    ("xact_commit", to_a_thousand()),
    ("xact_rollback", to_a_thousand()),
    ("blks_read", to_a_thousand()),
    ("blks_hit", to_a_thousand()),
    ("tup_returned", to_a_thousand()),
    ("tup_fetched", to_a_thousand()),
    ("tup_inserted", to_a_thousand()),
    ("tup_updated", to_a_thousand()),
    ("tup_deleted", to_a_thousand()),
    ("conflicts", to_a_thousand()),
    ("temp_files", to_a_thousand()),
    ("temp_bytes", Process::Clamped { mean: 1024.0, max: 1_073_741_824.0, start: 0.0 }),
    ("deadlocks", to_a_thousand()),
    ("blk_read_time", to_a_thousand()),
    ("blk_write_time", to_a_thousand()),
];

pub(super) const REDIS: [Field; 31] = [
    ("uptime_in_seconds", Process::Uptime),
    ("total_connections_received", growing(LOW)),
    ("expired_keys", growing(HIGH)),
    ("evicted_keys", growing(HIGH)),
    ("keyspace_hits", growing(HIGH)),
    ("keyspace_misses", growing(HIGH)),
    ("instantaneous_ops_per_sec", Process::Free { mean: 1.0 }),
    ("instantaneous_input_kbps", Process::Free { mean: 1.0 }),
    ("instantaneous_output_kbps", Process::Free { mean: 1.0 }),
    ("connected_clients", Process::Clamped { mean: HIGH, max: 10_000.0, start: 0.0 }),
    ("used_memory", memory()),
    ("used_memory_rss", memory()),
    ("used_memory_peak", memory()),
    ("used_memory_lua", memory()),
    ("rdb_changes_since_last_save", Process::Clamped { mean: HIGH, max: 10_000.0, start: 0.0 }),
    ("sync_full", to_a_thousand()),
    ("sync_partial_ok", to_a_thousand()),
    ("sync_partial_err", to_a_thousand()),
    ("pubsub_channels", to_a_thousand()),
    ("pubsub_patterns", to_a_thousand()),
    ("latest_fork_usec", to_a_thousand()),
    ("connected_slaves", to_a_thousand()),
    ("master_repl_offset", to_a_thousand()),
    ("repl_backlog_active", to_a_thousand()),
    ("repl_backlog_size", to_a_thousand()),
    ("repl_backlog_histlen", to_a_thousand()),
    ("mem_fragmentation_ratio", Process::Clamped { mean: LOW, max: 100.0, start: 0.0 }),
    ("used_cpu_sys", to_a_thousand()),
    ("used_cpu_user", to_a_thousand()),
    ("used_cpu_sys_children", to_a_thousand()),
    ("used_cpu_user_children", to_a_thousand()),
];
