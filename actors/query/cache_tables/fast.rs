//! The short way: `SELECT columns FROM last_cache('table') WHERE key = value AND … LIMIT n` and
//! the like, answered without the engine.
//!
//! Planning takes the engine far longer than the cache takes to answer. What is not understood
//! here word by word, or is wrong in any way, goes the long way, so that results and errors are
//! those of the engine.

use super::table::CacheTables;
use super::{look_up, query_error};
use crate::cache_kit::CacheEntry;
use crate::query::log::{Phase, Reporter};
use crate::runtime::mailbox::Responder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{StreamExt, stream};
use protocols::messages::Command;
use protocols::messages::caches::{KeyTest, KeyValue, LookUpCache};
use protocols::messages::catalog::CacheKind;
use protocols::messages::query::{ParamValue, QueryError, QueryResult, Statement};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Longer statements are not looked at.
const TEXT_BYTES_MAX: usize = 4096;

/// Words that begin something else than a name where a column could stand.
const RESERVED: [&str; 28] = [
    "all",
    "and",
    "any",
    "array",
    "as",
    "between",
    "case",
    "current_catalog",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "distinct",
    "exists",
    "false",
    "from",
    "in",
    "interval",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "or",
    "prior",
    "select",
    "session_user",
    "true",
    "user",
];

/// A question that a statement comes to.
pub(in super::super) struct FastQuery {
    entry: Option<Arc<CacheEntry>>,
    question: LookUpCache,
}

/// The statement as a question to one cache, if it is no more than that.
pub(in super::super) fn plan(message: &Statement, caches: &CacheTables) -> Option<FastQuery> {
    let text = message.text.as_str();
    if text.len() > TEXT_BYTES_MAX || !text.contains("_cache") {
        return None;
    }
    let read = Reader { rest: text }.statement()?;
    let table = caches.find(read.kind, &read.table, read.cache.as_deref()).ok()?;
    let schema = match &read.columns {
        None => Arc::clone(&table.schema),
        Some(names) => projected(&table.schema, names)?,
    };
    let mut tests = Vec::with_capacity(read.conditions.len());
    for (name, value) in read.conditions {
        let at = table.key_fields().iter().position(|field| *field.name() == name)?;
        let value = key_value(value, table.key_fields()[at].data_type(), &message.params)?;
        tests.push((at, KeyTest::In(vec![value])));
    }
    let question = LookUpCache { tests, schema, limit: read.limit };
    Some(FastQuery { entry: table.entry, question })
}

/// Asks the cache and answers.
pub(in super::super) async fn run<M>(
    query: FastQuery,
    reporter: Reporter,
    reply: Responder<M>,
    _place: OwnedSemaphorePermit,
) where
    M: Command<Reply = Result<QueryResult, QueryError>>,
{
    reporter.note(|progress, elapsed_ns| {
        progress.phase = Phase::Executing;
        progress.plan_ns = Some(elapsed_ns);
        progress.permit_ns = Some(0);
        progress.partitions = Some(1);
        progress.parquet_files = Some(0);
    });
    let schema = Arc::clone(&query.question.schema);
    match look_up(query.entry.as_deref(), query.question).await {
        Ok(rows) => {
            let rows = (rows.num_rows() > 0).then_some(Ok(rows));
            reporter.end(Phase::Success);
            let batches = stream::iter(rows).boxed();
            reply.answer(Ok(QueryResult { schema, batches }));
        }
        Err(error) => {
            reporter.end(Phase::Fail);
            reply.answer(Err(query_error(&error)));
        }
    }
}

/// The named columns, if they exist and none is named twice.
fn projected(schema: &SchemaRef, names: &[String]) -> Option<SchemaRef> {
    let mut fields: Vec<Arc<Field>> = Vec::with_capacity(names.len());
    for name in names {
        let (_, field) = schema.fields().find(name)?;
        if fields.iter().any(|known| known.name() == name) {
            return None;
        }
        fields.push(Arc::clone(field));
    }
    Some(Arc::new(Schema::new(fields)))
}

/// What a column is compared with.
enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    Parameter(String),
}

