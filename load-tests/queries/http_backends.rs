//! Systems that are asked over HTTP: SQL at `/api/v3/query_sql`, InfluxQL at `/query`.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::answer::Answer;
use super::kinds::Query;
use super::text::{Dialect, influxql, sql};
use super::{Asked, Backend};
use crate::http::{Connection, ServerOptions, percent_encode};

/// SQL to this server or to InfluxDB 3, with answers in JSON.
pub(crate) struct SqlOverHttp {
    name: String,
    server: ServerOptions,
    connection: Connection,
}

impl SqlOverHttp {
    pub(crate) fn new(name: &str, server: &ServerOptions) -> Result<Self> {
        let connection = Connection::open(server.address)
            .with_context(|| format!("cannot connect to {}", server.address))?;
        Ok(Self { name: name.to_owned(), server: server.clone(), connection })
    }

    /// Runs any statement.
    pub(crate) fn ask_sql(&mut self, sql: &str, decode: bool) -> Result<Asked> {
        let body = serde_json::json!({ "db": self.server.db, "q": sql, "format": "json" });
        let request = self.server.post_json("/api/v3/query_sql", &body);
        ask(&mut self.connection, &request, decode.then_some(Answer::of_objects as Decode))
            .with_context(|| format!("{}: {sql}", self.name))
    }
}

impl Backend for SqlOverHttp {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask(&mut self, query: &Query, decode: bool) -> Result<Asked> {
        self.ask_sql(&sql(query, Dialect::DataFusion), decode)
    }
}

/// InfluxQL to InfluxDB 1.
pub(crate) struct InfluxqlOverHttp {
    name: String,
    server: ServerOptions,
    connection: Connection,
}

impl InfluxqlOverHttp {
    pub(crate) fn new(name: &str, server: &ServerOptions) -> Result<Self> {
        let connection = Connection::open(server.address)
            .with_context(|| format!("cannot connect to {}", server.address))?;
        Ok(Self { name: name.to_owned(), server: server.clone(), connection })
    }
}

impl Backend for InfluxqlOverHttp {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask(&mut self, query: &Query, decode: bool) -> Result<Asked> {
        let text = influxql(query);
        let (db, q) = (percent_encode(&self.server.db), percent_encode(&text));
        let request = self.server.get(&format!("/query?db={db}&epoch=ns&q={q}"));
        ask(&mut self.connection, &request, decode.then_some(Answer::of_influxql as Decode))
            .with_context(|| format!("{}: {text}", self.name))
    }
}

/// Turns a body into an answer.
type Decode = fn(&[u8]) -> Result<Answer>;

fn ask(connection: &mut Connection, request: &[u8], decode: Option<Decode>) -> Result<Asked> {
    let began = Instant::now();
    let response = connection.exchange(request).context("the query was not answered")?;
    let took = began.elapsed();
    ensure!(response.is_success(), "the query failed with {}", response.describe());
    let answer = decode.map(|decode| decode(&response.body)).transpose()?;
    Ok(Asked { took, answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server;
    use crate::queries::kinds::Kind;

    const QUERY: Query = Query { kind: Kind::LastPoint, hosts: Vec::new(), from: 0, until: 3_600 };

    #[test]
    fn answers_are_decoded_when_asked_for() {
        let server = fake_server::start(|request| {
            let found = request.starts_with("/api/v3/query_sql {") && request.contains("DISTINCT");
            (if found { 200 } else { 404 }, r#"[{"time":"1970-01-01T00:00:00"}]"#.to_owned())
        });
        let mut backend = SqlOverHttp::new("fake", &ServerOptions::at(server.address)).unwrap();
        assert!(backend.ask(&QUERY, false).unwrap().answer.is_none());
        assert_eq!(backend.ask(&QUERY, true).unwrap().answer.unwrap().row_count(), 1);
    }

    #[test]
    fn failures_name_the_system_and_the_query() {
        let server = fake_server::start(|_| (500, "broken".to_owned()));
        let mut backend =
            InfluxqlOverHttp::new("fake", &ServerOptions::at(server.address)).unwrap();
        let error = format!("{:#}", backend.ask(&QUERY, false).err().unwrap());
        assert!(error.contains("fake: SELECT") && error.contains("status 500"), "{error}");
    }
}
