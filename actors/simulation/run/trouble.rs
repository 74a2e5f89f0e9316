//! What goes wrong in a run, and what changes: crashes, twins, faults, panics, deletions, clocks.

use super::Driver;
use crate::simulation::changes::{delete, set_retention};
use crate::simulation::objects::Weather;
use crate::simulation::workload::{DATABASES, TABLES};
use crate::storage::simulated_disk::Call;
use rand::RngExt;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::sleep;

impl Driver {
    /// Kills a process, or stops the whole machine: now, or in the middle of a call to the disk.
    pub(super) fn crash(&self) {
        let alive = self.world.alive();
        let what = self.world.random().random_range(0..4);
        match what {
            0 if !alive.is_empty() => {
                let victim = alive[self.world.random().random_range(0..alive.len())];
                self.world.kill(victim);
            }
            1 => {
                let power_loss = self.world.random().random_bool(0.5);
                self.world.stop_machine(power_loss);
            }
            2 => {
                let syncs = self.world.random().random_range(0..12);
                let power_loss = self.world.random().random_bool(0.3);
                self.world.stop_is_power_loss.set(power_loss);
                self.world.disk().stop_at_sync(syncs);
                self.world.trouble();
                self.world.log(format_args!("the machine stops at sync {syncs}"));
            }
            _ => {
                let calls = self.world.random().random_range(0..60);
                let power_loss = self.world.random().random_bool(0.7);
                self.world.stop_is_power_loss.set(power_loss);
                self.world.disk().stop_in(calls);
                self.world.trouble();
                self.world.log(format_args!("the machine stops in {calls} calls"));
            }
        }
        self.start_later();
    }

    /// Starts a process after a while, if there is none then.
    pub(super) fn start_later(&self) {
        let pause = self.world.random().random_range(0..3_000);
        let world = Rc::clone(&self.world);
        self.world.start(async move {
            sleep(Duration::from_millis(pause)).await;
            if world.alive().is_empty() {
                world.start_process();
            }
        });
    }

    pub(super) fn twin(&self) {
        if self.world.alive().len() < 3 {
            self.world.start_process();
        }
    }

    pub(super) fn fault(&self) {
        self.world.trouble();
        let world = &self.world;
        let share = [0.01, 0.1, 0.5][world.random().random_range(0..3)];
        let times = [1, 1, 1, 2, 3, 500][world.random().random_range(0..6)];
        let kind = world.random().random_range(0..9);
        world.log(format_args!("fault {kind} {share} {times}"));
        let mut weather = Weather::FAIR;
        match kind {
            0 => weather.before = share,
            1 => weather.after = share,
            2 => weather.late = share,
            3 => weather.hang = share * 0.2,
            4 => weather.down = true,
            5 => weather.latency_max = Duration::from_secs(2),
            // Everything arrives, and nobody hears of it.
            6 => weather.after = 1.0,
            _ => {}
        }
        world.objects.set_weather(weather);
        match kind {
            0 | 1 => world.disk().fail_next(Call::Sync, times),
            2 | 3 => world.disk().fail_next(Call::Write, times),
            4 => world.disk().set_full(true),
            5 => world.disk().fail_next(Call::SyncFolder, times),
            6 => world.disk().fail_next(Call::Name, times),
            _ => world.heal(),
        }
        if times > 3 || world.random().random_bool(0.25) {
            // Longer than the log tries again.
            self.send_writes();
            let millis = world.random().random_range(5_000..40_000);
            self.hold.set(Some(Duration::from_millis(millis)));
        }
        if kind < 7 {
            let outlast = world.random().random_range(0..40_000);
            let world = Rc::clone(world);
            self.world.start(async move {
                sleep(Duration::from_millis(outlast)).await;
                world.log("the faults end");
                world.heal();
            });
        }
    }

