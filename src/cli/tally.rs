//! What became of the lines of a `write`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use protocols::http::errors::{RefusedLine, RefusedLines};
use serde::Deserialize;

use super::batches::Batch;
use super::client::Refused;
use super::failure::{self, Failure};

/// Refused lines that are shown; all are counted.
const SHOWN_MAX: usize = 10;
/// Characters of a refused line that are shown.
const SHOWN_CHARS_MAX: usize = 120;

/// What the server answers to a write that it does not take as a whole.
#[derive(Deserialize)]
struct Answer {
    error: String,
    data: RefusedLines,
    /// How many there are, if `data` are not all.
    refused_lines: Option<u64>,
}

/// Lines that were sent, by what came of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) stored: u64,
    refused: u64,
    /// Sent without an answer that says whether they are stored.
    unknown: u64,
    /// The first refused lines by where they are in the input.
    shown: BTreeMap<u64, String>,
    /// Why something was refused first.
    reason: Option<String>,
    /// Where to take up the input to send all that may not be stored.
    resume_row: Option<u64>,
}

impl Tally {
    /// The server stored all lines of a request.
    pub(super) fn add_stored(&mut self, lines: u64) {
        self.stored += lines;
    }

    /// The server refused a request or some of its lines. Returns how many of them it stored.
    pub(super) fn add_refused(&mut self, batch: &Batch, refused: &Refused) -> u64 {
        let Ok(answer) = serde_json::from_slice::<Answer>(&refused.body) else {
            self.refused += batch.lines;
            let mut text = match batch.lines {
                1 => format!("  line {}", batch.first_row),
                _ => format!("  lines {} to {}", batch.first_row, batch.next_row - 1),
            };
            let words = refused.to_string();
            // The first reason stands above all lines.
            if *self.reason.get_or_insert_with(|| words.clone()) != words {
                text += &format!(": {words}");
            }
            self.show(batch.first_row, text);
            return 0;
        };
        let words =
            || format!("server responded with error [{}]: {}", refused.status, answer.error);
        self.reason.get_or_insert_with(words);
        let (lines, not_stored) = match answer.data {
            // Nothing of the request is stored because of one line.
            RefusedLines::First(line) => (vec![line], batch.lines),
            RefusedLines::All(lines) => {
                let told = lines.len() as u64;
                (lines, answer.refused_lines.unwrap_or(told).min(batch.lines))
            }
        };
        let lines = &lines[..lines.len().min(SHOWN_MAX)];
        let rows = batch.rows(lines.iter().map(|line| line.line_number));
        for (row, line) in rows.into_iter().zip(lines) {
            self.show(row, shown(row, line));
        }
        let stored = batch.lines - not_stored;
        self.refused += not_stored;
        self.stored += stored;
        stored
    }

    /// A request got no answer, or one that says nothing of its lines.
    pub(super) fn add_unknown(&mut self, batch: &Batch) {
        self.unknown += batch.lines;
        self.resume_at(batch.first_row);
    }

    /// Nothing from this row on was sent.
    pub(super) fn resume_at(&mut self, row: u64) {
        self.resume_row = Some(self.resume_row.map_or(row, |known| known.min(row)));
    }

    fn show(&mut self, row: u64, text: String) {
        self.shown.insert(row, text);
        if self.shown.len() > SHOWN_MAX {
            self.shown.pop_last();
        }
    }

    /// Whether nothing was refused and nothing is left.
    fn is_complete(&self) -> bool {
        self.refused == 0 && self.unknown == 0 && self.resume_row.is_none()
    }

    /// How it all ended. `failure` is what kept the rest from being sent.
    pub(super) fn outcome(self, failure: Option<anyhow::Error>) -> anyhow::Result<()> {
        if failure.is_none() && self.is_complete() {
            return Ok(());
        }
        let sums = self.sums();
        match failure {
            // Nothing was done, so the failure says all.
            Some(error) if self.stored == 0 && self.refused == 0 => Err(error),
            Some(error) if self.stored == 0 => {
                let text = format!("{error:#}{sums}");
                Err(failure::with_text(&error, text))
            }
            Some(error) => Err(Failure::partly(format!("{error:#}{sums}")).into()),
            None => {
                let text = format!("{}{sums}", self.reason.unwrap_or_default());
                match self.stored {
                    0 => anyhow::bail!(text),
                    _ => Err(Failure::partly(text).into()),
                }
            }
        }
    }

