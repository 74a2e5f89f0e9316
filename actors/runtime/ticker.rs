//! Regular messages to an actor. They come through its mailbox like everything else, because an
//! actor's own interval timers starve while messages wait.

use super::actor::Receive;
use super::mailbox::Mailbox;
use protocols::messages::Command;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Tells `mailbox` a message each `period` until the handle is dropped. Ticks that are missed are
/// skipped, and so is a tick that finds the mailbox full.
pub fn start<A: Receive<M>, M: Command>(
    mailbox: Mailbox<A>,
    period: Duration,
    message: impl Fn() -> M + 'static,
) -> Ticker {
    Ticker(actix_rt::spawn(async move {
        let mut interval = tokio::time::interval(period.max(Duration::from_millis(1)));
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        interval.tick().await; // the first is due at once
        loop {
            interval.tick().await;
            mailbox.tell(message());
        }
    }))
}

/// Stops the ticks when dropped.
#[derive(Debug)]
pub struct Ticker(tokio::task::JoinHandle<()>);

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.abort();
    }
}
