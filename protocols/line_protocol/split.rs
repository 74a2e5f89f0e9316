//! Cuts a body into logical lines.

use memchr::{memchr, memchr2};
use std::ops::Range;

/// Editors put it before a text to say how that is encoded.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// True where no more of a line follows: at a newline with or without a carriage return before it,
/// and at the end of the body, which may have been cut between the two.
#[inline]
pub(super) fn is_line_end(body: &[u8], pos: usize) -> bool {
    match body.get(pos) {
        None | Some(b'\n') => true,
        Some(b'\r') => matches!(body.get(pos + 1), None | Some(b'\n')),
        Some(_) => false,
    }
}

/// Finds the first byte of the next logical line at or after `pos`, over blanks, empty lines,
/// comments and the byte order mark of a file, of which a body may be several. The second position is where the text of that line begins: its indentation counts,
/// the lines skipped before it do not.
pub(super) fn next_line(body: &[u8], mut pos: usize) -> Option<(usize, usize)> {
    let mut text = pos;
    loop {
        match body.get(pos)? {
            b' ' | b'\t' => pos += 1,
            b'\n' => {
                pos += 1;
                text = pos;
            }
            b'\r' if is_line_end(body, pos) => pos += 1,
            0xef if pos == text && body.get(pos..)?.starts_with(BYTE_ORDER_MARK) => {
                pos += BYTE_ORDER_MARK.len();
                text = pos;
            }
            b'#' => {
                let rest = body.get(pos..)?;
                pos += memchr(b'\n', rest)?;
            }
            _ => return Some((pos, text)),
        }
    }
}

/// The next logical line of `body` at or after `pos`, which is where a line may begin: with its
/// indentation, without the line end behind it, and without the blank lines and comments before it.
///
/// A line that begins and does not end in `body` reaches to its end.
pub fn find_line(body: &[u8], pos: usize) -> Option<Range<usize>> {
    let (start, text) = next_line(body, pos)?;
    Some(text..line_at(body, start).end)
}

/// The logical line that begins at `start`, without the newline that ends it and the carriage
/// return before that.
pub(super) fn line_at(body: &[u8], start: usize) -> Range<usize> {
    let rest = body.get(start..).unwrap_or_default();
    let first = memchr(b'\n', rest).unwrap_or(rest.len());
    // A newline can only be hidden by a quote or a backslash before it.
    let plain = rest.get(..first).is_none_or(|line| memchr2(b'"', b'\\', line).is_none());
    let len = if plain { first } else { scan(rest) };
    let line = rest.get(..len).unwrap_or_default();
    start..start + line.strip_suffix(b"\r").unwrap_or(line).len()
}

/// Length of the first logical line of `rest`. A quote opens a string only where a value may
/// begin: in the field section, while more `=` than `,` have been seen there.
fn scan(rest: &[u8]) -> usize {
    let mut in_fields = false;
    let mut in_string = false;
    let mut equals = 0usize;
    let mut commas = 0usize;
    let mut pos = 0;
    while let Some(&byte) = rest.get(pos) {
        match byte {
            b'\\' => pos += 1,
            b'"' if in_string => in_string = false,
            _ if in_string => {
                let inside = rest.get(pos..).unwrap_or_default();
                // To the next byte that means something inside a string.
                pos += memchr2(b'"', b'\\', inside).unwrap_or(inside.len());
                continue;
            }
            b'\n' => return pos,
            b' ' => in_fields = true,
            b'=' if in_fields => equals += 1,
            b',' if in_fields => commas += 1,
            b'"' if in_fields && equals > commas => in_string = true,
            _ => {}
        }
        pos += 1;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(body: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut pos = 0;
        while let Some((start, text)) = next_line(body.as_bytes(), pos) {
            let line = line_at(body.as_bytes(), start);
            found.push(&body[text..line.end]);
            pos = line.end;
        }
        found
    }

    #[test]
    fn newlines_separate_and_blank_lines_do_not_count() {
        assert_eq!(lines("a f=1\n\n \t\n  b f=2\n"), ["a f=1", "  b f=2"]);
        assert_eq!(lines(""), Vec::<&str>::new());
        assert_eq!(lines("\n\n  \n"), Vec::<&str>::new());
    }

    #[test]
    fn a_carriage_return_belongs_to_the_end_of_its_line() {
        let body = "# c\r\n\r\na f=1\r\n \t\r\n#d\r\n  b f=\"x\r\ny\" 1\r\nc f=1\r";
        assert_eq!(lines(body), ["a f=1", "  b f=\"x\r\ny\" 1", "c f=1"]);
        assert_eq!(lines("a\rb f=1\n\rc f=1\r\r\n"), ["a\rb f=1", "\rc f=1\r"]);
        assert_eq!(lines("a f=1\\\r\nb f=1"), ["a f=1\\", "b f=1"]);
        assert_eq!(lines("\r\n\r"), Vec::<&str>::new());
    }

    #[test]
    fn byte_order_marks_before_lines_are_skipped() {
        assert_eq!(lines("\u{feff}a f=1\n\u{feff}# c\n\u{feff}b f=1"), ["a f=1", "b f=1"]);
        assert_eq!(lines("\u{feff}"), Vec::<&str>::new());
        assert_eq!(lines("\u{feef}a f=1\na\u{feff} f=1"), ["\u{feef}a f=1", "a\u{feff} f=1"]);
    }

    #[test]
    fn comments_end_at_the_newline_whatever_they_hold() {
        assert_eq!(lines("# a \"quote x=\" \\\nm f=1"), ["m f=1"]);
        assert_eq!(lines("# c\\\nm f=1"), ["m f=1"]);
        assert_eq!(lines("  # c x=\"\n\n#d\n m f=1\n#"), [" m f=1"]);
        assert_eq!(lines("m f=1 #x\nn f=1"), ["m f=1 #x", "n f=1"]);
    }

    #[test]
    fn a_string_value_hides_newlines() {
        assert_eq!(lines("m f=\"a\nb\" 1\nn f=2"), ["m f=\"a\nb\" 1", "n f=2"]);
        assert_eq!(lines("m f=\"a\\\"\nb\" 1\nn f=2"), ["m f=\"a\\\"\nb\" 1", "n f=2"]);
        assert_eq!(lines("m f=\"a\\\\\"\nn f=2"), ["m f=\"a\\\\\"", "n f=2"]);
        assert_eq!(lines("m f=1,g=\"a=,\nb\"\nn f=2"), ["m f=1,g=\"a=,\nb\"", "n f=2"]);
    }

    #[test]
    fn a_quote_elsewhere_hides_nothing() {
        assert_eq!(lines("m\"x f=1\nn f=2"), ["m\"x f=1", "n f=2"]);
        assert_eq!(lines("m,t=\"a f=1\nn f=2"), ["m,t=\"a f=1", "n f=2"]);
        assert_eq!(lines("m a\"b=1\nn f=2"), ["m a\"b=1", "n f=2"]);
        assert_eq!(lines("m f=1,a\"b=1\nn f=2"), ["m f=1,a\"b=1", "n f=2"]);
        // Indentation is not yet the field section.
        assert_eq!(lines("  m=\" f=1\nn f=2"), ["  m=\" f=1", "n f=2"]);
    }

    #[test]
    fn a_backslash_hides_a_newline() {
        assert_eq!(lines("m f=1\\\nm f=2\nn f=3"), ["m f=1\\\nm f=2", "n f=3"]);
    }

    #[test]
    fn an_open_string_swallows_the_rest() {
        assert_eq!(lines("m f=\"a\nn f=2\no f=3"), ["m f=\"a\nn f=2\no f=3"]);
    }
}
