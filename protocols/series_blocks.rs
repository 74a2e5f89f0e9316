//! Where the series of a file lie, and how their times run.
//!
//! A file of long series stands by series, so that the rows of a short time, or the newest ones, are
//! few of each page. Such a file has in its footer where each series begins, the time of every
//! [`BLOCK_ROWS`]th row of it, and that of its last one. It only narrows: who reads the rows that it
//! leads to looks at their times all the same, and without it a file is read as a whole.

use crate::file_index::wire::{Reader, put_column, put_number};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::ops::Range;

/// Name among the key-value metadata of a file.
pub const KEY: &str = "series_blocks";
/// Rows of a series from one time that is known to the next.
pub const BLOCK_ROWS: usize = 256;
/// Files of fewer rows are read as a whole.
pub const ROWS_MIN: u64 = 64 * 1024;

/// Limit: of more series than this nothing is noted. They are short, or the file is larger than any.
const SERIES_MAX: usize = 128 * 1024;

/// The version of the format.
const VERSION: &str = "1";
/// Compression makes nothing smaller than by this factor.
const COMPRESSION_MAX: usize = 256;

/// See the page of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesBlocks {
    rows: usize,
    series: Vec<Series>,
    /// The times of the first rows of all blocks, series by series.
    block_times_ns: Vec<i64>,
}

/// A series of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Series {
    /// Its first row.
    first_row: usize,
    /// Its first block, counted over all series.
    first_block: usize,
    last_time_ns: i64,
}

impl SeriesBlocks {
    /// Adds rows with these times, which are of the last series so far or begin another one.
    pub fn add(&mut self, begins_series: bool, times_ns: &[i64]) {
        let is_noted = self.series.len() <= SERIES_MAX;
        let Some(last_time_ns) = times_ns.last().copied().filter(|_| is_noted) else { return };
        let (first_row, first_block) = (self.rows, self.block_times_ns.len());
        if begins_series || self.series.is_empty() {
            self.series.push(Series { first_row, first_block, last_time_ns });
        }
        let Some(series) = self.series.last_mut() else { return };
        series.last_time_ns = last_time_ns;
        let before = self.rows - series.first_row;
        let next_block = before.next_multiple_of(BLOCK_ROWS) - before;
        self.block_times_ns.extend(times_ns.iter().skip(next_block).step_by(BLOCK_ROWS));
        self.rows += times_ns.len();
    }

    /// True if it leads to few rows of a file: its series are long.
    pub fn is_worth_it(&self) -> bool {
        let series = self.series.len();
        series <= SERIES_MAX
            && self.rows as u64 >= ROWS_MIN
            && self.rows / series.max(1) >= BLOCK_ROWS
    }

    /// As it stands in a footer: version, rows of a block, and in base 64, compressed, how many series
    /// there are, how many rows each has, the times of the blocks, and how long the last block is.
    pub fn encode(&self) -> String {
        let mut plain = Vec::new();
        put_number(&mut plain, self.series.len() as u64);
        let all = || 0..self.series.len();
        put_column(&mut plain, all().map(|at| self.rows_of(at).len() as u64));
        put_column(&mut plain, self.block_times_ns.iter().map(|time| *time as u64));
        let last_block = |at: usize| {
            let first = self.blocks_of(at).last().copied().unwrap_or_default();
            self.series.get(at).map_or(0, |series| series.last_time_ns.wrapping_sub(first) as u64)
        };
        put_column(&mut plain, all().map(last_block));
        let compressed = lz4_flex::block::compress_prepend_size(&plain);
        format!("{VERSION} {BLOCK_ROWS} {}", STANDARD.encode(compressed))
    }

    /// What stands in the footer of a file of so many rows. `None` if it is nothing that this release
    /// knows, or does not fit the file.
    pub fn decode(text: &str, rows: u64) -> Option<Self> {
        let mut parts = text.split(' ');
        let is_known = parts.next()? == VERSION && parts.next()? == BLOCK_ROWS.to_string();
        let compressed = STANDARD.decode(parts.next().filter(|_| is_known)?).ok()?;
        let (size, _) = lz4_flex::block::uncompressed_size(&compressed).ok()?;
        let plain = (size / COMPRESSION_MAX <= compressed.len())
            .then(|| lz4_flex::block::decompress_size_prepended(&compressed).ok())??;
        let mut reader = Reader(&plain);
        let count = reader.count(3).ok()?;
        let counts = reader.column(count).ok()?;
        let mut found = Self { series: Vec::with_capacity(count), ..Self::default() };
        let mut blocks = 0_usize;
        for rows in counts {
            let rows = usize::try_from(rows).ok().filter(|rows| *rows > 0)?;
            let (first_row, first_block) = (found.rows, blocks);
            found.series.push(Series { first_row, first_block, last_time_ns: 0 });
            found.rows = found.rows.checked_add(rows)?;
            blocks = blocks.checked_add(rows.div_ceil(BLOCK_ROWS))?;
        }
        if found.rows as u64 != rows || blocks > reader.0.len() {
            return None;
        }
        let times = reader.column(blocks).ok()?;
        found.block_times_ns = times.into_iter().map(|time| time as i64).collect();
        for (at, length) in reader.column(count).ok()?.into_iter().enumerate() {
            let first = *found.blocks_of(at).last()?;
            found.series.get_mut(at)?.last_time_ns = first.wrapping_add(length as i64);
        }
        reader.0.is_empty().then_some(found)
    }

