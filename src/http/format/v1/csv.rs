//! Lines of values; each statement has a header, and a blank line stands between two.

use super::rows::{Cell, Rows, write_float};
use super::{Series, WriteError, WriteV1};
use crate::http::format::cells;

/// Writes lines.
#[derive(Default)]
pub(super) struct Csv {
    /// The statement whose header was written last.
    statement: Option<usize>,
    /// What the rows of the series begin with.
    start: Vec<u8>,
}

impl WriteV1 for Csv {
    fn open(&mut self, statement: usize, series: &Series, columns: &[String], out: &mut Vec<u8>) {
        if self.statement != Some(statement) {
            if self.statement.is_some() {
                out.push(b'\n');
            }
            self.statement = Some(statement);
            out.extend_from_slice(b"name,tags");
            for column in columns {
                out.push(b',');
                write_text(column, out);
            }
            out.push(b'\n');
        }
        let tags: Vec<String> =
            series.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.start.clear();
        write_text(&series.name, &mut self.start);
        self.start.push(b',');
        write_text(&tags.join(","), &mut self.start);
    }

    fn row(&mut self, rows: &Rows<'_>, row: usize, out: &mut Vec<u8>) -> Result<(), WriteError> {
        out.extend_from_slice(&self.start);
        for column in rows.columns() {
            out.push(b',');
            match rows.cell(column, row)? {
                Cell::Null => {}
                Cell::Float(number) if !number.is_finite() => {
                    out.extend_from_slice(number.to_string().as_bytes());
                }
                Cell::Float(number) => write_float(number, out),
                Cell::Integer(number) | Cell::Instant(number) => {
                    cells::write_integer(number, out);
                }
                Cell::Unsigned(number) => cells::write_number(number, out),
                Cell::Boolean(true) => out.extend_from_slice(b"true"),
                Cell::Boolean(false) => out.extend_from_slice(b"false"),
                Cell::Text(text) => write_text(text, out),
                Cell::Plain(texts, at) => write_text(texts.value(at), out),
                Cell::Shown(text) => write_text(&text, out),
            }
        }
        out.push(b'\n');
        Ok(())
    }

    fn close(&mut self, _: bool, _: &mut Vec<u8>) {}

    fn end(&mut self, _: usize, _: bool, _: &mut Vec<u8>) {}

    fn fail(&mut self, _: usize, _: &str, _: &mut Vec<u8>) {}

    fn finish(&mut self, _: &mut Vec<u8>) {}
}

/// Writes a text, in quotes where it has to be.
fn write_text(text: &str, out: &mut Vec<u8>) {
    match text.contains([',', '"', '\n', '\r']) {
        false => out.extend_from_slice(text.as_bytes()),
        true => {
            out.push(b'"');
            out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        }
    }
}
