//! Statements and tables before anything is read: for clients that ask for columns first.

use super::catalog_view::Catalogs;
use super::session::CATALOG;
use super::{errors, guard, params};
use crate::runtime::mailbox::Responder;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::information_schema::{INFORMATION_SCHEMA, InformationSchemaProvider};
use datafusion::catalog::{CatalogProviderList, SchemaProvider};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};
use futures::FutureExt;
use protocols::messages::query::{ListTables, ListedTable, PlanSql, PlannedSql, RunSql};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Answers with what is known about a statement.
pub(super) async fn plan(session: SessionState, message: PlanSql, reply: Responder<PlanSql>) {
    let planned = AssertUnwindSafe(planned(&session, message)).catch_unwind().await;
    reply.answer(match planned {
        Ok(planned) => planned.map_err(|error| errors::from_engine(&error)),
        Err(_) => Err(errors::panicked()),
    });
}

async fn planned(session: &SessionState, message: PlanSql) -> Result<PlannedSql> {
    let PlanSql { query: RunSql { text, params, .. }, to_prepare } = message;
    let (text, names) = number_placeholders(text);
    let statement = guard::parse(session, &text)?;
    let plan = session.statement_to_plan(statement).await?;
    guard::verify(&plan)?;
    let placeholders = placeholders(&plan, names)?;
    let plan = match to_prepare {
        true => plan,
        false => params::bind(plan, &text, &params)?,
    };
    let open = to_prepare && !placeholders.is_empty();
    let schema = columns(session, plan, open)?;
    Ok(PlannedSql { schema, text, placeholders })
}

/// Columns with the types that values are coerced to. A plan with open placeholders need not make
/// sense yet; its types are then told as far as they are known.
fn columns(session: &SessionState, plan: LogicalPlan, open: bool) -> Result<SchemaRef> {
    let known = Arc::clone(plan.schema().inner());
    match session.analyzer().execute_and_check(plan, session.config_options(), |_, _| {}) {
        Ok(plan) => Ok(Arc::clone(plan.schema().inner())),
        Err(_) if open => Ok(known),
        Err(error) => Err(error),
    }
}

/// Numbers every `?` from left to right; returns all placeholders too, in the order of the text.
fn number_placeholders(text: String) -> (String, Vec<String>) {
    let dialect = GenericDialect {};
    // What is no SQL is told by the parser.
    let Ok(tokens) = Tokenizer::new(&dialect, &text).tokenize_with_location() else {
        return (text, Vec::new());
    };
    let mut names = Vec::new();
    let mut numbered = String::with_capacity(text.len());
    let (mut place, mut copied) = (Place::default(), 0);
    let mut marks = 0;
    for token in tokens {
        let Token::Placeholder(name) = token.token else { continue };
        if name != "?" {
            names.push(name);
            continue;
        }
        marks += 1;
        let name = format!("${marks}");
        let at = place.forward(&text, token.span.start);
        numbered.push_str(&text[copied..at]);
        numbered.push_str(&name);
        copied = at + 1;
        names.push(name);
    }
    numbered.push_str(&text[copied..]);
    (numbered, names)
}

/// A place in a text, counted as the tokenizer does and in bytes.
#[derive(Clone, Copy)]
struct Place {
    location: Location,
    byte: usize,
}

impl Default for Place {
    fn default() -> Self {
        Self { location: Location { line: 1, column: 1 }, byte: 0 }
    }
}

impl Place {
    /// Goes on to `target`; returns its byte, the end of the text at most.
    fn forward(&mut self, text: &str, target: Location) -> usize {
        while (self.location.line, self.location.column) < (target.line, target.column) {
            let Some(c) = text[self.byte..].chars().next() else { break };
            self.byte += c.len_utf8();
            match c {
                '\n' => self.location = Location { line: self.location.line + 1, column: 1 },
                _ => self.location.column += 1,
            }
        }
        self.byte
    }
}

/// The placeholders of a plan with their types as far as these follow from it. `names` are those
/// of the text, in its order.
fn placeholders(plan: &LogicalPlan, names: Vec<String>) -> Result<Vec<(String, Option<DataType>)>> {
    let mut types: HashMap<String, Option<DataType>> = HashMap::new();
    plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(Placeholder { id, field }) = expr {
                    let known = types.entry(id.clone()).or_default();
                    let found = field.as_ref().map(|field| field.data_type().clone());
                    *known = known.take().or(found);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let mut ordered: Vec<(String, Option<DataType>)> = Vec::with_capacity(types.len());
    for name in names {
        if let Some(data_type) = types.remove(&name) {
            ordered.push((name, data_type));
        }
    }
    ordered.extend(types);
    let number = |name: &str| name.trim_start_matches('$').parse::<u64>().unwrap_or(u64::MAX);
    ordered.sort_by_key(|(name, _)| number(name));
    Ok(ordered)
}

/// Answers with the tables that a statement could name.
pub(super) async fn tables(catalogs: Arc<Catalogs>, reply: Responder<ListTables>) {
    let listed = AssertUnwindSafe(listed(catalogs)).catch_unwind().await;
    reply.answer(match listed {
        Ok(listed) => listed.map_err(|error| errors::from_engine(&error)),
        Err(_) => Err(errors::panicked()),
    });
}

async fn listed(catalogs: Arc<Catalogs>) -> Result<Vec<ListedTable>> {
    let mut tables = Vec::new();
    if let Some(catalog) = catalogs.catalog(CATALOG) {
        for name in catalog.schema_names() {
            if let Some(schema) = catalog.schema(&name) {
                list_schema(&name, schema.as_ref(), &mut tables).await?;
            }
        }
    }
    let information = InformationSchemaProvider::new(catalogs);
    let first = tables.len();
    list_schema(INFORMATION_SCHEMA, &information, &mut tables).await?;
    tables[first..].iter_mut().for_each(|table| table.is_view = true);
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    Ok(tables)
}

async fn list_schema(
    schema: &str,
    provider: &dyn SchemaProvider,
    tables: &mut Vec<ListedTable>,
) -> Result<()> {
    for name in provider.table_names() {
        let Some(table) = provider.table(&name).await? else { continue };
        let known = provider.table_type(&name).await?;
        tables.push(ListedTable {
            schema: schema.to_owned(),
            name,
            is_view: known.unwrap_or(table.table_type()) == TableType::View,
            columns: table.schema(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_marks_are_numbered_outside_of_literals() {
        let check = |text: &str, numbered: &str, names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            assert_eq!(number_placeholders(text.to_owned()), (numbered.to_owned(), names));
        };
        check("SELECT ?", "SELECT $1", &["$1"]);
        check("SELECT 'é?' , ?\n, ? -- ?", "SELECT 'é?' , $1\n, $2 -- ?", &["$1", "$2"]);
        check("SELECT \"?\" + $b + $a", "SELECT \"?\" + $b + $a", &["$b", "$a"]);
        check("SELECT 'open", "SELECT 'open", &[]);
        check("", "", &[]);
    }
}
