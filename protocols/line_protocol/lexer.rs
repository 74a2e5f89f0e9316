//! Takes one logical line apart. Everything the grammar can object to is found here, before the
//! schema is looked at.

use super::fault::{Fault, Hint};
use super::split::is_line_end;
use super::value::{ELEMENT_BYTES_MAX, Read, Value, timestamp, unescape, value};
use std::borrow::Cow;

/// A tag as written.
#[derive(Debug)]
pub(super) struct LexedTag<'a> {
    /// The key with the `,` before and the `=` after it, escapes untouched.
    pub(super) raw_key: &'a str,
    pub(super) key: Cow<'a, str>,
    pub(super) value: Cow<'a, str>,
}

/// A field key as written.
#[derive(Debug)]
pub(super) struct LexedKey<'a> {
    /// The key with the `=` after it, escapes untouched.
    pub(super) raw_key: &'a str,
    pub(super) key: Cow<'a, str>,
}

/// The parts of a line. Reused from line to line for its memory.
#[derive(Debug, Default)]
pub(super) struct LexedLine<'a> {
    /// Measurement and tags as written.
    pub(super) series: &'a str,
    /// The measurement as written.
    pub(super) raw_measurement: &'a str,
    pub(super) measurement: Cow<'a, str>,
    pub(super) tags: Vec<LexedTag<'a>>,
    pub(super) keys: Vec<LexedKey<'a>>,
    /// One value for each of `keys`.
    pub(super) values: Vec<Value<'a>>,
    pub(super) timestamp: Option<i64>,
}

