//! Reads a body line by line.
//!
//! A line takes one of two ways. Most look like the line of their table before them: the same
//! keys in the same order with values of the same types. Those are compared in place and read in
//! one pass (`read_expected`). Whatever does not fit goes the general way (`read_any`), which also
//! words the errors. On both, the values wait aside until the whole line is known to be good.

use super::builder::{ExpectedField, ExpectedTag, Progress, TableBuilder};
use super::check::{Against, Plan};
use super::fault::Fault;
use super::lexer::{LexedLine, line_end, skip_spaces, tag_value};
use super::prefix::Prefix;
use super::series::{SeriesMemo, TagKey};
use super::split::{is_line_end, line_at, next_line};
use super::value::{Value, value};
use super::{LineError, ParseOptions, ParsedWrite};
use crate::limits::{REFUSED_LINE_BYTES_MAX, REFUSED_LINES_TOLD_MAX};
use crate::schema::DatabaseSchema;
use hashbrown::HashMap;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

const SECOND_NS: i64 = 1_000_000_000;

/// A body while it is read.
pub(super) struct Reader<'a> {
    body: &'a str,
    database: Option<&'a DatabaseSchema>,
    options: &'a ParseOptions,
    /// The time of lines that carry none.
    default_ns: i64,
    tables: Vec<TableBuilder<'a>>,
    by_name: HashMap<Arc<str>, usize>,
    /// Tables that are not in the catalog.
    new_tables: usize,
    memo: SeriesMemo<'a>,
    last_table: usize,
    /// What the line being read holds, kept for their memory.
    line: LexedLine<'a>,
    plan: Plan,
    tag_values: Vec<Cow<'a, str>>,
    tag_keys: Vec<TagKey>,
    values: Vec<Value<'a>>,
}

