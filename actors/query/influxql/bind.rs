//! The values of `$name` parameters in their places.

use super::faults::meaningless;
use datafusion::error::Result;
use protocols::influxql::{Explain, Expr, Field, Literal, Select, Show, Source, Statement};
use protocols::messages::query::ParamValue;

/// A statement with values in the places of its parameters.
///
/// # Errors
/// When a parameter has no value, or one that is no literal.
pub(super) fn statement(
    statement: Statement,
    values: &[(String, ParamValue)],
) -> Result<Statement> {
    Ok(match statement {
        Statement::Select(select) => Statement::Select(Box::new(bound_select(*select, values)?)),
        Statement::Show(show) => {
            let condition = bound_condition(show.condition, values)?;
            Statement::Show(Box::new(Show { condition, ..*show }))
        }
        Statement::Explain(explain) => {
            let Explain { analyze, verbose, statement: inner } = *explain;
            let statement = self::statement(inner, values)?;
            Statement::Explain(Box::new(Explain { analyze, verbose, statement }))
        }
        other => other,
    })
}

fn bound_select(select: Select, values: &[(String, ParamValue)]) -> Result<Select> {
    let field = |field: Field| Ok(Field { expr: bound(field.expr, values)?, ..field });
    let source = |source: Source| {
        Ok(match source {
            Source::Subquery(select) => Source::Subquery(Box::new(bound_select(*select, values)?)),
            other => other,
        })
    };
    Ok(Select {
        fields: select.fields.into_iter().map(field).collect::<Result<_>>()?,
        from: select.from.into_iter().map(source).collect::<Result<_>>()?,
        condition: bound_condition(select.condition, values)?,
        ..select
    })
}

fn bound_condition(
    condition: Option<Expr>,
    values: &[(String, ParamValue)],
) -> Result<Option<Expr>> {
    condition.map(|condition| bound(condition, values)).transpose()
}

fn bound(expr: Expr, values: &[(String, ParamValue)]) -> Result<Expr> {
    let all = |exprs: Vec<Expr>| exprs.into_iter().map(|e| bound(e, values)).collect();
    Ok(match expr {
        Expr::Bind(name) => value(&name, values)?,
        Expr::Call { name, args } => {
            let args: Result<Vec<Expr>> = all(args);
            Expr::Call { name, args: args? }
        }
        Expr::Negative(operand) => Expr::Negative(Box::new(bound(*operand, values)?)),
        Expr::Binary { op, left, right } => Expr::Binary {
            op,
            left: Box::new(bound(*left, values)?),
            right: Box::new(bound(*right, values)?),
        },
        Expr::Logical { logic, operands } => {
            let operands: Result<Vec<Expr>> = all(operands);
            Expr::Logical { logic, operands: operands? }
        }
        other => other,
    })
}

fn value(name: &str, values: &[(String, ParamValue)]) -> Result<Expr> {
    let Some((_, value)) = values.iter().find(|(known, _)| known == name) else {
        return Err(meaningless(format!(
            "Bind parameter '${name}' was referenced in the InfluxQL statement but its value is \
             undefined."
        )));
    };
    let literal = match value {
        ParamValue::Null => {
            return Err(meaningless("Parameter type 'NULL' is not supported by InfluxQL"));
        }
        ParamValue::Boolean(value) => Literal::Boolean(*value),
        ParamValue::UInteger(value) => match i64::try_from(*value) {
            Ok(value) => Literal::Integer(value),
            Err(_) => Literal::Unsigned(*value),
        },
        ParamValue::Integer(value) => Literal::Integer(*value),
        ParamValue::Float(value) => Literal::Float(*value),
        ParamValue::String(value) => Literal::String(value.clone()),
    };
    Ok(Expr::Literal(literal))
}