impl<'a> LexedLine<'a> {
    /// Reads `line`, which has no blanks before it.
    pub(super) fn lex(&mut self, line: &'a str) -> Result<(), Fault<'a>> {
        self.tags.clear();
        self.keys.clear();
        self.values.clear();
        self.timestamp = None;
        let end = self.series(line)?;
        let fields = skip_spaces(line, end);
        if fields == end {
            return Err(Fault::Space(rest(line, end), hidden_space(self.series)));
        }
        let end = self.fields(line, fields)?;
        let (timestamp, end) = line_end(line, end)?;
        self.timestamp = timestamp;
        match rest(line, end) {
            "" => Ok(()),
            trailing => Err(Fault::Trailing(trailing, None)),
        }
    }

    fn series(&mut self, line: &'a str) -> Result<usize, Fault<'a>> {
        let (name, mut pos) = measurement(line, 0)?.ok_or(Fault::Measurement)?;
        self.measurement = name;
        self.raw_measurement = line.get(..pos).unwrap_or_default();
        while byte(line, pos) == Some(b',') {
            let first = pos + 1;
            let (key, end) = key(line, first)?.ok_or_else(|| Fault::TagKey(rest(line, first)))?;
            if byte(line, end) != Some(b'=') {
                return Err(Fault::NoEqualsSign(rest(line, first)));
            }
            let raw_key = line.get(pos..=end).unwrap_or_default();
            let (value, after) =
                tag_value(line, end + 1)?.ok_or_else(|| Fault::TagValue(rest(line, end + 1)))?;
            self.tags.push(LexedTag { raw_key, key, value });
            pos = after;
        }
        self.series = line.get(..pos).unwrap_or_default();
        Ok(pos)
    }

    /// Reads the fields and returns where they end.
    fn fields(&mut self, line: &'a str, first: usize) -> Result<usize, Fault<'a>> {
        let Some(mut pos) = self.field(line, first)? else {
            return Err(Fault::NoFields(match hint(line, first) {
                value @ (Hint::Value { .. } | Hint::NoValue(_) | Hint::OpenText(_)) => value,
                other => hidden_space(self.series).unwrap_or(other),
            }));
        };
        while byte(line, pos) == Some(b',') {
            let next = pos + 1;
            match self.field(line, next)? {
                Some(end) => pos = end,
                None => {
                    let hint = hint(line, next).of_value();
                    // The original shows the comma only behind later fields.
                    let shown = if self.keys.len() == 1 && next < line.len() { next } else { pos };
                    return Err(Fault::Trailing(rest(line, shown), hint));
                }
            }
        }
        Ok(pos)
    }

    fn field(&mut self, line: &'a str, pos: usize) -> Result<Option<usize>, Fault<'a>> {
        let Some((key, end)) = key(line, pos)? else { return Ok(None) };
        if byte(line, end) != Some(b'=') {
            return Ok(None);
        }
        let Some((value, after)) = value(line, end + 1)? else { return Ok(None) };
        let raw_key = line.get(pos..=end).unwrap_or_default();
        self.keys.push(LexedKey { raw_key, key });
        self.values.push(value);
        Ok(Some(after))
    }
}

/// Reads what may follow the fields: a timestamp and blanks. Blanks before anything else stay
/// unread, because they are part of what the error shows.
#[inline]
pub(super) fn line_end(text: &str, pos: usize) -> Result<(Option<i64>, usize), Fault<'_>> {
    let after_blanks = skip_spaces(text, pos);
    if after_blanks == pos {
        return Ok((None, pos));
    }
    if let Some((time, end)) = timestamp(text, after_blanks)? {
        return Ok((Some(time), skip_spaces(text, end)));
    }
    let ends = is_line_end(text.as_bytes(), after_blanks);
    Ok((None, if ends { after_blanks } else { pos }))
}

/// The position of the first byte from `pos` on that is not a space.
#[inline]
pub(super) fn skip_spaces(text: &str, mut pos: usize) -> usize {
    while byte(text, pos) == Some(b' ') {
        pos += 1;
    }
    pos
}

/// Why no field can be read at `pos`.
fn hint(line: &str, pos: usize) -> Hint<'_> {
    let part = |from: usize| {
        let text = line.get(from..).unwrap_or_default();
        text.split([' ', ',']).next().unwrap_or_default()
    };
    let Ok(Some((_, end))) = key(line, pos) else {
        return match line.get(pos..) {
            None | Some("") => Hint::Nothing,
            Some(_) => Hint::NoName(part(pos)),
        };
    };
    let name = line.get(pos..end).unwrap_or_default();
    let Some(value) = line.get(end..).and_then(|text| text.strip_prefix('=')) else {
        return Hint::NoEqualsSign(name);
    };
    match part(end + 1) {
        _ if value.starts_with('"') => Hint::OpenText(name),
        "" => Hint::NoValue(name),
        value => Hint::Value { key: name, value },
    }
}

/// A name or a tag value with what seems to be fields behind a space that its last character, a
/// backslash, hides.
fn hidden_space(series: &str) -> Option<Hint<'_>> {
    let hides = |(at, _): &(usize, &str)| {
        let after = series.get(at + 2..).unwrap_or_default();
        after.split(',').next().unwrap_or_default().contains('=')
    };
    let (at, _) = series.match_indices("\\ ").find(hides)?;
    let before = series.get(..=at).unwrap_or_default();
    let start = before.rfind([',', '=']).map_or(0, |at| at + 1);
    before.get(start..).map(Hint::HiddenSpace)
}

#[inline]
fn byte(text: &str, pos: usize) -> Option<u8> {
    text.as_bytes().get(pos).copied()
}

fn rest(text: &str, pos: usize) -> &str {
    text.get(pos..).unwrap_or_default()
}

fn measurement(text: &str, pos: usize) -> Read<'_, Cow<'_, str>> {
    element(text, pos, b", \\", |b| matches!(b, b' ' | b'\t' | b'\n' | b',' | 0))
}

/// Reads a tag key or field key.
pub(super) fn key(text: &str, pos: usize) -> Read<'_, Cow<'_, str>> {
    element(text, pos, b",= \\", |b| matches!(b, b' ' | b'\t' | b'\n' | b'=' | b','))
}

/// Reads a tag value.
#[inline]
pub(super) fn tag_value(text: &str, pos: usize) -> Read<'_, Cow<'_, str>> {
    element(text, pos, b",= \\", |b| matches!(b, b' ' | b'\t' | b'\n' | b','))
}

/// Reads up to the first byte that is not escaped and ends the element.
#[inline]
fn element<'a>(
    text: &'a str,
    pos: usize,
    escapable: &[u8],
    ends: impl Fn(u8) -> bool,
) -> Read<'a, Cow<'a, str>> {
    let mut end = pos;
    let mut escaped = false;
    while let Some(byte) = byte(text, end) {
        if byte == b'\\' {
            escaped = true;
            end += 1;
        } else if ends(byte) {
            break;
        }
        end += 1;
    }
    // A backslash that ends the text has nothing after it to hide.
    let end = end.min(text.len());
    if end == pos {
        return Ok(None);
    }
    let element = raw_element(text, pos, end, escaped, escapable)?;
    Ok(Some((element, end)))
}

