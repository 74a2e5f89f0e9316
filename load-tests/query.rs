//! Runs one SQL statement many times over one connection.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::http::{Connection, ServerOptions};
use crate::latency::Percentiles;

/// So much of the first answer goes into the report.
const ANSWER_CHARS_MAX: usize = 400;

#[derive(Debug, Clone, Args)]
pub(crate) struct QueryOptions {
    #[command(flatten)]
    server: ServerOptions,

    /// How often to run the statement
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    requests: u32,

    /// The statement
    #[arg(default_value = "SELECT count(*) FROM cpu")]
    sql: String,
}

/// The result of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Query {
    pub(crate) sql: String,
    pub(crate) first_answer: String,
    pub(crate) latency: Percentiles,
}

pub(crate) fn run(options: &QueryOptions) -> Result<Query> {
    let body = serde_json::json!({ "db": options.server.db, "q": options.sql, "format": "json" });
    let request = options.server.post_json("/api/v3/query_sql", &body);
    let mut connection = Connection::open(options.server.address)
        .with_context(|| format!("cannot connect to {}", options.server.address))?;

    let mut first_answer = None;
    let mut latencies = Vec::with_capacity(options.requests as usize);
    for _ in 0..options.requests {
        let began = Instant::now();
        let response = connection.exchange(&request).context("the query was not answered")?;
        latencies.push(began.elapsed());
        ensure!(response.is_success(), "the query failed with {}", response.describe());
        first_answer.get_or_insert_with(|| {
            String::from_utf8_lossy(&response.body).chars().take(ANSWER_CHARS_MAX).collect()
        });
    }
    Ok(Query {
        sql: options.sql.clone(),
        first_answer: first_answer.unwrap_or_default(),
        latency: Percentiles::of(latencies).context("no query was sent")?,
    })
}
