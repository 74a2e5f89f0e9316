//! The documents of version 1 in MessagePack. Lengths stand in front there: they are filled in when a
//! list or map is complete, and no byte of a document leaves before. Positions count from the first
//! byte of the document that was put aside.

use super::rows::{Cell, Rows};
use super::{Change, Series, WriteError, WriteV1};
use crate::http::format::cells;
use arrow::array::StringArray;

/// The number that times have among the types of version 1.
const TIME: u8 = 5;
const SECOND_NS: i64 = 1_000_000_000;
/// A list of no more bytes is moved to where it begins with the shortest form of its length.
const MOVED_BYTES_MAX: usize = 4 * 1024;

/// A list that is being written: where its length stands, and how much there is by now.
struct List {
    at: usize,
    length: u32,
}

impl List {
    /// Room for a length of any size.
    const HEAD: [u8; 5] = [0xdd, 0, 0, 0, 0];

    fn begin(aside: &Aside, out: &mut Vec<u8>) -> Self {
        let at = aside.bytes + out.len();
        out.extend_from_slice(&Self::HEAD);
        Self { at, length: 0 }
    }

    fn end(self, aside: &mut Aside, out: &mut Vec<u8>) {
        match self.at.checked_sub(aside.bytes) {
            Some(at) if out.len() - at - Self::HEAD.len() <= MOVED_BYTES_MAX => {
                let mut head = Vec::with_capacity(Self::HEAD.len());
                array(self.length as usize, &mut head);
                out.splice(at..at + Self::HEAD.len(), head);
            }
            _ => aside.change(self.at + 1, &self.length.to_be_bytes(), out),
        }
    }
}

/// The same for a map of a few entries.
struct Map {
    at: usize,
    length: u8,
}

impl Map {
    fn begin(aside: &Aside, out: &mut Vec<u8>) -> Self {
        let at = aside.bytes + out.len();
        out.push(0x80);
        Self { at, length: 0 }
    }

    /// Begins an entry.
    fn key(&mut self, key: &str, out: &mut Vec<u8>) {
        self.length += 1;
        text(key, out);
    }

    fn end(mut self, goes_on: bool, aside: &mut Aside, out: &mut Vec<u8>) {
        if goes_on {
            self.key("partial", out);
            out.push(0xc3);
        }
        aside.change(self.at, &[0x80 | self.length], out);
    }
}

/// What was put aside of the document.
#[derive(Default)]
struct Aside {
    bytes: usize,
    changes: Vec<Change>,
}

impl Aside {
    /// Changes bytes, here or aside. They were written together.
    fn change(&mut self, at: usize, bytes: &[u8], out: &mut [u8]) {
        match at.checked_sub(self.bytes) {
            Some(at) => out[at..at + bytes.len()].copy_from_slice(bytes),
            None => self.changes.push(Change { at, bytes: bytes.to_vec() }),
        }
    }
}

/// Writes one document, or one for each part of a chunked answer.
pub(super) struct MsgPack {
    chunked: bool,
    /// The results of the document, once that has begun.
    results: Option<List>,
    /// The result that is open.
    result: Option<Map>,
    /// Its series, once there are some.
    series: Option<List>,
    /// The series that is open, and its rows.
    rows: Option<(Map, List)>,
    aside: Aside,
}

impl MsgPack {
    pub(super) fn new(chunked: bool) -> Self {
        let aside = Aside::default();
        Self { chunked, results: None, result: None, series: None, rows: None, aside }
    }

    /// The results of the document.
    fn results(&mut self, out: &mut Vec<u8>) -> &mut List {
        self.results.get_or_insert_with(|| {
            map(1, out);
            text("results", out);
            List::begin(&self.aside, out)
        })
    }

    /// A new result of a statement.
    fn result(&mut self, statement: usize, out: &mut Vec<u8>) -> Map {
        self.results(out).length += 1;
        let mut result = Map::begin(&self.aside, out);
        result.key("statement_id", out);
        integer(statement as i64, out);
        result
    }

    fn end_document(&mut self, out: &mut Vec<u8>) {
        self.results(out);
        if let Some(results) = self.results.take() {
            results.end(&mut self.aside, out);
        }
    }
}

impl WriteV1 for MsgPack {
    fn is_complete(&self) -> bool {
        self.results.is_none()
    }

