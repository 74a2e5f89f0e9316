//! The catalog's files: no bytes make the readers panic, and what is read is written back as it
//! was.
//!
//! `deploy/fuzz 600 catalog_log` (ten minutes).

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocols::catalog_log::v1::{Checkpoint, LogRecord};
use protocols::catalog_log::{
    Header, decode_checkpoint, decode_log, encode_checkpoint, encode_log,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((header, record)) = decode_log(bytes) {
        assert_eq!(decode_log(&encode_log(header, &record)), Ok((header, record)));
    }
    if let Ok((header, checkpoint)) = decode_checkpoint(bytes) {
        assert_eq!(
            decode_checkpoint(&encode_checkpoint(header, &checkpoint)),
            Ok((header, checkpoint))
        );
    }
    // No mutation finds the right checksum, so the content is tried without it too.
    let header = Header { uuid: Default::default(), sequence: 1 };
    if let Ok(record) = serde_json::from_slice::<LogRecord>(bytes) {
        assert_eq!(decode_log(&encode_log(header, &record)), Ok((header, record)));
    }
    if let Ok(checkpoint) = serde_json::from_slice::<Checkpoint>(bytes) {
        assert_eq!(
            decode_checkpoint(&encode_checkpoint(header, &checkpoint)),
            Ok((header, checkpoint))
        );
    }
});
