//! A log whose headers the store does not give out.

use super::*;
use crate::runtime::objects::planned::{Plan, Planned, planted};
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

/// The header of the newer file says that a group of the older one was given up. Without it, that
/// group would count again.
#[test]
fn a_header_that_cannot_be_read_is_not_taken_for_damage() {
    run(async {
        let (_, objects) = Planned::new(Whole);
        let header = |sequence, previous_bytes| Header { writer: 7, sequence, previous_bytes };
        let mut older = encode_header(header(1, 0));
        let counted = older.len() as u64;
        let entry = write(1, SyncMode::Durable).entry;
        encode_frame(&mut older, 1, counted, &[entry]).unwrap();
        let newer = encode_header(header(2, counted));
        for (number, bytes) in [(1, older), (2, newer)] {
            let path = Path::from(protocols::paths::wal_file("n", number));
            objects.store.put_opts(&path, bytes.into(), Default::default()).await.unwrap();
        }
        let index = Arc::new(FileIndex::default());
        let what = replay_of(&objects, catalog(), index, false);
        let stats = replay(&what, None, async |_, _| Ok(())).await.unwrap();
        assert_eq!(stats.rows, 0, "the group was given up");
    });
}
