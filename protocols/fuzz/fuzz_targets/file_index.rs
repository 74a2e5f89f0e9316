//! The files of the index: no bytes make the readers panic, and what is read is written back as it
//! was.
//!
//! `deploy/fuzz 600 file_index` (ten minutes).

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocols::file_index::{
    FileIndex, Segment, decode_base, decode_segment, encode_base, encode_segment,
};

/// `content` behind the header of `whole`, with its size and the right checksum.
fn sealed(whole: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = whole[..12].to_vec();
    out.extend((content.len() as u64).to_le_bytes());
    let crc = crc32fast::hash(&[out.as_slice(), content].concat());
    out.extend(crc.to_le_bytes());
    out.extend(content);
    out
}

fn check_segment(bytes: &[u8]) {
    if let Ok(segment) = decode_segment(bytes) {
        let mut index = FileIndex::default();
        assert_eq!(index.check(&segment), index.apply(&segment));
        assert_eq!(decode_base(&encode_base(&index)), Ok(index));
        assert_eq!(decode_segment(&encode_segment(&segment)), Ok(segment));
    }
}

fn check_base(bytes: &[u8]) {
    if let Ok(index) = decode_base(bytes) {
        assert_eq!(decode_base(&encode_base(&index)), Ok(index));
    }
}

fuzz_target!(|bytes: &[u8]| {
    check_segment(bytes);
    check_base(bytes);
    // No mutation finds the right checksum, so the bytes are also tried as the content of a file,
    // and as the plain content of a base.
    check_segment(&sealed(&encode_segment(&Segment::default()), bytes));
    let base = encode_base(&FileIndex::default());
    check_base(&sealed(&base, bytes));
    check_base(&sealed(&base, &lz4_flex::block::compress_prepend_size(bytes)));
});
