//! A log whose headers the store does not give out.

use super::*;
use crate::storage::objects::planned::{Plan, Planned, planted};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectStore};
use protocols::wal_frame::segment::{Header, encode_frame, encode_header};

/// Gives whole files out, and no parts of them.
#[derive(Debug)]
struct Whole;

#[async_trait]
impl Plan for Whole {
    async fn get(
        &self,
        inner: &InMemory,
        at: &Path,
        how: GetOptions,
    ) -> object_store::Result<GetResult> {
        match how.range {
            Some(_) => Err(planted()),
            None => inner.get_opts(at, how).await,
        }
    }
}

/// How many rows come back of a group of one row that was given up. The header of the newer file
/// says that it was: without that header, the group would count again.
async fn rows_given_up() -> usize {
    let (_, objects) = Planned::new(Whole);
    let header = |sequence, previous_bytes| Header { writer: 7, sequence, previous_bytes };
    let mut older = encode_header(header(1, 0));
    let counted = older.len() as u64;
    let entry = write(1, SyncMode::Durable).entry;
    encode_frame(&mut older, (1, 1), counted, &[entry]).unwrap();
    let newer = encode_header(header(2, counted));
    for (number, bytes) in [(1, older), (2, newer)] {
        let path = Path::from(protocols::paths::wal_file("n", number));
        objects.store.put_opts(&path, bytes.into(), Default::default()).await.unwrap();
    }
    let index = Arc::new(FileIndex::default());
    let what = replay_of(&objects, catalog(), index, false);
    replay(&what, None, async |_, _| Ok(())).await.unwrap().rows
}

#[test]
fn a_header_that_cannot_be_read_is_not_taken_for_damage() {
    run(async { assert_eq!(rows_given_up().await, 0) });
}

#[cfg(feature = "simulation")]
#[test]
fn a_header_that_is_taken_for_damage_would_be_noticed() {
    let machine = crate::runtime::simulated::Machine::new(1, Some("unread-header-is-none"));
    let _entered = machine.enter();
    run(async { assert_eq!(rows_given_up().await, 1) });
}
