//! Who answers a writer, when, and with what.

use super::*;
use crate::ingest::{Ingest, IngestConfig};
use crate::runtime::guardian::Birth;
use crate::runtime::lives::Lives;
use crate::runtime::published::Published;
use protocols::error::ErrorKind;
use protocols::line_protocol::{Precision, SchemaLimits};
use protocols::messages::ingest::{WriteError, WriteLines};
use protocols::principal::{Origin, Principal};

/// An `Ingest` before the log of `node`.
async fn ingest(node: &Node) -> (Mailbox<Ingest>, Birth) {
    let config = IngestConfig {
        catalog: Guardian::mailbox(&bounds("catalog")),
        snapshot: Published::new(catalog()).1,
        wal: node.wal.clone(),
        limits: SchemaLimits::default(),
        immutable_tags: false,
        write_window: None,
    };
    let ingest = Guardian::mailbox(&bounds("ingest"));
    let lives = Lives::of(move || Ok(Ingest::new(config.clone())));
    let guardian = Guardian::new(node.fatal.clone());
    let birth = guardian.birth(bounds("ingest"), ingest.clone(), lives).await.unwrap();
    (ingest, birth)
}

fn lines(sync: SyncMode) -> WriteLines {
    WriteLines {
        db: "d".to_owned(),
        principal: Principal::Everybody,
        origin: Origin::default(),
        body: "m f=1i 1".into(),
        precision: Precision::Nanosecond,
        accept_partial: false,
        makes_empty_database: false,
        sync,
        received_at_ns: 1,
    }
}

/// The answer of the log does not pass the one who parses: that one may be busy, or gone.
#[test]
fn a_writer_is_answered_although_the_one_who_parsed_is_gone() {
    run(async {
        let setup = Setup { shard_is_away: true, ..Setup::default() };
        let node = Node::start_with(&Objects::memory(), setup).await;
        let (ingest, birth) = ingest(&node).await;
        let writer = async { ingest.ask_from_edge(lines(SyncMode::Durable), soon()).await };
        let rest = async {
            while node.wal.vitals().messages_held() == 0 {
                tokio::task::yield_now().await;
            }
            birth.end().await;
            assert_eq!(ingest.vitals().messages_held(), 1, "the write is under way");
            node.start_shard().await;
        };
        let (written, ()) = futures::join!(writer, rest);
        assert_eq!(written.unwrap().unwrap().accepted_lines, 1);
        assert_eq!(node.rows().await, 1);
        assert_eq!(ingest.vitals().messages_held(), 0);
    });
}

/// A log whose disk thread has panicked.
struct Gone;

#[async_trait]
impl Log for Gone {
    async fn append(&mut self, _: &WalGroup, _: Instant) -> Result<(), LogError> {
        Err(LogError::Lost)
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
fn a_writer_is_told_when_the_log_dies_or_is_not_there() {
    run(async {
        let node = Node::start(&Objects::memory(), Some(Box::new(Gone))).await;
        let (ingest, _birth) = ingest(&node).await;
        // The second one finds the log dead, or rebuilt.
        for _ in 0..2 {
            let written = ingest.ask_from_edge(lines(SyncMode::Durable), soon()).await.unwrap();
            match written {
                Ok(report) => assert_eq!(report.accepted_lines, 1),
                Err(WriteError::Undelivered(kind, text)) => {
                    assert_eq!(kind, ErrorKind::Unavailable);
                    assert!(text.contains("wal failed and is being restarted"), "{text}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn a_writer_who_does_not_wait_is_answered_before_the_shards_have_the_rows() {
    run(async {
        let setup = Setup { shard_is_away: true, ..Setup::default() };
        let node = Node::start_with(&Objects::memory(), setup).await;
        let (ingest, _birth) = ingest(&node).await;
        let written = ingest.ask_from_edge(lines(SyncMode::Buffered), soon()).await;
        assert_eq!(written.unwrap().unwrap().accepted_lines, 1);
        assert_eq!(node.wal.vitals().messages_held(), 1, "its rows still take room");
        node.start_shard().await;
        let give_up = soon();
        while node.rows().await < 1 {
            assert!(Instant::now() < give_up, "what was accepted becomes visible");
        }
    });
}
