//! The standard queries in the languages that they are asked in. All ask the same: columns have the
//! same names, and the start of a bucket is called `time`.

use super::kinds::{Kind, Query};
use crate::calendar::rfc3339;
use crate::generators::cpu::FIELDS;

/// A dialect of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// As DataFusion and servers made of it speak it
    DataFusion,
    DuckDb,
}

impl Dialect {
    fn bucket(self, unit: &str) -> String {
        match self {
            Self::DataFusion => format!("date_bin(INTERVAL '1 {unit}', time) AS time"),
            Self::DuckDb => format!("time_bucket(INTERVAL '1 {unit}', time) AS time"),
        }
    }
}

/// The query in SQL.
pub(crate) fn sql(query: &Query, dialect: Dialect) -> String {
    let window = format!("time >= '{}' AND time < '{}'", rfc3339(query.from), rfc3339(query.until));
    let hosts: Vec<String> = query.hosts.iter().map(|host| format!("'host_{host}'")).collect();
    let hosts = format!("hostname IN ({})", hosts.join(", "));
    let maxima = |count: usize| aggregates(count, |f| format!("max({f}) AS max_{f}"));
    match query.kind {
        Kind::OneRow => format!(
            "SELECT time, hostname, usage_user, usage_system FROM cpu WHERE {hosts} AND {window}"
        ),
        Kind::SingleGroupBy { fields, .. } => format!(
            "SELECT {}, {} FROM cpu WHERE {hosts} AND {window} GROUP BY 1 ORDER BY 1",
            dialect.bucket("minute"),
            maxima(fields)
        ),
        Kind::CpuMaxAll { .. } => format!(
            "SELECT {}, {} FROM cpu WHERE {hosts} AND {window} GROUP BY 1 ORDER BY 1",
            dialect.bucket("hour"),
            maxima(FIELDS.len())
        ),
        Kind::DoubleGroupBy { fields } => format!(
            "SELECT {}, hostname, {} FROM cpu WHERE {window} GROUP BY 1, 2 ORDER BY 1, 2",
            dialect.bucket("hour"),
            aggregates(fields, |f| format!("avg({f}) AS mean_{f}"))
        ),
        Kind::HighCpu { all_hosts: true } => {
            format!("SELECT * FROM cpu WHERE usage_user > 90 AND {window}")
        }
        Kind::HighCpu { all_hosts: false } => {
            format!("SELECT * FROM cpu WHERE usage_user > 90 AND {hosts} AND {window}")
        }
        Kind::LastPoint => {
            "SELECT DISTINCT ON (hostname) * FROM cpu ORDER BY hostname, time DESC".to_owned()
        }
        Kind::GroupByOrderByLimit => format!(
            "SELECT {}, max(usage_user) AS max_usage_user FROM cpu WHERE time < '{}' \
             GROUP BY 1 ORDER BY 1 DESC LIMIT 5",
            dialect.bucket("minute"),
            rfc3339(query.until)
        ),
    }
}

/// The query in InfluxQL.
pub(crate) fn influxql(query: &Query) -> String {
    let window = format!("time >= '{}' AND time < '{}'", rfc3339(query.from), rfc3339(query.until));
    let hosts: Vec<String> =
        query.hosts.iter().map(|host| format!("\"hostname\" = 'host_{host}'")).collect();
    let hosts = format!("({})", hosts.join(" OR "));
    let maxima = |count: usize| aggregates(count, |f| format!("max(\"{f}\") AS \"max_{f}\""));
    match query.kind {
        Kind::OneRow => format!(
            "SELECT \"hostname\", \"usage_user\", \"usage_system\" FROM \"cpu\" WHERE {hosts} AND \
             {window}"
        ),
        Kind::SingleGroupBy { fields, .. } => format!(
            "SELECT {} FROM \"cpu\" WHERE {hosts} AND {window} GROUP BY time(1m) fill(none)",
            maxima(fields)
        ),
        Kind::CpuMaxAll { .. } => format!(
            "SELECT {} FROM \"cpu\" WHERE {hosts} AND {window} GROUP BY time(1h) fill(none)",
            maxima(FIELDS.len())
        ),
        Kind::DoubleGroupBy { fields } => format!(
            "SELECT {} FROM \"cpu\" WHERE {window} GROUP BY time(1h), \"hostname\" fill(none)",
            aggregates(fields, |f| format!("mean(\"{f}\") AS \"mean_{f}\""))
        ),
        Kind::HighCpu { all_hosts: true } => {
            format!("SELECT * FROM \"cpu\" WHERE \"usage_user\" > 90 AND {window}")
        }
        Kind::HighCpu { all_hosts: false } => {
            format!("SELECT * FROM \"cpu\" WHERE \"usage_user\" > 90 AND {hosts} AND {window}")
        }
        Kind::LastPoint => {
            "SELECT * FROM \"cpu\" GROUP BY \"hostname\" ORDER BY time DESC LIMIT 1".to_owned()
        }
        Kind::GroupByOrderByLimit => format!(
            "SELECT max(\"usage_user\") AS \"max_usage_user\" FROM \"cpu\" WHERE time < '{}' \
             GROUP BY time(1m) fill(none) ORDER BY time DESC LIMIT 5",
            rfc3339(query.until)
        ),
    }
}

fn aggregates(count: usize, one: impl Fn(&str) -> String) -> String {
    let all: Vec<String> = FIELDS[..count].iter().map(|field| one(field)).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(kind: Kind) -> Query {
        Query { kind, hosts: vec![3, 1], from: 1_451_606_400, until: 1_451_610_000 }
    }

    #[test]
    fn a_single_group_by() {
        let query = query(Kind::SingleGroupBy { fields: 2, hosts: 2, hours: 1 });
        assert_eq!(
            sql(&query, Dialect::DataFusion),
            "SELECT date_bin(INTERVAL '1 minute', time) AS time, max(usage_user) AS \
             max_usage_user, max(usage_system) AS max_usage_system FROM cpu WHERE hostname IN \
             ('host_3', 'host_1') AND time >= '2016-01-01T00:00:00Z' AND time < \
             '2016-01-01T01:00:00Z' GROUP BY 1 ORDER BY 1"
        );
        assert!(sql(&query, Dialect::DuckDb).contains("time_bucket(INTERVAL '1 minute', time)"));
        assert_eq!(
            influxql(&query),
            "SELECT max(\"usage_user\") AS \"max_usage_user\", max(\"usage_system\") AS \
             \"max_usage_system\" FROM \"cpu\" WHERE (\"hostname\" = 'host_3' OR \"hostname\" = \
             'host_1') AND time >= '2016-01-01T00:00:00Z' AND time < '2016-01-01T01:00:00Z' \
             GROUP BY time(1m) fill(none)"
        );
    }

    #[test]
    fn only_queries_of_some_hosts_name_hosts() {
        for kind in super::super::kinds::KINDS {
            let names_hosts = matches!(
                kind,
                Kind::OneRow
                    | Kind::SingleGroupBy { .. }
                    | Kind::CpuMaxAll { .. }
                    | Kind::HighCpu { all_hosts: false }
            );
            let query = query(kind);
            assert_eq!(sql(&query, Dialect::DuckDb).contains("host_3"), names_hosts, "{kind:?}");
            assert_eq!(influxql(&query).contains("host_3"), names_hosts, "{kind:?}");
        }
    }
}
