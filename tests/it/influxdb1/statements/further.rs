//! Statements by chance: subqueries, time zones, casts, regular expressions and series that are cut.

use super::{FILLS, Maker};
use crate::influxdb1::data::CLOCK_CHANGES;

/// Functions that make one value of many, whatever the order of points of one time.
const GATHERING: [&str; 6] = ["count", "sum", "mean", "spread", "min", "max"];

impl Maker {
    pub(super) fn nested(&mut self) -> String {
        let (inner, name) = match self.chance.below(4) {
            0 => ("mean(f) AS x".to_owned(), "x"),
            1 => ("max(i) AS x".to_owned(), "x"),
            2 => ("f".to_owned(), "f"),
            _ => ("i * 2 AS x".to_owned(), "x"),
        };
        let gathers = inner.contains('(');
        let filter = self.filter(true);
        let windows = (gathers && self.chance.one_in(2)).then(|| self.windows());
        let group = self.group_by(windows);
        let outer = match self.chance.below(4) {
            0 => name.to_owned(),
            1 => format!("mean({name})"),
            2 => format!("max({name})"),
            _ => format!("sum({name})"),
        };
        let outer_group = match self.chance.below(3) {
            0 => " GROUP BY host",
            1 => " GROUP BY region",
            _ => "",
        };
        let end = self.end(false);
        format!("SELECT {outer} FROM (SELECT {inner} FROM m{filter}{group}){outer_group}{end}")
    }

    /// Subqueries of subqueries, of transformations, of several measurements, and with conditions
    /// on what comes out of them.
    pub(super) fn deeper(&mut self) -> String {
        let filter = self.filter(true);
        let fill = self.chance.pick(&FILLS);
        let outer = self.chance.pick(&GATHERING);
        let over = self.chance.pick(&["", " GROUP BY host", " GROUP BY region"]);
        match self.chance.below(8) {
            0 => {
                let call = self.transformation("mean(f)");
                let inner = format!(
                    "SELECT {call} AS x FROM m{filter} GROUP BY time(5m), host, region{fill}"
                );
                format!("SELECT {outer}(x) FROM ({inner}){over}")
            }
            1 => {
                let inner =
                    format!("SELECT max(f) AS x FROM m{filter} GROUP BY time(1m), host, region");
                let middle = format!("SELECT mean(x) AS x FROM ({inner}) GROUP BY host, region");
                format!("SELECT {outer}(x) FROM ({middle}){over}")
            }
            2 => {
                let least = self.chance.below(60);
                format!("SELECT f, i FROM (SELECT f, i FROM m{filter}) WHERE i > {least}")
            }
            3 => format!("SELECT {outer}(x) FROM (SELECT f AS x, host FROM m{filter}){over}"),
            4 => {
                let inner = format!("SELECT count(f) AS x FROM m{filter} GROUP BY host, region");
                format!("SELECT {outer}(x) FROM ({inner}){over}")
            }
            5 => {
                let operator = self.chance.pick(&["+", "-", "*", "/"]);
                let inner = format!(
                    "SELECT mean(f) AS x, max(i) AS y FROM m{filter} GROUP BY time(7m){fill}"
                );
                format!("SELECT x {operator} y FROM ({inner})")
            }
            6 => {
                let windows = self.windows();
                let inner = format!("SELECT f AS x, i AS y FROM m{filter}");
                format!("SELECT {outer}(x), sum(y) FROM ({inner}){filter} GROUP BY {windows}{fill}")
            }
            _ => format!(
                "SELECT {outer}(f) FROM (SELECT f FROM m{filter}), (SELECT f FROM g{filter})"
            ),
        }
    }

    /// Windows on the clock of a time zone, around the day on which that is changed.
    pub(super) fn zoned(&mut self) -> String {
        let (zone, day, change_s) = self.chance.pick(&CLOCK_CHANGES);
        let call = self.call();
        let interval = self.chance.pick(&["30m", "1h", "2h", "3h", "6h", "12h", "1d", "2d"]);
        let offset = self.chance.pick(&["", "", "", ", 30m", ", -1h"]);
        let times = match self.chance.below(3) {
            0 => format!("time >= '{day}' AND time < '{day}' + 1d"),
            _ => {
                let (before, after) = (self.chance.below(30), 1 + self.chance.below(30));
                let (first, last) =
                    (change_s - before as i64 * 3_600, change_s + after as i64 * 3_600);
                format!("time >= {first}s AND time < {last}s")
            }
        };
        let tags = self.chance.pick(&["", "", ", host"]);
        let (fill, end) = (self.chance.pick(&FILLS), self.end(false));
        format!(
            "SELECT {call} FROM z WHERE {times} GROUP BY time({interval}{offset}){tags}{fill}{end} \
             tz('{zone}')"
        )
    }

    /// Columns as other types, or of one kind.
    pub(super) fn cast(&mut self) -> String {
        let fields = self.chance.pick(&[
            "f::integer",
            "i::float",
            "f::float, i::integer",
            "f::field, host::tag",
            "s::string, b::boolean",
            "*::field",
            "*::tag, f",
            "i::float / 2",
            "f::integer + i",
            "mean(i::float)",
            "max(f::integer)",
            "sum(f::integer), count(i::float)",
            "mean(*::field)",
            "s::float, f",
        ]);
        let group = self.group_by(None);
        let mut filter = self.filter(true);
        if self.chance.one_in(3) {
            filter.push_str(self.chance.pick(&[
                " AND i::integer > 20",
                " AND host::tag = 'a'",
                " AND f::field < 50",
                " AND f::float >= 10.5",
            ]));
        }
        format!("SELECT {fields} FROM m{filter}{group}")
    }

    /// Regular expressions in all places that take them.
    pub(super) fn matched(&mut self) -> String {
        let fields = self.chance.pick(&[
            "f",
            "/^[fi]$/",
            "/f|s/",
            "/^f$/, host",
            "mean(/^[fi]$/)",
            "count(/./)",
            "max(/i/)",
            "derivative(/^[fi]$/)",
        ]);
        let from = self.chance.pick(&["m", "m", "/^m$/", "/m|g/", "/nope/"]);
        let mut filter = self.filter(true);
        filter.push_str(" AND ");
        filter.push_str(self.chance.pick(&[
            "host =~ /^[ab]$/",
            "host =~ /.*/",
            "host =~ /^$/",
            "host !~ /./",
            "host !~ /a|b/",
            "region =~ /X|y/",
            "region =~ /(?i)X/",
            "s =~ /1$/",
            "s !~ /t[12]/",
            "host =~ /it's d/",
        ]));
        let group = self.group_by(None);
        format!("SELECT {fields} FROM {from}{filter}{group}")
    }

    /// Series that are cut, in the order that both servers have: all of them have the tags and rows.
    pub(super) fn sliced(&mut self) -> String {
        let what = self.chance.pick(&["f", "mean(f)", "max(i)", "count(s)", "last(f)"]);
        let (tags, with_tags) = self.chance.pick(&[
            ("host", "host != ''"),
            ("region", "region != ''"),
            ("*", "host != '' AND region != ''"),
        ]);
        let mut end = format!(" SLIMIT {}", 1 + self.chance.below(3));
        if self.chance.one_in(2) {
            end.push_str(&format!(" SOFFSET {}", self.chance.below(3)));
        }
        let limit = self.chance.pick(&["", " LIMIT 2", " LIMIT 1 OFFSET 1"]);
        format!("SELECT {what} FROM m WHERE {with_tags} GROUP BY {tags}{limit}{end}")
    }
}