    /// The refused lines, the numbers, and how to go on.
    fn sums(&self) -> String {
        let Self { stored, refused, unknown, .. } = self;
        let mut text: String = self.shown.values().map(|line| format!("\n{line}")).collect();
        let lines = self.shown.values().filter(|text| !text.starts_with("  lines ")).count() as u64;
        if lines == SHOWN_MAX as u64 && *refused > lines {
            text += "\n  …";
        }
        let sent = stored + refused + unknown;
        // Writing into a string cannot fail.
        write!(text, "\n{sent} lines sent: {stored} stored, {refused} refused").ok();
        if *unknown > 0 {
            write!(text, ", {unknown} without an answer, stored or not").ok();
        }
        if let Some(row) = self.resume_row {
            write!(text, "\nstopped: send the rest with --from-line {row}").ok();
        }
        text
    }
}

/// `  line 7: reason` and the line itself.
fn shown(row: u64, line: &RefusedLine) -> String {
    let original = line.original_line.trim();
    let mut text: String = original
        .chars()
        .take(SHOWN_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if original.chars().nth(SHOWN_CHARS_MAX).is_some() {
        text.push('…');
    }
    format!("  line {row}: {}\n    {text}", line.error_message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reqwest::StatusCode;

    fn batch(first_row: u64, lines: u64) -> Batch {
        let body = Bytes::from("m f=1\n".repeat(lines as usize));
        Batch { body, lines, first_row, next_row: first_row + lines }
    }

    fn refused(body: &str) -> Refused {
        Refused { status: StatusCode::BAD_REQUEST, body: Bytes::from(body.to_owned()) }
    }

    fn line(number: usize) -> String {
        format!(r#"{{"error_message":"bad","line_number":{number},"original_line":"m f=x"}}"#)
    }

    fn told(tally: Tally, failure: Option<anyhow::Error>) -> (String, bool) {
        let error = tally.outcome(failure).expect_err("a failure");
        (format!("{error:#}"), error.downcast_ref::<Failure>().is_some())
    }

    #[test]
    fn what_is_stored_is_success() {
        let mut tally = Tally::default();
        tally.add_stored(7);
        assert!(tally.outcome(None).is_ok());
    }

    #[test]
    fn refused_lines_are_told_by_their_place_in_the_input() {
        let mut tally = Tally::default();
        let body = format!(r#"{{"error":"partial","data":[{},{}]}}"#, line(2), line(5));
        assert_eq!(tally.add_refused(&batch(11, 5), &refused(&body)), 3);
        let body = format!(r#"{{"error":"partial","data":[{}]}}"#, line(1));
        assert_eq!(tally.add_refused(&batch(1, 5), &refused(&body)), 4);
        let (text, is_partly) = told(tally, None);
        let expected = "server responded with error [400 Bad Request]: partial\n  line 1: bad\n    \
                        m f=x\n  line 12: bad\n    m f=x\n  line 15: bad\n    m f=x\n10 lines sent: \
                        7 stored, 3 refused";
        assert_eq!((text.as_str(), is_partly), (expected, true));
    }

    #[test]
    fn all_lines_are_counted_and_the_first_ones_shown() {
        let mut tally = Tally::default();
        let lines: Vec<String> = (1..=40).map(line).collect();
        let body =
            format!(r#"{{"error":"partial","data":[{}],"refused_lines":90}}"#, lines.join(","));
        assert_eq!(tally.add_refused(&batch(1, 100), &refused(&body)), 10);
        let (text, _) = told(tally, None);
        assert!(text.contains("line 10: bad") && !text.contains("line 11: bad"), "{text}");
        assert!(text.ends_with("…\n100 lines sent: 10 stored, 90 refused"), "{text}");
    }

    #[test]
    fn one_line_may_have_all_refused() {
        let mut tally = Tally::default();
        let body = format!(r#"{{"error":"failed","data":{}}}"#, line(3));
        assert_eq!(tally.add_refused(&batch(1, 5), &refused(&body)), 0);
        assert_eq!(tally.add_refused(&batch(6, 2), &refused("too large")), 0);
        let (text, is_partly) = told(tally, None);
        assert!(text.contains("line 3: bad") && text.contains("lines 6 to 7: server"), "{text}");
        assert!(text.ends_with("7 lines sent: 0 stored, 7 refused"), "{text}");
        assert!(!is_partly);
    }

    #[test]
    fn what_is_not_known_can_be_sent_again() {
        let mut tally = Tally::default();
        tally.add_stored(5);
        tally.add_unknown(&batch(11, 5));
        tally.add_unknown(&batch(6, 5));
        tally.resume_at(16);
        let (text, is_partly) = told(tally, Some(anyhow::anyhow!("it broke off")));
        let expected = "it broke off\n15 lines sent: 5 stored, 0 refused, 10 without an answer, \
                        stored or not\nstopped: send the rest with --from-line 6";
        assert_eq!((text.as_str(), is_partly), (expected, true));
        let mut tally = Tally::default();
        tally.add_unknown(&batch(1, 5));
        assert_eq!(told(tally, Some(anyhow::anyhow!("no"))), ("no".to_owned(), false));
    }
}
