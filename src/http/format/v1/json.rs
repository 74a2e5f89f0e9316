//! `{"results":[{"statement_id":0,"series":[…]}]}`

use super::rows::{Cell, Rows, write_float, write_text};
use super::{Series, WriteError, WriteV1};
use crate::http::format::cells;
use crate::http::format::json::write_plain;

/// Writes one document, or one for each part of a chunked answer.
pub(super) struct Json {
    chunked: bool,
    pretty: Option<Pretty>,
    /// True once the document has begun.
    begun: bool,
    /// Results in the document.
    results: usize,
    /// Series in the result that is open.
    series: usize,
    /// Rows in the series that is open.
    rows: usize,
}

impl Json {
    pub(super) fn new(chunked: bool, pretty: bool) -> Self {
        let pretty = pretty.then(Pretty::default);
        Self { chunked, pretty, begun: false, results: 0, series: 0, rows: 0 }
    }

    /// Adds what `write` writes.
    fn add(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        let start = out.len();
        write(self, out);
        self.format(start, out);
    }

    fn format(&mut self, start: usize, out: &mut Vec<u8>) {
        if let Some(pretty) = &mut self.pretty {
            let plain = out.split_off(start);
            pretty.write(&plain, out);
        }
    }

    /// Begins the result of a statement.
    fn result(&mut self, statement: usize, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            out.extend_from_slice(b"{\"results\":[");
        }
        if self.results > 0 {
            out.push(b',');
        }
        self.results += 1;
        out.extend_from_slice(b"{\"statement_id\":");
        out.extend_from_slice(statement.to_string().as_bytes());
    }

    /// Ends the document.
    fn document(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            out.extend_from_slice(b"{\"results\":[");
        }
        out.extend_from_slice(b"]}");
        if self.chunked {
            out.push(b'\n'); // libraries read parts line by line
        }
        (self.begun, self.results) = (false, 0);
    }
}

impl WriteV1 for Json {
    fn open(&mut self, statement: usize, series: &Series, columns: &[String], out: &mut Vec<u8>) {
        self.add(out, |this, out| {
            match this.series {
                0 => {
                    this.result(statement, out);
                    out.extend_from_slice(b",\"series\":[");
                }
                _ => out.push(b','),
            }
            this.series += 1;
            this.rows = 0;
            out.push(b'{');
            if !series.name.is_empty() {
                out.extend_from_slice(b"\"name\":");
                write_text(&series.name, out);
                out.push(b',');
            }
            if !series.tags.is_empty() {
                out.extend_from_slice(b"\"tags\":{");
                for (at, (key, value)) in series.tags.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_text(key, out);
                    out.push(b':');
                    write_text(value, out);
                }
                out.extend_from_slice(b"},");
            }
            out.extend_from_slice(b"\"columns\":[");
            for (at, column) in columns.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(column, out);
            }
            out.extend_from_slice(b"],\"values\":[");
        });
    }

    fn row(&mut self, rows: &Rows<'_>, row: usize, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let start = out.len();
        if self.rows > 0 {
            out.push(b',');
        }
        self.rows += 1;
        out.push(b'[');
        for column in rows.columns() {
            write_cell(rows.cell(column, row)?, out)?;
            out.push(b',');
        }
        if out.ends_with(b",") {
            out.pop();
        }
        out.push(b']');
        self.format(start, out);
        Ok(())
    }

    fn close(&mut self, goes_on: bool, out: &mut Vec<u8>) {
        self.add(out, |_, out| {
            out.push(b']');
            if goes_on {
                out.extend_from_slice(b",\"partial\":true");
            }
            out.push(b'}');
        });
    }

    fn end(&mut self, statement: usize, goes_on: bool, out: &mut Vec<u8>) {
        if self.series == 0 && self.chunked {
            return; // nothing to tell
        }
        self.add(out, |this, out| {
            match this.series {
                0 => this.result(statement, out),
                _ => out.push(b']'),
            }
            this.series = 0;
            if goes_on {
                out.extend_from_slice(b",\"partial\":true");
            }
            out.push(b'}');
            if this.chunked {
                this.document(out);
            }
        });
    }

    fn fail(&mut self, statement: usize, error: &str, out: &mut Vec<u8>) {
        self.add(out, |this, out| {
            this.result(statement, out);
            out.extend_from_slice(b",\"error\":");
            write_text(error, out);
            out.push(b'}');
            if this.chunked {
                this.document(out);
            }
        });
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.chunked {
            self.add(out, Self::document);
        }
    }
}

#[inline(always)]
fn write_cell(cell: Cell<'_>, out: &mut Vec<u8>) -> Result<(), WriteError> {
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Float(number) if number.is_nan() => out.extend_from_slice(b"null"),
        Cell::Float(number) if number.is_infinite() => {
            return Err(WriteError::Infinite(if number > 0.0 { "+Inf" } else { "-Inf" }));
        }
        Cell::Float(number) => write_float(number, out),
        Cell::Integer(number) => cells::write_integer(number, out),
        Cell::Unsigned(number) => cells::write_number(number, out),
        Cell::Boolean(true) => out.extend_from_slice(b"true"),
        Cell::Boolean(false) => out.extend_from_slice(b"false"),
        Cell::Text(text) => write_text(text, out),
        Cell::Plain(texts, at) => {
            out.push(b'"');
            write_plain(texts, at, out);
        }
        Cell::Shown(text) => write_text(&text, out),
        Cell::Instant(ns) => {
            out.push(b'"');
            cells::write_instant(ns, out);
            out.extend_from_slice(b"Z\"");
        }
    }
    Ok(())
}

/// Breaks lines and indents, from one piece of a text to the next.
#[derive(Default)]
struct Pretty {
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// A bracket was opened and nothing stands behind it yet.
    opened: bool,
}

impl Pretty {
    fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        for byte in plain {
            if self.in_text {
                out.push(*byte);
                match (self.escaped, byte) {
                    (true, _) => self.escaped = false,
                    (false, b'\\') => self.escaped = true,
                    (false, b'"') => self.in_text = false,
                    _ => {}
                }
                continue;
            }
            let is_closing = matches!(byte, b'}' | b']');
            if is_closing {
                self.depth = self.depth.saturating_sub(1);
            }
            if self.opened != is_closing && (self.opened || is_closing) {
                self.line(out);
            }
            self.opened = matches!(byte, b'{' | b'[');
            out.push(*byte);
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b':' => out.push(b' '),
                b',' => self.line(out),
                _ => {}
            }
        }
    }

    fn line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * self.depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_lines() {
        let mut pretty = Pretty::default();
        let mut out = Vec::new();
        for piece in ["{\"a\":[1,\"x,\\\"", "{\"],\"b\":{},\"c\":[[", "]]}"] {
            pretty.write(piece.as_bytes(), &mut out);
        }
        let expected = "{\n  \"a\": [\n    1,\n    \"x,\\\"{\"\n  ],\n  \"b\": {},\n  \"c\": [\n    \
                        []\n  ]\n}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
