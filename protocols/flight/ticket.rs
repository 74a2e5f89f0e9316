//! Tickets: what `DoGet` is asked for. Clients write them as JSON; those that this server hands
//! out are protobuf messages, which clients pass back unread.

use super::command::{Command, CommandError};
use super::wire::{Any, QueryType, READ_INFO, ReadInfo};
use crate::http::query::StatementParams;
use crate::messages::query::ParamValue;
use prost::Message;
use serde::Deserialize;

/// What to read.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    /// Name of the database.
    pub db: String,
    /// What to read in it.
    pub read: Read,
}

/// What to read in a database.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// The rows of an SQL statement.
    Sql(String, Vec<(String, ParamValue)>),
    /// The rows of an InfluxQL statement.
    InfluxQl(String, Vec<(String, ParamValue)>),
    /// What a Flight SQL command asks for.
    FlightSql(Command),
}

/// Why bytes are no ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Of no form that is known.
    #[error("Invalid ticket. Error: Invalid ticket")]
    Invalid,
    /// A ticket for a Flight SQL command that is not served.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// The form of a ticket that clients write.
#[derive(Deserialize)]
struct JsonTicket {
    #[serde(alias = "namespace_name", alias = "bucket", alias = "bucket-name")]
    database: String,
    sql_query: String,
    query_type: Option<JsonQueryType>,
    params: Option<StatementParams>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum JsonQueryType {
    Sql,
    InfluxQl,
}

impl Ticket {
    /// Reads a ticket.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, TicketError> {
        match read_info(bytes) {
            Some(info) => Self::from_read_info(info),
            None => {
                serde_json::from_slice(bytes).map(Self::from_json).map_err(|_| TicketError::Invalid)
            }
        }
    }

    /// The ticket for a Flight SQL command, which is an encoded `Any`.
    pub fn for_command(db: String, flightsql_command: Vec<u8>) -> Vec<u8> {
        let info = ReadInfo {
            namespace_name: db,
            query_type: QueryType::FlightSqlMessage.into(),
            flightsql_command,
            ..ReadInfo::default()
        };
        Any::pack(READ_INFO, &info)
    }

    fn from_read_info(info: ReadInfo) -> Result<Self, TicketError> {
        let query_type = QueryType::try_from(info.query_type);
        let params = info.params.into_iter().map(Into::into).collect();
        let read = match query_type.map_err(|_| TicketError::Invalid)? {
            QueryType::Unspecified | QueryType::Sql => Read::Sql(info.sql_query, params),
            QueryType::InfluxQl => Read::InfluxQl(info.sql_query, params),
            QueryType::FlightSqlMessage => {
                Read::FlightSql(Command::decode(&info.flightsql_command)?)
            }
        };
        Ok(Self { db: info.namespace_name, read })
    }

    fn from_json(ticket: JsonTicket) -> Self {
        let StatementParams(params) = ticket.params.unwrap_or_default();
        let read = match ticket.query_type.unwrap_or(JsonQueryType::Sql) {
            JsonQueryType::Sql => Read::Sql(ticket.sql_query, params),
            JsonQueryType::InfluxQl => Read::InfluxQl(ticket.sql_query, params),
        };
        Self { db: ticket.database, read }
    }
}

/// The protobuf form, with the name of its type or without. Many bytes are a message of some kind;
/// without a name only the very encoding of one that says something is taken for a ticket.
fn read_info(bytes: &[u8]) -> Option<ReadInfo> {
    if let Some(any) = Any::decode(bytes).ok().filter(|any| any.type_url == READ_INFO) {
        return ReadInfo::decode(any.value.as_slice()).ok();
    }
    let info = ReadInfo::decode(bytes).ok()?;
    let says_nothing = info.namespace_name.is_empty()
        || info.sql_query.is_empty() && info.flightsql_command.is_empty();
    (!says_nothing && info.encode_to_vec() == bytes).then_some(info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::wire::{FLIGHT_SQL, Ignored};
    use proptest::prelude::*;

    fn sql(db: &str, text: &str, params: Vec<(String, ParamValue)>) -> Ticket {
        Ticket { db: db.to_owned(), read: Read::Sql(text.to_owned(), params) }
    }

    #[test]
    fn json() {
        let check = |text: &str, ticket: Ticket| {
            assert_eq!(Ticket::decode(text.as_bytes()), Ok(ticket), "{text}");
        };
        let plain = sql("d", "SELECT 1", vec![]);
        check(r#"{"database":"d","sql_query":"SELECT 1"}"#, plain.clone());
        check(r#"{"namespace_name":"d","sql_query":"SELECT 1","query_type":"sql"}"#, plain.clone());
        check(r#"{"bucket":"d","sql_query":"SELECT 1","is_debug":true}"#, plain.clone());
        check(r#"{"bucket-name":"d","sql_query":"SELECT 1","x":[{}],"params":null}"#, plain);
        check(
            r#"{"database":"d","sql_query":"SELECT $v","params":{"v":2,"w":null}}"#,
            sql(
                "d",
                "SELECT $v",
                vec![("v".to_owned(), ParamValue::UInteger(2)), ("w".to_owned(), ParamValue::Null)],
            ),
        );
        let text = r#"{"database":"d","sql_query":"SHOW DATABASES","query_type":"influxql"}"#;
        let read = Read::InfluxQl("SHOW DATABASES".to_owned(), vec![]);
        check(text, Ticket { db: "d".to_owned(), read });
    }

    #[test]
    fn what_is_no_ticket() {
        let wrong = [
            "",
            "garbage",
            "{}",
            r#"{"database":"d"}"#,
            r#"{"sql_query":"SELECT 1"}"#,
            r#"{"database":"d","sql_query":"SELECT 1","query_type":"flux"}"#,
            r#"{"database":"d","sql_query":"SELECT 1","params":{"a":[1]}}"#,
            r#"{"database":"d","sql_query":"SELECT 1","params":{"a":{}}}"#,
            r#"{"database":"d","sql_query":"SELECT 1"} x"#,
        ];
        for text in wrong {
            assert_eq!(Ticket::decode(text.as_bytes()), Err(TicketError::Invalid), "{text}");
        }
    }

    #[test]
    fn protobuf_with_and_without_its_name() {
        let info = ReadInfo {
            namespace_name: "d".to_owned(),
            sql_query: "SELECT $a".to_owned(),
            params: vec![("a".to_owned(), ParamValue::Float(0.5)).into()],
            ..ReadInfo::default()
        };
        let ticket = sql("d", "SELECT $a", vec![("a".to_owned(), ParamValue::Float(0.5))]);
        assert_eq!(Ticket::decode(&Any::pack(READ_INFO, &info)), Ok(ticket.clone()));
        assert_eq!(Ticket::decode(&info.encode_to_vec()), Ok(ticket));
        let mut more = info.encode_to_vec();
        more.extend([0x78, 1]); // a field that the message does not have
        assert_eq!(Ticket::decode(&more), Err(TicketError::Invalid));
    }

    #[test]
    fn a_command() {
        let command = Any::pack(&format!("{FLIGHT_SQL}CommandGetCatalogs"), &Ignored {});
        let ticket = Ticket::decode(&Ticket::for_command("d".to_owned(), command));
        let read = Read::FlightSql(Command::Catalogs);
        assert_eq!(ticket, Ok(Ticket { db: "d".to_owned(), read }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(ticket) = Ticket::decode(&bytes) {
                prop_assert!(!bytes.is_empty(), "{ticket:?}");
            }
        }
    }
}
