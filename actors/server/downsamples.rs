//! What keeps coarse tables up to date.

use super::Server;
use crate::downsample::{Downsamples, DownsamplesConfig};
use crate::runtime::guardian::{ActorConfig, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::ticker;
use crate::wal::LogReader;
use protocols::limits;
use protocols::messages::downsamples::SyncDownsamples;
use std::time::Duration;

/// How often it is looked which rows were written, and which intervals are over.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Server {
    /// Starts the actor and with it the downsamples that the catalog has. `write_window` is that of
    /// the writes.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub async fn start_downsamples(
        &mut self,
        write_window: Option<Duration>,
    ) -> anyhow::Result<Mailbox<Downsamples>> {
        let downsamples = DownsamplesConfig {
            log: LogReader::new(self.owner.clone(), self.addresses.snapshot.clone()),
            query: self.addresses.query.clone(),
            ingest: self.addresses.ingest.clone(),
            clock: self.clock.clone(),
            write_window,
        };
        let config = ActorConfig {
            kind: "downsamples",
            name: "downsamples".to_owned(),
            messages_max: limits::DOWNSAMPLES_MAILBOX_MESSAGES,
            bytes_max: limits::DOWNSAMPLES_MAILBOX_BYTES,
            vital: false,
        };
        let mailbox = Guardian::mailbox(&config);
        let lives = Downsamples::lives(downsamples, self.downsamples.again());
        self.births.push(self.guardian.birth(config, mailbox.clone(), lives).await?);
        self.tickers.push(ticker::start(mailbox.clone(), LOOK_INTERVAL, || SyncDownsamples));
        Ok(mailbox)
    }
}
