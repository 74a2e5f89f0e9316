//! Tables of the server itself: its node and its actors.

use super::{Rows, Source, SystemTable};
use crate::runtime::vitals::Vitals;
use arrow::array::{
    ArrayRef, Float64Array, ListArray, RecordBatch, StringArray, TimestampMillisecondArray,
    UInt32Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use std::sync::Arc;

const NANOS_PER_MILLISECOND: i64 = 1_000_000;
/// The one node of a catalog has the first number.
const NODE_CATALOG_ID: u32 = 0;
/// What a node of this product does.
const MODE: &str = "core";

/// The node that answers.
pub(super) const NODES: SystemTable = SystemTable {
    name: "nodes",
    internal: true,
    schema: || {
        let modes = Field::new_list_field(DataType::Utf8, true);
        let updated_at = DataType::Timestamp(TimeUnit::Millisecond, None);
        Arc::new(Schema::new(vec![
            Field::new("node_id", DataType::Utf8, false),
            Field::new("node_catalog_id", DataType::UInt32, false),
            Field::new("instance_id", DataType::Utf8, false),
            Field::new("mode", DataType::List(Arc::new(modes)), false),
            Field::new("core_count", DataType::UInt64, false),
            Field::new("state", DataType::Utf8, false),
            Field::new("updated_at", updated_at, true),
            Field::new("cli_params", DataType::Utf8, true),
        ]))
    },
    rows: Rows::Made(nodes),
};

/// All actors, in the order in which they were born.
pub(super) const ACTORS: SystemTable = SystemTable {
    name: "actors",
    internal: true,
    schema: || {
        let number = |name: &str| Field::new(name, DataType::UInt64, false);
        let microseconds = |name: &str| Field::new(name, DataType::Float64, true);
        Arc::new(Schema::new(vec![
            Field::new("name", DataType::Utf8, false),
            Field::new("kind", DataType::Utf8, false),
            number("restarts"),
            number("mailbox_depth"),
            number("mailbox_capacity"),
            number("messages_handled"),
            microseconds("handler_p50_us"),
            microseconds("handler_p99_us"),
            number("bytes_held"),
            Field::new("state", DataType::Utf8, false),
        ]))
    },
    rows: Rows::Made(actors),
};

fn nodes(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let server = &source.server;
    let modes = ListArray::try_new(
        Arc::new(Field::new_list_field(DataType::Utf8, true)),
        OffsetBuffer::from_lengths([1]),
        Arc::new(StringArray::from(vec![MODE])),
        None,
    )?;
    let updated_at = server.started_at_ns.div_euclid(NANOS_PER_MILLISECOND);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![source.context.files.node.as_ref()])),
        Arc::new(UInt32Array::from(vec![NODE_CATALOG_ID])),
        Arc::new(StringArray::from(vec![server.instance.to_string()])),
        Arc::new(modes),
        Arc::new(UInt64Array::from(vec![server.cores])),
        Arc::new(StringArray::from(vec!["running"])),
        Arc::new(TimestampMillisecondArray::from(vec![updated_at])),
        Arc::new(StringArray::from(vec![server.options.as_deref()])),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn actors(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let actors = source.server.roster.actors();
    let text = |value: fn(&Vitals) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(actors.iter().map(|actor| value(actor))))
    };
    let number = |value: fn(&Vitals) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(actors.iter().map(|actor| value(actor))))
    };
    let microseconds = |per_mille: u64| -> ArrayRef {
        let time = |actor: &Arc<Vitals>| Some(actor.handling_time(per_mille)?.as_secs_f64() * 1e6);
        Arc::new(actors.iter().map(time).collect::<Float64Array>())
    };
    let columns = vec![
        text(|actor| &actor.name),
        text(|actor| actor.kind),
        number(Vitals::restarts),
        number(|actor| actor.messages_held() as u64),
        number(|actor| actor.messages_max as u64),
        number(Vitals::messages_handled),
        microseconds(500),
        microseconds(990),
        number(|actor| actor.bytes_held() as u64),
        text(Vitals::state),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}
