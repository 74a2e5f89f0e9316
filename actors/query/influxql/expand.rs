//! A SELECT list without wildcards and regular expressions.

use super::condition::compiled;
use super::faults::in_projection;
use super::kind::Kind;
use super::relation::Columns;
use super::time_range::is_time;
use datafusion::error::Result;
use protocols::influxql::{Dimension, Expr, Field, Literal, Select, WildcardKind};
use std::collections::{BTreeSet, HashSet};

/// A column of the result.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its values.
    pub(super) expr: Expr,
    /// Its name, which others may have, too.
    pub(super) name: String,
    /// True for a tag that `top` or `bottom` brings along.
    pub(super) is_brought: bool,
}

impl Item {
    fn new(expr: Expr, name: String) -> Self {
        Self { expr, name, is_brought: false }
    }
}

/// The columns of the result, and the name of its time.
pub(super) struct Items {
    pub(super) items: Vec<Item>,
    pub(super) time_name: String,
}

/// Columns that are grouped by, in the order of their names.
pub(super) fn tags(select: &Select, columns: &Columns, outer: &[String]) -> Result<Vec<String>> {
    let mut tags: BTreeSet<String> = outer.iter().cloned().collect();
    let all = || columns.iter().filter(|(_, kind)| **kind == Kind::Tag).map(|(name, _)| name);
    for dimension in &select.dimensions {
        match dimension {
            Dimension::Tag(name) => {
                tags.insert(name.clone());
            }
            Dimension::Wildcard => tags.extend(all().cloned()),
            Dimension::Regex(pattern) => {
                let regex = compiled(pattern)?;
                tags.extend(all().filter(|name| regex.is_match(name)).cloned());
            }
            Dimension::Time { .. } => {}
        }
    }
    Ok(tags.into_iter().collect())
}

/// Expands the SELECT list over the columns of the sources.
pub(super) fn items(select: &Select, columns: &Columns, tags: &[String]) -> Result<Items> {
    let mut items = Vec::new();
    let mut time_name = "time".to_owned();
    let grouped: HashSet<&String> = tags.iter().collect();
    // Tags that are grouped by are there already. Beside a pattern of such tags no other is shown.
    let shows_tags =
        !select.dimensions.iter().any(|d| matches!(d, Dimension::Wildcard | Dimension::Regex(_)));
    let is_free =
        |name: &String, kind: Kind| (kind != Kind::Tag || shows_tags) && !grouped.contains(name);
    for field in &select.fields {
        if is_time(&field.expr) {
            time_name = field.alias.clone().unwrap_or(time_name);
            continue;
        }
        if matches!(field.expr, Expr::Literal(Literal::Regex(_)) | Expr::Wildcard(_)) {
            let is_of_kind = |kind: Kind| match &field.expr {
                Expr::Wildcard(Some(WildcardKind::Tag)) => kind == Kind::Tag,
                Expr::Wildcard(Some(WildcardKind::Field)) => kind.is_field(),
                _ => true,
            };
            let pattern = pattern(&field.expr)?;
            for (name, kind) in columns {
                let is_kept = is_of_kind(*kind) && is_free(name, *kind);
                if is_kept && pattern.as_ref().is_none_or(|p| p.is_match(name)) {
                    let name = name.clone();
                    let expr = Expr::Variable { name: name.clone(), cast: None };
                    items.push(Item::new(expr, name));
                }
            }
            continue;
        }
        match inner_pattern(&field.expr, "") {
            None => with_columns_of_top(field, &mut items),
            Some((function, of)) => expand_call(field, &function, &of, columns, &mut items)?,
        }
    }
    Ok(Items { items, time_name })
}

fn pattern(expr: &Expr) -> Result<Option<regex::Regex>> {
    match expr {
        Expr::Literal(Literal::Regex(pattern)) => compiled(pattern).map(Some),
        _ => Ok(None),
    }
}

