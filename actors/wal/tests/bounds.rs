//! What may wait for the log and behind it.

use super::*;
use tokio::sync::Notify;

/// Nobody waits for such writes, but what the shards have not taken yet takes memory.
#[test]
fn writes_that_are_answered_at_once_count_until_the_shards_have_them() {
    run(async {
        let messages_max = 20;
        let setup = Setup { messages_max, shard_is_away: true, ..Setup::default() };
        let node = Node::start_with(&Objects::memory(), setup).await;
        let mut accepted = 0;
        let full = loop {
            let asked = write(accepted, SyncMode::Buffered);
            match node.wal.ask::<{ rank::EDGE }, _>(asked, soon()).await {
                Ok(taken) => accepted += i64::from(taken.is_ok()),
                Err(error) => break error,
            }
            assert!(accepted <= messages_max as i64, "{accepted} writes wait for the shard");
        };
        assert_eq!(full, AskError::Full("wal"));
        node.start_shard().await;
        let give_up = soon();
        while node.rows().await < accepted as usize {
            assert!(Instant::now() < give_up, "what was accepted becomes visible");
        }
    });
}

/// A log that is full of writes has to hear that the period is over, or it stays full.
#[test]
fn the_end_of_a_period_has_room_of_its_own() {
    run(async {
        let setup = Setup { put_by_period: true, messages_max: 3, ..Setup::default() };
        let node = Node::start_with(&Objects::memory(), setup).await;
        let writers = join_all((0..3).map(|time| node.write(time)));
        let end = async {
            while node.wal.vitals().messages_held() < 3 {
                tokio::task::yield_now().await;
            }
            node.wal.ask_from_edge(PeriodDue, soon()).await.unwrap();
        };
        let (written, ()) = futures::join!(writers, end);
        assert!(written.iter().all(Result::is_ok), "{written:?}");
    });
}

/// Notes how many bytes each group has. The first one waits.
struct Noting(Arc<Mutex<Vec<usize>>>, Arc<Notify>);

#[async_trait]
impl Log for Noting {
    async fn append(&mut self, group: &WalGroup, _: Instant) -> Result<(), LogError> {
        let bytes = group.entries.iter().map(bytes::Bytes::len).sum();
        self.0.lock().unwrap().push(bytes);
        if bytes == 0 {
            self.1.notified().await;
        }
        Ok(())
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
fn a_group_takes_no_more_than_its_bound() {
    run(async {
        let (noted, go_on) = (Arc::<Mutex<Vec<usize>>>::default(), Arc::new(Notify::new()));
        let log = Noting(Arc::clone(&noted), Arc::clone(&go_on));
        let setup =
            Setup { log: Some(Box::new(log)), waiting_bytes_max: 1 << 30, ..Setup::default() };
        let node = Node::start_with(&Objects::memory(), setup).await;
        let mib = 1 << 20;
        let of_bytes = async |time: i64, bytes: usize| {
            let entry = vec![0; bytes].into();
            let rows = AppendRows { entry, ..write(time, SyncMode::Durable) };
            node.wal.ask_from_edge(rows, soon()).await.unwrap()
        };
        let first = of_bytes(0, 0);
        let rest = join_all((1..).zip([40, 20, 70]).map(|(time, n)| of_bytes(time, n * mib)));
        let release = async {
            while node.wal.vitals().messages_held() < 4 {
                tokio::task::yield_now().await;
            }
            go_on.notify_one();
        };
        let (first, rest, ()) = futures::join!(first, rest, release);
        assert!(first.is_ok() && rest.iter().all(Result::is_ok), "{rest:?}");
        let groups = noted.lock().unwrap().clone();
        assert_eq!(groups, [0, 60 * mib, 70 * mib], "one that is larger goes alone");
    });
}
