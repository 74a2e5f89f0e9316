//! Which rows a statement deletes.

use super::time_range::{Clock, is_time, split};
use protocols::influxql::{Expr, Literal, Logic, Op};
use protocols::row_deletes::TagValues;

/// The rows that a condition is about: those between two instants that have all of these tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletedRows {
    /// The first instant, nanoseconds since 1970.
    pub min_time_ns: Option<i64>,
    /// The instant behind the last one.
    pub max_time_ns: Option<i64>,
    /// Tags and the values that they have.
    pub tags: TagValues,
    /// True if the condition cannot hold.
    pub is_nothing: bool,
}

/// What the condition of a delete comes to. `None` if it is another one than times and equal tags that
/// are joined by `AND`.
pub fn deleted_rows(condition: Option<&Expr>, now_ns: i64) -> Option<DeletedRows> {
    let Some(condition) = condition else { return Some(DeletedRows::default()) };
    let mut tags = TagValues::new();
    if !is_plain(condition, &mut tags) {
        return None;
    }
    let (_, times) = split(condition, Clock { now_ns, zone: None }).ok()?;
    Some(DeletedRows {
        min_time_ns: times.first_ns,
        max_time_ns: times.last_ns.and_then(|last| last.checked_add(1)),
        tags,
        is_nothing: times.is_empty(),
    })
}

/// True if the condition is of the form that can be had; notes its tags.
fn is_plain(condition: &Expr, tags: &mut TagValues) -> bool {
    match condition {
        Expr::Logical { logic: Logic::And, operands } => {
            operands.iter().all(|operand| is_plain(operand, tags))
        }
        Expr::Binary { op, left, right } if is_time(left) || is_time(right) => op.is_comparison(),
        Expr::Binary { op: Op::Equal, left, right } => match (left.as_ref(), right.as_ref()) {
            (
                Expr::Variable { name, cast: None },
                Expr::Literal(Literal::String(value)),
                // No tag has an empty value: that asks for rows that lack it.
            ) if !value.is_empty() => {
                tags.push((name.as_str().into(), value.as_str().into()));
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::influxql::{Statement, parse};

    fn rows(condition: &str) -> Option<DeletedRows> {
        let parsed = parse(&format!("DELETE FROM m {condition}"), |_| true).unwrap();
        let Statement::Delete { condition, .. } = &parsed[0].statement else { panic!("a delete") };
        deleted_rows(condition.as_ref(), 100)
    }

    fn deleted(times: (Option<i64>, Option<i64>), tags: &[(&str, &str)]) -> Option<DeletedRows> {
        let tags = tags.iter().map(|(tag, value)| ((*tag).into(), (*value).into())).collect();
        let (min_time_ns, max_time_ns) = times;
        Some(DeletedRows { min_time_ns, max_time_ns, tags, is_nothing: false })
    }

    #[test]
    fn times_and_equal_tags_can_be_had() {
        assert_eq!(rows(""), deleted((None, None), &[]));
        assert_eq!(rows("WHERE time < 7"), deleted((None, Some(7)), &[]));
        assert_eq!(
            rows("WHERE host = 'a' AND time >= 3 AND time <= now() AND rack = 'b'"),
            deleted((Some(3), Some(101)), &[("host", "a"), ("rack", "b")])
        );
        assert!(rows("WHERE time > 5 AND time < 4").is_some_and(|rows| rows.is_nothing));
    }

    #[test]
    fn nothing_else_can() {
        for condition in [
            "host = 'a' OR host = 'b'",
            "host != 'a'",
            "host =~ /a/",
            "host = ''",
            "f = 1",
            "time < 5 OR time > 7",
            "time != 5",
        ] {
            assert_eq!(rows(&format!("WHERE {condition}")), None, "{condition}");
        }
    }
}
