//! Rows as an event for triggers.

use hashbrown::HashMap;
use protocols::ids::TableId;
use protocols::messages::plugins::{EventTable, WriteEvent};
use protocols::messages::store::TableBatch;
use protocols::schema::DatabaseSchema;
use std::sync::{Arc, OnceLock};

/// The names of tables by their numbers.
pub(crate) fn table_names(database: &DatabaseSchema) -> HashMap<TableId, Arc<str>> {
    let live = database.tables.values().filter(|table| table.deletion.is_none());
    live.map(|table| (table.id, Arc::clone(&table.name))).collect()
}

/// The rows by table, in the order in which the tables came.
pub(crate) fn event(database: &DatabaseSchema, batches: Vec<TableBatch>) -> WriteEvent {
    let names = table_names(database);
    let mut places: HashMap<TableId, usize> = HashMap::new();
    let mut tables: Vec<EventTable> = Vec::new();
    for batch in batches {
        let Some(name) = names.get(&batch.table) else { continue };
        let place = *places.entry(batch.table).or_insert_with(|| {
            let (name, batches, streams) = (Arc::clone(name), Vec::new(), OnceLock::new());
            tables.push(EventTable { name, batches, streams });
            tables.len() - 1
        });
        if let Some(table) = tables.get_mut(place) {
            table.batches.push(batch.rows);
        }
    }
    WriteEvent { tables }
}
