//! The parser against the published one of the InfluxDB project: both accept the same lines and
//! read the same values.
//!
//! Known differences, kept out of the generated bodies: repeated tags (refused here), quotes and
//! backslashes in comments, blanks before a line (they start the field section there), blanks at
//! the end of a line without a timestamp (refused there), carriage returns (refused there), numbers
//! such as `.5`, `5.` and `+1` (refused there).
//!
//! Known differences that may occur: names with a comma that nothing hides, commas without a field
//! behind them, and numbers that only fit as infinity are refused here.

use super::{LineError, ParseOptions, ParsedWrite, Precision, SchemaLimits, parse};
use crate::columns::ColumnData;
use influxdb_line_protocol::{FieldValue, ParsedLine, parse_lines};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NOW_NS: i64 = 77;

fn parse_here(body: &str) -> ParsedWrite {
    let options = ParseOptions {
        precision: Precision::Nanosecond,
        received_at_ns: NOW_NS,
        accept_partial: true,
        limits: SchemaLimits::default(),
        live_tables: 0,
        immutable_tags: false,
        oldest_ns: None,
    };
    parse(body.as_bytes(), None, &options).unwrap()
}

/// A row as text: time, then each value that is not null under its name.
type Row = (i64, BTreeMap<String, String>);

fn rows_here(write: &ParsedWrite) -> BTreeMap<String, Vec<Row>> {
    let mut tables = BTreeMap::new();
    for table in &write.tables {
        let rows: &mut Vec<Row> = tables.entry(table.name.to_string()).or_default();
        rows.extend(table.times.iter().map(|time| (*time, BTreeMap::new())));
        for column in &table.columns {
            for (row, (_, values)) in rows.iter_mut().enumerate() {
                if column.validity.as_ref().is_some_and(|validity| !validity.get(row)) {
                    continue;
                }
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let value = match &column.data {
                    ColumnData::Tag { keys, dictionary } => {
                        format!("tag {}", text(dictionary.get(keys[row] as usize)))
                    }
                    ColumnData::Float(v) => format!("float {:x}", v[row].to_bits()),
                    ColumnData::Integer(v) => format!("integer {}", v[row]),
                    ColumnData::UInteger(v) => format!("uinteger {}", v[row]),
                    ColumnData::String(v) => format!("string {}", text(v.get(row))),
                    ColumnData::Boolean(v) => format!("boolean {}", v.get(row)),
                };
                values.insert(column.name.to_string(), value);
            }
        }
    }
    tables
}

fn row_there(line: &ParsedLine<'_>) -> Row {
    let mut values = BTreeMap::new();
    for (key, value) in line.series.tag_set.iter().flatten() {
        values.insert(key.to_string(), format!("tag {value}"));
    }
    for (key, value) in &line.field_set {
        let value = match value {
            FieldValue::F64(v) => format!("float {:x}", v.to_bits()),
            FieldValue::I64(v) => format!("integer {v}"),
            FieldValue::U64(v) => format!("uinteger {v}"),
            FieldValue::String(v) => format!("string {v}"),
            FieldValue::Boolean(v) => format!("boolean {v}"),
        };
        values.insert(key.to_string(), value);
    }
    (line.timestamp.unwrap_or(NOW_NS), values)
}

/// Schema rules are not the reference's business: their faults are left out of the comparison.
fn is_schema_fault(message: &str) -> bool {
    message.starts_with("invalid ") || message.contains("reserved column")
}

/// Whether a body stays clear of blanks around newlines and of the numbers on which the two
/// differ.
fn is_comparable(body: &str) -> bool {
    let blank = |c| c == ' ' || c == '\t';
    let outside = body.starts_with(blank) || body.ends_with(blank);
    let around = ["\n ", "\n\t", " \n", "=.", "=-.", "=+"];
    let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let ends_in_point = body.match_indices('.').any(|(at, _)| !digits(&body[at + 1..]));
    !outside && !ends_in_point && !around.iter().any(|text| body.contains(text))
}

/// Whether a line that is good there is refused here for another reason than its schema.
fn is_refused_here(error: &LineError, line: &ParsedLine<'_>) -> bool {
    let tags = line.series.tag_set.iter().flatten().map(|(key, _)| key.to_string());
    let mut keys = tags.chain(line.field_set.iter().map(|(key, _)| key.to_string()));
    let trailing = "Could not parse entire line. Found trailing content: `";
    let infinite = |value: &FieldValue<'_>| matches!(value, FieldValue::F64(v) if v.is_infinite());
    keys.any(|key| key.contains(','))
        || line.field_set.iter().any(|(_, value)| infinite(value))
        || error.message == format!("{trailing},`")
        || error.message.starts_with(&format!("{trailing} "))
}

