//! How large each measurement is in each profile.

use std::time::Duration;

use clap::ValueEnum;

use crate::queries::measure::Plan;

/// A set of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Every step with little data, in less than a minute: to see that all of it works
    Smoke,
    /// About a quarter of an hour
    Standard,
    /// More data, more rounds and a long soak: about an hour and a half
    Full,
}

/// A measurement. Those of a profile run in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Closed loop against the peers, one table and nine
    Ingest,
    /// A lone writer, and an open loop
    Latency,
    /// Standard queries against the peers, in memory and in Parquet files
    Queries,
    /// Ingest and queries while snapshots run, and how fast these are
    Snapshots,
    /// Start after a kill
    Restart,
    /// Last-value and distinct-value caches
    Caches,
    /// Tokens, and refused requests beside a good client
    Access,
    /// Thousands of connections beside a good client
    Connections,
    /// A hundred thousand tables
    Tables,
    /// Triggers, and what plugins are handed
    Plugins,
    /// Ingest beside merging, its memory, and the delete of one host
    Compaction,
    /// The same over 1 hour to 72 hours of data (`full`: 30 days and 10 months), and bytes on disk
    Sweep,
    /// Minutes of ingest under a limit of memory
    Soak,
}

pub(super) struct Sizes {
    pub(super) steps: &'static [Step],
    /// How often a load is repeated.
    pub(super) rounds: usize,
    /// How often it is with the larger data sets.
    pub(super) other_rounds: usize,
    /// How often it is with and without caches, which differ less than two loads may.
    pub(super) cache_rounds: usize,
    /// How often it is with and without tokens.
    pub(super) access_rounds: usize,
    /// How many there are where there are many.
    pub(super) access_tokens: u32,
    pub(super) idle_connections: usize,
    pub(super) slow_connections: usize,
    pub(super) tables: u32,
    pub(super) cpu_hosts: u32,
    pub(super) cpu_rows: u64,
    pub(super) devops_hosts: u32,
    pub(super) devops_seconds: u64,
    /// What a load may take longer than its rows let expect, before a snapshot is due.
    pub(super) load_seconds: u64,
    pub(super) lone_requests: u32,
    pub(super) open_rate: u64,
    pub(super) open_seconds: u64,
    pub(super) query_hosts: u32,
    pub(super) query_hours: u64,
    pub(super) plan: Plan,
    pub(super) snapshot_hosts: u32,
    pub(super) snapshot_ingest_rows: u64,
    pub(super) snapshot_rows: u64,
    /// How often one is taken alone.
    pub(super) snapshot_rounds: usize,
    /// Queries at rest, to compare with those during a snapshot.
    pub(super) rest_queries: usize,
    pub(super) restart_rows: u64,
    pub(super) cache_hosts: u32,
    pub(super) cache_series: u32,
    pub(super) cache_rate: u64,
    /// How long rows are written while a cache is asked.
    pub(super) cache_seconds: u64,
    pub(super) cache_requests: usize,
    /// Days of the sweep's hosts that are merged while others write.
    pub(super) merge_days: u64,
    pub(super) delete_hosts: u32,
    /// Seconds between two rows of a host that is deleted.
    pub(super) delete_interval: u64,
    pub(super) delete_days: u64,
    pub(super) sweep_hosts: u32,
    pub(super) sweep_hours: &'static [u64],
    pub(super) soak_seconds: u64,
    pub(super) soak_memory_bytes: u64,
}

const ALL: &[Step] = &[
    Step::Ingest,
    Step::Latency,
    Step::Queries,
    Step::Snapshots,
    Step::Restart,
    Step::Caches,
    Step::Access,
    Step::Connections,
    Step::Tables,
    Step::Plugins,
    Step::Compaction,
    Step::Sweep,
    Step::Soak,
];

impl Profile {
    pub(super) fn sizes(self) -> Sizes {
        match self {
            Self::Smoke => smoke(),
            Self::Standard => standard(),
            Self::Full => full(),
        }
    }
}

fn smoke() -> Sizes {
    Sizes {
        // A control group needs rights that a test run need not have.
        steps: &ALL[..ALL.len() - 1],
        rounds: 1,
        other_rounds: 1,
        cache_rounds: 1,
        access_rounds: 1,
        access_tokens: 1000,
        idle_connections: 20,
        slow_connections: 5,
        tables: 1000,
        cpu_hosts: 20,
        cpu_rows: 20_000,
        devops_hosts: 10,
        devops_seconds: 300,
        load_seconds: 1,
        lone_requests: 50,
        open_rate: 10_000,
        open_seconds: 1,
        query_hosts: 10,
        query_hours: 2,
        plan: Plan { runs_max: 1, runs_min: 1, time_max: Duration::ZERO, compared: 1 },
        snapshot_hosts: 20,
        snapshot_ingest_rows: 20_000,
        snapshot_rows: 20_000,
        snapshot_rounds: 1,
        rest_queries: 10,
        restart_rows: 10_000,
        cache_hosts: 100,
        cache_series: 500,
        cache_rate: 5_000,
        cache_seconds: 1,
        cache_requests: 5,
        merge_days: 1,
        delete_hosts: 20,
        delete_interval: 3600,
        delete_days: 3,
        sweep_hosts: 5,
        sweep_hours: &[1, 2],
        soak_seconds: 3,
        soak_memory_bytes: 512 << 20,
    }
}

fn standard() -> Sizes {
    Sizes {
        steps: &ALL[..ALL.len() - 1],
        rounds: 3,
        other_rounds: 1,
        cache_rounds: 7,
        access_rounds: 5,
        access_tokens: 100_000,
        idle_connections: 10_000,
        slow_connections: 2_000,
        tables: 100_000,
        cpu_hosts: 4000,
        cpu_rows: 1_200_000,
        devops_hosts: 400,
        devops_seconds: 900,
        load_seconds: 4,
        lone_requests: 2000,
        open_rate: 50_000,
        open_seconds: 60,
        query_hosts: 400,
        query_hours: 12,
        plan: Plan {
            runs_max: 100,
            runs_min: 3,
            time_max: Duration::from_millis(2000),
            compared: 1,
        },
        snapshot_hosts: 400,
        snapshot_ingest_rows: 12_000_000,
        snapshot_rows: 1_728_000,
        snapshot_rounds: 7,
        rest_queries: 1000,
        restart_rows: 2_000_000,
        cache_hosts: 10_000,
        cache_series: 100_000,
        cache_rate: 100_000,
        cache_seconds: 10,
        cache_requests: 500,
        merge_days: 20,
        delete_hosts: 4000,
        delete_interval: 3600,
        delete_days: 90,
        sweep_hosts: 100,
        sweep_hours: &[1, 6, 24, 72],
        soak_seconds: 60,
        soak_memory_bytes: 512 << 20,
    }
}

fn full() -> Sizes {
    Sizes {
        steps: ALL,
        rounds: 5,
        other_rounds: 3,
        cache_rounds: 9,
        cpu_rows: 4_000_000,
        devops_seconds: 1800,
        open_seconds: 600,
        plan: Plan { runs_max: 300, runs_min: 5, time_max: Duration::from_secs(15), compared: 4 },
        restart_rows: 5_000_000,
        snapshot_ingest_rows: 24_000_000,
        snapshot_rows: 10_368_000,
        snapshot_rounds: 5,
        delete_interval: 900,
        cache_requests: 2000,
        sweep_hours: &[1, 24, 720, 7200],
        soak_seconds: 600,
        ..standard()
    }
}
