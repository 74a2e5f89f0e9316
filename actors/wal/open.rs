//! How the actor comes to life, the first time and after a panic.

use super::actor::Wal;
use super::config::WalConfig;
use super::log::Log;
use super::object::ObjectLog;
use super::owner::Owner;
use super::replay::{Replay, ReplayError, ReplayStats, replay};
use super::segment::SegmentLog;
use super::tracker::Period;
use protocols::messages::rank;
use std::time::Duration;
use tokio::time::Instant;

/// How often the log is read again because it has names that the catalog did not have yet.
const CATCH_UPS_MAX: u32 = 3;

/// Each file that a process takes over with opens a range of so many group numbers, far more than
/// one file ever holds.
const NUMBERS_A_FILE: u64 = 1 << 27;

/// How long a shard may take for one replayed group.
const APPLY_DEADLINE: Duration = Duration::from_secs(60);

impl Wal {
    /// Takes the log over from whoever wrote it before, reads it back into the store shards, and
    /// is ready for new rows. The shards skip what they have already, so this serves the start of
    /// the server and the rebuilding after a panic alike. `what` is asked after the takeover, so
    /// that its catalog has all names that the former writer could use.
    ///
    /// After a panic the last durable snapshot counts as under way once more. `Persist` may not have
    /// told all shards of its end yet, and a shard that has not heard of it passes the mark of the
    /// next one over. So the next one is not decided before `Persist` says that this one is done.
    ///
    /// # Errors
    /// When the log cannot be read or written, or is damaged and that is to stop the start.
    pub async fn open(
        config: WalConfig,
        what: impl AsyncFn() -> anyhow::Result<Replay>,
    ) -> anyhow::Result<Self> {
        // First the takeover, then the reading: the former writer cannot acknowledge anything
        // that the reading would miss.
        let above_file = config.above_file.max(config.owner.unneeded_through());
        let log = open_log(config.owner.clone(), above_file).await?;
        let is_rebuilt = config.owner.confirmed() > 0;
        let mut held_bytes = vec![0; config.stores.all().len()];
        let mut catch_ups = 1;
        let (stats, index) = loop {
            let what = what().await?;
            match read_back(&config, log.as_ref(), &what, &mut held_bytes).await {
                // The former writer named something, and wrote to it, after `what` had its names.
                Err(ReplayError::Unknown { .. }) if catch_ups < CATCH_UPS_MAX => catch_ups += 1,
                read => break (read?, what.index),
            }
        };
        // A former writer may still bring a group into its own file. It will never acknowledge it,
        // so the number of such a group must not hide one of ours when the log is read again: each
        // takeover numbers its groups from a range above those of all earlier ones.
        let range = log.first_own_file().checked_mul(NUMBERS_A_FILE).ok_or_else(|| {
            anyhow::anyhow!("the number of WAL file {} is too large", log.first_own_file())
        })?;
        let last_sequence = stats.last_sequence.max(range);
        config.owner.confirm(last_sequence);
        config.owner.see(last_sequence);
        let own_file = log.first_own_file();
        config.pulse.rests(); // whatever a former life had to do
        let last_stamp = stats.last_stamp.max(index.last_stamp());
        let mut wal = Self::with_log(config, log, (last_sequence, last_stamp));
        wal.held_bytes = held_bytes;
        wal.last_snapshot = index.last_snapshot();
        wal.config.owner.need_not(index.wal_through());
        let ended = index.snapshots().next_back().filter(|_| is_rebuilt).copied();
        wal.snapshot = stats.pending.or(ended).map(|placed| (placed, true));
        for period in stats.periods {
            if period.through < own_file {
                // A file without rows was made for a period that never began.
                if period.has_rows() {
                    wal.tracker.add(period);
                }
            } else {
                // What was taken over into the file that is written next.
                wal.period = Some(period).filter(Period::has_rows);
            }
        }
        Ok(wal)
    }
}

/// Has the shards take everything that earlier writers left, and notes what they hold then.
async fn read_back(
    config: &WalConfig,
    log: &dyn Log,
    what: &Replay,
    held_bytes: &mut [usize],
) -> Result<ReplayStats, ReplayError> {
    replay(what, Some(log.first_own_file()), async |shard, group| {
        config.owner.confirm(group.sequence);
        let deadline = Instant::now() + APPLY_DEADLINE;
        let asked = config.stores.all()[shard].ask::<{ rank::WAL }, _>(group, deadline).await;
        held_bytes[shard] = asked.map_err(|e| ReplayError::Apply(e.to_string()))?;
        Ok(())
    })
    .await
}

/// Opens the log of `owner`'s node for writing. New files get numbers above `above`: a snapshot may
/// have made all files up to there unnecessary.
async fn open_log(owner: Owner, above: u64) -> anyhow::Result<Box<dyn Log>> {
    Ok(match owner.objects().directory {
        Some(_) => Box::new(SegmentLog::open(owner, above).await?),
        None => Box::new(ObjectLog::open(owner, above).await?),
    })
}
