//! Streams, limits and errors of queries that run.

use super::Fixture;
use futures::StreamExt;
use protocols::error::ErrorKind;
use std::time::Duration;
use tokio::time::Instant;

#[actix_rt::test]
async fn results_stream_and_stop_with_their_reader() {
    let server = Fixture::with(1, None, 1 << 28).await;
    let endless = "SELECT value FROM generate_series(1, 9000000000000000000)";
    let mut result = server.start("home", endless, &[]).await.unwrap();
    for _ in 0..20 {
        assert_eq!(result.batches.next().await.unwrap().unwrap().num_rows(), 1000);
    }
    let refused = server.start("home", "SELECT 1", &[]).await.err().unwrap();
    assert_eq!(refused.kind, ErrorKind::Overloaded);
    drop(result);
    let until = Instant::now() + Duration::from_secs(60);
    while server.start("home", "SELECT 1", &[]).await.is_err() {
        assert!(Instant::now() < until, "the place of a dropped query comes back");
        tokio::task::yield_now().await;
    }
}

#[actix_rt::test]
async fn time_and_memory_are_limited() {
    let server = Fixture::with(4, Some(Duration::from_millis(50)), 1 << 20).await;
    let error = server.error("SELECT count(*) FROM generate_series(1, 9000000000000000000)").await;
    assert_eq!(error.kind, ErrorKind::Timeout, "{}", error.message);

    let server = Fixture::with(4, None, 1 << 20).await;
    let error =
        server.error("SELECT value FROM generate_series(1, 10000000) ORDER BY -value").await;
    assert_eq!(error.kind, ErrorKind::LimitReached, "{}", error.message);
    assert!(error.message.contains("--query-memory-share"), "{}", error.message);
}

#[actix_rt::test]
async fn an_error_behind_the_first_row_is_no_end() {
    let server = Fixture::new().await;
    let text = "SELECT 1/(100000 - value) FROM generate_series(1, 1000000)";
    let mut result = server.start("home", text, &[]).await.unwrap();
    let mut last = None;
    while let Some(batch) = result.batches.next().await {
        last = Some(batch);
    }
    let error = last.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.contains("Divide by zero"), "{}", error.message);
}

/// Counting the pairs of a cross join takes a thread for hours, and there are two.
#[actix_rt::test]
async fn joins_give_way_to_other_queries() {
    let server = Fixture::with(4, None, 1 << 28).await;
    let big = "generate_series(1, 1000000)";
    let text =
        format!("SELECT (a.value * b.value) % 7 AS g, count(*) FROM {big} a, {big} b GROUP BY g");
    let (first, second) = (server.start("home", &text, &[]), server.start("home", &text, &[]));
    let others = async {
        for _ in 0..20 {
            server.check("SELECT 1", &[], "1").await;
        }
    };
    tokio::select! {
        _ = first => panic!("cannot be done already"),
        _ = second => panic!("cannot be done already"),
        () = others => {}
    }
}

#[actix_rt::test]
async fn a_join_ends_at_its_deadline() {
    let server = Fixture::with(4, Some(Duration::from_millis(200)), 1 << 28).await;
    let big = "generate_series(1, 1000000)";
    let error =
        server.error(&format!("SELECT max(a.value * b.value % 7) FROM {big} a, {big} b")).await;
    assert_eq!(error.kind, ErrorKind::Timeout, "{}", error.message);
}

/// A plan of one partition runs in the task that also watches the clock.
#[actix_rt::test]
async fn a_query_that_never_waits_ends_at_its_deadline() {
    let server = Fixture::with(4, Some(Duration::from_millis(200)), 1 << 28).await;
    let text = "SELECT value FROM generate_series(1, 9000000000000000000) WHERE value % 7 = 8";
    let error = server.error(text).await;
    assert_eq!(error.kind, ErrorKind::Timeout, "{}", error.message);
    let text = "SELECT sum(value) OVER (), value FROM generate_series(1, 9000000000000000000)";
    let server = Fixture::with(4, Some(Duration::from_millis(200)), 1 << 40).await;
    assert_eq!(server.error(text).await.kind, ErrorKind::Timeout);
}

#[actix_rt::test]
async fn what_a_window_holds_is_counted() {
    let server = Fixture::with(4, None, 1 << 22).await;
    let text = "SELECT sum(value) OVER () FROM generate_series(1, 9000000000000000000)";
    let error = server.error(text).await;
    assert_eq!(error.kind, ErrorKind::LimitReached, "{}", error.message);
    let text = "SELECT max(s) FROM (SELECT sum(value) OVER () AS s FROM generate_series(1, 1000))";
    server.check(text, &[], "500500").await;
}
