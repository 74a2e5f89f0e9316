//! Flight SQL commands: what a client wants to be told.

use super::prepared::Prepared;
use super::wire::{
    Any, FLIGHT_SQL, GetDbSchemas, GetSqlInfo, GetTables, GetXdbcTypeInfo, HandleOnly, Ignored,
    StatementQuery,
};
use prost::Message;
use std::fmt;

/// A command that yields rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The rows of a statement.
    Statement(String),
    /// The rows of a prepared statement.
    Prepared(Prepared),
    /// The catalogs.
    Catalogs,
    /// The schemas of a catalog.
    DbSchemas(GetDbSchemas),
    /// The tables.
    Tables(GetTables),
    /// The words for types of tables.
    TableTypes,
    /// Facts about the server; none asked for means all.
    SqlInfo(Vec<u32>),
    /// What is to be known about SQL types.
    XdbcTypeInfo(Option<i32>),
    /// Primary keys: there are none.
    PrimaryKeys,
    /// Foreign keys of a table: there are none.
    ImportedKeys,
    /// Foreign keys that refer to a table: there are none.
    ExportedKeys,
    /// Foreign keys between two tables: there are none.
    CrossReference,
}

/// Why bytes are no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not a protobuf message, or not one of the type that it claims to be.
    #[error("Invalid protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A message of a type that is not served.
    #[error("Unsupported FlightSQL message type: {0}")]
    Unsupported(String),
    /// The handle of a prepared statement is not one of this server's.
    #[error(transparent)]
    Handle(#[from] super::prepared::InvalidHandle),
}

impl Command {
    /// Reads a command from an encoded `Any`.
    ///
    /// # Errors
    /// When it is none that yields rows.
    pub fn decode(bytes: &[u8]) -> Result<Self, CommandError> {
        let Any { type_url, value } = Any::decode(bytes)?;
        let unsupported = || CommandError::Unsupported(type_url.clone());
        let value = value.as_slice();
        Ok(match type_url.strip_prefix(FLIGHT_SQL).ok_or_else(unsupported)? {
            "CommandStatementQuery" => Self::Statement(StatementQuery::decode(value)?.query),
            "CommandPreparedStatementQuery" => Self::Prepared(prepared(value)?),
            "CommandGetCatalogs" => Self::Catalogs.checked(value)?,
            "CommandGetDbSchemas" => Self::DbSchemas(GetDbSchemas::decode(value)?),
            "CommandGetTables" => Self::Tables(GetTables::decode(value)?),
            "CommandGetTableTypes" => Self::TableTypes.checked(value)?,
            "CommandGetSqlInfo" => Self::SqlInfo(GetSqlInfo::decode(value)?.info),
            "CommandGetXdbcTypeInfo" => {
                Self::XdbcTypeInfo(GetXdbcTypeInfo::decode(value)?.data_type)
            }
            "CommandGetPrimaryKeys" => Self::PrimaryKeys.checked(value)?,
            "CommandGetImportedKeys" => Self::ImportedKeys.checked(value)?,
            "CommandGetExportedKeys" => Self::ExportedKeys.checked(value)?,
            "CommandGetCrossReference" => Self::CrossReference.checked(value)?,
            _ => return Err(unsupported()),
        })
    }

    /// Name of the protocol's message.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Statement(_) => "CommandStatementQuery",
            Self::Prepared(_) => "CommandPreparedStatementQuery",
            Self::Catalogs => "CommandGetCatalogs",
            Self::DbSchemas(_) => "CommandGetDbSchemas",
            Self::Tables(_) => "CommandGetTables",
            Self::TableTypes => "CommandGetTableTypes",
            Self::SqlInfo(_) => "CommandGetSqlInfo",
            Self::XdbcTypeInfo(_) => "CommandGetXdbcTypeInfo",
            Self::PrimaryKeys => "CommandGetPrimaryKeys",
            Self::ImportedKeys => "CommandGetImportedKeys",
            Self::ExportedKeys => "CommandGetExportedKeys",
            Self::CrossReference => "CommandGetCrossReference",
        }
    }

    /// What it asks for, each as a name and a value, in the words of the protocol.
    fn arguments(&self) -> Vec<(&'static str, String)> {
        let mut arguments = Vec::new();
        let mut add = |name, value: Option<String>| arguments.extend(value.map(|v| (name, v)));
        match self {
            Self::DbSchemas(asked) => {
                add("catalog", asked.catalog.clone());
                add("db_schema_filter_pattern", asked.db_schema_filter_pattern.clone());
            }
            Self::Tables(asked) => {
                let types = Some(&asked.table_types).filter(|types| !types.is_empty());
                add("catalog", asked.catalog.clone());
                add("db_schema_filter_pattern", asked.db_schema_filter_pattern.clone());
                add("table_name_filter_pattern", asked.table_name_filter_pattern.clone());
                add("table_types", types.map(|types| types.join(",")));
                add("include_schema", asked.include_schema.then(|| "true".to_owned()));
            }
            Self::SqlInfo(numbers) if !numbers.is_empty() => {
                let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
                add("info", Some(numbers.join(",")));
            }
            Self::XdbcTypeInfo(data_type) => add("data_type", data_type.map(|n| n.to_string())),
            _ => {}
        }
        arguments
    }

    /// Itself, if `value` is a message at all.
    fn checked(self, value: &[u8]) -> Result<Self, CommandError> {
        Ignored::decode(value)?;
        Ok(self)
    }
}

/// The name and what is asked for, as the query log shows it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Statement(text) | Self::Prepared(Prepared { text, .. }) => write!(f, " {text}"),
            other => {
                let mut arguments = other.arguments().into_iter();
                arguments.try_for_each(|(name, value)| write!(f, " {name}={value}"))
            }
        }
    }
}

