//! What Flight SQL clients ask about the server: catalogs, schemas, tables, keys.

use super::status::{of_arrow, of_query};
use super::wire_types::wire_schema;
use super::{sql_info, xdbc};
use crate::edge::query::ask;
use crate::edge::state::ServerState;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::CommandGetTableTypes;
use arrow_flight::sql::metadata::{GetCatalogsBuilder, GetDbSchemasBuilder, GetTablesBuilder};
use protocols::flight::command::Command;
use protocols::flight::wire::{GetDbSchemas, GetTables};
use protocols::messages::query::{ListTables, ListedTable};
use protocols::principal::Principal;
use std::sync::Arc;
use tonic::Status;

/// The one catalog.
const CATALOG: &str = "public";
/// Its schemas.
const SCHEMAS: [&str; 3] = ["information_schema", "iox", "system"];
/// The word for tables that are computed from others.
const VIEW: &str = "VIEW";

/// The rows that a command asks for; `table_word` is the client's word for tables.
pub(super) async fn rows(
    state: &ServerState,
    principal: &Principal,
    db: String,
    command: Command,
    table_word: &str,
) -> Result<RecordBatch, Status> {
    let rows = match command {
        Command::Tables(asked) => {
            let listed = ask(state, ListTables { db, principal: principal.clone() }, None).await;
            tables(asked, &listed.map_err(|e| of_query(&e))?, table_word)
        }
        Command::Catalogs => catalogs(),
        Command::DbSchemas(asked) => db_schemas(asked),
        Command::TableTypes => table_types(table_word),
        Command::SqlInfo(numbers) => sql_info::rows(numbers),
        Command::XdbcTypeInfo(data_type) => xdbc::rows(data_type),
        Command::PrimaryKeys => Ok(RecordBatch::new_empty(Arc::new(primary_keys()))),
        // Statements were answered before; of keys between tables there are none.
        Command::ImportedKeys
        | Command::ExportedKeys
        | Command::CrossReference
        | Command::Statement(_)
        | Command::Prepared(_) => Ok(RecordBatch::new_empty(Arc::new(foreign_keys()))),
    };
    rows.map_err(|error| of_arrow(&error))
}

fn catalogs() -> Result<RecordBatch, FlightError> {
    let mut catalogs = GetCatalogsBuilder::new();
    catalogs.append(CATALOG);
    catalogs.build()
}

fn db_schemas(asked: GetDbSchemas) -> Result<RecordBatch, FlightError> {
    let mut schemas = GetDbSchemasBuilder::new(asked.catalog, asked.db_schema_filter_pattern);
    for schema in SCHEMAS {
        schemas.append(CATALOG, schema);
    }
    schemas.build()
}

fn tables(
    mut asked: GetTables,
    listed: &[ListedTable],
    table_word: &str,
) -> Result<RecordBatch, FlightError> {
    if !asked.table_types.is_empty() {
        // Words that are not known match nothing, however many there are.
        asked.table_types.retain(|word| word == table_word || word == VIEW);
        asked.table_types.sort_unstable();
        asked.table_types.dedup();
        if asked.table_types.is_empty() {
            return Ok(RecordBatch::new_empty(empty_tables(asked.include_schema)));
        }
    }
    let mut tables = GetTablesBuilder::new(
        asked.catalog,
        asked.db_schema_filter_pattern,
        asked.table_name_filter_pattern,
        asked.table_types,
        asked.include_schema,
    );
    for table in listed {
        let word = if table.is_view { VIEW } else { table_word };
        let columns = wire_schema(&table.columns);
        tables.append(CATALOG, &table.schema, &table.name, word, &columns)?;
    }
    tables.build()
}

/// Columns of an answer without tables.
fn empty_tables(include_schema: bool) -> SchemaRef {
    let nothing = None::<String>;
    let types: [String; 0] = [];
    GetTablesBuilder::new(nothing.clone(), nothing.clone(), nothing, types, include_schema).schema()
}

fn table_types(table_word: &str) -> Result<RecordBatch, FlightError> {
    let mut types = CommandGetTableTypes {}.into_builder();
    for word in [table_word, VIEW] {
        types.append(word);
    }
    types.build()
}

fn primary_keys() -> Schema {
    Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ])
}

/// Columns of all answers about keys that refer to another table.
fn foreign_keys() -> Schema {
    Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;

    fn column(batch: &RecordBatch, i: usize) -> Vec<String> {
        batch.column(i).as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    }

    fn listed(schema: &str, name: &str, is_view: bool) -> ListedTable {
        let columns = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8View, true)]));
        ListedTable { schema: schema.to_owned(), name: name.to_owned(), is_view, columns }
    }

    #[test]
    fn schemas_by_pattern() {
        let schemas = |catalog: Option<&str>, pattern: Option<&str>| {
            let catalog = catalog.map(str::to_owned);
            let pattern = pattern.map(str::to_owned);
            let asked = GetDbSchemas { catalog, db_schema_filter_pattern: pattern };
            column(&db_schemas(asked).unwrap(), 1)
        };
        assert_eq!(schemas(None, None), SCHEMAS);
        assert_eq!(schemas(Some("public"), Some("i%")), SCHEMAS[..2]);
        assert_eq!(schemas(Some("other"), None), Vec::<String>::new());
    }

    #[test]
    fn tables_by_type_and_with_their_columns() {
        let all = [listed("iox", "cpu", false), listed("information_schema", "views", true)];
        let of_types = |types: &[&str], word: &str| {
            let table_types = types.iter().map(|t| (*t).to_owned()).collect();
            let asked = GetTables { table_types, include_schema: true, ..GetTables::default() };
            let batch = tables(asked, &all, word).unwrap();
            assert_eq!(batch.num_columns(), 5);
            (column(&batch, 2), column(&batch, 3))
        };
        let found = |name: &str, word: &str| (vec![name.to_owned()], vec![word.to_owned()]);
        assert_eq!(of_types(&["BASE TABLE", "table"], "BASE TABLE"), found("cpu", "BASE TABLE"));
        assert_eq!(of_types(&["VIEW"], "TABLE"), found("views", "VIEW"));
        assert_eq!(of_types(&["TABLE"], "TABLE"), found("cpu", "TABLE"));
        assert_eq!(of_types(&["BASE TABLE"; 9], "TABLE"), (vec![], vec![]));
        assert_eq!(of_types(&[], "TABLE").0, ["views", "cpu"]);
    }
}
