//! Snapshots and what comes after them, at every point where the process can end.
//!
//! What has to hold after a crash, by the point where it happened, and which test shows it. Names
//! without a module are in `crash`.
//!
//! | | crash point | test |
//! | --- | --- | --- |
//! | 1 | before validation ended | `row_1_…` |
//! | 2 | catalog record stored, rows not in the buffer yet | `row_2_…` |
//! | 3 | buffered, not written | `row_3_…`; `no_sync`: `write::no_sync_writes_…` |
//! | 4 | put to the WAL under way | both `row_4_…`, `wal_damage::a_torn_last_group_is_cut_off`, `kill9` |
//! | 5 | in the WAL, not visible yet | `row_5_…` |
//! | 6 | visible, not acknowledged yet | `row_6_…` |
//! | 7 | acknowledged | all, and `durability::sigkill_…`, `kill9` |
//! | 8 | the client was told of an error | `outage::row_8_…` |
//! | 9 | mark of a snapshot stored, no file | `row_9_…` |
//! | 10 | some files stored | `row_10_…`, `the_same_snapshot_is_cut_short_again_and_again` |
//! | 11 | all files stored | `row_11_…` |
//! | 12 | manifest stored, WAL not cleaned | `row_12_…` |
//! | 13 | WAL half cleaned | `row_13_…` |
//! | 14 | while a base of the index is written | `twins::row_14_…` |
//! | 15 | catalog record stored, memory not changed | `row_15_…` |
//! | 16 | while a checkpoint of the catalog is written | `row_16_…` |
//! | 17 | the index forgot files, their objects are there | `deletion::row_17_…` |
//! | 18 | objects gone, files known | `deletion::row_18_…` |
//! | 19 | deletion half done | `deletion::row_19_…` |
//! | 20 | a plugin runs | there are no plugins yet |
//! | 21 | a trigger has its rows and has not run | there are no triggers yet |
//! | 22 | a token was made, the client was not told | there are no tokens yet |
//! | 23 | a second process starts | `twins::row_23_…`, `fencing` |
//! | 24 | the store is down | `outage::row_8_and_24_…`, `stores` |
//! | 25 | the store is down during a snapshot | both `outage::row_25_…` |
//! | 26 | the disk is full | `outage::row_26_…` |
//! | 27 | a damaged WAL file | `wal_damage` |
//! | 28 | the orderly end | `outage::row_28_…`, `durability::signals_…`, `durability::writes_under_way_…` |
//! | 29 | a delete of rows was asked for and is not accepted | `row_deletes::a_delete_that_was_not_…` |
//! | 30 | it is accepted, the client was not told | `row_deletes::a_delete_that_was_accepted_…` |
//! | 31 | files are written anew without the rows | `row_deletes::the_process_ends_while_…` |

mod compaction;
mod crash;
mod damage;
mod deletion;
mod file_index;
mod model;
mod outage;
mod parquet;
mod row_deletes;
mod rules;
mod stage;
mod twins;
mod upgrade;
