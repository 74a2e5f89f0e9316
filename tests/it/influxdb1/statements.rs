//! Statements by chance.

mod further;

use super::Chance;
use super::data::{LENGTH_S, START_S};

/// Makes one statement after the other.
pub(super) struct Maker {
    chance: Chance,
}

const FIELDS: [&str; 4] = ["f", "i", "s", "b"];
const NUMBERS: [&str; 2] = ["f", "i"];
const AGGREGATES: [&str; 8] =
    ["count", "sum", "mean", "median", "mode", "spread", "stddev", "integral"];
const SELECTORS: [&str; 4] = ["first", "last", "min", "max"];
const TRANSFORMATIONS: [&str; 6] = [
    "difference",
    "non_negative_difference",
    "derivative",
    "non_negative_derivative",
    "cumulative_sum",
    "elapsed",
];
const ANALYSES: [&str; 8] = [
    "exponential_moving_average",
    "double_exponential_moving_average",
    "triple_exponential_moving_average",
    "triple_exponential_derivative",
    "relative_strength_index",
    "chande_momentum_oscillator",
    "kaufmans_efficiency_ratio",
    "kaufmans_adaptive_moving_average",
];
const SCALARS: [&str; 7] = ["abs", "ceil", "floor", "round", "sqrt", "exp", "ln"];
const INTERVALS: [&str; 6] = ["1m", "5m", "7m", "10m", "30s", "1h"];
const FILLS: [&str; 6] =
    ["", " fill(none)", " fill(null)", " fill(previous)", " fill(linear)", " fill(3)"];

impl Maker {
    pub(super) fn new(seed: u64) -> Self {
        Self { chance: Chance(seed) }
    }

    pub(super) fn next(&mut self) -> String {
        match self.chance.below(28) {
            0..=4 => self.raw(),
            5..=9 => self.aggregated(),
            10 => self.several(),
            11..=13 => self.transformed(),
            14 => self.analysed(),
            15 => self.forecast(),
            16 | 17 => self.nested(),
            18 => self.listed(),
            19 | 20 => self.zoned(),
            21..=23 => self.deeper(),
            24 => self.cast(),
            25 => self.matched(),
            26 => self.sliced(),
            _ => self.odd(),
        }
    }

