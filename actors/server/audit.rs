//! The audit log, which is there before anything that is told to it and ends after all of it.

use super::Start;
use crate::audit::Audit;
use crate::runtime::guardian::{ActorConfig, Birth, Guardian};
use crate::runtime::lives::Lives;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::pools::Pool;
use anyhow::Context;
use protocols::limits;
use protocols::messages::audit::FlushAudit;
use tokio::time::Instant;

/// Writes that wait for a thread: there is one at a time.
const WRITES_MAX: usize = 4;

/// The actor, as it is looked after.
pub(super) struct AuditLog {
    pub(super) mailbox: Mailbox<Audit>,
    birth: Birth,
}

fn config() -> ActorConfig {
    ActorConfig {
        kind: "audit",
        name: "audit".to_owned(),
        messages_max: limits::AUDIT_MAILBOX_MESSAGES,
        bytes_max: limits::AUDIT_MAILBOX_BYTES,
        vital: false,
    }
}

impl Start<'_> {
    pub(super) async fn audit(&mut self) -> anyhow::Result<AuditLog> {
        let target = self.config.audit.target.clone();
        target.check().context("the audit log cannot be opened (--audit-log)")?;
        let (config, clock) = (config(), self.clock.clone());
        let pool = Pool::background("audit", 1, WRITES_MAX)?;
        let mailbox = Guardian::mailbox(&config);
        let lives = Lives::of(move || Ok(Audit::new(target.clone(), clock.clone(), pool.clone())));
        let birth = self.guardian.birth(config, mailbox.clone(), lives).await?;
        Ok(AuditLog { mailbox, birth })
    }
}

impl AuditLog {
    /// Ends it once all that it was told is where it belongs.
    pub(super) async fn end(self, deadline: Instant) {
        if let Err(error) = self.mailbox.ask_from_edge(FlushAudit, deadline).await {
            tracing::warn!(%error, "the last lines of the audit log may be missing");
        }
        self.birth.end().await;
    }
}
