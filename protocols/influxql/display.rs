//! A tree as text that is read as the same tree.

use super::ast::{
    Bounds, Cast, Counted, Dimension, Explain, Expr, Field, Fill, KeyMatch, Literal, Logic,
    Measurement, MeasurementMatch, MeasurementName, Op, Order, PolicySettings, Select, Show,
    ShowWhat, Source, Statement, WildcardKind,
};
use super::lexer::{UNITS, is_bare};
use std::fmt::{self, Display, Formatter, Write};

/// How strongly a part binds that needs no parentheses anywhere.
const BINDS_ALWAYS: u8 = 7;
const BINDS_SIGN: u8 = 6;

/// A duration in the units that it is written in: `1h30m`.
pub fn format_duration(ns: i64) -> String {
    let mut text = String::new();
    let mut rest = ns;
    for unit in ["w", "d", "h", "m", "s", "ms", "u", "ns"] {
        let length = UNITS.iter().find(|(name, _)| *name == unit).map_or(1, |(_, ns)| *ns);
        if rest / length > 0 {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    match text.is_empty() {
        true => "0s".to_owned(),
        false => text,
    }
}

/// A name, quoted if it has to be.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match is_bare(self.0) {
            true => f.write_str(self.0),
            false => quoted(f, self.0, '"'),
        }
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    f.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\n' => f.write_str("\\n")?,
            '\\' => f.write_str("\\\\")?,
            c if c == quote => write!(f, "\\{c}")?,
            c => f.write_char(c)?,
        }
    }
    f.write_char(quote)
}

struct Pattern<'a>(&'a str);

impl Display for Pattern<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.0.replace('/', "\\/"))
    }
}

/// Parts with a comma between them.
fn list<T: Display>(f: &mut Formatter<'_>, parts: impl IntoIterator<Item = T>) -> fmt::Result {
    for (at, part) in parts.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{part}")?;
    }
    Ok(())
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Select(select) => write!(f, "{select}"),
            Self::Explain(explain) => {
                let Explain { analyze, verbose, statement } = explain.as_ref();
                let analyze = if *analyze { "ANALYZE " } else { "" };
                let verbose = if *verbose { "VERBOSE " } else { "" };
                write!(f, "EXPLAIN {analyze}{verbose}{statement}")
            }
            Self::Show(show) => write!(f, "{show}"),
            Self::CreateDatabase { name, policy } => {
                write!(f, "CREATE DATABASE {}", Name(name))?;
                match *policy == PolicySettings::default() {
                    true => Ok(()),
                    false => write!(f, " WITH{policy}"),
                }
            }
            Self::DropDatabase { name } => write!(f, "DROP DATABASE {}", Name(name)),
            Self::DropMeasurement { name } => write!(f, "DROP MEASUREMENT {}", Name(name)),
            Self::CreatePolicy { name, on, settings } => {
                let (name, on) = (Name(name), Name(on));
                write!(f, "CREATE RETENTION POLICY {name} ON {on}{settings}")
            }
            Self::AlterPolicy { name, on, settings } => {
                let (name, on) = (Name(name), Name(on));
                write!(f, "ALTER RETENTION POLICY {name} ON {on}{settings}")
            }
            Self::DropPolicy { name, on } => {
                write!(f, "DROP RETENTION POLICY {} ON {}", Name(name), Name(on))
            }
            Self::DropSeries { from, condition } => {
                f.write_str("DROP SERIES")?;
                from_clause(f, from)?;
                where_clause(f, condition.as_ref())
            }
            Self::Delete { from, condition } => {
                f.write_str("DELETE")?;
                from_clause(f, from)?;
                where_clause(f, condition.as_ref())
            }
        }
    }
}

impl Display for PolicySettings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let duration = |ns: i64| match ns {
            0 => "INF".to_owned(),
            ns => format_duration(ns),
        };
        if let Some(ns) = self.duration_ns {
            write!(f, " DURATION {}", duration(ns))?;
        }
        if let Some(count) = self.replication {
            write!(f, " REPLICATION {count}")?;
        }
        if let Some(ns) = self.shard_duration_ns {
            write!(f, " SHARD DURATION {}", duration(ns))?;
        }
        if let Some(name) = &self.name {
            write!(f, " NAME {}", Name(name))?;
        }
        f.write_str(if self.is_default { " DEFAULT" } else { "" })
    }
}

