//! Cuts line protocol into request bodies at line ends, without holding more than one of them.

use std::io::{self, Read};
use std::ops::Range;

use bytes::Bytes;
use protocols::line_protocol::find_line;

/// How much is read at once, at least.
const BLOCK_BYTES: usize = 256 * 1024;

/// The longest line that is gathered in memory when it exceeds the size of a request. Beyond it
/// the likely cause is a quote that was never closed, which swallows the rest of the input.
const LINE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Whole lines for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// The lines, as they were read.
    pub(super) body: Bytes,
    /// How many lines there are, blank ones and comments not counted.
    pub(super) lines: u64,
    /// Where the first of them stands in the input, as an editor counts, from 1.
    pub(super) first_row: u64,
    /// The row behind the last of them.
    pub(super) next_row: u64,
}

impl Batch {
    /// The rows in the input of lines of this batch, given by their numbers in it, from 1 and
    /// ascending, as the server counts them.
    pub(super) fn rows(&self, numbers: impl IntoIterator<Item = usize>) -> Vec<u64> {
        let (mut row, mut counted, mut number, mut pos) = (self.first_row, 0, 0, 0);
        let mut rows = Vec::new();
        for wanted in numbers {
            while number < wanted
                && let Some(line) = find_line(&self.body, pos)
            {
                row += newlines(&self.body[counted..line.start]);
                (counted, pos) = (line.start, line.end);
                number += 1;
            }
            rows.push(row);
        }
        rows
    }
}

/// Reads batches of at most `bytes_max` bytes; a single longer line is a batch of its own.
#[derive(Debug)]
pub(super) struct Batches<R> {
    reader: R,
    bytes_max: usize,
    /// Lines that begin in earlier rows are left out.
    from_row: u64,
    buffer: Vec<u8>,
    /// Where the lines of the next batch begin in `buffer`, and end as far as it is known.
    start: usize,
    end: usize,
    lines: u64,
    first_row: u64,
    /// The row at `end`.
    row: u64,
    at_end: bool,
}

impl<R: Read> Batches<R> {
    /// Batches of the lines that begin in `from_row` or later.
    pub(super) fn new(reader: R, bytes_max: usize, from_row: u64) -> Self {
        Self {
            reader,
            bytes_max,
            from_row,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            lines: 0,
            first_row: 1,
            row: 1,
            at_end: false,
        }
    }

    fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        loop {
            while let Some((line, next)) = self.whole_line() {
                let line_row = self.row + newlines(&self.buffer[self.end..line.start]);
                let next_row = line_row + newlines(&self.buffer[line.start..next]);
                if self.lines > 0 && next - self.start > self.bytes_max {
                    return Ok(Some(self.take()));
                }
                if self.lines == 0 {
                    (self.start, self.first_row) = (line.start, line_row);
                }
                (self.end, self.row) = (next, next_row);
                self.lines += u64::from(line_row >= self.from_row);
            }
            // Where the next line is not whole yet, it may be too long for this batch already.
            let is_full = self.buffer.len() - self.start > self.bytes_max;
            if self.lines > 0 && (is_full || self.at_end) {
                return Ok(Some(self.take()));
            }
            if self.at_end {
                return Ok(None);
            }
            self.skip_comments();
            self.fill()?;
        }
    }

    /// The line behind `end` and where the one behind it begins, if both are known.
    fn whole_line(&self) -> Option<(Range<usize>, usize)> {
        let line = find_line(&self.buffer, self.end)?;
        let rest = &self.buffer[line.end..];
        let ending = [&b"\n"[..], b"\r\n"].into_iter().find(|ending| rest.starts_with(ending));
        let next = match ending {
            Some(ending) => line.end + ending.len(),
            None if self.at_end => self.buffer.len(),
            None => return None,
        };
        Some((line, next))
    }

    /// Leaves blank lines and comments before the first line of a batch behind.
    fn skip_comments(&mut self) {
        if self.lines == 0 && find_line(&self.buffer, self.end).is_none() {
            let rest = &self.buffer[self.end..];
            let skipped = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.row += newlines(&rest[..skipped]);
            self.end += skipped;
        }
    }

    /// Reads on. As much again as there is, so that a long line is not looked at too often.
    fn fill(&mut self) -> io::Result<()> {
        if self.lines == 0 {
            self.start = self.end;
        }
        self.buffer.drain(..self.start);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() - self.end > self.bytes_max.max(LINE_BYTES_MAX) {
            let row = self.row;
            let text = format!("line {row} is too long: is a quoted string left open?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let bytes = (self.buffer.len() - self.end).max(BLOCK_BYTES) as u64;
        let read = self.reader.by_ref().take(bytes).read_to_end(&mut self.buffer)?;
        self.at_end = read == 0;
        Ok(())
    }

    fn take(&mut self) -> Batch {
        let rest = self.buffer.split_off(self.end);
        let body = Bytes::from(std::mem::replace(&mut self.buffer, rest)).slice(self.start..);
        (self.start, self.end) = (0, 0);
        let lines = std::mem::take(&mut self.lines);
        Batch { body, lines, first_row: self.first_row, next_row: self.row }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl<R: Read> Iterator for Batches<R> {
    type Item = io::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte a read, so that every state is carried over a read.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            match (self.0.split_first(), target.first_mut()) {
                (Some((byte, rest)), Some(slot)) => {
                    *slot = *byte;
                    self.0 = rest;
                    Ok(1)
                }
                _ => Ok(0),
            }
        }
    }

    fn batches(reader: impl Read, bytes_max: usize, from_row: u64) -> Vec<Batch> {
        let batches: io::Result<_> = Batches::new(reader, bytes_max, from_row).collect();
        batches.expect("reading from memory")
    }

    /// `expected` has of each batch: its text, how many lines, the row of the first.
    #[track_caller]
    fn check_from(from_row: u64, input: &str, bytes_max: usize, expected: &[(&str, u64, u64)]) {
        let found = |batches: &[Batch]| -> Vec<(String, u64, u64)> {
            let text = |batch: &Batch| String::from_utf8(batch.body.to_vec()).expect("utf-8");
            batches.iter().map(|batch| (text(batch), batch.lines, batch.first_row)).collect()
        };
        let expected: Vec<_> = expected
            .iter()
            .map(|(text, lines, first)| ((*text).to_owned(), *lines, *first))
            .collect();
        let at_once = batches(input.as_bytes(), bytes_max, from_row);
        assert_eq!(found(&at_once), expected, "{input:?} by {bytes_max}");
        let trickled = batches(Trickle(input.as_bytes()), bytes_max, from_row);
        assert_eq!(trickled, at_once, "{input:?} by {bytes_max}, trickled");
    }

    #[track_caller]
    fn check(input: &str, bytes_max: usize, expected: &[(&str, u64, u64)]) {
        check_from(1, input, bytes_max, expected);
    }

    #[test]
    fn small_input_is_one_batch() {
        check("m f=1\nm f=2", 100, &[("m f=1\nm f=2", 2, 1)]);
        check("m f=1\nm f=2\n", 12, &[("m f=1\nm f=2\n", 2, 1)]);
        check("", 100, &[]);
    }

    #[test]
    fn batches_end_at_newlines_and_are_filled_up() {
        check("m f=1\nm f=2\nm f=3\n", 12, &[("m f=1\nm f=2\n", 2, 1), ("m f=3\n", 1, 3)]);
        check("m f=1\nm f=2\nm f=3\n", 17, &[("m f=1\nm f=2\n", 2, 1), ("m f=3\n", 1, 3)]);
        check("m f=1\nm f=2", 6, &[("m f=1\n", 1, 1), ("m f=2", 1, 2)]);
    }

    #[test]
    fn a_line_above_the_size_goes_alone() {
        check(
            "m f=1\nm f=100000000\nm f=2\nm f=3\n",
            12,
            &[("m f=1\n", 1, 1), ("m f=100000000\n", 1, 2), ("m f=2\nm f=3\n", 2, 3)],
        );
        check("m f=100000000", 4, &[("m f=100000000", 1, 1)]);
    }

    #[test]
    fn newlines_in_strings_do_not_end_lines() {
        check(
            "m f=\"a\nb\",g=\"c\\\"\nd\"\nm f=2\n",
            8,
            &[("m f=\"a\nb\",g=\"c\\\"\nd\"\n", 1, 1), ("m f=2\n", 1, 4)],
        );
        check("m f=1\\\nm f=2\nm f=3\n", 1, &[("m f=1\\\nm f=2\n", 1, 1), ("m f=3\n", 1, 3)]);
    }

    #[test]
    fn comments_and_blank_lines_are_not_counted() {
        check("# it\"s \\\n\n  m f=1\n \n#\nm f=2", 100, &[("  m f=1\n \n#\nm f=2", 2, 3)]);
        check("#c\nm f=1\n#d\n", 3, &[("m f=1\n", 1, 2)]);
        check("\n \n# only\n", 100, &[]);
    }

    #[test]
    fn lines_of_windows_are_counted_as_others() {
        check(
            "\r\n#c\r\nm f=1\r\n\r\n \t\r\nm f=2\r\n",
            7,
            &[("m f=1\r\n", 1, 3), ("m f=2\r\n", 1, 6)],
        );
        check("\u{feff}# c\r\n\r\n", 100, &[]);
        check("\u{feff}m f=1\r\n\r", 100, &[("m f=1\r\n", 1, 1)]);
        check("m f=1\r", 100, &[("m f=1\r", 1, 1)]);
    }

    #[test]
    fn an_open_string_takes_the_rest() {
        check("m f=1\nm f=\"x\nm f=2\n", 6, &[("m f=1\n", 1, 1), ("m f=\"x\nm f=2\n", 1, 2)]);
    }

    #[test]
    fn the_input_can_be_taken_up_at_a_row() {
        let input = "m f=1\n# c\nm f=\"x\ny\"\nm f=3\n";
        check_from(2, input, 100, &[("m f=\"x\ny\"\nm f=3\n", 2, 3)]);
        check_from(4, input, 100, &[("m f=3\n", 1, 5)]);
        check_from(5, input, 100, &[("m f=3\n", 1, 5)]);
        check_from(6, input, 100, &[]);
    }

    #[test]
    fn lines_are_found_by_the_servers_numbers() {
        let input = "# c\nm f=1\n\r\n#\nm f=\"x\ny\"\nm f=3\n";
        let batches = batches(input.as_bytes(), 100, 1);
        assert_eq!(batches[0].rows([1, 2, 3]), [2, 5, 7]);
        assert_eq!(batches[0].rows([3]), [7]);
        assert_eq!(batches[0].next_row, 8);
    }

    #[test]
    fn nothing_is_lost_whatever_the_size() {
        let input = "a,t=1 f=\"x\ny\" 1\n# c\nb f=1i,g=\"\\\"\n\" 2\n\nlonger_name,t=v f=1.5 3\n";
        for bytes_max in 1..input.len() + 2 {
            let batches = batches(input.as_bytes(), bytes_max, 1);
            let rows: Vec<u64> =
                batches.iter().flat_map(|batch| batch.rows(1..=batch.lines as usize)).collect();
            assert_eq!(rows, [1, 4, 7], "by {bytes_max}");
        }
    }
}
