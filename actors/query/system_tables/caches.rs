//! Tables of caches: those that there are, and how they are.

use super::{Rows, Source, SystemTable};
use arrow::array::{
    ArrayRef, ListBuilder, RecordBatch, StringArray, StringBuilder, UInt16Builder, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result;
use protocols::messages::caches::CacheRef;
use protocols::schema::TableSchema;
use std::sync::Arc;

/// Last-value caches.
pub(super) const LAST_CACHES: SystemTable = SystemTable {
    name: "last_caches",
    internal: false,
    schema: || {
        Arc::new(Schema::new(vec![
            text("table"),
            text("name"),
            list("key_column_ids", DataType::UInt16, false),
            list("key_column_names", DataType::Utf8, false),
            list("value_column_ids", DataType::UInt16, true),
            list("value_column_names", DataType::Utf8, true),
            number("count"),
            number("ttl"),
        ]))
    },
    rows: Rows::Made(last_caches),
};

/// Distinct-value caches.
pub(super) const DISTINCT_CACHES: SystemTable = SystemTable {
    name: "distinct_caches",
    internal: false,
    schema: || {
        Arc::new(Schema::new(vec![
            text("table"),
            text("name"),
            list("column_ids", DataType::UInt16, false),
            list("column_names", DataType::Utf8, false),
            number("max_cardinality"),
            number("max_age_seconds"),
        ]))
    },
    rows: Rows::Made(distinct_caches),
};

/// How the caches of the database are.
pub(super) const CACHE_STATES: SystemTable = SystemTable {
    name: "cache_states",
    internal: false,
    schema: || {
        Arc::new(Schema::new(vec![
            text("table"),
            text("name"),
            text("kind"),
            text("state"),
            number("keys"),
            number("rows"),
            number("bytes"),
        ]))
    },
    rows: Rows::Made(cache_states),
};

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::UInt64, false)
}

fn list(name: &str, item: DataType, nullable: bool) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new_list_field(item, true))), nullable)
}

/// Lists of column names, as numbers and as texts.
#[derive(Default)]
struct ColumnLists {
    ids: ListBuilder<UInt16Builder>,
    names: ListBuilder<StringBuilder>,
}

impl ColumnLists {
    fn push(&mut self, table: &TableSchema, names: Option<&[Arc<str>]>) {
        for name in names.unwrap_or_default() {
            // `time` has no id of its own; it stands behind the others.
            let id = table.column(name).map_or(table.next_column_id(), |column| column.id);
            self.ids.values().append_option(u16::try_from(id.0).ok());
            self.names.values().append_value(name);
        }
        self.ids.append(names.is_some());
        self.names.append(names.is_some());
    }

    fn finish(mut self) -> [ArrayRef; 2] {
        [Arc::new(self.ids.finish()), Arc::new(self.names.finish())]
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn numbers(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

fn last_caches(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let tables = source.db.live_tables();
    let mut all: Vec<_> =
        tables.iter().flat_map(|t| t.caches.last.iter().map(move |cache| (*t, cache))).collect();
    all.sort_by(|(t, a), (u, b)| (&t.name, &a.name).cmp(&(&u.name, &b.name)));
    let (mut keys, mut values) = (ColumnLists::default(), ColumnLists::default());
    for (table, cache) in &all {
        keys.push(table, Some(&cache.keys));
        values.push(table, cache.values.as_deref());
    }
    let [key_ids, key_names] = keys.finish();
    let [value_ids, value_names] = values.finish();
    let columns = vec![
        texts(all.iter().map(|(table, _)| table.name.as_ref())),
        texts(all.iter().map(|(_, cache)| cache.name.as_ref())),
        key_ids,
        key_names,
        value_ids,
        value_names,
        numbers(all.iter().map(|(_, cache)| cache.count)),
        numbers(all.iter().map(|(_, cache)| cache.ttl_seconds)),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn distinct_caches(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let tables = source.db.live_tables();
    let mut all: Vec<_> = tables
        .iter()
        .flat_map(|t| t.caches.distinct.iter().map(move |cache| (*t, cache)))
        .collect();
    all.sort_by(|(t, a), (u, b)| (&t.name, &a.name).cmp(&(&u.name, &b.name)));
    let mut lists = ColumnLists::default();
    for (table, cache) in &all {
        lists.push(table, Some(&cache.columns));
    }
    let [ids, names] = lists.finish();
    let columns = vec![
        texts(all.iter().map(|(table, _)| table.name.as_ref())),
        texts(all.iter().map(|(_, cache)| cache.name.as_ref())),
        ids,
        names,
        numbers(all.iter().map(|(_, cache)| cache.max_cardinality)),
        numbers(all.iter().map(|(_, cache)| cache.max_age_seconds)),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn cache_states(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let running = source.caches.as_ref().map(|caches| caches.load());
    let mut rows: Vec<(&str, &str, &str, &str, [u64; 3])> = Vec::new();
    let tables = source.db.live_tables();
    for table in tables {
        let last = table.caches.last.iter().map(|c| ("last", c.id, &c.name));
        let distinct = table.caches.distinct.iter().map(|c| ("distinct", c.id, &c.name));
        for (kind, cache, name) in last.chain(distinct) {
            let cache = CacheRef { table: table.id, cache };
            let entry = running.as_ref().and_then(|running| running.find(cache));
            let state = match entry {
                None => "starting",
                Some(entry) if entry.is_behind() => "behind",
                Some(entry) => entry.state().name(),
            };
            rows.push((
                &table.name,
                name,
                kind,
                state,
                entry.map_or([0; 3], |entry| {
                    let status = entry.status();
                    [status.keys, status.rows, status.bytes].map(|size| size as u64)
                }),
            ));
        }
    }
    let columns = vec![
        texts(rows.iter().map(|row| row.0)),
        texts(rows.iter().map(|row| row.1)),
        texts(rows.iter().map(|row| row.2)),
        texts(rows.iter().map(|row| row.3)),
        numbers(rows.iter().map(|row| row.4[0])),
        numbers(rows.iter().map(|row| row.4[1])),
        numbers(rows.iter().map(|row| row.4[2])),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}
