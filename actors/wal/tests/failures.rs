//! Logs that fail, are stuck, or have no room.

use super::*;

/// Fails so many times before it succeeds.
struct Flaky(u32);

#[async_trait]
impl Log for Flaky {
    async fn append(&mut self, _: &WalGroup, _: Instant) -> Result<(), LogError> {
        if self.0 == 0 {
            return Ok(());
        }
        self.0 -= 1;
        Err(LogError::Io("planted".to_owned()))
    }
    fn end_period(&mut self) {}
    fn next_file(&self) -> u64 {
        1
    }
    fn newest_file(&self) -> u64 {
        1
    }
    fn first_own_file(&self) -> u64 {
        1
    }
}

/// Never finishes a write.
struct Stuck;

#[async_trait]
impl Log for Stuck {
    async fn append(&mut self, _: &WalGroup, _: Instant) -> Result<(), LogError> {
        std::future::pending().await
    }
    fn end_period(&mut self) {}
    fn next_file(&self) -> u64 {
        1
    }
    fn newest_file(&self) -> u64 {
        1
    }
    fn first_own_file(&self) -> u64 {
        1
    }
}

#[test]
fn a_write_that_fails_a_few_times_succeeds_in_the_end() {
    run(async {
        let node = Node::start(&Objects::memory(), Some(Box::new(Flaky(3)))).await;
        assert!(matches!(node.write(1).await, Ok(Receipt::Durable { .. })));
        assert_eq!(node.rows().await, 1);
    });
}

#[test]
fn rows_are_invisible_and_further_writes_refused_while_the_log_is_stuck() {
    run(async {
        let node = Node::start(&Objects::memory(), Some(Box::new(Stuck))).await;
        let mut waiting = Vec::new();
        for time in 0..4 {
            let wal = node.wal.clone();
            waiting.push(actix_rt::spawn(async move {
                wal.ask_from_edge(write(time, SyncMode::Durable), soon()).await
            }));
        }
        // One group is with the log, three writes wait: that is all there may be.
        let refused = async {
            loop {
                let asked = node.wal.ask_from_edge(write(9, SyncMode::Buffered), soon()).await;
                if let Ok(Err(error)) = asked {
                    return error;
                }
            }
        };
        assert_eq!(refused.await, WalError::Full(3));
        assert_eq!(node.rows().await, 0);
        waiting.iter().for_each(|w| w.abort());
    });
}

#[test]
fn draining_finishes_what_waits_and_refuses_the_rest() {
    run(async {
        let node = Node::start(&Objects::memory(), None).await;
        let buffered = write(1, SyncMode::Buffered);
        let receipt = node.wal.ask_from_edge(buffered, soon()).await.unwrap();
        assert_eq!(receipt, Ok(Receipt::Buffered));
        assert_eq!(node.wal.ask_from_edge(Drain, soon()).await.unwrap(), Ok(()));
        assert_eq!(node.rows().await, 1);
        assert_eq!(node.write(2).await, Err(WalError::Shutdown));
    });
}

/// The first write of a period would wait for a file to be made.
#[test]
fn the_file_of_the_next_period_is_there_before_its_first_write() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (objects, _) = directory_with_files(dir.path(), 0).await;
        let node = Node::start(&objects, None).await;
        let files = || std::fs::read_dir(dir.path().join(protocols::paths::wal_dir("n"))).unwrap();
        let begun = files().count();
        for time in 1..=3 {
            node.write(time).await.unwrap();
            node.wal.ask_from_edge(PeriodDue, soon()).await.unwrap();
            let give_up = soon();
            while files().count() < begun + time as usize {
                assert!(Instant::now() < give_up, "no file is made after period {time}");
                tokio::task::yield_now().await;
            }
        }
        // None is made for a period without writes.
        for _ in 0..3 {
            node.wal.ask_from_edge(PeriodDue, soon()).await.unwrap();
        }
        assert_eq!(node.wal.ask_from_edge(Drain, soon()).await.unwrap(), Ok(()));
        assert_eq!(files().count(), begun + 3);
        let again = Node::start(&objects, None).await;
        assert_eq!(again.times().await, (1..=3).collect());
    });
}

#[test]
fn a_full_store_refuses_writes_until_a_deletion_makes_room() {
    run(async {
        let setup = Setup { held_bytes_max: 1, ..Setup::default() };
        let node = Node::start_with(&Objects::memory(), setup).await;
        // The log learns what the store holds a moment after it answered the writer.
        let mut written = 0;
        let error = loop {
            match node.write(written).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, WalError::BufferFull { held_bytes: 2.., max_bytes: 1 }), "{error}");
        assert_eq!(node.rows().await, written as usize);
        let drop = DropTables { tables: vec![TABLE] };
        node.shard.ask_from_edge(drop, soon()).await.unwrap();
        node.wal.ask_from_edge(PeriodDue, soon()).await.unwrap();
        let give_up = soon();
        while matches!(node.write(-1).await, Err(WalError::BufferFull { .. })) {
            assert!(Instant::now() < give_up, "still refused");
        }
    });
}
