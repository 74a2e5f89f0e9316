//! Line protocol: nothing panics, every column has a value a row, and a refused line leaves
//! nothing behind.
//!
//! `deploy/fuzz 600 line_protocol` (ten minutes).

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocols::columns::{Column, TableRows};
use protocols::line_protocol::{ParseOptions, ParsedWrite, Precision, SchemaLimits, parse};
use std::sync::Arc;

fn read(body: &str, accept_partial: bool) -> ParsedWrite {
    let options = ParseOptions {
        precision: Precision::Auto,
        received_at_ns: 1_700_000_000_123_456_789,
        accept_partial,
        limits: SchemaLimits {
            tables: Some(4),
            columns_per_table: Some(6),
            tag_columns_per_table: Some(3),
        },
        live_tables: 1,
        immutable_tags: false,
        oldest_ns: None,
    };
    parse(body.as_bytes(), None, &options).expect("the body is UTF-8")
}

/// What can be compared: floats by their text, because NaN never occurs and zeros have signs.
fn tables(write: &ParsedWrite) -> Vec<(Arc<str>, Vec<i64>, Vec<Column>)> {
    let parts = |t: &TableRows| (Arc::clone(&t.name), t.times.clone(), t.columns.clone());
    write.tables.iter().map(parts).collect()
}

fn check_columns(write: &ParsedWrite) {
    let rows: usize = write.tables.iter().map(|table| table.times.len()).sum();
    assert_eq!(rows, write.accepted_lines);
    for table in &write.tables {
        for column in &table.columns {
            assert_eq!(column.data.len(), table.times.len());
            let array = column.data.clone().into_arrow(column.validity.clone());
            assert!(array.is_ok_and(|array| array.null_count() < table.times.len()));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let whole = read(body, true);
    check_columns(&whole);
    let strict = read(body, false);
    assert_eq!(strict.errors.first(), whole.errors.first());
    assert!(strict.errors.is_empty() || strict.tables.is_empty());

    // Line by line: those that are good after the good ones before them.
    let mut good = String::new();
    let mut all = String::new();
    for line in body.split('\n').take(64) {
        let tried = format!("{good}{line}\n");
        if read(&tried, false).errors.is_empty() {
            good = tried;
        } else if line.contains(['"', '\\']) {
            // A bad line with these may reach into the next one.
            continue;
        }
        all += line;
        all.push('\n');
    }
    assert_eq!(tables(&read(&good, true)), tables(&read(&all, true)));
});