    /// Plants something at a fail point: an error, or the end of the machine.
    pub(super) fn fail_point(&self) {
        // Those of the compaction and of deletes come last: seeds without these know nothing of
        // them.
        const ERRORS: [&str; 9] = [
            "wal-put",
            "wal-put-ambiguous",
            "catalog-after-put",
            "catalog-checkpoint-mid",
            "index-base-mid",
            "snap-parquet-put",
            "snap-manifest-put",
            "compact-put",
            "compact-manifest-put",
        ];
        const POINTS: [&str; 14] = [
            "wal-before-put",
            "wal-after-put",
            "wal-before-ack",
            "snap-after-marker",
            "snap-after-first-parquet",
            "snap-after-all-parquet",
            "snap-after-manifest",
            "snap-mid-wal-delete",
            "compact-after-first-file",
            "compact-before-publish",
            "compact-after-publish",
            "row-delete-before-cut",
            "row-delete-before-accept",
            "row-delete-after-accept",
        ];
        let (errors, points) = match self.world.config.compaction {
            _ if self.world.deletes_rows => (ERRORS.as_slice(), POINTS.as_slice()),
            Some(_) => (ERRORS.as_slice(), &POINTS[..11]),
            None => (&ERRORS[..7], &POINTS[..8]),
        };
        self.world.trouble();
        let hit = self.world.random().random_range(1..4);
        let mut faults = self.world.machine.faults.borrow_mut();
        if self.world.random().random_bool(0.4) {
            let name = errors[self.world.random().random_range(0..errors.len())];
            faults.plant_error(name, hit);
            self.world.log(format_args!("error at {name}, hit {hit}"));
        } else {
            let name = points[self.world.random().random_range(0..points.len())];
            faults.plant_stop(name, hit);
            let power_loss = self.world.random().random_bool(0.6);
            self.world.stop_is_power_loss.set(power_loss);
            self.world.log(format_args!("the machine stops at {name}, hit {hit}"));
        }
    }

    pub(super) fn panic(&self) {
        // Those of the compaction and of deletes come last, likewise.
        const HANDLERS: [&str; 26] = [
            "wal:AppendRows",
            "wal:PeriodDue",
            "wal:TakeSnapshot",
            "wal:SnapshotDone",
            "store-1:EndSnapshot",
            "store-0:ApplyRows",
            "store-0:ViewTable",
            "store-0:FrozenChunks",
            "store-0:SwapChunk",
            "store-0:EndSnapshot",
            "persist:SnapshotDue",
            "index:AppendSnapshot",
            "index:FindSnapshot",
            "index:SweepFiles",
            "catalog:EnsureSchema",
            "ingest-0:WriteLines",
            "parquet-cache:Insert",
            "compact:CompactionDue",
            "index:ListFiles",
            "index:AppendCompaction",
            "index:SweepOrphans",
            "store-0:SwapFiles",
            "catalog:RequestRowDelete",
            "catalog:AcceptRowDelete",
            "catalog:CompleteRowDelete",
            "wal:CutRows",
        ];
        let handlers = match self.world.config.compaction {
            _ if self.world.deletes_rows => HANDLERS.as_slice(),
            Some(_) => &HANDLERS[..22],
            None => &HANDLERS[..17],
        };
        self.world.trouble();
        let name = handlers[self.world.random().random_range(0..handlers.len())];
        let hit = self.world.random().random_range(1..6);
        self.world.log(format_args!("panic in {name} at hit {hit}"));
        self.world.machine.faults.borrow_mut().plant_panic(name, hit);
    }

    pub(super) fn change(&self) {
        if self.world.changing.replace(true) {
            return;
        }
        let world = Rc::clone(&self.world);
        let db = world.random().random_range(0..DATABASES);
        let table = world.random().random_range(0..TABLES);
        let kind = world.random().random_range(0..6);
        let period = world.random().random_range(1..20) * world.config.gen1_duration_ns;
        match kind {
            0..3 => self.world.start(delete(world, db, Some(table))),
            3 => self.world.start(delete(world, db, None)),
            4 => self.world.start(set_retention(world, db, Some(period))),
            _ => self.world.start(set_retention(world, db, None)),
        }
    }

    /// The wall clock is set, forward or back.
    pub(super) fn step_clock(&self) {
        let world = &self.world;
        world.moment();
        let by = world.random().random_range(-3_600..3_600) * 1_000_000_000_i64;
        // With a retention period in force it would decide what queries under way may show.
        if !world.model.borrow().retention.is_in_use() {
            world.clock.step(by);
            world.log(format_args!("the clock is set by {by} ns"));
        }
        world.moment();
    }
}