/// Where the series of an expected line was found.
enum ExpectedSeries {
    /// In the memo, under this number.
    Known(usize),
    /// It is new and has the tags of the table's last line; their values are set aside.
    New,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        body: &'a str,
        database: Option<&'a DatabaseSchema>,
        options: &'a ParseOptions,
    ) -> Self {
        Self {
            body,
            database,
            options,
            default_ns: options.precision.truncate_ns(options.received_at_ns),
            tables: Vec::new(),
            by_name: HashMap::new(),
            new_tables: 0,
            memo: SeriesMemo::default(),
            last_table: 0,
            line: LexedLine::default(),
            plan: Plan::default(),
            tag_values: Vec::new(),
            tag_keys: Vec::new(),
            values: Vec::new(),
        }
    }

    pub(super) fn read(mut self) -> ParsedWrite {
        let mut write = ParsedWrite::default();
        let mut line_number = 0;
        let mut pos = 0;
        while let Some((start, text)) = next_line(self.body.as_bytes(), pos) {
            line_number += 1;
            if let Some(end) = self.read_expected(start) {
                write.accepted_lines += 1;
                write.accepted_bytes += end - start;
                pos = end;
                continue;
            }
            let line = line_at(self.body.as_bytes(), start);
            pos = line.end;
            match self.read_any(line.clone()) {
                Ok(()) => {
                    write.accepted_lines += 1;
                    write.accepted_bytes += line.len();
                }
                Err(fault) => {
                    write.refused_lines += 1;
                    if write.errors.len() >= REFUSED_LINES_TOLD_MAX {
                        continue;
                    }
                    let original_line = self.body.get(text..line.end).unwrap_or_default();
                    let shown = original_line.floor_char_boundary(REFUSED_LINE_BYTES_MAX);
                    let error = LineError {
                        line_number,
                        original_line: original_line.get(..shown).unwrap_or_default().to_owned(),
                        message: fault.to_string(),
                        is_limit: fault.is_limit(),
                    };
                    if !self.options.accept_partial {
                        return ParsedWrite {
                            errors: vec![error],
                            refused_lines: 1,
                            ..ParsedWrite::default()
                        };
                    }
                    write.errors.push(error);
                }
            }
        }
        write.tables = self.tables.into_iter().map(TableBuilder::finish).collect();
        write
    }

    /// Reads the line at `start` if it has the shape of the line of its table before it, and
    /// returns its end. `None`, with nothing changed, leaves it to the general way.
    #[inline]
    fn read_expected(&mut self, start: usize) -> Option<usize> {
        let rest = self.body.as_bytes().get(start..)?;
        let (series, table, end) = match self.memo.find(rest) {
            Some((number, len)) => {
                let (table, _) = self.memo.get(number)?;
                (ExpectedSeries::Known(number), table, start + len)
            }
            None => (ExpectedSeries::New, self.last_table, self.expected_tags(start)?),
        };
        let series_text = self.body.as_bytes().get(start..end)?;
        let end = self.expected_fields(table, end)?;
        let (timestamp, end) = line_end(self.body, end).ok()?;
        if !is_line_end(self.body.as_bytes(), end) {
            return None;
        }
        let builder = self.tables.get_mut(table)?;
        let time_ns =
            row_time(self.options, self.default_ns, timestamp, builder.known.is_some()).ok()?;
        // The line is good: from here on nothing fails.
        match series {
            ExpectedSeries::Known(number) => {
                for &(column, key) in self.memo.get(number).map_or(&[][..], |(_, keys)| keys) {
                    builder.push_tag_key(column as usize, key);
                }
            }
            ExpectedSeries::New => {
                self.tag_keys.clear();
                for (i, value) in self.tag_values.iter().enumerate() {
                    if let Some(column) = builder.shape.tags.get(i).map(|tag| tag.column) {
                        self.tag_keys.push((column as u32, builder.push_tag(column, value)));
                    }
                }
                self.memo.add(series_text, table, &self.tag_keys);
            }
        }
        for (i, value) in self.values.iter().enumerate() {
            if let Some(column) = builder.shape.fields.get(i).map(|field| field.column) {
                builder.push_field(column, value);
            }
        }
        builder.end_row(time_ns, Progress { read: end, body: self.body.len() });
        self.last_table = table;
        Some(end)
    }

    /// Reads a series with the measurement and the tag keys of the last line, and returns its end.
    fn expected_tags(&mut self, start: usize) -> Option<usize> {
        let shape = &self.tables.get(self.last_table)?.shape;
        let bytes = self.body.as_bytes();
        if shape.fields.is_empty() || !shape.raw_name.begins(bytes.get(start..)?) {
            return None;
        }
        self.tag_values.clear();
        let mut pos = start + shape.raw_name.len();
        for tag in &shape.tags {
            if !tag.raw_key.begins(bytes.get(pos..)?) {
                return None;
            }
            let (value, end) = tag_value(self.body, pos + tag.raw_key.len()).ok()??;
            self.tag_values.push(value);
            pos = end;
        }
        (bytes.get(pos) == Some(&b' ')).then_some(pos)
    }

    /// Reads the fields after a series that ends at `pos` into `values`, if they are those of the
    /// table's last line, and returns where they end.
    #[inline]
    fn expected_fields(&mut self, table: usize, pos: usize) -> Option<usize> {
        let shape = &self.tables.get(table)?.shape;
        let bytes = self.body.as_bytes();
        self.values.clear();
        let mut pos = skip_spaces(self.body, pos);
        for (i, field) in shape.fields.iter().enumerate() {
            if i > 0 {
                if bytes.get(pos) != Some(&b',') {
                    return None;
                }
                pos += 1;
            }
            if !field.raw_key.begins(bytes.get(pos..)?) {
                return None;
            }
            let (value, end) = value(self.body, pos + field.raw_key.len()).ok()??;
            if value.kind() != field.kind {
                return None;
            }
            self.values.push(value);
            pos = end;
        }
        (!shape.fields.is_empty()).then_some(pos)
    }

    /// Reads any logical line.
    fn read_any(&mut self, line: Range<usize>) -> Result<(), Fault<'a>> {
        let end = line.end;
        self.line.lex(self.body.get(line).unwrap_or_default())?;
        let table = self.by_name.get(&*self.line.measurement).copied();
        let against = Against {
            database: self.database,
            measurement: &self.line.measurement,
            table: table.and_then(|table| self.tables.get(table)),
            new_tables: self.new_tables,
            options: self.options,
        };
        self.plan.check(&self.line, &against)?;
        let is_known = against.table.map_or(self.plan.known.is_some(), |t| t.known.is_some());
        let timestamp = self.line.timestamp;
        let time_ns = row_time(self.options, self.default_ns, timestamp, is_known)?;
        self.add_row(table, time_ns, end);
        Ok(())
    }

    /// Adds the line as planned, which ends at `end`, with the tables and columns that it
    /// introduces.
    fn add_row(&mut self, table: Option<usize>, time_ns: i64, end: usize) {
        let table = table.unwrap_or_else(|| self.add_table());
        self.last_table = table;
        let (line, plan) = (&self.line, &mut self.plan);
        let Some(builder) = self.tables.get_mut(table) else { return };
        for new in plan.new_columns.drain(..) {
            builder.add_column(new.name, new.kind, new.id);
        }
        self.tag_keys.clear();
        for (&column, tag) in plan.tags.iter().zip(&line.tags) {
            self.tag_keys.push((column as u32, builder.push_tag(column, &tag.value)));
        }
        self.memo.add(line.series.as_bytes(), table, &self.tag_keys);
        for (column, value) in plan.fields.iter().zip(&line.values) {
            builder.push_field(*column, value);
        }
        builder.end_row(time_ns, Progress { read: end, body: self.body.len() });
        expect(builder, line, plan);
    }

    fn add_table(&mut self) -> usize {
        let number = self.tables.len();
        let name: Arc<str> = Arc::from(&*self.line.measurement);
        let known = self.plan.known.take();
        self.new_tables += usize::from(known.is_none());
        self.by_name.insert(Arc::clone(&name), number);
        self.tables.push(TableBuilder::new(name, known));
        number
    }
}

