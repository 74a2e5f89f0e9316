//! What the edges tell the audit log.

use super::access::Refusal;
use super::state::ServerState;
use protocols::messages::audit::{AuditEntry, KeepAudit, Outcome};
use protocols::principal::{Origin, Principal};

impl ServerState {
    /// Something was done.
    pub fn audit_done(
        &self,
        who: (&Principal, Origin),
        action: &'static str,
        object: impl Into<String>,
    ) {
        self.tell_audit(AuditEntry::new(self.clock.now_ns(), who, action, object));
    }

    /// A request was refused, for the reason that it is told. The log hears of it a moment later.
    pub fn audit_refused(
        &self,
        who: (&Principal, Origin),
        object: impl Into<String>,
        reason: &str,
    ) {
        let entry = AuditEntry::new(self.clock.now_ns(), who, "request", object);
        self.refusals.gather(entry.ended(Outcome::Refused).with_detail(reason));
    }

    /// The log counts what it has no room for.
    pub fn tell_audit(&self, entry: AuditEntry) {
        self.audit.tell(KeepAudit(entry));
    }
}

impl Refusal {
    /// Why, for the audit log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAuthenticated => "no token, or one that is unknown or has expired",
            Self::Malformed => "the header Authorization is malformed",
            Self::Foreign => "a page of another server may have sent it",
        }
    }
}