/// `top` and `bottom` show the tags that they take.
fn with_columns_of_top(field: &Field, items: &mut Vec<Item>) {
    let name = field.alias.clone().unwrap_or_else(|| default_name(&field.expr));
    items.push(Item::new(field.expr.clone(), name));
    if let Expr::Call { name, args } = &field.expr
        && matches!(name.as_str(), "top" | "bottom")
        && args.len() > 2
    {
        for arg in &args[1..args.len() - 1] {
            let name = default_name(arg);
            items.push(Item { expr: arg.clone(), name, is_brought: true });
        }
    }
}

/// The wildcard or regular expression inside of a call, and the function that takes it.
fn inner_pattern(expr: &Expr, function: &str) -> Option<(String, Expr)> {
    match expr {
        Expr::Wildcard(_) | Expr::Literal(Literal::Regex(_)) => {
            Some((function.to_owned(), expr.clone()))
        }
        Expr::Call { name, args } => args.first().and_then(|arg| inner_pattern(arg, name)),
        Expr::Negative(operand) => inner_pattern(operand, function),
        Expr::Binary { left, right, .. } => {
            inner_pattern(left, function).or_else(|| inner_pattern(right, function))
        }
        _ => None,
    }
}

fn expand_call(
    field: &Field,
    function: &str,
    of: &Expr,
    columns: &Columns,
    items: &mut Vec<Item>,
) -> Result<()> {
    if matches!(field.expr, Expr::Binary { .. }) {
        let text = "unsupported binary expression: contains a wildcard or regular expression";
        return Err(in_projection(text));
    }
    if matches!(of, Expr::Wildcard(Some(WildcardKind::Tag))) {
        let text = format!("unable to use tag as wildcard in {function}()");
        return Err(in_projection(text));
    }
    let takes = |kind: Kind| match function {
        "count" | "first" | "last" | "distinct" | "elapsed" | "mode" => kind.is_field(),
        "min" | "max" => kind.is_field() && kind != Kind::String,
        _ => kind.is_number(),
    };
    let pattern = pattern(of)?;
    let prefix = field.alias.clone().unwrap_or_else(|| default_name(&field.expr));
    for (name, kind) in columns {
        if takes(*kind) && pattern.as_ref().is_none_or(|p| p.is_match(name)) {
            let column = Expr::Variable { name: name.clone(), cast: None };
            let expr = replaced(&field.expr, &column);
            items.push(Item::new(expr, format!("{prefix}_{name}")));
        }
    }
    Ok(())
}

/// The expression with a column in the place of its wildcard or regular expression.
fn replaced(expr: &Expr, column: &Expr) -> Expr {
    match expr {
        Expr::Wildcard(_) | Expr::Literal(Literal::Regex(_)) => column.clone(),
        Expr::Call { name, args } => {
            let (first, rest) =
                args.split_first().map_or((None, args.as_slice()), |(f, r)| (Some(f), r));
            let first = first.map(|arg| replaced(arg, column));
            let args = first.into_iter().chain(rest.iter().cloned()).collect();
            Expr::Call { name: name.clone(), args }
        }
        Expr::Negative(operand) => Expr::Negative(Box::new(replaced(operand, column))),
        other => other.clone(),
    }
}

/// The name of a column that has none of its own.
fn default_name(expr: &Expr) -> String {
    fn names(expr: &Expr, found: &mut Vec<String>) {
        match expr {
            Expr::Variable { name, .. } | Expr::Call { name, .. } => found.push(name.clone()),
            Expr::Distinct(_) => found.push("distinct".to_owned()),
            Expr::Negative(operand) => names(operand, found),
            Expr::Binary { left, right, .. } => {
                names(left, found);
                names(right, found);
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    names(expr, &mut found);
    found.join("_")
}

/// The columns that an expression takes its values from.
pub(super) fn variables<'a>(expr: &'a Expr, found: &mut Vec<&'a str>) {
    match expr {
        Expr::Variable { name, .. } | Expr::Distinct(name) => found.push(name),
        Expr::Negative(operand) => variables(operand, found),
        Expr::Binary { left, right, .. } => {
            variables(left, found);
            variables(right, found);
        }
        Expr::Call { name, .. } if name == "date_part" => {}
        Expr::Call { args, .. } => args.iter().for_each(|arg| variables(arg, found)),
        _ => {}
    }
}