    fn put_aside(&mut self, bytes: usize) {
        self.aside.bytes += bytes;
    }

    fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.aside).changes
    }

    fn open(&mut self, statement: usize, series: &Series, columns: &[String], out: &mut Vec<u8>) {
        let mut result = self.result.take().unwrap_or_else(|| self.result(statement, out));
        let all = self.series.get_or_insert_with(|| {
            result.key("series", out);
            List::begin(&self.aside, out)
        });
        all.length += 1;
        self.result = Some(result);
        let mut one = Map::begin(&self.aside, out);
        if !series.name.is_empty() {
            one.key("name", out);
            text(&series.name, out);
        }
        if !series.tags.is_empty() {
            one.key("tags", out);
            map(series.tags.len(), out);
            for (key, value) in &series.tags {
                text(key, out);
                text(value, out);
            }
        }
        one.key("columns", out);
        array(columns.len(), out);
        columns.iter().for_each(|column| text(column, out));
        one.key("values", out);
        self.rows = Some((one, List::begin(&self.aside, out)));
    }

    fn row(&mut self, rows: &Rows<'_>, row: usize, out: &mut Vec<u8>) -> Result<(), WriteError> {
        array(rows.columns().len(), out);
        for column in rows.columns() {
            write_cell(rows.cell(column, row)?, out);
        }
        if let Some((_, rows)) = &mut self.rows {
            rows.length += 1;
        }
        Ok(())
    }

    fn close(&mut self, goes_on: bool, out: &mut Vec<u8>) {
        if let Some((series, rows)) = self.rows.take() {
            rows.end(&mut self.aside, out);
            series.end(goes_on, &mut self.aside, out);
        }
    }

    fn end(&mut self, statement: usize, goes_on: bool, out: &mut Vec<u8>) {
        let result = match self.result.take() {
            Some(result) => result,
            None if self.chunked => return, // nothing to tell
            None => self.result(statement, out),
        };
        if let Some(series) = self.series.take() {
            series.end(&mut self.aside, out);
        }
        result.end(goes_on, &mut self.aside, out);
        if self.chunked {
            self.end_document(out);
        }
    }

    fn fail(&mut self, statement: usize, error: &str, out: &mut Vec<u8>) {
        let mut result = self.result(statement, out);
        result.key("error", out);
        text(error, out);
        result.end(false, &mut self.aside, out);
        if self.chunked {
            self.end_document(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.chunked {
            self.end_document(out);
        }
    }
}

#[inline(always)]
fn write_cell(cell: Cell<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Null => out.push(0xc0),
        Cell::Float(number) => eight(0xcb, number.to_be_bytes(), out),
        Cell::Integer(number) => integer(number, out),
        Cell::Unsigned(number) => match i64::try_from(number) {
            Ok(number) => integer(number, out),
            Err(_) => eight(0xcf, number.to_be_bytes(), out),
        },
        Cell::Boolean(false) => out.push(0xc2),
        Cell::Boolean(true) => out.push(0xc3),
        Cell::Text(value) => text(value, out),
        Cell::Plain(texts, at) => text_of(texts, at, out),
        Cell::Shown(value) => text(&value, out),
        Cell::Instant(ns) => {
            // Twelve bytes of a type of the application: seconds and nanoseconds.
            let mut bytes = [0xc7, 12, TIME, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            bytes[3..11].copy_from_slice(&ns.div_euclid(SECOND_NS).to_be_bytes());
            bytes[11..].copy_from_slice(&(ns.rem_euclid(SECOND_NS) as i32).to_be_bytes());
            out.extend_from_slice(&bytes);
        }
    }
}

#[inline]
fn integer(number: i64, out: &mut Vec<u8>) {
    match number {
        0..=127 => out.push(number as u8),
        -32..=-1 => out.push(number as i8 as u8),
        _ => eight(0xd3, number.to_be_bytes(), out),
    }
}

/// Eight bytes after one that says what they are.
#[inline]
fn eight(kind: u8, value: [u8; 8], out: &mut Vec<u8>) {
    let mut bytes = [kind; 9];
    bytes[1..].copy_from_slice(&value);
    out.extend_from_slice(&bytes);
}

/// Writes one of many texts.
#[inline]
fn text_of(texts: &StringArray, at: usize, out: &mut Vec<u8>) {
    let (from, to) = (texts.value_offsets()[at] as usize, texts.value_offsets()[at + 1] as usize);
    text_length(to - from, out);
    cells::write_part(texts.value_data(), from..to, out);
}

#[inline]
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
    text_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

#[inline]
fn text_length(length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(length @ ..32) => out.push(0xa0 | length),
        Ok(length) => out.extend_from_slice(&[0xd9, length]),
        Err(_) => sized(length, (31, 0xa0), 0xda, out),
    }
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

    #[test]
    fn texts_of_any_length_are_written_whole() {
        let many: Vec<String> = (0..40).map(|length| "t".repeat(length)).collect();
        let texts = StringArray::from(many.clone());
        for (at, one) in many.iter().enumerate() {
            let (mut out, mut expected) = (vec![1], vec![1]);
            text_of(&texts, at, &mut out);
            text(one, &mut expected);
            assert_eq!(out, expected, "{at}");
        }
        let mut last = Vec::new();
        text_of(&StringArray::from(vec!["a", "bc"]), 1, &mut last);
        assert_eq!(last, b"\xa2bc");
    }

    #[test]
    fn lengths_are_filled_in_once_they_are_known() {
        let (mut out, mut writer) = (Vec::new(), MsgPack::new(false));
        assert!(writer.is_complete());
        let series = Series { name: "m".to_owned(), tags: Vec::new() };
        writer.open(0, &series, &["v".to_owned()], &mut out);
        assert!(!writer.is_complete());
        writer.close(false, &mut out);
        writer.end(0, false, &mut out);
        writer.end(1, false, &mut out);
        writer.fail(2, "no", &mut out);
        writer.finish(&mut out);
        assert!(writer.is_complete());
        let expected = [
            b"\x81\xa7results\x93\x82\xacstatement_id\0\xa6series\x91".as_slice(),
            b"\x83\xa4name\xa1m\xa7columns\x91\xa1v\xa6values\x90",
            b"\x81\xacstatement_id\x01",
            b"\x82\xacstatement_id\x02\xa5error\xa2no",
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn long_lists_stay_where_they_are() {
        for (length, head) in
            [(MOVED_BYTES_MAX, vec![0x91]), (MOVED_BYTES_MAX + 1, vec![0xdd, 0, 0, 0, 1])]
        {
            let (mut aside, mut out) = (Aside::default(), vec![7]);
            let mut list = List::begin(&aside, &mut out);
            list.length += 1;
            out.resize(out.len() + length, 8);
            list.end(&mut aside, &mut out);
            assert_eq!(out, [vec![7], head, vec![8; length]].concat());
        }
    }

    #[test]
    fn what_was_put_aside_is_changed_later() {
        let whole = |aside_after: Option<usize>| {
            let (mut pieces, mut out, mut writer) = (Vec::new(), Vec::new(), MsgPack::new(false));
            let series = Series { name: "m".to_owned(), tags: Vec::new() };
            for step in 0..5 {
                match step {
                    0 => writer.open(0, &series, &["v".to_owned()], &mut out),
                    // Rows too long to be moved.
                    1 => out.resize(out.len() + 2 * MOVED_BYTES_MAX, 0xc0),
                    2 => writer.close(false, &mut out),
                    3 => writer.end(0, false, &mut out),
                    _ => writer.finish(&mut out),
                }
                if aside_after == Some(step) {
                    writer.put_aside(out.len());
                    pieces.append(&mut out);
                }
            }
            for Change { at, bytes } in writer.changes() {
                pieces[at..at + bytes.len()].copy_from_slice(&bytes);
            }
            pieces.append(&mut out);
            pieces
        };
        let at_once = with_short_lengths(&whole(None));
        for step in 0..4 {
            assert_eq!(
                with_short_lengths(&whole(Some(step))),
                at_once,
                "put aside after step {step}"
            );
        }
    }

    /// The same with the short form of the length of short lists: one that was put aside keeps the
    /// long one.
    fn with_short_lengths(mut bytes: &[u8]) -> Vec<u8> {
        let mut short = Vec::with_capacity(bytes.len());
        while let Some((first, mut rest)) = bytes.split_first() {
            match rest {
                [0, 0, 0, length @ ..16, after @ ..] if *first == 0xdd => {
                    short.push(0x90 | length);
                    rest = after;
                }
                _ => short.push(*first),
            }
            bytes = rest;
        }
        short
    }
}