/// Makes the shape of `line` the one that the next line of its table is expected to have.
fn expect<'a>(builder: &mut TableBuilder<'a>, line: &LexedLine<'a>, plan: &Plan) {
    let shape = &mut builder.shape;
    shape.tags.clear();
    shape.fields.clear();
    shape.raw_name = Prefix::new(line.raw_measurement);
    let tags = plan.tags.iter().zip(&line.tags);
    shape.tags.extend(
        tags.map(|(&column, tag)| ExpectedTag { raw_key: Prefix::new(tag.raw_key), column }),
    );
    let fields = plan.fields.iter().zip(line.keys.iter().zip(&line.values));
    shape.fields.extend(fields.map(|(&column, (key, value))| ExpectedField {
        raw_key: Prefix::new(key.raw_key),
        column,
        kind: value.kind(),
    }));
}

/// The instant of a row, in nanoseconds since 1970.
#[inline]
fn row_time<'a>(
    options: &ParseOptions,
    default_ns: i64,
    timestamp: Option<i64>,
    table_is_known: bool,
) -> Result<i64, Fault<'a>> {
    let time_ns = match timestamp {
        Some(timestamp) => options.precision.to_ns(timestamp)?,
        None => default_ns,
    };
    match options.oldest_ns {
        Some(oldest_ns) if table_is_known && time_ns < oldest_ns => {
            let window_ns = options.received_at_ns.saturating_sub(oldest_ns);
            Err(Fault::TooOld { window_s: window_ns.saturating_add(SECOND_NS / 2) / SECOND_NS })
        }
        _ => Ok(time_ns),
    }
}
