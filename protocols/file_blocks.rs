//! Checksums of the blocks of a Parquet file, for those who read only parts of it.
//!
//! The index of files knows one checksum of each whole file. A large file has those of its blocks
//! in its own footer. The checksum of a whole follows from those of its parts, so the list is worth
//! as much as the index: with the end of the file, which is read first anyway, it has to come to
//! what the index says.

use crc32fast::Hasher;
use std::ops::Range;

/// Name of the list among the key-value metadata of a file.
pub const KEY: &str = "block_checksums";

/// Files with less than so many bytes of rows have no list: whoever reads them reads them whole.
pub const LISTED_BYTES_MIN: usize = 1024 * 1024;

/// What is checked at once. Small beside what one request to a store fetches best.
const BLOCK_BYTES: usize = 64 * 1024;

/// The version of the list.
const VERSION: &str = "1";

/// Checksums of the part of a file that holds rows, block by block; the last block may be short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockChecksums {
    data_bytes: u64,
    sums: Vec<u32>,
}

impl BlockChecksums {
    /// Of everything that comes before the page indexes and the footer.
    pub fn of(data: &[u8]) -> Self {
        let sums = data.chunks(BLOCK_BYTES).map(crc32fast::hash).collect();
        Self { data_bytes: data.len() as u64, sums }
    }

    /// How many bytes the blocks have together. They begin with the file.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// As it stands in a footer: version, bytes of a block, bytes of all, and eight hexadecimal
    /// digits for each block.
    pub fn encode(&self) -> String {
        let sums = self.sums.iter().map(|sum| format!("{sum:08x}"));
        format!("{VERSION} {BLOCK_BYTES} {} {}", self.data_bytes, sums.collect::<String>())
    }

    /// The list in a footer. `None` if it is none that this release knows.
    pub fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let is_known = parts.next()? == VERSION && parts.next()? == BLOCK_BYTES.to_string();
        let data_bytes: u64 = parts.next()?.parse().ok().filter(|_| is_known)?;
        let digits = parts.next()?.as_bytes();
        let sum = |digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let sums: Vec<u32> = digits.chunks(8).map(sum).collect::<Option<_>>()?;
        let fits = sums.len() as u64 == data_bytes.div_ceil(BLOCK_BYTES as u64);
        (fits && digits.len() % 8 == 0).then_some(Self { data_bytes, sums })
    }

    /// Whether a file of these blocks and of `tail`, all that comes after them, has this checksum.
    pub fn come_to(&self, tail: &[u8], crc32: u32) -> bool {
        let mut whole = Hasher::new();
        let mut left = self.data_bytes;
        for sum in &self.sums {
            let block_bytes = left.min(BLOCK_BYTES as u64);
            whole.combine(&Hasher::new_with_initial_len(*sum, block_bytes));
            left -= block_bytes;
        }
        whole.update(tail);
        whole.finalize() == crc32
    }

    /// The blocks that a range touches, as a range of the file. `None` for what is in no block.
    pub fn around(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let block_bytes = BLOCK_BYTES as u64;
        let is_within = range.start < range.end && range.end <= self.data_bytes;
        let end = range.end.div_ceil(block_bytes) * block_bytes;
        is_within.then(|| range.start / block_bytes * block_bytes..end.min(self.data_bytes))
    }

    /// Whether these are the bytes of `blocks`, which [`Self::around`] gave.
    pub fn fit(&self, blocks: &Range<u64>, bytes: &[u8]) -> bool {
        let first = usize::try_from(blocks.start / BLOCK_BYTES as u64).unwrap_or(usize::MAX);
        let sums = self.sums.get(first..).unwrap_or_default();
        bytes.len() as u64 == blocks.end - blocks.start
            && bytes.len().div_ceil(BLOCK_BYTES) <= sums.len()
            && bytes
                .chunks(BLOCK_BYTES)
                .zip(sums)
                .all(|(block, sum)| crc32fast::hash(block) == *sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * i / 7 + i / 251) as u8).collect()
    }

    #[test]
    fn what_stands_in_a_footer() {
        let blocks = BlockChecksums::of(b"123456789");
        assert_eq!(blocks.encode(), "1 65536 9 cbf43926");
        assert_eq!(BlockChecksums::decode("1 65536 9 cbf43926"), Some(blocks));
        for text in [
            "",
            "1 65536 9 ",
            "1 65536 9",
            "2 65536 9 cbf43926",
            "1 4096 9 cbf43926",
            "1 65536 9 cbf4392",
            "1 65536 9 cbf4392600",
            "1 65536 9 cbf43926cbf43926",
            "1 65536 99999999999999999999 cbf43926",
            "1 65536 18446744073709551615 cbf43926",
            "1 65536 9 cbf4392ü",
        ] {
            assert_eq!(BlockChecksums::decode(text), None, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn any_flipped_bit_is_noticed(
            data in 0..4 * BLOCK_BYTES,
            tail in 0..1000_usize,
            begin: prop::sample::Index,
            length in 1..2 * BLOCK_BYTES,
            flipped: prop::sample::Index,
        ) {
            let mut file = bytes(data + tail);
            let crc32 = crc32fast::hash(&file);
            let blocks = BlockChecksums::of(&file[..data]);
            prop_assert_eq!(BlockChecksums::decode(&blocks.encode()), Some(blocks.clone()));
            prop_assert!(blocks.come_to(&file[data..], crc32));
            prop_assert_eq!(blocks.around(&(data as u64..data as u64 + 1)), None);
            if data == 0 {
                return Ok(());
            }
            let begin = begin.index(data);
            let range = begin as u64..data.min(begin + length) as u64;
            let around = blocks.around(&range).expect("within");
            prop_assert!(around.start <= range.start && range.end <= around.end);
            prop_assert!(around.end - around.start < range.end - range.start + 2 * BLOCK_BYTES as u64);
            let part = around.start as usize..around.end as usize;
            prop_assert!(blocks.fit(&around, &file[part.clone()]));
            prop_assert!(!blocks.fit(&around, &file[part.start..part.end - 1]));

            let flipped = flipped.index(file.len());
            file[flipped] ^= 4;
            prop_assert_eq!(blocks.fit(&around, &file[part.clone()]), !part.contains(&flipped));
            let now = BlockChecksums::of(&file[..data]);
            prop_assert!(!now.come_to(&file[data..], crc32));
        }
    }
}