fn compare(body: &str) -> Result<(), TestCaseError> {
    if !is_comparable(body) {
        return Ok(());
    }
    let here = parse_here(body);
    let there: Vec<_> = parse_lines(body).collect();
    let refused_here = |number| here.errors.iter().find(|error| error.line_number == number);
    prop_assert_eq!(here.accepted_lines + here.errors.len(), there.len(), "lines of {:?}", body);
    let mut rows_there: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (i, line) in there.iter().enumerate() {
        match (refused_here(i + 1), line) {
            (None, Ok(line)) => {
                let name = line.series.measurement.to_string();
                rows_there.entry(name).or_default().push(row_there(line));
            }
            (Some(error), Ok(line)) => {
                let known = is_schema_fault(&error.message) || is_refused_here(error, line);
                prop_assert!(known, "{:?}: {:?}", body, error);
            }
            (None, Err(error)) => {
                return Err(TestCaseError::fail(format!("{body:?} line {i}: {error}")));
            }
            (Some(_), Err(_)) => {}
        }
    }
    prop_assert_eq!(rows_here(&here), rows_there, "rows of {:?}", body);
    Ok(())
}

/// Lines that are mostly good, over few names so that shapes repeat and types clash.
fn line() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "-?[0-9]{1,3}(\\.[0-9]{1,3})?(e-?[0-9]{1,3})?",
        "-?[0-9]{1,20}i",
        "[0-9]{1,20}u",
        "t|T|true|True|TRUE|f|F|false|False|FALSE",
        r#""[a-c ,=\n\\"é]{0,6}""#,
        "\"[a-z ]{0,6}\"",
        "[a-z+.'-]{1,3}",
    ];
    let tag = "[ab]=[a-c=\"é]{1,3}|c=x(\\\\ |\\\\,|\\\\=|\\\\\\\\|\\\\y)z";
    let field = ("[f-i]|j\\\\ k|[\"f],g", value).prop_map(|(key, value)| format!("{key}={value}"));
    (
        "[mn]|m\\\\,x",
        prop::collection::btree_set(tag, 0..3),
        prop::collection::vec(field, 1..4),
        "( {1,2}-?[0-9]{1,19}){0,1}",
    )
        .prop_map(|(name, tags, fields, time)| {
            let tags: String = tags.iter().map(|tag| format!(",{tag}")).collect();
            format!("{name}{tags} {}{time}", fields.join(","))
        })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn bodies_of_plausible_lines(lines in prop::collection::vec(line(), 1..8)) {
        compare(&lines.join("\n"))?;
    }

    /// Any order of the characters that mean something.
    #[test]
    fn single_lines_of_noise(line in "[mn][mf,= \\\\\"ti1.u\té\0-]{0,24}[mf1\"]") {
        compare(&line)?;
    }

    #[test]
    fn noise_after_a_good_line(rest in "(,[mf,= \\\\\"\n1iu-]{0,12}|[ 1f=]{0,8})[mf1\"]") {
        compare(&format!("m,t=a f=1,g=\"x\" 1\nm,t=a f=1{rest}\nm,t=a f=1,g=\"x\" 2"))?;
    }

    /// Text from Windows reads the same, but for newlines inside of values.
    #[test]
    fn carriage_returns_change_nothing(lines in prop::collection::vec(line(), 1..8)) {
        let lines: Vec<String> = lines.iter().map(|line| line.replace('\n', " ")).collect();
        let (here, there) = (parse_here(&lines.join("\r\n")), parse_here(&lines.join("\n")));
        // A text that is not closed where it seems goes on in the next line.
        let rows = |write: &ParsedWrite| format!("{:?}", rows_here(write)).replace("\\r\\n", "\\n");
        prop_assert_eq!(rows(&here), rows(&there), "rows of {:?}", lines);
        let refused = |write: &ParsedWrite| -> Vec<(usize, String)> {
            let line = |e: &LineError| (e.line_number, e.original_line.replace("\r\n", "\n"));
            write.errors.iter().map(line).collect()
        };
        prop_assert_eq!(refused(&here), refused(&there));
    }

    #[test]
    fn nothing_makes_it_panic(body in any::<Vec<u8>>()) {
        let text = String::from_utf8_lossy(&body);
        let found = parse_here(&text);
        prop_assert!(found.errors.iter().all(|error| error.line_number > 0));
    }
}
