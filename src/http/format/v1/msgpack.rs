//! The documents of version 1 in MessagePack. Lengths stand in front there, so that a document is
//! written when it is complete.

use super::rows::{Cell, Rows};
use super::{Series, WriteError, WriteV1};

/// The number that times have among the types of version 1.
const TIME: u8 = 5;
const SECOND_NS: i64 = 1_000_000_000;

/// Parts with their number.
#[derive(Default)]
struct List {
    bytes: Vec<u8>,
    length: usize,
}

/// Writes one document, or one for each part of a chunked answer.
pub(super) struct MsgPack {
    chunked: bool,
    /// The results of the document.
    results: List,
    /// The series of the result.
    series: List,
    /// What the series that is open begins with, and how many of its entries that are.
    head: List,
    /// The rows of the series.
    rows: List,
}

impl MsgPack {
    pub(super) fn new(chunked: bool) -> Self {
        Self {
            chunked,
            results: List::default(),
            series: List::default(),
            head: List::default(),
            rows: List::default(),
        }
    }

    fn document(&mut self, out: &mut Vec<u8>) {
        map(1, out);
        text("results", out);
        list(std::mem::take(&mut self.results), out);
    }
}

impl WriteV1 for MsgPack {
    fn open(&mut self, _: usize, series: &Series, columns: &[String], _: &mut Vec<u8>) {
        let head = &mut self.head;
        *head = List { bytes: Vec::new(), length: 1 };
        if !series.name.is_empty() {
            head.length += 1;
            text("name", &mut head.bytes);
            text(&series.name, &mut head.bytes);
        }
        if !series.tags.is_empty() {
            head.length += 1;
            text("tags", &mut head.bytes);
            map(series.tags.len(), &mut head.bytes);
            for (key, value) in &series.tags {
                text(key, &mut head.bytes);
                text(value, &mut head.bytes);
            }
        }
        text("columns", &mut head.bytes);
        array(columns.len(), &mut head.bytes);
        columns.iter().for_each(|column| text(column, &mut head.bytes));
    }

    fn row(&mut self, rows: &Rows<'_>, row: usize, _: &mut Vec<u8>) -> Result<(), WriteError> {
        let out = &mut self.rows.bytes;
        array(rows.columns().len(), out);
        for column in rows.columns() {
            write_cell(rows.cell(column, row)?, out);
        }
        self.rows.length += 1;
        Ok(())
    }

    fn close(&mut self, goes_on: bool, _: &mut Vec<u8>) {
        let (head, rows) = (std::mem::take(&mut self.head), std::mem::take(&mut self.rows));
        let out = &mut self.series.bytes;
        map(head.length + 1 + usize::from(goes_on), out);
        out.extend_from_slice(&head.bytes);
        text("values", out);
        list(rows, out);
        if goes_on {
            partial(out);
        }
        self.series.length += 1;
    }

    fn end(&mut self, statement: usize, goes_on: bool, out: &mut Vec<u8>) {
        let series = std::mem::take(&mut self.series);
        if series.length == 0 && self.chunked {
            return; // nothing to tell
        }
        let result = &mut self.results.bytes;
        map(1 + usize::from(series.length > 0) + usize::from(goes_on), result);
        text("statement_id", result);
        integer(statement as i64, result);
        if series.length > 0 {
            text("series", result);
            list(series, result);
        }
        if goes_on {
            partial(result);
        }
        self.results.length += 1;
        if self.chunked {
            self.document(out);
        }
    }

    fn fail(&mut self, statement: usize, error: &str, out: &mut Vec<u8>) {
        let result = &mut self.results.bytes;
        map(2, result);
        text("statement_id", result);
        integer(statement as i64, result);
        text("error", result);
        text(error, result);
        self.results.length += 1;
        if self.chunked {
            self.document(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.chunked {
            self.document(out);
        }
    }
}

fn write_cell(cell: Cell<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Null => out.push(0xc0),
        Cell::Float(number) => {
            out.push(0xcb);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Cell::Integer(number) => integer(number, out),
        Cell::Unsigned(number) => match i64::try_from(number) {
            Ok(number) => integer(number, out),
            Err(_) => {
                out.push(0xcf);
                out.extend_from_slice(&number.to_be_bytes());
            }
        },
        Cell::Boolean(false) => out.push(0xc2),
        Cell::Boolean(true) => out.push(0xc3),
        Cell::Text(value) => text(value, out),
        Cell::Plain(texts, at) => text(texts.value(at), out),
        Cell::Shown(value) => text(&value, out),
        Cell::Instant(ns) => {
            // Twelve bytes of a type of the application: seconds and nanoseconds.
            out.extend_from_slice(&[0xc7, 12, TIME]);
            out.extend_from_slice(&ns.div_euclid(SECOND_NS).to_be_bytes());
            out.extend_from_slice(&(ns.rem_euclid(SECOND_NS) as i32).to_be_bytes());
        }
    }
}

fn partial(out: &mut Vec<u8>) {
    text("partial", out);
    out.push(0xc3);
}

fn integer(number: i64, out: &mut Vec<u8>) {
    match number {
        0..=127 => out.push(number as u8),
        -32..=-1 => out.push(number as i8 as u8),
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

fn list(list: List, out: &mut Vec<u8>) {
    array(list.length, out);
    out.extend_from_slice(&list.bytes);
}

fn array(length: usize, out: &mut Vec<u8>) {
    sized(length, (15, 0x90), 0xdc, out);
}

fn map(length: usize, out: &mut Vec<u8>) {
    sized(length, (15, 0x80), 0xde, out);
}

/// A length that is part of the first byte, or follows a byte as 16 or 32 bits.
fn sized(length: usize, (small_max, small): (usize, u8), large: u8, out: &mut Vec<u8>) {
    match (u16::try_from(length), u32::try_from(length)) {
        (Ok(length), _) if usize::from(length) <= small_max => out.push(small | length as u8),
        (Ok(length), _) => {
            out.push(large);
            out.extend_from_slice(&length.to_be_bytes());
        }
        (_, length) => {
            out.push(large + 1);
            out.extend_from_slice(&length.unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    match u8::try_from(text.len()) {
        Ok(length @ 32..) => out.extend_from_slice(&[0xd9, length]),
        _ => sized(text.len(), (31, 0xa0), 0xda, out),
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_the_format_says() {
        let mut out = Vec::new();
        integer(5, &mut out);
        integer(-1, &mut out);
        text("ab", &mut out);
        text(&"x".repeat(40), &mut out);
        array(16, &mut out);
        map(2, &mut out);
        write_cell(Cell::Instant(-1), &mut out);
        let mut expected = vec![5, 0xff, 0xa2, b'a', b'b', 0xd9, 40];
        expected.extend_from_slice("x".repeat(40).as_bytes());
        expected.extend_from_slice(&[0xdc, 0, 16, 0x82, 0xc7, 12, 5]);
        expected.extend_from_slice(&(-1_i64).to_be_bytes());
        expected.extend_from_slice(&999_999_999_i32.to_be_bytes());
        assert_eq!(out, expected);
    }
}
