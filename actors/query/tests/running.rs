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
    assert_eq!(error.kind, ErrorKind::Overloaded, "{}", error.message);
    assert!(error.message.contains("Resources exhausted"), "{}", error.message);
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
