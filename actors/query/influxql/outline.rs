//! What a SELECT statement asks for, once the columns of its sources are known.

use super::calls::{self, Calls, Class};
use super::expand::{self, Item, variables};
use super::faults::{inconsistent, meaningless};
use super::kind::Kind;
use super::outer::Outer;
use super::placeholders::{Instant, instant, instant_of};
use super::relation::{Columns, Relation};
use super::time_range::{Clock, TimeRange, Windows, split};
use datafusion::error::Result;
use datafusion::logical_expr::Expr as Engine;
use protocols::influxql::{Bounds, Dimension, Expr, Fill, Literal, Order, Select};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// What is known before the sources are.
pub(super) struct Frame {
    /// `WHERE` without its comparisons of time.
    pub(super) condition: Option<Expr>,
    /// The instants that the statement is about.
    pub(super) range: TimeRange,
    /// The instants whose rows are read for that.
    pub(super) read: TimeRange,
    /// `GROUP BY time(…)`
    pub(super) windows: Option<Windows>,
    /// The time zone of its times.
    pub(super) zone: Option<Arc<str>>,
    /// The number of the first of its placeholders, where values are left open.
    slots: Option<usize>,
}

impl Frame {
    /// Looks at what a statement says of time.
    ///
    /// `own` is the range of time of a statement without comparisons of time, and the number of the
    /// first placeholder for what follows from it.
    pub(super) fn new(
        select: &Select,
        outer: &Outer,
        now_ns: i64,
        own: Option<(TimeRange, usize)>,
    ) -> Result<Self> {
        let slots = own.map(|(_, first)| first);
        let zone: Option<Arc<str>> = match &select.zone {
            Some(zone) => Some(zone.as_str().into()),
            None => outer.zone.clone(),
        };
        let clock = Clock { now_ns, zone: zone.as_deref() };
        let (condition, own) = match (&select.condition, own) {
            (condition, Some((own, _))) => (condition.clone(), own),
            (Some(condition), None) => split(condition, clock)?,
            (None, None) => (None, TimeRange::default()),
        };
        let mut range = own.and(outer.range);
        let mut windows = None;
        for dimension in &select.dimensions {
            if let Dimension::Time { interval, offset } = dimension {
                let read = Windows::read(interval, offset.as_ref(), clock)?;
                if windows.replace(read).is_some() {
                    return Err(meaningless("multiple time dimensions not allowed"));
                }
            }
        }
        let mut read = range;
        if let Some(windows) = &windows {
            range.last_ns = range.last_ns.or(Some(now_ns));
            read = range;
            let before = select.fields.iter().map(|field| windows_before(&field.expr)).max();
            if let (Some(first), Some(before @ 1..)) = (range.first_ns, before) {
                let earlier = windows.interval_ns.saturating_mul(before);
                read.first_ns = Some(first.saturating_sub(earlier));
            }
        }
        Ok(Self { condition, range, read, windows, zone, slots })
    }

    /// The first instant that the statement is about; 1970 without one.
    pub(super) fn first(&self) -> Engine {
        match self.range.first_ns {
            Some(first) => self.instant(Instant::First, first),
            None => instant(0),
        }
    }

    /// The first and the last instant whose rows are read.
    pub(super) fn reads(&self) -> [Option<Engine>; 2] {
        let first = self.read.first_ns.map(|ns| self.instant(Instant::ReadFirst, ns));
        [first, self.read.last_ns.map(|ns| self.instant(Instant::ReadLast, ns))]
    }

    /// The start of the first window, if there is a first one.
    ///
    /// # Errors
    /// When the time zone is unknown.
    pub(super) fn start(&self) -> Result<Option<Engine>> {
        let (Some(windows), Some(first)) = (&self.windows, self.range.first_ns) else {
            return Ok(None);
        };
        let start = windows.start(first, self.zone.as_deref())?;
        Ok(Some(self.instant(Instant::Start, start)))
    }

    /// True if the instants are left open.
    pub(super) fn is_open(&self) -> bool {
        self.slots.is_some()
    }

    fn instant(&self, what: Instant, ns: i64) -> Engine {
        self.slots.map_or_else(|| instant(ns), |first| instant_of(first, what))
    }
}

/// How many windows in front of the range have to be read for an expression.
fn windows_before(expr: &Expr) -> i64 {
    match expr {
        Expr::Call { name, args } => {
            let inner = args.iter().map(windows_before).max().unwrap_or(0);
            let own = match (calls::class(name), name.as_str(), args.get(1)) {
                (Ok(Class::Transformation), "cumulative_sum", _) => 0,
                (
                    Ok(Class::Transformation),
                    "moving_average",
                    Some(Expr::Literal(Literal::Integer(n))),
                ) => *n,
                (Ok(Class::Transformation), ..) => 1,
                _ => 0,
            };
            inner.saturating_add(own)
        }
        Expr::Negative(operand) => windows_before(operand),
        Expr::Binary { left, right, .. } => windows_before(left).max(windows_before(right)),
        _ => 0,
    }
}

