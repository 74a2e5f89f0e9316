//! The tokens as a table.

use super::{Rows, Source, SystemTable};
use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use protocols::access::tokens::Token;
use std::sync::Arc;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// Access tokens, but for their texts.
pub(super) const TOKENS: SystemTable =
    SystemTable { name: "tokens", internal: true, schema, rows: Rows::Made(rows) };

/// The same where no request has to bring a token.
pub(super) static WITHOUT_HASHES: SystemTable =
    SystemTable { schema: schema_without_hashes, ..TOKENS };

/// The column that only servers have that ask for tokens.
const HASH: usize = 2;

fn schema_without_hashes() -> SchemaRef {
    let mut fields = schema().fields().to_vec();
    fields.remove(HASH);
    Arc::new(Schema::new(fields))
}

fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let id = |name: &str, nullable| Field::new(name, DataType::UInt64, nullable);
    let kind = DataType::Timestamp(TimeUnit::Millisecond, None);
    let time = |name: &str, nullable| Field::new(name, kind.clone(), nullable);
    Arc::new(Schema::new(vec![
        id("token_id", false),
        text("name", false),
        text("hash", false),
        time("created_at", false),
        text("description", true),
        id("created_by_token_id", true),
        time("updated_at", true),
        id("updated_by_token_id", true),
        time("expiry", true),
        text("permissions", false),
    ]))
}

fn rows(source: &Source, schema: SchemaRef) -> Result<RecordBatch> {
    let catalog = source.visible.whole();
    let tokens: Vec<_> = catalog.iter().flat_map(|catalog| catalog.tokens.all()).collect();
    let times = |time: fn(&Token) -> Option<i64>| -> ArrayRef {
        let millis = tokens.iter().map(|t| Some(time(t)?.div_euclid(NANOS_PER_MILLI)));
        Arc::new(millis.collect::<TimestampMillisecondArray>())
    };
    let ids = |id: fn(&Token) -> Option<u64>| -> ArrayRef {
        Arc::new(tokens.iter().map(|token| id(token)).collect::<UInt64Array>())
    };
    let texts = |text: fn(&Token) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(tokens.iter().map(|token| text(token))))
    };
    let rights = tokens
        .iter()
        .map(|token| catalog.map_or_else(String::new, |catalog| token.rights.words(catalog)));
    let mut columns = vec![
        ids(|token| Some(token.id.0)),
        texts(|token| &token.name),
        texts(|token| &token.secret.shown),
        times(|token| Some(token.created_at_ns)),
        Arc::new(StringArray::from(vec![None::<&str>; tokens.len()])) as ArrayRef,
        ids(|token| token.created_by.map(|id| id.0)),
        times(|token| token.updated_at_ns),
        ids(|token| token.updated_by.map(|id| id.0)),
        times(|token| token.expires_at_ns),
        Arc::new(StringArray::from_iter_values(rights)),
    ];
    if schema.fields().len() < columns.len() {
        columns.remove(HASH);
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}
