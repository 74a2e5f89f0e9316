//! The handle of a prepared statement: the statement itself, with the values bound to it.

use super::wire::{Any, HANDLE, PreparedStatementHandle};
use crate::messages::query::ParamValue;
use prost::Message;

/// A prepared statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    /// The statement.
    pub text: String,
    /// Values of its placeholders.
    pub params: Vec<(String, ParamValue)>,
}

/// Neither one of our handles nor text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid prepared statement handle")]
pub struct InvalidHandle;

impl Prepared {
    /// The handle that stands for it.
    pub fn encode(self) -> Vec<u8> {
        let params = self.params.into_iter().map(Into::into).collect();
        Any::pack(HANDLE, &PreparedStatementHandle { query: self.text, params })
    }

    /// Reads a handle. The bare text of a statement is one too.
    ///
    /// # Errors
    /// When it is neither.
    pub fn decode(handle: &[u8]) -> Result<Self, InvalidHandle> {
        if let Some(any) = Any::decode(handle).ok().filter(|any| any.type_url == HANDLE) {
            let handle = PreparedStatementHandle::decode(any.value.as_slice());
            let PreparedStatementHandle { query, params } = handle.map_err(|_| InvalidHandle)?;
            let params = params.into_iter().map(Into::into).collect();
            return Ok(Self { text: query, params });
        }
        match simdutf8::basic::from_utf8(handle) {
            Ok(text) if !text.is_empty() => Ok(Self { text: text.to_owned(), params: vec![] }),
            _ => Err(InvalidHandle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_the_whole_statement() {
        let params = [
            ParamValue::Null,
            ParamValue::Boolean(true),
            ParamValue::UInteger(u64::MAX),
            ParamValue::Integer(-1),
            ParamValue::Float(1.5),
            ParamValue::String("x".to_owned()),
        ];
        let params = (1..).zip(params).map(|(n, value)| (n.to_string(), value)).collect();
        let prepared = Prepared { text: "SELECT $1".to_owned(), params };
        assert_eq!(Prepared::decode(&prepared.clone().encode()), Ok(prepared));
    }

    #[test]
    fn bare_text_is_a_handle() {
        let prepared = Prepared { text: "SELECT 1".to_owned(), params: vec![] };
        assert_eq!(Prepared::decode(b"SELECT 1"), Ok(prepared));
        assert_eq!(Prepared::decode(b""), Err(InvalidHandle));
        assert_eq!(Prepared::decode(&[0xff, 0xfe]), Err(InvalidHandle));
    }
}
