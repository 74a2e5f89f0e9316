//! InfluxQL: no text makes the reader panic, and what is read is the same after it was written and
//! read again.
//!
//! `deploy/fuzz 600 influxql` (ten minutes).

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocols::influxql::parse;

fuzz_target!(|text: &str| {
    let is_zone = |name: &str| name == "UTC";
    if let Ok(parsed) = parse(text, is_zone) {
        for parsed in parsed {
            let again = parse(&parsed.statement.to_string(), is_zone).expect("a statement");
            assert_eq!(again.len(), 1);
            assert_eq!(again[0].statement, parsed.statement);
        }
    }
});