/// Reads what stands for a prepared statement: `CommandPreparedStatementQuery` without its name.
fn prepared(value: &[u8]) -> Result<Prepared, CommandError> {
    Ok(Prepared::decode(&HandleOnly::decode(value)?.prepared_statement_handle)?)
}

/// The prepared statement that values are to be bound to.
///
/// # Errors
/// When the command is another one.
pub fn bound_statement(bytes: &[u8]) -> Result<Prepared, CommandError> {
    match Any::decode(bytes)? {
        any if is_named(&any, "CommandPreparedStatementQuery") => prepared(&any.value),
        any => Err(CommandError::Unsupported(any.type_url)),
    }
}

/// The statement of an `ActionCreatePreparedStatementRequest`.
///
/// # Errors
/// When it is another message.
pub fn statement_to_prepare(bytes: &[u8]) -> Result<String, CommandError> {
    match Any::decode(bytes)? {
        any if is_named(&any, "ActionCreatePreparedStatementRequest") => {
            Ok(StatementQuery::decode(any.value.as_slice())?.query)
        }
        any => Err(CommandError::Unsupported(any.type_url)),
    }
}

fn is_named(any: &Any, name: &str) -> bool {
    any.type_url.strip_prefix(FLIGHT_SQL) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, message: &impl Message) -> Vec<u8> {
        Any::pack(&format!("{FLIGHT_SQL}{name}"), message)
    }

    #[test]
    fn a_statement() {
        let query = StatementQuery { query: "SELECT 1".to_owned() };
        let command = Command::decode(&named("CommandStatementQuery", &query));
        assert_eq!(command, Ok(Command::Statement("SELECT 1".to_owned())));
        let bytes = named("ActionCreatePreparedStatementRequest", &query);
        assert_eq!(statement_to_prepare(&bytes).as_deref(), Ok("SELECT 1"));
    }

    #[test]
    fn names_are_those_of_the_protocol() {
        let names = [
            "CommandGetCatalogs",
            "CommandGetTableTypes",
            "CommandGetSqlInfo",
            "CommandGetXdbcTypeInfo",
            "CommandGetDbSchemas",
            "CommandGetTables",
            "CommandGetPrimaryKeys",
            "CommandGetImportedKeys",
            "CommandGetExportedKeys",
            "CommandGetCrossReference",
            "CommandStatementQuery",
        ];
        for name in names {
            let command = Command::decode(&named(name, &Ignored {})).expect(name);
            assert_eq!(command.name(), name);
        }
    }

    #[test]
    fn the_query_log_shows_what_is_asked_for() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            Command::Statement("SELECT 1".to_owned()).to_string(),
            "CommandStatementQuery SELECT 1"
        );
        assert_eq!(Command::Tables(GetTables::default()).to_string(), "CommandGetTables");
        let tables = GetTables {
            catalog: some("public"),
            table_name_filter_pattern: some("c%"),
            table_types: vec!["BASE TABLE".to_owned(), "VIEW".to_owned()],
            include_schema: true,
            ..GetTables::default()
        };
        assert_eq!(
            Command::Tables(tables).to_string(),
            "CommandGetTables catalog=public table_name_filter_pattern=c% \
             table_types=BASE TABLE,VIEW include_schema=true"
        );
        let schemas = GetDbSchemas { catalog: None, db_schema_filter_pattern: some("i%") };
        let text = "CommandGetDbSchemas db_schema_filter_pattern=i%";
        assert_eq!(Command::DbSchemas(schemas).to_string(), text);
        assert_eq!(Command::SqlInfo(vec![0, 3]).to_string(), "CommandGetSqlInfo info=0,3");
        assert_eq!(Command::SqlInfo(vec![]).to_string(), "CommandGetSqlInfo");
        let text = "CommandGetXdbcTypeInfo data_type=-4";
        assert_eq!(Command::XdbcTypeInfo(Some(-4)).to_string(), text);
        assert_eq!(Command::Catalogs.to_string(), "CommandGetCatalogs");
    }

    #[test]
    fn what_changes_something_is_not_served() {
        for name in ["CommandStatementUpdate", "CommandStatementIngest", "Nonsense"] {
            let text = format!("Unsupported FlightSQL message type: {FLIGHT_SQL}{name}");
            let error = Command::decode(&named(name, &Ignored {})).expect_err(name);
            assert_eq!(error.to_string(), text);
        }
        let error = bound_statement(&named("CommandGetTables", &Ignored {})).expect_err("other");
        assert!(matches!(error, CommandError::Unsupported(_)), "{error}");
    }

    #[test]
    fn what_is_not_protobuf() {
        let error = Command::decode(b"garbage").expect_err("garbage").to_string();
        assert!(error.starts_with("Invalid protobuf"), "{error}");
        let broken =
            Any { type_url: format!("{FLIGHT_SQL}CommandGetCatalogs"), value: b"garbage".to_vec() };
        assert!(Command::decode(&broken.encode_to_vec()).is_err());
    }

    #[test]
    fn a_prepared_statement() {
        let params = vec![("1".to_owned(), crate::messages::query::ParamValue::Integer(2))];
        let prepared = Prepared { text: "SELECT $1".to_owned(), params };
        let handle = HandleOnly { prepared_statement_handle: prepared.clone().encode() };
        let bytes = named("CommandPreparedStatementQuery", &handle);
        assert_eq!(bound_statement(&bytes), Ok(prepared.clone()));
        assert_eq!(Command::decode(&bytes), Ok(Command::Prepared(prepared)));
    }
}
