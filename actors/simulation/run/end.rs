//! The end of a run: everything is healed, and nothing may be missing, over several restarts.

use super::Driver;
use crate::simulation::caches;
use crate::simulation::clients::query;
use crate::simulation::row_deletes;
use crate::simulation::workload::Ask;
use crate::simulation::world::CALM;
use protocols::limits::ADMIN_DEADLINE_MS;
use rand::RngExt;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// When nothing is wrong, rows that were deleted have gone for good after so long.
const DELETES_OVER: Duration = Duration::from_secs(3_600);

impl Driver {
    /// Heals everything and makes sure that nothing was lost, over several restarts.
    pub(super) async fn end(&mut self) {
        self.world.log("the end begins");
        self.world.heal();
        self.finish_requests().await;
        self.wait_until_ready().await;
        self.check_everything().await;
        let ways = self.world.random().random_range(0..4);
        match ways {
            0 => self.stop_in_order().await,
            1 => self.world.stop_machine(false),
            _ => self.world.stop_machine(true),
        }
        self.wait_until_ready().await;
        self.survey().await;
        if self.world.random().random_bool(0.5) {
            return;
        }
        // What was removed in the meantime must not be needed any more.
        self.settle(Duration::from_secs(60)).await;
        self.see_deletes_end().await;
        self.send_writes();
        self.finish_requests().await;
        self.world.stop_machine(true);
        self.wait_until_ready().await;
        self.survey().await;
    }

    /// Looks at everything right after a start, when no write is on its way.
    async fn survey(&mut self) {
        self.world.model.borrow_mut().begin_survey();
        self.check_everything().await;
        let whole = self.world.model.borrow().end_survey();
        if let Err(what) = whole {
            self.world.violated(what);
        }
    }

    /// Rows that were deleted go for good in the end, if files are compacted.
    async fn see_deletes_end(&mut self) {
        if !self.world.deletes_rows || self.world.config.compaction.is_none() {
            return;
        }
        let until = Instant::now() + DELETES_OVER;
        while let Some((_, server)) = self.world.only_server()
            && let Some(pending) = row_deletes::pending(&server)
        {
            if Instant::now() > until {
                let left = server.row_deleter.left(&pending).await;
                return self.world.violated(format_args!("{left:?} of {pending:?}"));
            }
            self.settle(CALM).await;
        }
    }

    async fn stop_in_order(&mut self) {
        // What failed before has to have mended itself by now.
        self.settle(CALM).await;
        let Some((id, _)) = self.world.only_server() else { return };
        let Some(running) = self.world.take_running(id) else { return };
        let world = Rc::clone(&self.world);
        self.world.start(async move {
            let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
            let drained = running.drain(deadline).await;
            let at_rest = running.end(deadline).await && drained;
            world.log(format_args!("process {id} has stopped, drained: {at_rest}"));
            world.kill(id);
            if !at_rest {
                world.violated("the log and the snapshots did not come to rest");
            }
        });
        self.finish_requests().await;
    }

    async fn check_everything(&mut self) {
        let tables = self.world.model.borrow().tables();
        let Some((id, server)) = self.world.only_server() else { return };
        let counted = self.world.random().random_range(0..tables.len().max(1));
        for (number, table) in tables.into_iter().enumerate() {
            let (world, server) = (Rc::clone(&self.world), server.clone());
            self.world.start(query(world, id, server.clone(), table, Ask::All));
            if self.world.caches.is_some() {
                let (world, server) = (Rc::clone(&self.world), server.clone());
                self.world.start(caches::check(world, id, server, table));
            }
            if number == counted {
                let (world, all) = (Rc::clone(&self.world), Ask::Count(i64::MIN, i64::MAX));
                self.world.start(query(world, id, server, table, all));
            }
        }
        self.finish_requests().await;
    }
}
