//! What the `Audit` actor accepts.

use super::Command;
use crate::access::tokens::Token;
use crate::ids::TokenId;
use crate::principal::{Origin, Principal};
use serde::Serialize;
use std::sync::Arc;

/// Limit: bytes of what an entry is about.
const OBJECT_BYTES_MAX: usize = 2 * 1024;
/// Limit: bytes of what is told beside it.
const DETAIL_BYTES_MAX: usize = 16 * 1024;

/// What came of something that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is done.
    Done,
    /// Whoever asked may not.
    Refused,
    /// It was not done, or not known to be.
    Failed,
    /// Whoever asked gave up, or was stopped.
    Cancelled,
}

impl Outcome {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, nanoseconds since 1970.
    pub time_ns: i64,
    /// Name of who asked.
    pub principal: Arc<str>,
    /// The token that they have.
    pub token_id: Option<TokenId>,
    /// Where from.
    pub origin: Origin,
    /// What was asked for.
    pub action: &'static str,
    /// What it is about.
    pub object: String,
    /// What came of it.
    pub outcome: Outcome,
    /// More about it: the text of a statement, why it failed.
    pub detail: Option<String>,
}

impl AuditEntry {
    /// An entry of `principal`, who has done something. What is longer than an entry may be is cut.
    pub fn new(
        time_ns: i64,
        (principal, origin): (&Principal, Origin),
        action: &'static str,
        object: impl Into<String>,
    ) -> Self {
        let name = match principal {
            Principal::Token(token) => Arc::clone(&token.name),
            other => other.name().into(),
        };
        Self {
            time_ns,
            principal: name,
            token_id: principal.token().map(|token: &Arc<Token>| token.id),
            origin,
            action,
            object: cut(object.into(), OBJECT_BYTES_MAX),
            outcome: Outcome::Done,
            detail: None,
        }
    }

    /// The same with another outcome.
    #[must_use]
    pub fn ended(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// The same with more about it.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(cut(detail.into(), DETAIL_BYTES_MAX)), ..self }
    }

    /// Memory that it takes, in bytes.
    pub fn size_bytes(&self) -> usize {
        let detail = self.detail.as_ref().map_or(0, String::len);
        256 + self.principal.len() + self.object.len() + detail
    }

    /// The entry as a line of JSON, with its time in words. Whatever the texts hold, it is one
    /// line: JSON has escapes for everything that ends lines or moves the cursor of a terminal.
    pub fn line(&self, time: &str) -> Vec<u8> {
        let line = Line {
            time,
            principal: &self.principal,
            token_id: self.token_id.map(|id| id.0),
            peer: self.origin.peer.map(|peer| peer.to_string()),
            action: self.action,
            object: &self.object,
            outcome: self.outcome,
            detail: self.detail.as_deref(),
            trace_id: self.origin.trace_id.as_ref().map(|id| id.as_str()),
        };
        // A struct of texts and numbers has no way to fail.
        let text = serde_json::to_string(&line).unwrap_or_default();
        let mut line = without_escapes(&text).into_bytes();
        line.push(b'\n');
        line
    }
}

/// JSON lets DEL, the controls above ASCII and the marks that turn the direction of text stand as
/// they are; terminals do things to them.
fn without_escapes(json: &str) -> String {
    use std::fmt::Write;
    let is_special = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_special(c) {
            // Writing to a text cannot fail. All of them have four digits.
            write!(text, "\\u{:04x}", u32::from(c)).ok();
        } else {
            text.push(c);
        }
    }
    text
}

fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}

/// The form of a line. Fields are added, and never renamed.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    principal: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    action: &'a str,
    object: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

/// Keeps an entry. A tell of whoever has something to say.
#[derive(Clone, Debug)]
pub struct KeepAudit(pub AuditEntry);

impl Command for KeepAudit {
    type Reply = ();
    const NAME: &'static str = "KeepAudit";
    fn cost_bytes(&self) -> usize {
        self.0.size_bytes()
    }
}

/// The newest entries, the oldest of them first. Sent by `Query`, for a system table.
#[derive(Clone, Copy, Debug)]
pub struct ReadAudit;

impl Command for ReadAudit {
    type Reply = Vec<Arc<AuditEntry>>;
    const NAME: &'static str = "ReadAudit";
}

/// Answered once every entry that came before is where it belongs. Sent at shutdown.
#[derive(Clone, Copy, Debug)]
pub struct FlushAudit;

impl Command for FlushAudit {
    type Reply = ();
    const NAME: &'static str = "FlushAudit";
    const IS_CONTROL: bool = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        let name = "a\r\nb\u{1b}[2J\u{7f}\u{9b}2J\u{202e}\u{2028}é\"";
        let who = (&Principal::Everybody, Origin::default());
        let entry = AuditEntry::new(7, who, "create_database", name).with_detail("x\ny");
        let line = String::from_utf8(entry.line("then")).unwrap();
        let expected = r#"{"time":"then","principal":"everybody","action":"create_database","object":"a\r\nb\u001b[2J\u007f\u009b2J\u202e\u2028é\"","outcome":"done","detail":"x\ny"}"#;
        assert_eq!(line, format!("{expected}\n"));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["object"], name);
    }

    #[test]
    fn long_texts_are_cut() {
        let who = (&Principal::Server, Origin::default());
        let entry = AuditEntry::new(7, who, "query", "ü".repeat(OBJECT_BYTES_MAX));
        assert!(entry.object.len() <= OBJECT_BYTES_MAX + 3 && entry.object.ends_with('…'));
        let entry = entry.with_detail("x".repeat(1 << 20));
        assert!(entry.size_bytes() < 20 * 1024);
    }
}
