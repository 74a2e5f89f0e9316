//! What is told of statements, in the query log and the audit log.

use super::config::Telling;
use super::log::Reporter;
use super::redact;
use protocols::error::ErrorKind;
use protocols::messages::audit::{AuditEntry, KeepAudit, Outcome};
use protocols::messages::query::{QueryError, Statement};
use std::borrow::Cow;

impl Telling {
    /// The statement as others may see it.
    pub(super) fn text<'a>(&self, statement: &'a Statement) -> Cow<'a, str> {
        match self.redacts {
            true => redact::redacted(statement.language, &statement.text).into(),
            false => statement.text.as_str().into(),
        }
    }

    /// A command that is no statement, as others may see it: what it asks for comes behind its name.
    pub(super) fn command(&self, mut text: String) -> String {
        if self.redacts {
            text.truncate(text.find(' ').unwrap_or(text.len()));
        }
        text
    }

    /// Has the audit log hear of the end of a statement, if it is to.
    pub(super) fn at_the_end(
        &self,
        reporter: Reporter,
        statement: &Statement,
        text: &str,
        now_ns: i64,
    ) -> Reporter {
        match (&self.audit, self.audits_statements) {
            (Some(audit), true) => reporter.audited(audit.clone(), entry(statement, text, now_ns)),
            _ => reporter,
        }
    }

    /// Tells the audit log of a statement that did not begin. Of who may not ask it is told where
    /// the request came in.
    pub(super) fn of_failure(&self, statement: &Statement, error: &QueryError, now_ns: i64) {
        if let (Some(audit), true) = (&self.audit, self.audits_statements)
            && error.kind != ErrorKind::Forbidden
        {
            let entry = entry(statement, &self.text(statement), now_ns);
            audit.tell(KeepAudit(entry.ended(Outcome::Failed)));
        }
    }
}

fn entry(statement: &Statement, text: &str, now_ns: i64) -> AuditEntry {
    let who = (&statement.principal, statement.origin.clone());
    AuditEntry::new(now_ns, who, "query", statement.db.as_str()).with_detail(text)
}
