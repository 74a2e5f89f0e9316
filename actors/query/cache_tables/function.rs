//! The table functions.

use super::arguments::{FIRST, SECOND};
use super::cache::{CacheTables, name_of};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{ScalarValue, plan_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use protocols::messages::catalog::CacheKind;
use std::sync::Arc;

/// The table functions over the caches of one database.
pub(in super::super) fn functions(
    tables: &Arc<CacheTables>,
) -> [(&'static str, Arc<dyn TableFunctionImpl>); 2] {
    let function = |kind| -> Arc<dyn TableFunctionImpl> {
        Arc::new(CacheFunction { kind, tables: Arc::clone(tables) })
    };
    [
        (name_of(CacheKind::Last), function(CacheKind::Last)),
        (name_of(CacheKind::Distinct), function(CacheKind::Distinct)),
    ]
}

/// `last_cache('table' [, 'cache'])`, or `distinct_cache` with the same arguments.
#[derive(Debug)]
pub(super) struct CacheFunction {
    pub(super) kind: CacheKind,
    pub(super) tables: Arc<CacheTables>,
}

impl TableFunctionImpl for CacheFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let args = args.exprs();
        let table = args.first().and_then(text).ok_or_else(|| plan_datafusion_err!("{FIRST}"))?;
        let cache = match args.get(1) {
            None => None,
            Some(arg) => Some(text(arg).ok_or_else(|| plan_datafusion_err!("{SECOND}"))?),
        };
        if args.len() > 2 {
            return plan_err!("{} takes a table name and a cache name", name_of(self.kind));
        }
        Ok(Arc::new(self.tables.find(self.kind, table, cache)?))
    }
}

fn text(arg: &Expr) -> Option<&str> {
    match arg {
        Expr::Literal(
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)),
            _,
        ) => Some(text),
        _ => None,
    }
}
