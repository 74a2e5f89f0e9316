//! What footers of merged files say of their series: no text makes the reader panic, it leads to
//! nothing behind the end of the file, and what is read is written back as it was.
//!
//! `deploy/fuzz 600 series_blocks` (ten minutes).

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use protocols::series_blocks::SeriesBlocks;

fn check(text: &str, rows: u64, (min_ns, max_ns): (i64, i64)) {
    let Some(blocks) = SeriesBlocks::decode(text, rows) else { return };
    assert_eq!(blocks.rows() as u64, rows);
    let found = blocks.rows_within(min_ns, max_ns);
    let last = blocks.last_rows();
    assert!(found.iter().chain(&last).all(|range| range.end as u64 <= rows));
    assert!(found.windows(2).all(|pair| pair[0].end < pair[1].start));
    assert_eq!(SeriesBlocks::decode(&blocks.encode(), rows), Some(blocks));
}

fuzz_target!(|input: (u16, (i64, i64), &[u8])| {
    let (rows, times, bytes) = input;
    let rows = u64::from(rows);
    check(&String::from_utf8_lossy(bytes), rows, times);
    // Few mutations are base 64 and compressed, so the bytes are also tried as what is behind that.
    for bytes in [bytes, &lz4_flex::block::compress_prepend_size(bytes)] {
        check(&format!("1 256 {}", STANDARD.encode(bytes)), rows, times);
    }
});