/// Limit: more rows of a series than this are not kept in memory while others come.
const WANTED_MAX: u64 = 100_000;

/// How rows are cut.
pub(super) enum Way {
    /// They are not.
    All,
    /// None is shown.
    Nothing,
    /// By an operator that keeps what is shown.
    Series,
    /// By their numbers in their order.
    Numbers,
}

/// What a SELECT statement asks for.
pub(super) struct Outline {
    pub(super) frame: Frame,
    /// The columns of the result.
    pub(super) items: Vec<Item>,
    /// Their names, each once.
    pub(super) names: Vec<String>,
    /// The name of the time of the result.
    pub(super) time_name: String,
    /// What is grouped by, in the order of the names.
    pub(super) tags: Vec<String>,
    /// Further tags that rows of one time are ordered by.
    pub(super) keys: Vec<String>,
    /// The calls of all columns.
    pub(super) calls: Calls,
    /// What the names of the sources are.
    pub(super) columns: Columns,
    pub(super) fill: Fill,
    pub(super) descending: bool,
    pub(super) bounds: Bounds,
    /// True if rows of one time are put in order by what cuts series, and by nothing else.
    is_cut: bool,
    /// True if the result is rows as they are, all of them, in order.
    pub(super) is_rows: bool,
}

impl Outline {
    /// Looks at all of a statement. `sources` are its measurements.
    pub(super) fn new(
        select: &Select,
        outer: &Outer,
        frame: Frame,
        columns: Columns,
        sources: &BTreeMap<String, Vec<Relation>>,
    ) -> Result<Self> {
        let tags = expand::tags(select, &columns, &outer.tags(&columns)?)?;
        let expand::Items { items, time_name } = expand::items(select, &columns, &tags)?;
        let calls = calls::calls(&items, frame.windows.is_some())?;
        if calls.is_raw() && frame.windows.is_some() {
            return Err(inconsistent("GROUP BY requires at least one aggregate function"));
        }
        let gathers = !calls.aggregates.is_empty();
        if calls.is_raw() && matches!(select.fill, Some(Fill::None | Fill::Linear)) {
            let fill = match select.fill {
                Some(Fill::None) => "none",
                _ => "linear",
            };
            let text = format!("FILL({fill}) must be used with an aggregate or selector function");
            return Err(inconsistent(text));
        }
        let mut keys: Vec<String> = Vec::new();
        let takes_order =
            calls.aggregates.iter().any(is_integral) || end_of(&calls, &frame).is_some();
        if (!gathers || takes_order) && calls.distinct.is_none() {
            for tag in sources.values().flatten().flat_map(|relation| &relation.tags) {
                if !tags.contains(tag) && !keys.contains(tag) {
                    keys.push(tag.clone());
                }
            }
        }
        let default = if outer.is_inside { Fill::None } else { Fill::Null };
        let names = unique(&items, &time_name, &tags);
        let outline = Self {
            names,
            items,
            time_name,
            tags,
            keys,
            calls,
            columns,
            fill: select.fill.unwrap_or(default),
            descending: select.order == Some(Order::Descending),
            bounds: select.bounds,
            frame,
            is_cut: false,
            is_rows: false,
        };
        // Where there are several measurements their rows are sorted once more.
        let is_plain = sources.len() == 1 && outline.calls.is_raw() && !outline.fills_rows();
        let way = outline.way(outline.fields().len());
        let cuts_rows = is_plain && matches!(way, Way::Series);
        Ok(Self {
            is_cut: cuts_rows || outline.end().is_some(),
            is_rows: is_plain && matches!(way, Way::All) && !outer.is_inside,
            ..outline
        })
    }

    /// How the rows of a statement are cut, if `fields` of its columns are cut each on its own.
    pub(super) fn way(&self, fields: usize) -> Way {
        let bounds = self.bounds;
        let of_all = self.tags.is_empty();
        let skips_all = of_all && bounds.soffset.is_some_and(|skipped| skipped > 0);
        if bounds.limit == Some(0) || bounds.slimit == Some(0) || skips_all {
            return Way::Nothing;
        }
        let cuts_series = !of_all && (bounds.slimit.is_some() || bounds.soffset.is_some());
        if bounds.limit.is_none() && bounds.offset.is_none() && !cuts_series {
            return Way::All;
        }
        // Windows in order of time, those of all rows: the newest can be had without the others.
        let wanted = bounds.limit.map(|limit| limit.saturating_add(bounds.offset.unwrap_or(0)));
        let is_plain = of_all && fields == 0;
        let is_few = match wanted {
            Some(wanted) => wanted <= WANTED_MAX,
            None => cuts_series && bounds.slimit.is_some(),
        };
        if is_few && !is_plain { Way::Series } else { Way::Numbers }
    }

    /// How many columns rows of one time are ordered by. Several tags make one key, unless few rows
    /// are likely to be ordered.
    pub(super) fn key_columns(&self) -> usize {
        match self.is_cut || self.is_rows {
            true => self.keys.len(),
            false => self.keys.len().min(1),
        }
    }