/// The value in the type of the column. What would have to be converted goes the long way.
fn key_value(value: Value, kind: &DataType, params: &[(String, ParamValue)]) -> Option<KeyValue> {
    let number = |number: i64| match kind {
        DataType::Int64 => Some(KeyValue::Integer(number)),
        DataType::UInt64 => u64::try_from(number).ok().map(KeyValue::UInteger),
        _ => None,
    };
    match (value, kind) {
        (Value::Text(text), DataType::Utf8) => Some(KeyValue::Text(text.into())),
        (Value::Boolean(truth), DataType::Boolean) => Some(KeyValue::Boolean(truth)),
        (Value::Integer(value), _) => number(value),
        (Value::Parameter(name), _) => {
            let (_, value) = params.iter().find(|(known, _)| *known == name)?;
            match (value, kind) {
                (ParamValue::String(text), DataType::Utf8) => {
                    Some(KeyValue::Text(text.as_str().into()))
                }
                (ParamValue::Boolean(truth), DataType::Boolean) => Some(KeyValue::Boolean(*truth)),
                (ParamValue::Integer(value), _) => number(*value),
                (ParamValue::UInteger(value), _) => number(i64::try_from(*value).ok()?),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A statement that was understood.
struct Read {
    kind: CacheKind,
    table: String,
    cache: Option<String>,
    /// `None` is all.
    columns: Option<Vec<String>>,
    conditions: Vec<(String, Value)>,
    limit: Option<usize>,
}

/// Reads a statement from left to right; `None` where it is anything else than expected.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn statement(mut self) -> Option<Read> {
        self.word("select")?;
        let columns = if self.sign('*') { None } else { Some(self.columns()?) };
        self.word("from")?;
        let kind = if self.exact("last_cache") {
            CacheKind::Last
        } else if self.exact("distinct_cache") {
            CacheKind::Distinct
        } else {
            return None;
        };
        self.sign('(').then_some(())?;
        let table = self.text()?;
        let cache = if self.sign(',') { Some(self.text()?) } else { None };
        self.sign(')').then_some(())?;
        let mut conditions = Vec::new();
        if self.word("where").is_some() {
            loop {
                let name = self.name()?;
                self.sign('=').then_some(())?;
                conditions.push((name, self.value()?));
                if self.word("and").is_none() {
                    break;
                }
            }
        }
        let limit = match self.word("limit") {
            Some(()) => Some(self.digits()?.parse().ok()?),
            None => None,
        };
        self.sign(';');
        self.skip();
        let ends = self.rest.is_empty();
        ends.then_some(Read { kind, table, cache, columns, conditions, limit })
    }

    fn columns(&mut self) -> Option<Vec<String>> {
        let mut names = vec![self.name()?];
        while self.sign(',') {
            names.push(self.name()?);
        }
        Some(names)
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// A sign, if it is the next.
    fn sign(&mut self, sign: char) -> bool {
        self.skip();
        let after = self.rest.strip_prefix(sign);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// The letters, digits and underscores that come next.
    fn peek(&mut self) -> &'a str {
        self.skip();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &self.rest[..end.unwrap_or(self.rest.len())]
    }

    fn take(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// A word in capitals or not, if it is the next.
    fn word(&mut self, word: &str) -> Option<()> {
        let next = self.peek();
        next.eq_ignore_ascii_case(word).then(|| self.take(next.len()))
    }

    fn exact(&mut self, word: &str) -> bool {
        let next = self.peek();
        if next == word {
            self.take(next.len());
        }
        next == word
    }

    /// The name of a column.
    fn name(&mut self) -> Option<String> {
        self.skip();
        if self.rest.starts_with('"') {
            return self.quoted('"');
        }
        let name = self.peek();
        let first = name.bytes().next()?;
        self.take(name.len());
        let name = name.to_ascii_lowercase();
        (!first.is_ascii_digit() && !RESERVED.contains(&name.as_str())).then_some(name)
    }

    fn text(&mut self) -> Option<String> {
        self.skip();
        self.quoted('\'')
    }

    /// A text in quotes; two quotes in it stand for one.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut inside = self.rest.strip_prefix(quote)?;
        loop {
            let (part, after) = inside.split_once(quote)?;
            text.push_str(part);
            match after.strip_prefix(quote) {
                Some(rest) => {
                    text.push(quote);
                    inside = rest;
                }
                None => {
                    self.rest = after;
                    // Backslashes mean something in some dialects.
                    return (!text.contains('\\') && !text.is_empty()).then_some(text);
                }
            }
        }
    }

    fn digits(&mut self) -> Option<&'a str> {
        let digits = self.peek();
        self.take(digits.len());
        (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
    }

    fn value(&mut self) -> Option<Value> {
        self.skip();
        match self.rest.bytes().next()? {
            b'\'' => self.text().map(Value::Text),
            b'$' => {
                self.take(1);
                let name = self.rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
                let found = self.peek();
                self.take(found.len());
                name.then(|| Value::Parameter(found.to_owned()))
            }
            b'0'..=b'9' => {
                let digits = self.digits()?;
                // A decimal point or an exponent follows.
                let is_whole = !self.rest.starts_with(['.', 'e', 'E']);
                is_whole.then_some(Value::Integer(digits.parse().ok()?))
            }
            _ if self.word("true").is_some() => Some(Value::Boolean(true)),
            _ if self.word("false").is_some() => Some(Value::Boolean(false)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> bool {
        Reader { rest: text }.statement().is_some()
    }

    #[test]
    fn what_goes_the_short_way() {
        for text in [
            "SELECT * FROM last_cache('t')",
            " select\n*\tfrom last_cache ( 't' , 'c' ) ; ",
            "SELECT a, B, \"c d\" FROM distinct_cache('t')",
            "SELECT * FROM last_cache('t') WHERE a = 'x' AND b=1 and c = true AND \"d\" = $d",
            "SELECT * FROM last_cache('it''s') LIMIT 10",
        ] {
            assert!(reads(text), "{text}");
        }
        let read = Reader { rest: "SELECT A, \"A\" FROM last_cache('it''s','') WHERE B = 'y'" };
        assert!(read.statement().is_none(), "an empty name is left to the engine");
        let read = Reader { rest: "SELECT A, \"A\" FROM last_cache('it''s','c') WHERE B = 'y'" };
        let read = read.statement().unwrap();
        assert_eq!((read.table.as_str(), read.cache.as_deref()), ("it's", Some("c")));
        assert_eq!(read.columns.unwrap(), ["a", "A"]);
        assert_eq!(read.conditions[0].0, "b");
    }

    #[test]
    fn what_goes_the_long_way() {
        for text in [
            "",
            "SELECT",
            "SELECT * FROM t",
            "SELECT * FROM last_cache(t)",
            "SELECT * FROM Last_Cache('t')",
            "SELECT * FROM last_cache('t') x",
            "SELECT * FROM last_cache('t'), last_cache('u')",
            "SELECT * FROM last_cache('t') WHERE",
            "SELECT * FROM last_cache('t') WHERE a = b",
            "SELECT * FROM last_cache('t') WHERE a = 1.5",
            "SELECT * FROM last_cache('t') WHERE a = 1e5",
            "SELECT * FROM last_cache('t') WHERE a = -1",
            "SELECT * FROM last_cache('t') WHERE a = 'x' OR a = 'y'",
            "SELECT * FROM last_cache('t') WHERE a = 'x' 'y'",
            "SELECT * FROM last_cache('t') WHERE a = E'x'",
            "SELECT * FROM last_cache('t') WHERE a = 'x\\'",
            "SELECT * FROM last_cache('t') WHERE a != 'x'",
            "SELECT * FROM last_cache('t') -- all of it",
            "SELECT * FROM last_cache('t'); SELECT 1",
            "SELECT * FROM last_cache('t') LIMIT 1 OFFSET 1",
            "SELECT * FROM last_cache('t') ORDER BY time",
            "SELECT DISTINCT a FROM last_cache('t')",
            "SELECT count(*) FROM last_cache('t')",
            "SELECT a b FROM last_cache('t')",
            "SELECT a AS b FROM last_cache('t')",
            "SELECT l.a FROM last_cache('t') l",
            "SELECT 1 FROM last_cache('t')",
            "SELECT 'a' FROM last_cache('t')",
            "SELECT current_date FROM last_cache('t')",
            "SELECT *, a FROM last_cache('t')",
            "EXPLAIN SELECT * FROM last_cache('t')",
        ] {
            assert!(!reads(text), "{text}");
        }
    }
}
