//! WAL files: no bytes make the readers panic, and what is read is written back as it was.
//!
//! `deploy/fuzz 600 wal_frame` (ten minutes).

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocols::wal_frame::entry;
use protocols::wal_frame::segment::{Header, encode_frame, encode_header, read};

fuzz_target!(|bytes: &[u8]| {
    let file = Bytes::copy_from_slice(bytes);
    drop(read(&file, None));
    // No mutation finds the right checksums, so the bytes are also tried behind a right header,
    // as the content of a right frame, and as the plain content of an entry.
    let mut framed = encode_header(Header { writer: 1, sequence: 1, previous_bytes: 0 });
    let mut headed = framed.clone();
    headed.extend_from_slice(bytes);
    drop(read(&Bytes::from(headed), Some(bytes.len() as u64)));
    let synced = framed.len() as u64;
    encode_frame(&mut framed, (1, 1), synced, &[file.clone()]).expect("small");
    let segment = read(&Bytes::from(framed), None).expect("the header is right");
    assert_eq!(segment.frames.len(), 1);
    assert_eq!(segment.frames[0].entries, [file]);
    for entry_bytes in [bytes.to_vec(), lz4_flex::block::compress_prepend_size(bytes)] {
        if let Ok((db, tables)) = entry::decode(&entry_bytes) {
            // Compared as bytes: a NaN is not equal to itself.
            let written = entry::encode(db, &tables).expect("small");
            let again = entry::decode(&written).map(|(db, tables)| entry::encode(db, &tables).expect("small"));
            assert_eq!(again, Ok(written));
        }
    }
});
