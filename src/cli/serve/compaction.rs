//! Options of `influxdb3 serve` about compaction.

use actors::compact::CompactionOptions;
use actors::runtime::clock::as_nanos;
use clap::{Args, ValueEnum};
use protocols::durations::parse_duration;
use std::time::Duration;

use super::positive;

/// Part of the memory that a compaction may take, and how much that is at least and at most.
const MEMORY_PART: f64 = 0.1;
const MEMORY_BYTES_MIN: usize = 64 * 1024 * 1024;
const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long after its end a window is left alone, beside the width of a chunk.
const SETTLE: Duration = Duration::from_secs(60);
/// So many times it is looked for what is due before a window counts as quiet.
const QUIET_LOOKS: u32 = 2;

/// Whether files are compacted without anybody asking for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// They are
    On,
    /// Only `influxdb3 compact` does it
    Off,
}

/// How files become fewer.
#[derive(Args, Debug)]
pub struct CompactionArgs {
    /// Merge Parquet files of time that is over into fewer and larger ones
    #[arg(
        long,
        value_enum,
        env = "INFLUXDB3_COMPACTION",
        default_value = "on",
        hide_short_help = true
    )]
    pub compaction: Switch,

    /// Width of a window of the second generation: a multiple of --gen1-duration
    #[arg(long, value_name = "DURATION", value_parser = whole_seconds, env = "INFLUXDB3_COMPACTION_GEN2_DURATION", default_value = "20m", hide_short_help = true)]
    pub compaction_gen2_duration: Duration,

    /// How many times as wide the windows of each further generation are
    #[arg(
        long,
        value_name = "N,N,…",
        env = "INFLUXDB3_COMPACTION_MULTIPLIERS",
        default_value = "3,4,6,5,6",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(2..=1000),
        hide_short_help = true
    )]
    pub compaction_multipliers: Vec<u32>,

    /// Rows of a compacted file at most [default: about 64 MiB of them]
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_COMPACTION_ROW_LIMIT",
        value_parser = positive,
        hide_short_help = true
    )]
    pub compaction_row_limit: Option<usize>,

    /// Files that are merged at once at most; memory may allow for fewer
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_COMPACTION_MAX_NUM_FILES_PER_PLAN",
        default_value_t = 500,
        value_parser = positive,
        hide_short_help = true
    )]
    pub compaction_max_num_files_per_plan: usize,

    /// How often it is looked for what can be compacted. Windows that got rows within twice
    /// this time wait
    #[arg(long, value_name = "DURATION", value_parser = interval, env = "INFLUXDB3_COMPACTION_CHECK_INTERVAL", default_value = "10s", hide_short_help = true)]
    pub compaction_check_interval: Duration,

    /// How long files stay in the store whose rows are in compacted ones, for programs that read
    /// them; queries of this server keep what they read in any case
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_COMPACTION_CLEANUP_WAIT", default_value = "10m", hide_short_help = true)]
    pub compaction_cleanup_wait: Duration,

    /// Requests to the store that a compaction has under way at once
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_COMPACTED_DATA_LOAD_CONCURRENCY_LIMIT",
        default_value_t = 20,
        value_parser = positive,
        hide_short_help = true
    )]
    pub compacted_data_load_concurrency_limit: usize,

    /// Compacted files with rows of the last such time enter the cache of Parquet files at once
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_PREEMPTIVE_CACHE_AGE", default_value = "3d", hide_short_help = true)]
    pub preemptive_cache_age: Duration,
}

impl CompactionArgs {
    /// What was chosen, on a machine with so much memory for data.
    pub fn options(&self, memory: usize) -> CompactionOptions {
        CompactionOptions {
            is_automatic: self.compaction == Switch::On,
            gen2_duration_ns: as_nanos(self.compaction_gen2_duration),
            multipliers: self.compaction_multipliers.clone(),
            rows_max: self.compaction_row_limit,
            files_max: self.compaction_max_num_files_per_plan,
            check_interval: self.compaction_check_interval,
            cleanup_wait: self.compaction_cleanup_wait,
            reads_at_once: self.compacted_data_load_concurrency_limit,
            cache_age: self.preemptive_cache_age,
            bytes_max: ((memory as f64 * MEMORY_PART) as usize)
                .clamp(MEMORY_BYTES_MIN, MEMORY_BYTES_MAX),
            settle: SETTLE,
            quiet: self.compaction_check_interval.saturating_mul(QUIET_LOOKS),
        }
    }
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    let is_whole = duration.subsec_nanos() == 0 && !duration.is_zero();
    is_whole.then_some(duration).ok_or_else(|| "a number of whole seconds is needed".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    let is_long = duration >= Duration::from_millis(10);
    is_long.then_some(duration).ok_or_else(|| "10ms or more is needed".to_owned())
}
