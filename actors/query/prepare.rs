//! Statements and tables before anything is read: for clients that ask for columns first.

use super::catalog_view::CATALOG;
use super::statement;
use super::view::View;
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
use protocols::messages::query::{Language, ListedTable, PlanStatement, PlannedStatement};
use std::collections::HashMap;
use std::sync::Arc;

/// What is known about a statement.
///
/// # Errors
/// When it cannot be planned.
pub(super) async fn describe(view: &View, message: PlanStatement) -> Result<PlannedStatement> {
    let PlanStatement { mut statement, to_prepare } = message;
    let session = view.session();
    let mut names = Vec::new();
    if statement.language == Language::Sql {
        (statement.text, names) = number_placeholders(statement.text);
    }
    let plan = statement::logical(view, &session, &statement).await?;
    let placeholders = placeholders(&plan, names)?;
    let plan = match to_prepare {
        true => plan,
        false => statement::bound(plan, &statement)?,
    };
    let open = to_prepare && !placeholders.is_empty();
    let schema = columns(&session, plan, open)?;
    Ok(PlannedStatement { schema, text: statement.text, placeholders })
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

/// The tables that a statement could name.
///
/// # Errors
/// When one of them cannot be opened.
pub(super) async fn tables(view: &View) -> Result<Vec<ListedTable>> {
    let catalogs = Arc::clone(&view.catalogs);
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
        if known == Some(TableType::Temporary) {
            continue; // a deleted one: no tool is to offer it
        }
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
