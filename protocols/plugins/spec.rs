//! When a trigger runs, as people write it: `table:cpu`, `all_tables`, `cron:0 0 * * * *`,
//! `every:10s`, `request:hook`, `snapshot`.

use crate::durations::parse_duration;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The forms that an error names.
const FORMS: &str = "expect one of the following forms: 'table:<TABLE_NAME>', 'all_tables', \
                     'cron:<CRON_EXPRESSION>', 'every:<DURATION>', or 'request:<PATH>'";

/// The longest interval: a year of 365.25 days, as durations count it.
const EVERY_MAX: Duration = Duration::from_secs(31_557_600);

/// When a trigger runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerSpec {
    /// Rows were written to this table.
    Table(Arc<str>),
    /// Rows were written to any table of the database.
    AllTables,
    /// At the instants of a cron expression with seconds, in UTC.
    Cron(Arc<str>),
    /// At the multiples of this duration since 1970.
    Every(Duration),
    /// At a request for this path.
    Request(Arc<str>),
    /// A snapshot is durable that has rows of the database, or of this table.
    Snapshot(Option<Arc<str>>),
}

/// The kinds of triggers, by what their plugin has to define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerKind {
    /// Rows were written.
    WalRows,
    /// An instant has come.
    Schedule,
    /// A request.
    Request,
    /// A snapshot is durable.
    Snapshot,
}

impl TriggerKind {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::WalRows => "WalRows",
            Self::Schedule => "Schedule",
            Self::Request => "Request",
            Self::Snapshot => "Snapshot",
        }
    }

    /// What the log calls its plugins.
    pub fn plugin_name(self) -> &'static str {
        match self {
            Self::WalRows => "wal plugin",
            Self::Schedule => "schedule plugin",
            Self::Request => "request plugin",
            Self::Snapshot => "snapshot plugin",
        }
    }
}

/// A text that says not when.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse trigger from {specification}: {context}")]
pub struct SpecError {
    /// The text.
    pub specification: String,
    /// What is wrong with it.
    pub context: String,
}

impl TriggerSpec {
    /// Reads `text`. `check_cron` says what is wrong with a cron expression.
    ///
    /// # Errors
    /// When it has none of the forms.
    pub fn parse(
        text: &str,
        check_cron: impl Fn(&str) -> Result<(), String>,
    ) -> Result<Self, SpecError> {
        let text = text.trim();
        let wrong = |context: &str| {
            Err(SpecError { specification: text.to_owned(), context: context.to_owned() })
        };
        match text.split_once(':') {
            None if text == "all_tables" => Ok(Self::AllTables),
            None if text == "snapshot" => Ok(Self::Snapshot(None)),
            Some(("table" | "snapshot", "")) => wrong("table name is empty"),
            Some(("table", table)) => Ok(Self::Table(table.into())),
            Some(("snapshot", table)) => Ok(Self::Snapshot(Some(table.into()))),
            Some(("cron", expression)) => match check_cron(expression.trim()) {
                Ok(()) => Ok(Self::Cron(expression.trim().into())),
                Err(context) => wrong(&context),
            },
            Some(("every", duration)) => match parse_duration(duration) {
                Ok(Duration::ZERO) | Err(_) => wrong("couldn't parse to duration"),
                Ok(every) if every > EVERY_MAX => {
                    wrong("don't support every schedules of over 1 year")
                }
                Ok(every) => Ok(Self::Every(every)),
            },
            Some(("request", path)) => match path.trim_start_matches('/') {
                "" => wrong("request path is empty"),
                path => Ok(Self::Request(path.into())),
            },
            _ => wrong(FORMS),
        }
    }

    /// What its plugin has to define.
    pub fn kind(&self) -> TriggerKind {
        match self {
            Self::Table(_) | Self::AllTables => TriggerKind::WalRows,
            Self::Cron(_) | Self::Every(_) => TriggerKind::Schedule,
            Self::Request(_) => TriggerKind::Request,
            Self::Snapshot(_) => TriggerKind::Snapshot,
        }
    }

    /// As tables show it: a JSON text whose members have the order that clients know.
    pub fn to_json(&self) -> String {
        let text = |text: &str| Value::from(text).to_string();
        match self {
            Self::Table(table) => {
                format!(r#"{{"single_table_wal_write":{{"table_name":{}}}}}"#, text(table))
            }
            Self::AllTables => r#""all_tables_wal_write""#.to_owned(),
            Self::Cron(expression) => {
                format!(r#"{{"schedule":{{"schedule":{}}}}}"#, text(expression))
            }
            Self::Every(every) => {
                let (secs, nanos) = (every.as_secs(), every.subsec_nanos());
                format!(r#"{{"every":{{"duration":{{"secs":{secs},"nanos":{nanos}}}}}}}"#)
            }
            Self::Request(path) => format!(r#"{{"request_path":{{"path":{}}}}}"#, text(path)),
            Self::Snapshot(None) => r#""snapshot""#.to_owned(),
            Self::Snapshot(Some(table)) => {
                format!(r#"{{"snapshot":{{"table_name":{}}}}}"#, text(table))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<TriggerSpec, String> {
        let no_cron = |text: &str| match text {
            "bad" => Err("not a schedule".to_owned()),
            _ => Ok(()),
        };
        TriggerSpec::parse(text, no_cron).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_and_how_it_is_shown() {
        let check = |text: &str, json: &str| {
            let spec = parsed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(spec.to_json(), json, "{text}");
        };
        check("table:foo", r#"{"single_table_wal_write":{"table_name":"foo"}}"#);
        check("  all_tables  ", r#""all_tables_wal_write""#);
        check("cron:0 * * * * *", r#"{"schedule":{"schedule":"0 * * * * *"}}"#);
        check("every:10s", r#"{"every":{"duration":{"secs":10,"nanos":0}}}"#);
        check("every:1y", r#"{"every":{"duration":{"secs":31557600,"nanos":0}}}"#);
        check("request:/a/b", r#"{"request_path":{"path":"a/b"}}"#);
        check("snapshot", r#""snapshot""#);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |text: &str, context: &str| {
            let expected = format!("failed to parse trigger from {}: {context}", text.trim());
            assert_eq!(parsed(text), Err(expected), "{text}");
        };
        check("table:", "table name is empty");
        check("nonsense", FORMS);
        check("", FORMS);
        check("All_Tables", FORMS);
        check("every:2years", "don't support every schedules of over 1 year");
        check("every:abc", "couldn't parse to duration");
        check("every:0s", "couldn't parse to duration");
        check("cron:bad", "not a schedule");
        check("request:/", "request path is empty");
    }
}