fn from_clause(f: &mut Formatter<'_>, from: &[Source]) -> fmt::Result {
    if from.is_empty() {
        return Ok(());
    }
    f.write_str(" FROM ")?;
    list(f, from)
}

fn where_clause(f: &mut Formatter<'_>, condition: Option<&Expr>) -> fmt::Result {
    match condition {
        Some(condition) => write!(f, " WHERE {condition}"),
        None => Ok(()),
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        list(f, &self.fields)?;
        from_clause(f, &self.from)?;
        where_clause(f, self.condition.as_ref())?;
        if !self.dimensions.is_empty() {
            f.write_str(" GROUP BY ")?;
            list(f, &self.dimensions)?;
        }
        match self.fill {
            None => {}
            Some(Fill::Null) => f.write_str(" FILL(NULL)")?,
            Some(Fill::None) => f.write_str(" FILL(NONE)")?,
            Some(Fill::Previous) => f.write_str(" FILL(PREVIOUS)")?,
            Some(Fill::Linear) => f.write_str(" FILL(LINEAR)")?,
            Some(Fill::Integer(value)) => write!(f, " FILL({value})")?,
            Some(Fill::Float(value)) => write!(f, " FILL({value:?})")?,
        }
        match self.order {
            None => {}
            Some(Order::Ascending) => f.write_str(" ORDER BY time ASC")?,
            Some(Order::Descending) => f.write_str(" ORDER BY time DESC")?,
        }
        write!(f, "{}", self.bounds)?;
        if let Some(zone) = &self.zone {
            f.write_str(" TZ(")?;
            quoted(f, zone, '\'')?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl Display for Bounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bounds = [
            ("LIMIT", self.limit),
            ("OFFSET", self.offset),
            ("SLIMIT", self.slimit),
            ("SOFFSET", self.soffset),
        ];
        for (word, bound) in bounds {
            if let Some(bound) = bound {
                write!(f, " {word} {bound}")?;
            }
        }
        Ok(())
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expr)?;
        match &self.alias {
            Some(alias) => write!(f, " AS {}", Name(alias)),
            None => Ok(()),
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subquery(select) => write!(f, "({select})"),
            Self::Measurement(measurement) => write!(f, "{measurement}"),
        }
    }
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{}.", Name(database))?;
        }
        if let Some(policy) = &self.policy {
            write!(f, "{}", Name(policy))?;
        }
        if self.database.is_some() || self.policy.is_some() {
            f.write_str(".")?;
        }
        match &self.name {
            MeasurementName::Name(name) => write!(f, "{}", Name(name)),
            MeasurementName::Regex(pattern) => write!(f, "{}", Pattern(pattern)),
        }
    }
}

impl Display for Dimension {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(name) => write!(f, "{}", Name(name)),
            Self::Wildcard => f.write_str("*"),
            Self::Regex(pattern) => write!(f, "{}", Pattern(pattern)),
            Self::Time { interval, offset: None } => write!(f, "TIME({interval})"),
            Self::Time { interval, offset: Some(offset) } => {
                write!(f, "TIME({interval}, {offset})")
            }
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => write!(f, "{literal}"),
            Self::Bind(name) => {
                f.write_str("$")?;
                match name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                    && !name.is_empty()
                {
                    true => f.write_str(name),
                    false => quoted(f, name, '"'),
                }
            }
            Self::Variable { name, cast } => {
                write!(f, "{}", Name(name))?;
                match cast {
                    Some(cast) => write!(f, "::{}", cast.name()),
                    None => Ok(()),
                }
            }
            Self::Wildcard(None) => f.write_str("*"),
            Self::Wildcard(Some(WildcardKind::Tag)) => f.write_str("*::tag"),
            Self::Wildcard(Some(WildcardKind::Field)) => f.write_str("*::field"),
            Self::Distinct(name) => write!(f, "DISTINCT {}", Name(name)),
            Self::Call { name, args } => {
                write!(f, "{name}(")?;
                list(f, args)?;
                f.write_str(")")
            }
            Self::Negative(operand) => {
                // Two signs in a row would begin a comment.
                f.write_str("-")?;
                operand.within(f, BINDS_SIGN + 1)
            }
            Self::Binary { op, left, right } => {
                // What stands left of an operator of the same kind needs no parentheses.
                let binding = op.binding();
                left.within(f, if op.is_comparison() { binding + 1 } else { binding })?;
                write!(f, " {op} ")?;
                right.within(f, binding + 1)
            }
            Self::Logical { logic, operands } => {
                let word = match logic {
                    Logic::And => " AND ",
                    Logic::Or => " OR ",
                };
                for (at, operand) in operands.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { word })?;
                    operand.within(f, self.binding() + 1)?;
                }
                Ok(())
            }
        }
    }
}

