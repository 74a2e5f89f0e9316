//! How the fields of an event and of a span are written on one line.

use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// The name of the field that holds an event's text.
const MESSAGE: &str = "message";

/// Writes fields one after the other, each on the same line whatever it holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fields {
    /// The text as it is, then `name=value` without quotes, so that a search for `database=x` finds
    /// it.
    Plain,
    /// `name=value`, with quotes where a value would not be read back as one.
    Logfmt,
}

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, style: *self, is_first: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    style: Fields,
    is_first: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) -> fmt::Result {
        // Left there by the bridge from another logging library, for itself.
        if field.name().starts_with("log.") {
            return Ok(());
        }
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        let name = field.name();
        match self.style {
            Fields::Plain if name == MESSAGE => {}
            Fields::Plain if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?;
            }
            Fields::Plain => write!(self.writer, "{name}=")?,
            Fields::Logfmt => {
                let name = if name == MESSAGE { "msg" } else { name };
                return write_pair(&mut self.writer, name, &value.to_string());
            }
        }
        OneLine(&mut self.writer).write_fmt(value)
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.result.is_ok() {
            self.result = self.write(field, format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_ok() {
            self.result = self.write(field, format_args!("{value:?}"));
        }
    }
}

/// `name=value`, the value in quotes where it needs them.
pub(super) fn write_pair(writer: &mut impl Write, name: &str, value: &str) -> fmt::Result {
    let is_plain =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(is_plain) {
        return write!(writer, "{name}={value}");
    }
    write!(writer, "{name}={value:?}")
}

/// Writes a text with its control characters spelled out: a value neither ends its line nor steers
/// a terminal.
struct OneLine<'a, W>(&'a mut W);

impl<W: Write> Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(char::is_control) {
            let (before, after) = rest.split_at(at);
            self.0.write_str(before)?;
            let mut letters = after.chars();
            for control in letters.next().into_iter().flat_map(char::escape_default) {
                self.0.write_char(control)?;
            }
            rest = letters.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::logfmt::Logfmt;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn log() {
        let span = tracing::info_span!("request", id = "a b");
        let _inside = span.enter();
        tracing::info!(database = "x", error = %"two\nlines", n = 1, some = ?Some("s"), "it said");
        tracing::info!(text = "\u{1b}[31m", empty = "", "a\tb");
    }

    #[test]
    fn texts_stand_without_quotes_and_on_one_line() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false);
        let subscriber = subscriber.fmt_fields(Fields::Plain).with_writer(lines.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let module = module_path!();
        assert_eq!(
            text,
            format!(
                " INFO request{{id=a b}}: {module}: it said database=x error=two\\nlines n=1 \
                 some=Some(\"s\")\n INFO request{{id=a b}}: {module}: a\\tb \
                 text=\\u{{1b}}[31m empty=\n"
            )
        );
    }

    #[test]
    fn logfmt_can_be_read_back() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).event_format(Logfmt);
        let subscriber = subscriber.fmt_fields(Fields::Logfmt).with_writer(lines.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let text: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        let module = module_path!();
        let expected = [
            "level=info msg=\"it said\" database=x error=\"two\\nlines\" n=1 \
             some=\"Some(\\\"s\\\")\" span=request id=\"a b\" target=",
            "level=info msg=\"a\\tb\" text=\"\\u{1b}[31m\" empty=\"\" span=request id=\"a b\" target=",
        ];
        assert_eq!(text, expected.map(|line| format!("{line}{module}")));
    }
}