#[inline]
fn raw_element<'a>(
    text: &'a str,
    pos: usize,
    end: usize,
    escaped: bool,
    escapable: &[u8],
) -> Result<Cow<'a, str>, Fault<'a>> {
    // A hidden character of several bytes is entered at its second byte and passed from there,
    // so both ends are boundaries.
    let raw = text.get(pos..end).unwrap_or_default();
    let element = if escaped { Cow::Owned(unescape(raw, escapable)) } else { Cow::Borrowed(raw) };
    if escaped && element.ends_with('\\') {
        return Err(Fault::EndsWithBackslash);
    }
    if element.len() > ELEMENT_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(line: &str) -> Result<LexedLine<'_>, Fault<'_>> {
        let mut lexed = LexedLine::default();
        lexed.lex(line)?;
        Ok(lexed)
    }

    #[test]
    fn escapes_are_undone_and_raw_keys_kept() {
        let line = lex(r#"m\,x,a\ b=c\,d\=e x\ y="z" 1"#).unwrap();
        assert_eq!(line.series, r"m\,x,a\ b=c\,d\=e");
        assert_eq!(line.measurement, "m,x");
        let [tag] = line.tags.as_slice() else { panic!("one tag") };
        assert_eq!((tag.raw_key, &*tag.key, &*tag.value), (r",a\ b=", "a b", "c,d=e"));
        let [key] = line.keys.as_slice() else { panic!("one field") };
        assert_eq!((key.raw_key, &*key.key), (r"x\ y=", "x y"));
        assert_eq!(line.timestamp, Some(1));
    }

    #[test]
    fn unknown_escapes_stay() {
        let line = lex(r"m\=,t=x\y\é f\n=1").unwrap();
        assert_eq!(line.measurement, r"m\=");
        assert_eq!(line.tags[0].value, r"x\y\é");
        assert_eq!(line.keys[0].key, r"f\n");
    }

    #[test]
    fn no_element_ends_in_a_backslash() {
        for line in [r"m\\ f=1", r"m\", r"m,t\\=a f=1", r"m,t=x\\ f=1", r"m f\\=1", r"m f=1,g\"] {
            assert_eq!(lex(line).unwrap_err(), Fault::EndsWithBackslash, "{line}");
        }
    }

    #[test]
    fn commas_after_the_fields() {
        assert_eq!(lex("m f=1,").unwrap_err(), Fault::Trailing(",", None));
        assert_eq!(lex("m f=1, 5").unwrap_err(), Fault::Trailing(" 5", None));
        assert_eq!(lex("m f=1,g=2,").unwrap_err(), Fault::Trailing(",", None));
        assert_eq!(lex("m f=1,g=2, 5").unwrap_err(), Fault::Trailing(", 5", None));
        assert_eq!(lex("m f=1,,g=2").unwrap_err(), Fault::Trailing(",g=2", None));
        assert_eq!(lex("m f=1,g=2,,h=3").unwrap_err(), Fault::Trailing(",,h=3", None));
        assert_eq!(lex("m f=1,g,h=3").unwrap_err(), Fault::Trailing("g,h=3", None));
        assert_eq!(lex("m,a,b=x f=1").unwrap_err(), Fault::NoEqualsSign("a,b=x f=1"));
        assert_eq!(lex("m,,a=x f=1").unwrap_err(), Fault::TagKey(",a=x f=1"));
        assert_eq!(lex(r"m,a\,b=x f\,g=1").unwrap().keys[0].key, "f,g");
    }

    #[test]
    fn blanks_at_the_end() {
        assert_eq!(lex("m f=1   ").unwrap().timestamp, None);
        assert_eq!(lex("m f=1   5   ").unwrap().timestamp, Some(5));
        assert_eq!(lex("m f=1 5\t").unwrap_err(), Fault::Trailing("\t", None));
        assert_eq!(lex("m f=1  \r5").unwrap_err(), Fault::Trailing("  \r5", None));
    }

    #[test]
    fn names_and_tag_values_may_hold_a_mebibyte() {
        let fits = "x".repeat(ELEMENT_BYTES_MAX);
        let long = "x".repeat(ELEMENT_BYTES_MAX + 1);
        let forms: [fn(&str) -> String; 4] = [
            |x| format!("{x} f=1"),
            |x| format!("m,{x}=a f=1"),
            |x| format!("m,t={x} f=1"),
            |x| format!("m {x}=1"),
        ];
        for form in forms {
            assert!(lex(&form(&fits)).is_ok());
            assert_eq!(lex(&form(&long)).unwrap_err(), Fault::TooLong);
        }
    }
}