impl Expr {
    fn binding(&self) -> u8 {
        match self {
            Self::Logical { logic: Logic::Or, .. } => 1,
            Self::Logical { logic: Logic::And, .. } => 2,
            Self::Binary { op, .. } => op.binding(),
            Self::Negative(_) => BINDS_SIGN,
            _ => BINDS_ALWAYS,
        }
    }

    /// Writes it where only what binds at least so strongly can stand without parentheses.
    fn within(&self, f: &mut Formatter<'_>, binding: u8) -> fmt::Result {
        match self.binding() < binding {
            true => write!(f, "({self})"),
            false => write!(f, "{self}"),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::String(value) => quoted(f, value, '\''),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Duration(ns) => f.write_str(&format_duration(*ns)),
            Self::Regex(pattern) => write!(f, "{}", Pattern(pattern)),
        }
    }
}

impl Cast {
    fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Field => "field",
            Self::Tag => "tag",
        }
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::BitAnd => "&",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::BitOr => "|",
            Self::BitXor => "^",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        })
    }
}

impl Display for Show {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.what {
            ShowWhat::Databases => "SHOW DATABASES",
            ShowWhat::RetentionPolicies => "SHOW RETENTION POLICIES",
            ShowWhat::Measurements(_) => "SHOW MEASUREMENTS",
            ShowWhat::TagKeys => "SHOW TAG KEYS",
            ShowWhat::FieldKeys => "SHOW FIELD KEYS",
            ShowWhat::TagValues(_) => "SHOW TAG VALUES",
            ShowWhat::Series => "SHOW SERIES",
            ShowWhat::Cardinality { of, .. } => match of {
                Counted::Series => "SHOW SERIES",
                Counted::Measurements => "SHOW MEASUREMENT",
                Counted::TagKeys => "SHOW TAG KEY",
                Counted::FieldKeys => "SHOW FIELD KEY",
                Counted::TagValues(_) => "SHOW TAG VALUES",
            },
        })?;
        if let ShowWhat::Cardinality { exact, .. } = &self.what {
            f.write_str(if *exact { " EXACT CARDINALITY" } else { " CARDINALITY" })?;
        }
        match self.on.as_deref() {
            None => {}
            Some("*") => f.write_str(" ON *")?,
            Some(database) => write!(f, " ON {}", Name(database))?,
        }
        from_clause(f, &self.from)?;
        match &self.what {
            ShowWhat::Measurements(Some(MeasurementMatch::Is(name))) => {
                write!(f, " WITH MEASUREMENT = {}", Name(name))?;
            }
            ShowWhat::Measurements(Some(MeasurementMatch::Matches(pattern))) => {
                write!(f, " WITH MEASUREMENT =~ {}", Pattern(pattern))?;
            }
            ShowWhat::TagValues(keys)
            | ShowWhat::Cardinality { of: Counted::TagValues(keys), .. } => {
                write!(f, " WITH KEY {keys}")?;
            }
            _ => {}
        }
        where_clause(f, self.condition.as_ref())?;
        write!(f, "{}", self.bounds)
    }
}

impl Display for KeyMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(key) => write!(f, "= {}", Name(key)),
            Self::IsNot(key) => write!(f, "!= {}", Name(key)),
            Self::Matches(pattern) => write!(f, "=~ {}", Pattern(pattern)),
            Self::MatchesNot(pattern) => write!(f, "!~ {}", Pattern(pattern)),
            Self::In(keys) => {
                f.write_str("IN (")?;
                list(f, keys.iter().map(|key| Name(key)))?;
                f.write_str(")")
            }
        }
    }
}
