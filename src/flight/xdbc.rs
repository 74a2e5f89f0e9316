//! What drivers of tools are told about SQL types.

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

/// The types with this number, or all of them.
///
/// # Errors
/// When they cannot be put into columns.
pub(super) fn rows(data_type: Option<i32>) -> Result<RecordBatch, FlightError> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    types.append(number("INTEGER", XdbcDataType::XdbcInteger, 32));
    types.append(number("FLOAT", XdbcDataType::XdbcFloat, 24));
    types.append(XdbcTypeInfo {
        datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeUnknown),
        ..quoted("INTERVAL", XdbcDataType::XdbcInterval)
    });
    types.append(XdbcTypeInfo {
        create_params: Some(vec!["length".to_owned()]),
        case_sensitive: true,
        ..quoted("VARCHAR", XdbcDataType::XdbcVarchar)
    });
    types.append(quoted("TIMESTAMP", XdbcDataType::XdbcTimestamp));
    types.build()?.record_batch(data_type)
}

fn number(name: &str, data_type: XdbcDataType, bits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        column_size: Some(bits),
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(2),
        ..named(name, data_type)
    }
}

fn quoted(name: &str, data_type: XdbcDataType) -> XdbcTypeInfo {
    let quote = Some("'".to_owned());
    XdbcTypeInfo {
        column_size: Some(i32::MAX),
        literal_prefix: quote.clone(),
        literal_suffix: quote,
        ..named(name, data_type)
    }
}

fn named(name: &str, data_type: XdbcDataType) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        local_type_name: Some(name.to_owned()),
        data_type,
        sql_data_type: data_type,
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        ..XdbcTypeInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_number() {
        let all = rows(None).unwrap();
        assert_eq!((all.num_rows(), all.num_columns()), (5, 19));
        assert_eq!(rows(Some(12)).unwrap().num_rows(), 1);
        assert_eq!(rows(Some(1)).unwrap().num_rows(), 0);
    }
}