    /// How many rows the file has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What this takes in memory.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(self.series.as_slice()) + size_of_val(self.block_times_ns.as_slice())
    }

    /// The last row of each series.
    pub fn last_rows(&self) -> Vec<Range<usize>> {
        let last = |at| self.rows_of(at).end.saturating_sub(1)..self.rows_of(at).end;
        (0..self.series.len()).map(last).collect()
    }

    /// Where all rows are that have times between these, both included, and some others.
    pub fn rows_within(&self, min_ns: i64, max_ns: i64) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for (at, series) in self.series.iter().enumerate() {
            let (rows, blocks) = (self.rows_of(at), self.blocks_of(at));
            // The block before the first that begins later may have such rows, too.
            let first = blocks.partition_point(|time| *time <= min_ns).saturating_sub(1);
            let end = blocks.partition_point(|time| *time <= max_ns);
            if series.last_time_ns < min_ns || first >= end {
                continue;
            }
            let row = |block: usize| rows.end.min(rows.start + block * BLOCK_ROWS);
            match found.last_mut() {
                Some(last) if last.end == row(first) => last.end = row(end),
                _ => found.push(row(first)..row(end)),
            }
        }
        found
    }

    fn rows_of(&self, series: usize) -> Range<usize> {
        let begin = |at: usize| self.series.get(at).map_or(self.rows, |series| series.first_row);
        begin(series)..begin(series + 1)
    }

    /// The times of the first rows of the blocks of a series.
    fn blocks_of(&self, series: usize) -> &[i64] {
        let all = self.block_times_ns.len();
        let begin = |at: usize| self.series.get(at).map_or(all, |series| series.first_block);
        self.block_times_ns.get(begin(series)..begin(series + 1)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Series of so many rows, each with times that begin somewhere and go on in steps.
    fn blocks(series: &[(usize, i64, i64)], part: usize) -> (SeriesBlocks, Vec<Vec<i64>>) {
        let mut blocks = SeriesBlocks::default();
        let mut all = Vec::new();
        for (rows, first, step) in series {
            let times: Vec<i64> = (0..*rows as i64).map(|row| first + row * step).collect();
            for (number, part) in times.chunks(part).enumerate() {
                blocks.add(number == 0, part);
            }
            all.push(times);
        }
        (blocks, all)
    }

    #[test]
    fn regular_series_take_little() {
        let series = [(8_640, 1_451_606_400_000_000_000, 10_000_000_000); 100];
        let (blocks, _) = blocks(&series, 777);
        assert!(blocks.is_worth_it());
        let text = blocks.encode();
        assert!(text.starts_with("1 256 ") && text.len() < 1_000, "{} bytes", text.len());
        assert_eq!(SeriesBlocks::decode(&text, 864_000), Some(blocks));
        for other in ["", "1 256 ", "1 256 x", "2 256 AA==", "1 512 AA==", "1 256"] {
            assert_eq!(SeriesBlocks::decode(other, 864_000), None, "{other:?}");
        }
        assert_eq!(SeriesBlocks::decode(&text, 863_999), None, "of another file");
        assert!(!self::blocks(&[(255, 0, 1); 1_000], 50).0.is_worth_it(), "short series");
        assert!(!self::blocks(&[(9_000, 0, 1)], 50).0.is_worth_it(), "few rows");
        let many = vec![(1, 0, 1); SERIES_MAX + 2];
        let (blocks, _) = self::blocks(&many, 1);
        assert!(!blocks.is_worth_it() && blocks.memory_bytes() <= 40 * (SERIES_MAX + 2));
    }

    proptest! {
        #[test]
        fn no_row_is_overlooked(
            series in prop::collection::vec((1..1_200_usize, -900..900_i64, 1..4_i64), 1..6),
            part in 1..700_usize,
            min in -1_000..4_000_i64,
            length in 0..900_i64,
        ) {
            let (blocks, all) = blocks(&series, part);
            let rows = all.iter().map(Vec::len).sum::<usize>();
            prop_assert_eq!(SeriesBlocks::decode(&blocks.encode(), rows as u64), Some(blocks.clone()));
            let found = blocks.rows_within(min, min + length);
            prop_assert!(found.windows(2).all(|pair| pair[0].end < pair[1].start));
            let mut row = 0;
            let mut most = 0;
            let mut last_rows = Vec::new();
            for times in &all {
                let wanted = times.iter().filter(|time| (min..=min + length).contains(*time)).count();
                most += if wanted > 0 { wanted + 2 * BLOCK_ROWS } else { BLOCK_ROWS };
                for time in times {
                    let is_wanted = (min..=min + length).contains(time);
                    prop_assert!(!is_wanted || found.iter().any(|rows| rows.contains(&row)));
                    row += 1;
                }
                last_rows.push(row - 1..row);
            }
            prop_assert!(found.iter().map(Range::len).sum::<usize>() <= most);
            prop_assert_eq!(blocks.last_rows(), last_rows);
        }

        #[test]
        fn no_text_makes_it_panic(bytes: Vec<u8>, rows in 0..5_000_u64) {
            let compressed = lz4_flex::block::compress_prepend_size(&bytes);
            for bytes in [&bytes, &compressed] {
                let text = format!("1 256 {}", STANDARD.encode(bytes));
                if let Some(blocks) = SeriesBlocks::decode(&text, rows) {
                    let found = blocks.rows_within(-5, 5);
                    let last = blocks.last_rows();
                    prop_assert!(found.iter().chain(&last).all(|r| r.end as u64 <= rows));
                }
            }
        }
    }
}
