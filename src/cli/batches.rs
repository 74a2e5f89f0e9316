//! Cuts line protocol into request bodies at line ends, without holding more than one of them.

use std::io::{self, Read};

use bytes::Bytes;

/// How much is read at once.
const BLOCK_BYTES: u64 = 256 * 1024;

/// The longest line that is gathered in memory when it exceeds the size of a request. Beyond it
/// the likely cause is a quote that was never closed, which swallows the rest of the input.
const LINE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Whole lines for one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// The lines, as they were read.
    pub(super) body: Bytes,
    /// How many lines there are, blank ones and comments not counted.
    pub(super) lines: u64,
    /// The number of the first of them in the whole input, counted from 1 in the same way.
    pub(super) first_line: u64,
}

/// Reads batches of at most `bytes_max` bytes; a single longer line is a batch of its own.
#[derive(Debug)]
pub(super) struct Batches<R> {
    reader: R,
    bytes_max: usize,
    buffer: Vec<u8>,
    /// How far `buffer` has been looked at.
    scanned: usize,
    /// The end of the last line in `buffer` that still fits; 0 if none has ended.
    boundary: usize,
    /// Lines begun before `scanned` and before `boundary`.
    lines_scanned: u64,
    lines_bounded: u64,
    lines_taken: u64,
    scanner: Scanner,
    at_end: bool,
}

impl<R: Read> Batches<R> {
    pub(super) fn new(reader: R, bytes_max: usize) -> Self {
        Self {
            reader,
            bytes_max,
            buffer: Vec::new(),
            scanned: 0,
            boundary: 0,
            lines_scanned: 0,
            lines_bounded: 0,
            lines_taken: 0,
            scanner: Scanner::default(),
            at_end: false,
        }
    }

