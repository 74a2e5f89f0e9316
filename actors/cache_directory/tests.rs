//! Rows on their way to caches.

use super::{CacheAddress, CacheEntry, CacheFeeds, Directory};
use crate::runtime::guardian::{ActorConfig, Guardian};
use crate::runtime::published::Published;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use protocols::ids::{CacheId, DbId, TableId};
use protocols::messages::caches::CacheRef;
use protocols::messages::store::TableBatch;
use std::sync::Arc;

#[test]
fn a_full_mailbox_is_noted_and_nobody_waits() {
    let config = ActorConfig {
        kind: "last-cache",
        name: "full".to_owned(),
        messages_max: 0,
        bytes_max: 1 << 20,
        vital: false,
    };
    let mailbox = Guardian::mailbox(&config);
    let cache = CacheRef { table: TableId(1), cache: CacheId(0) };
    let address = CacheAddress::Last(mailbox);
    let entry = Arc::new(CacheEntry::new(cache, ["x", "t", "c"].map(Arc::from), address));
    let directory = Directory::new([Arc::clone(&entry)].into_iter());
    let feeds = CacheFeeds::new(Published::new(Arc::new(directory)).1);
    let rows = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let of_table = |table| TableBatch {
        db: DbId(0),
        table,
        rows: rows.clone(),
        min_time_ns: 0,
        max_time_ns: 0,
        size_bytes: 100,
    };
    feeds.bring(1, &[of_table(TableId(2))]);
    assert!(!entry.is_behind(), "a table without caches");
    feeds.bring(1, &[of_table(TableId(1))]);
    assert!(!entry.is_behind(), "what comes again is not brought again");
    feeds.bring(2, &[of_table(TableId(2)), of_table(TableId(1))]);
    assert!(entry.is_behind());
}