    fn measurement(&mut self) -> &'static str {
        self.chance.pick(&["m", "m", "m", "m", "m", "n", "/^[mn]$/", "autogen.m", "m, n"])
    }

    fn time(&mut self) -> String {
        let at = START_S - 600 + self.chance.below(LENGTH_S as u64 + 1_200) as i64;
        match self.chance.below(3) {
            0 => format!("{at}s"),
            1 => format!("{}", at * 1_000_000_000 + 500_000_000),
            _ => {
                let second = at - START_S;
                let (sign, minutes) =
                    if second < 0 { ('-', -second / 60) } else { ('+', second / 60) };
                format!("'2020-01-01T00:00:00Z' {sign} {minutes}m")
            }
        }
    }

    /// Conditions on time; some have no lower or upper end.
    fn times(&mut self, both: bool) -> Vec<String> {
        let mut conditions = Vec::new();
        if both || !self.chance.one_in(4) {
            let begin = match self.chance.one_in(3) {
                true => self.time(),
                false => format!("'2020-01-01T00:{:02}:00Z'", self.chance.below(30)),
            };
            conditions.push(format!("time {} {begin}", self.chance.pick(&[">=", ">"])));
        }
        if both || !self.chance.one_in(4) {
            let end = match self.chance.one_in(3) {
                true => self.time(),
                false => format!("'2020-01-01T00:{:02}:10Z'", 30 + self.chance.below(30)),
            };
            conditions.push(format!("time {} {end}", self.chance.pick(&["<=", "<"])));
        }
        conditions
    }

    fn condition(&mut self) -> String {
        match self.chance.below(16) {
            0 => "host = 'a'".to_owned(),
            1 => "host != 'a'".to_owned(),
            2 => "host = ''".to_owned(),
            3 => "region != ''".to_owned(),
            4 => "host =~ /a|c/".to_owned(),
            5 => "host !~ /^c/".to_owned(),
            6 => format!("f > {}", self.chance.below(200) as i64 - 80),
            7 => format!("i <= {}", self.chance.below(80) as i64 - 10),
            8 => "s = 't1'".to_owned(),
            9 => "b = true".to_owned(),
            10 => "(host = 'a' OR region = 'y')".to_owned(),
            11 => "host = 'it\\'s d'".to_owned(),
            12 => "f + 1 > i".to_owned(),
            13 => "(f > 20 OR i < 10) AND region = 'x'".to_owned(),
            14 => "f != 0".to_owned(),
            _ => "'c' = host".to_owned(),
        }
    }

    fn filter(&mut self, both: bool) -> String {
        let mut conditions = self.times(both);
        if self.chance.one_in(3) {
            conditions.push(self.condition());
        }
        match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        }
    }

    fn tags(&mut self) -> Vec<&'static str> {
        match self.chance.below(7) {
            0 => vec!["host"],
            1 => vec!["region"],
            2 => vec!["host", "region"],
            3 => vec!["*"],
            4 => vec!["/hos/"],
            _ => vec![],
        }
    }

    fn group_by(&mut self, interval: Option<String>) -> String {
        let mut dimensions: Vec<String> = interval.into_iter().collect();
        dimensions.extend(self.tags().into_iter().map(str::to_owned));
        match dimensions.is_empty() {
            true => String::new(),
            false => format!(" GROUP BY {}", dimensions.join(", ")),
        }
    }

    fn windows(&mut self) -> String {
        let interval = self.chance.pick(&INTERVALS);
        match self.chance.below(8) {
            0 => format!("time({interval}, 13s)"),
            1 => format!("time({interval}, -2m)"),
            _ => format!("time({interval})"),
        }
    }

    fn end(&mut self, limits: bool) -> String {
        let mut end = String::new();
        if self.chance.one_in(4) {
            end.push_str(self.chance.pick(&[" ORDER BY time DESC", " ORDER BY time ASC"]));
        }
        if limits && self.chance.one_in(4) {
            end.push_str(&format!(" LIMIT {}", 1 + self.chance.below(6)));
            if self.chance.one_in(3) {
                end.push_str(&format!(" OFFSET {}", self.chance.below(5)));
            }
        }
        if limits && self.chance.one_in(12) {
            end.push_str(&format!(" SLIMIT {}", 1 + self.chance.below(3)));
            if self.chance.one_in(2) {
                end.push_str(&format!(" SOFFSET {}", self.chance.below(3)));
            }
        }
        end
    }

    fn raw(&mut self) -> String {
        let fields = match self.chance.below(10) {
            0 => "*".to_owned(),
            1 => "f, i".to_owned(),
            2 => "f, host".to_owned(),
            3 => "s, b, i".to_owned(),
            4 => "/^[fi]$/".to_owned(),
            5 => self.arithmetic(),
            6 => format!("{}(f), i", self.chance.pick(&SCALARS)),
            7 => "*::field".to_owned(),
            8 => "f AS x, region".to_owned(),
            _ => self.chance.pick(&FIELDS).to_owned(),
        };
        let (from, filter) = (self.measurement(), self.filter(false));
        let (group, end) = (self.group_by(None), self.end(true));
        format!("SELECT {fields} FROM {from}{filter}{group}{end}")
    }

    fn arithmetic(&mut self) -> String {
        let operator = self.chance.pick(&["+", "-", "*", "/"]);
        match self.chance.below(4) {
            0 => format!("f {operator} i"),
            1 => format!("f {operator} 2"),
            2 => format!("i {operator} 3"),
            _ => format!("(f {operator} 2) * i + 1"),
        }
    }

    fn call(&mut self) -> String {
        match self.chance.below(8) {
            0 => format!("percentile({}, {})", self.chance.pick(&NUMBERS), self.chance.below(101)),
            1 => "count(distinct(s))".to_owned(),
            2..=4 => {
                let name = self.chance.pick(&AGGREGATES);
                let field = match name {
                    "count" | "mode" => self.chance.pick(&FIELDS),
                    _ => self.chance.pick(&NUMBERS),
                };
                format!("{name}({field})")
            }
            _ => {
                let name = self.chance.pick(&SELECTORS);
                let field = match name {
                    "first" | "last" => self.chance.pick(&FIELDS),
                    _ => self.chance.pick(&NUMBERS),
                };
                format!("{name}({field})")
            }
        }
    }

    fn calls(&mut self) -> String {
        match self.chance.below(9) {
            0 => format!("{}, {}", self.call(), self.call()),
            1 => format!("{} + {}", self.call(), self.call()),
            2 => format!("{}(*)", self.chance.pick(&["mean", "count", "first", "max", "sum"])),
            3 => format!("{} AS x", self.call()),
            4 => format!("{} * 2, {}", self.call(), self.call()),
            5 => format!("{}(f), host", self.chance.pick(&SELECTORS)),
            _ => self.call(),
        }
    }

    fn aggregated(&mut self) -> String {
        let (calls, from) = (self.calls(), self.measurement());
        let with_windows = self.chance.one_in(2);
        let filter = self.filter(with_windows);
        let windows = with_windows.then(|| self.windows());
        let group = self.group_by(windows);
        let fill = if with_windows { self.chance.pick(&FILLS) } else { "" };
        let end = self.end(true);
        format!("SELECT {calls} FROM {from}{filter}{group}{fill}{end}")
    }

    fn several(&mut self) -> String {
        let field = self.chance.pick(&NUMBERS);
        let count = 1 + self.chance.below(5);
        let call = match self.chance.below(5) {
            0 => format!("distinct({})", self.chance.pick(&FIELDS)),
            1 => format!("top({field}, host, {count})"),
            2 => format!("bottom({field}, {count})"),
            3 => format!("bottom({field}, region, {count}), i"),
            _ => format!("top({field}, {count})"),
        };
        let with_windows = self.chance.one_in(3);
        let filter = self.filter(with_windows);
        let windows = with_windows.then(|| self.windows());
        let group = self.group_by(windows);
        format!("SELECT {call} FROM m{filter}{group}")
    }

    fn transformation(&mut self, of: &str) -> String {
        match self.chance.below(7) {
            0 => format!("moving_average({of}, {})", 2 + self.chance.below(4)),
            1 => format!("derivative({of}, {})", self.chance.pick(&["1s", "10s", "1m"])),
            _ => format!("{}({of})", self.chance.pick(&TRANSFORMATIONS)),
        }
    }

    fn transformed(&mut self) -> String {
        let with_windows = self.chance.one_in(2);
        let field = self.chance.pick(&NUMBERS);
        let of = match with_windows {
            true => {
                let name = self.chance.pick(&["mean", "sum", "max", "last", "count"]);
                format!("{name}({field})")
            }
            false => field.to_owned(),
        };
        let mut call = self.transformation(&of);
        match self.chance.below(6) {
            0 => call.push_str(" * 2"),
            1 if with_windows => call = format!("{call}, {of}"),
            _ => {}
        }
        let filter = self.filter(with_windows);
        let windows = with_windows.then(|| self.windows());
        let group = self.group_by(windows);
        let fill = if with_windows { self.chance.pick(&FILLS) } else { "" };
        let end = self.end(false);
        format!("SELECT {call} FROM m{filter}{group}{fill}{end}")
    }

    fn analysed(&mut self) -> String {
        let with_windows = self.chance.one_in(3);
        let of = match with_windows {
            true => format!("mean({})", self.chance.pick(&NUMBERS)),
            false => self.chance.pick(&NUMBERS).to_owned(),
        };
        let name = self.chance.pick(&ANALYSES);
        let mut arguments = format!("{of}, {}", 2 + self.chance.below(6));
        if self.chance.one_in(3) {
            arguments.push_str(&format!(", {}", 1 + self.chance.below(8)));
            if !name.starts_with("kaufmans") && self.chance.one_in(2) {
                arguments.push_str(self.chance.pick(&[", 'simple'", ", 'exponential'"]));
            }
        }
        let filter = self.filter(with_windows);
        let windows = with_windows.then(|| self.windows());
        let group = self.group_by(windows);
        format!("SELECT {name}({arguments}) FROM m{filter}{group}")
    }

    fn forecast(&mut self) -> String {
        let name = self.chance.pick(&["holt_winters", "holt_winters_with_fit"]);
        let season = self.chance.pick(&[0, 0, 2, 4]);
        let call = format!("{name}(mean(f), {}, {season})", 1 + self.chance.below(6));
        let filter = self.filter(true);
        let windows = format!("time({})", self.chance.pick(&["5m", "10m", "7m"]));
        let group = self.group_by(Some(windows));
        format!("SELECT {call} FROM m{filter}{group}")
    }

    fn listed(&mut self) -> String {
        let from = self.chance.pick(&["", " FROM m", " FROM /^[mg]$/", " FROM nope"]);
        let bounds = self.chance.pick(&["", "", " LIMIT 1", " LIMIT 2 OFFSET 1"]);
        match self.chance.below(6) {
            0 => format!("SHOW MEASUREMENTS{bounds}"),
            1 => format!("SHOW TAG KEYS{from}{bounds}"),
            2 => format!("SHOW FIELD KEYS{from}{bounds}"),
            3 => {
                let key = self.chance.pick(&["= host", "IN (host, region)", "=~ /./", "!= host"]);
                format!("SHOW TAG VALUES{from} WITH KEY {key} WHERE time > 0{bounds}")
            }
            4 => format!("SHOW SERIES{from}{bounds}"),
            _ => "SHOW MEASUREMENTS WITH MEASUREMENT =~ /m|g/".to_owned(),
        }
    }

    fn odd(&mut self) -> String {
        let texts = [
            "SELECT nope FROM m",
            "SELECT f, nope FROM m WHERE host = 'a'",
            "SELECT host FROM m",
            "SELECT mean(f), f FROM m",
            "SELECT mean(nope) FROM m",
            "SELECT mean(host) FROM m",
            "SELECT f FROM m WHERE nope = 'x'",
            "SELECT f FROM m WHERE nope = ''",
            "SELECT f FROM m WHERE time > 0 AND host = \"a\"",
            "SELECT f::integer FROM m WHERE host = 'a'",
            "SELECT i::float FROM m WHERE host = 'a'",
            "SELECT f FROM m WHERE host > 'a'",
            "SELECT count(f) FROM g GROUP BY *",
            "SELECT f, i FROM g GROUP BY * ORDER BY time DESC",
            "SELECT max(f) - min(f) FROM m GROUP BY host",
            "SELECT mean(f) / count(f) FROM m GROUP BY region",
            "SELECT mean(f) FROM m WHERE time >= '2020-01-01' AND time < '2020-01-02' \
             GROUP BY time(6h) tz('Europe/Berlin')",
            "SELECT last(f), last(i) FROM m GROUP BY host",
            "SELECT sum(f) FROM m WHERE f > 1000",
            "SELECT difference(f), f FROM m",
            "SELECT top(f, 0) FROM m",
            "SELECT mean(f) FROM m GROUP BY time(10m)",
            "SELECT f FROM m GROUP BY time(10m)",
            "SELECT first(s), last(s) FROM m WHERE time > 0 GROUP BY host",
            "SELECT count(*) FROM n",
            "SELECT f FROM m WHERE f = 1.5 OR f = 2 OR i = 3",
        ];
        self.chance.pick(&texts).to_owned()
    }
}