    /// The keys that have a column of their own. Rows as they are may show a tag anyway.
    pub(super) fn own_keys(&self) -> impl Iterator<Item = usize> {
        (0..self.key_columns()).filter(|at| self.shown_key(*at).is_none())
    }

    /// The column of the result that is the same as a key.
    pub(super) fn shown_key(&self, at: usize) -> Option<usize> {
        let shows = self.is_rows || (self.is_cut && self.calls.is_raw());
        let is_key = |item: &Item| {
            let key = &self.keys[at];
            matches!(&item.expr, Expr::Variable { name, cast: None } if name == key)
        };
        self.items.iter().position(is_key).filter(|_| shows)
    }

    /// True if rows of one time are ordered in the result, too: what was gathered has no such rows,
    /// and what cuts series yields them in order.
    pub(super) fn has_keys(&self) -> bool {
        self.calls.aggregates.is_empty() && !self.is_cut
    }

    /// True if the result has no more than a row of each series.
    pub(super) fn has_one_row(&self) -> bool {
        !self.calls.aggregates.is_empty() && self.frame.windows.is_none()
    }

    /// The columns of the result that are made of fields.
    pub(super) fn fields(&self) -> Vec<usize> {
        (0..self.items.len()).filter(|at| self.has_field(&self.items[*at])).collect()
    }

    /// True if nulls of rows become what `FILL` names.
    pub(super) fn fills_rows(&self) -> bool {
        matches!(self.fill, Fill::Integer(_) | Fill::Float(_)) && !self.calls.transforms
    }

    /// True if nothing but the newest values of fields is asked for, false if it is the oldest.
    pub(super) fn end(&self) -> Option<bool> {
        end_of(&self.calls, &self.frame).map(|name| name == "last")
    }

    /// What a column of the sources is.
    pub(super) fn kind(&self, name: &str) -> Kind {
        self.columns.get(name).copied().unwrap_or(Kind::Null)
    }

    /// True for columns of the result that are made of fields.
    pub(super) fn has_field(&self, item: &Item) -> bool {
        let mut found = Vec::new();
        variables(&item.expr, &mut found);
        found.iter().any(|name| self.kind(name).is_field())
    }

    /// The place of a tag among the columns of the result, if it is selected as it is.
    pub(super) fn selected(&self, tag: &str) -> Option<usize> {
        let is = |item: &Item| {
            !item.is_brought && matches!(&item.expr, Expr::Variable { name, .. } if name == tag)
        };
        self.items.iter().position(|item| is(item) && item.name == tag)
    }

    /// The columns that any of the results takes its values from, each once.
    pub(super) fn variables(&self) -> Vec<Expr> {
        let mut found = Vec::new();
        self.items.iter().for_each(|item| gather(&item.expr, &mut found));
        found
    }
}

/// The name of the only selector of all calls, if it is one that takes rows from an end of time.
fn end_of<'a>(calls: &'a Calls, frame: &Frame) -> Option<&'a str> {
    let mut names = calls.aggregates.iter().map(|call| match call {
        Expr::Call { name, .. } => name.as_str(),
        _ => "",
    });
    let name = names.next().filter(|name| matches!(*name, "first" | "last"))?;
    (frame.windows.is_none() && names.all(|other| other == name)).then_some(name)
}

/// True for the area below the line through the points, for which their order matters.
fn is_integral(call: &Expr) -> bool {
    matches!(call, Expr::Call { name, .. } if name == "integral")
}

fn gather(expr: &Expr, found: &mut Vec<Expr>) {
    match expr {
        Expr::Variable { .. } if !found.contains(expr) => found.push(expr.clone()),
        Expr::Distinct(name) => {
            gather(&Expr::Variable { name: name.clone(), cast: None }, found);
        }
        Expr::Negative(operand) => gather(operand, found),
        Expr::Binary { left, right, .. } => {
            gather(left, found);
            gather(right, found);
        }
        Expr::Call { name, .. } if name == "date_part" => {}
        Expr::Call { args, .. } => args.iter().for_each(|arg| gather(arg, found)),
        _ => {}
    }
}

/// The names of the columns; one that was there before gets a number.
fn unique(items: &[Item], time_name: &str, tags: &[String]) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::from([MEASUREMENT.to_owned(), time_name.to_owned()]);
    let is_selected = |tag: &String| {
        items.iter().any(|item| {
            !item.is_brought
                && item.name == *tag
                && matches!(&item.expr, Expr::Variable { name, .. } if name == tag)
        })
    };
    taken.extend(tags.iter().filter(|tag| !is_selected(tag)).cloned());
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        let mut name = item.name.clone();
        let mut number = 0;
        while taken.contains(&name) {
            number += 1;
            name = format!("{}_{number}", item.name);
        }
        taken.insert(name.clone());
        names.push(name);
    }
    names
}

/// The name of the column with the measurement of a row.
pub(super) const MEASUREMENT: &str = "iox::measurement";
