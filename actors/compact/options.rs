//! What was chosen about the compaction.

use anyhow::ensure;
use std::time::Duration;

/// What was chosen about the compaction.
#[derive(Clone, Debug)]
pub struct CompactionOptions {
    /// Compact whatever is due, not only what somebody asks for.
    pub is_automatic: bool,
    /// Width of a window of the second generation, in nanoseconds.
    pub gen2_duration_ns: i64,
    /// How many times as wide each further generation is.
    pub multipliers: Vec<u32>,
    /// Rows of a file; its bytes decide if this is not set.
    pub rows_max: Option<usize>,
    /// Files that one compaction takes in.
    pub files_max: usize,
    /// How often it is looked for what is due.
    pub check_interval: Duration,
    /// How long the objects of files stay whose rows are in others.
    pub cleanup_wait: Duration,
    /// Requests to the store under way at once.
    pub reads_at_once: usize,
    /// What comes out goes to the cache of files if its newest row is younger than this.
    pub cache_age: Duration,
    /// Memory that a compaction may take, in bytes.
    pub bytes_max: usize,
    /// How long after its end a window is left alone, beside the width of a chunk.
    pub settle: Duration,
    /// How long after its newest rows were written a window is left alone, unless it has many files.
    pub quiet: Duration,
}

impl CompactionOptions {
    /// The widths of the windows of all generations, the narrowest first.
    ///
    /// # Errors
    /// When the second does not fit the first, or one is too wide; the text says which option is.
    pub fn widths(&self, gen1_duration_ns: i64) -> anyhow::Result<Vec<i64>> {
        let gen2 = self.gen2_duration_ns;
        ensure!(
            gen2 >= gen1_duration_ns && gen2 % gen1_duration_ns == 0,
            "--compaction-gen2-duration must be a multiple of the width of a chunk, which is {} s \
             in this store",
            gen1_duration_ns / 1_000_000_000
        );
        let mut widths = vec![gen1_duration_ns, gen2];
        let mut width = gen2;
        for multiplier in &self.multipliers {
            let next = width.checked_mul(i64::from(*multiplier)).filter(|next| *next > width);
            let Some(next) = next else {
                anyhow::bail!(
                    "--compaction-multipliers must be 2 or more each, and come to no more than 292 \
                     years together"
                );
            };
            widths.push(next);
            width = next;
        }
        Ok(widths)
    }
}