    /// The next batch that holds a line at all.
    fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        loop {
            let batch = if self.scan() {
                self.take(self.boundary, self.lines_bounded)
            } else if self.at_end {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                self.take(self.buffer.len(), self.lines_scanned)
            } else {
                self.fill()?;
                continue;
            };
            if batch.lines > 0 {
                return Ok(Some(batch));
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.buffer.len() > self.bytes_max.max(LINE_BYTES_MAX) {
            let line = self.lines_taken + 1;
            let text = format!("line {line} is too long: is a quoted string left open?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let read = self.reader.by_ref().take(BLOCK_BYTES).read_to_end(&mut self.buffer)?;
        self.at_end = read == 0;
        Ok(())
    }

    /// Looks at what was read until a batch is full. Returns whether it is: then `boundary` is
    /// where it ends.
    fn scan(&mut self) -> bool {
        while let Some(byte) = self.buffer.get(self.scanned) {
            if self.scanned >= self.bytes_max && self.boundary > 0 {
                return true;
            }
            self.scanned += 1;
            match self.scanner.step(*byte) {
                Step::Inside => {}
                Step::LineBegins => self.lines_scanned += 1,
                Step::LineEnds if self.scanned <= self.bytes_max || self.boundary == 0 => {
                    self.boundary = self.scanned;
                    self.lines_bounded = self.lines_scanned;
                }
                Step::LineEnds => {}
            }
        }
        false
    }

    fn take(&mut self, end: usize, lines: u64) -> Batch {
        let rest = self.buffer.split_off(end);
        let body = Bytes::from(std::mem::replace(&mut self.buffer, rest));
        let first_line = self.lines_taken + 1;
        self.scanned -= end;
        self.boundary = 0;
        self.lines_taken += lines;
        self.lines_scanned -= lines;
        self.lines_bounded = 0;
        Batch { body, lines, first_line }
    }
}

impl<R: Read> Iterator for Batches<R> {
    type Item = io::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

/// Where in a line the scanner is.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// Before the first character that is not blank.
    #[default]
    Start,
    Comment,
    /// Measurement and tags, where a quote is an ordinary character.
    Names,
    /// Fields and timestamp. Only a quote that follows more `=` than `,` opens a string.
    Fields {
        equals_ahead: i64,
    },
    String {
        equals_ahead: i64,
    },
}

enum Step {
    LineBegins,
    Inside,
    LineEnds,
}

/// Finds line ends by the rules of line protocol, byte by byte: a newline within a quoted string
/// or after a backslash does not end a line.
#[derive(Debug, Default)]
struct Scanner {
    place: Place,
    is_escaped: bool,
}

impl Scanner {
    fn step(&mut self, byte: u8) -> Step {
        if std::mem::take(&mut self.is_escaped) {
            return Step::Inside;
        }
        if byte == b'\\' && !matches!(self.place, Place::Comment | Place::Start) {
            self.is_escaped = true;
            return Step::Inside;
        }
        match (self.place, byte) {
            (Place::String { .. }, b'\n') => {}
            (_, b'\n') => {
                self.place = Place::Start;
                return Step::LineEnds;
            }
            (Place::Start, b' ' | b'\t') => {}
            (Place::Start, b'#') => self.place = Place::Comment,
            (Place::Start, _) => {
                self.place = Place::Names;
                self.is_escaped = byte == b'\\';
                return Step::LineBegins;
            }
            (Place::Names, b' ') => self.place = Place::Fields { equals_ahead: 0 },
            (Place::Fields { equals_ahead }, b'=') => {
                self.place = Place::Fields { equals_ahead: equals_ahead + 1 };
            }
            (Place::Fields { equals_ahead }, b',') => {
                self.place = Place::Fields { equals_ahead: equals_ahead - 1 };
            }
            (Place::Fields { equals_ahead }, b'"') if equals_ahead > 0 => {
                self.place = Place::String { equals_ahead };
            }
            (Place::String { equals_ahead }, b'"') => self.place = Place::Fields { equals_ahead },
            _ => {}
        }
        Step::Inside
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

    fn check(input: &str, bytes_max: usize, expected: &[(&str, u64, u64)]) {
        let read = |batches: Vec<io::Result<Batch>>| {
            let batches: io::Result<Vec<_>> = batches.into_iter().collect();
            batches.expect("reading from memory").into_iter().map(|batch| {
                let text = String::from_utf8(batch.body.to_vec()).expect("utf-8");
                (text, batch.lines, batch.first_line)
            })
        };
        let expected: Vec<_> = expected
            .iter()
            .map(|(text, lines, first)| ((*text).to_owned(), *lines, *first))
            .collect();
        let at_once = read(Batches::new(input.as_bytes(), bytes_max).collect());
        assert_eq!(at_once.collect::<Vec<_>>(), expected, "{input:?} by {bytes_max}");
        let trickled = read(Batches::new(Trickle(input.as_bytes()), bytes_max).collect());
        assert_eq!(trickled.collect::<Vec<_>>(), expected, "{input:?} by {bytes_max}, trickled");
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
            &[("m f=\"a\nb\",g=\"c\\\"\nd\"\n", 1, 1), ("m f=2\n", 1, 2)],
        );
        check("m f=1\\\nm f=2\nm f=3\n", 1, &[("m f=1\\\nm f=2\n", 1, 1), ("m f=3\n", 1, 2)]);
    }

    #[test]
    fn quotes_elsewhere_are_ordinary() {
        check("m,t=a\"b f=1\nm f=2\n", 1, &[("m,t=a\"b f=1\n", 1, 1), ("m f=2\n", 1, 2)]);
        check("m \"f=1\nm f=2\n", 1, &[("m \"f=1\n", 1, 1), ("m f=2\n", 1, 2)]);
        check("m a=1,\"b=2\nm f=2\n", 1, &[("m a=1,\"b=2\n", 1, 1), ("m f=2\n", 1, 2)]);
    }

    #[test]
    fn comments_and_blank_lines_are_carried_but_not_counted() {
        check(
            "# it\"s \\\n\n  m f=1\n \n#\nm f=2",
            100,
            &[("# it\"s \\\n\n  m f=1\n \n#\nm f=2", 2, 1)],
        );
        check("#c\nm f=1\n#d\n", 3, &[("m f=1\n", 1, 1)]);
        check("\n \n# only\n", 100, &[]);
    }

    #[test]
    fn an_open_string_takes_the_rest() {
        check("m f=1\nm f=\"x\nm f=2\n", 6, &[("m f=1\n", 1, 1), ("m f=\"x\nm f=2\n", 1, 2)]);
    }

    #[test]
    fn nothing_is_lost_whatever_the_size() {
        let input = "a,t=1 f=\"x\ny\" 1\n# c\nb f=1i,g=\"\\\"\n\" 2\n\nlonger_name,t=v f=1.5 3\n";
        for bytes_max in 1..input.len() + 2 {
            let batches: io::Result<Vec<_>> = Batches::new(input.as_bytes(), bytes_max).collect();
            let batches = batches.expect("reading from memory");
            assert_eq!(batches.iter().map(|batch| batch.lines).sum::<u64>(), 3);
            for pair in batches.windows(2) {
                assert_eq!(pair[0].first_line + pair[0].lines, pair[1].first_line);
            }
        }
    }
}
