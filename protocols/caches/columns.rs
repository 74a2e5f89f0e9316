//! The columns of caches, as the tables are that they belong to.

use super::{DistinctCacheDef, LastCacheDef};
use crate::schema::{COLUMN_TYPE_KEY, ColumnKind, TIME_COLUMN, TableSchema, time_field};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

impl LastCacheDef {
    /// Names of the value columns at the table's present state, `time` included.
    pub fn value_names<'a>(&'a self, table: &'a TableSchema) -> Vec<&'a str> {
        match &self.values {
            None => {
                let all = table.arrow_schema().fields().iter().map(|f| f.name().as_str());
                all.filter(|name| !self.keys.iter().any(|key| key.as_ref() == *name)).collect()
            }
            Some(values) => {
                let mut names: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
                if !names.contains(&TIME_COLUMN) {
                    names.push(TIME_COLUMN);
                }
                names
            }
        }
    }

    /// The columns of the cache as a query sees them: keys, then values.
    pub fn schema(&self, table: &TableSchema) -> SchemaRef {
        let keys = self.keys.iter().map(|name| plain_field(table, name, false));
        let values = self.value_names(table);
        let values = values.into_iter().map(|name| plain_field(table, name, true));
        Arc::new(Schema::new(keys.chain(values).collect::<Vec<_>>()))
    }
}

impl DistinctCacheDef {
    /// The columns of the cache as a query sees them.
    pub fn schema(&self, table: &TableSchema) -> SchemaRef {
        let fields = self.columns.iter().map(|name| plain_field(table, name, true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The column with texts as plain strings.
fn plain_field(table: &TableSchema, name: &str, nullable: bool) -> Field {
    let Some(column) = table.column(name) else { return time_field() };
    let data_type = match column.kind {
        ColumnKind::Tag => DataType::Utf8,
        ColumnKind::Field(_) => column.kind.arrow_type(),
    };
    Field::new(name, data_type, nullable)
        .with_metadata([(COLUMN_TYPE_KEY.to_owned(), column.kind.influx_name().to_owned())].into())
}
