//! The rows of one request as columns: `LZ4(db, tables)`.
//!
//! Integers and times are stored as the difference to their minimum in as few bytes as the
//! largest difference needs, dictionary keys in as few as the dictionary's size needs.

use super::FrameError;
use super::wire::{Reader, narrow, put_narrow, width_of};
use crate::columns::{Bits, ColumnData, StoredColumn, StoredRows, Strings};
use crate::ids::{ColumnId, DbId, TableId};

/// Entries with more bytes than this, before they are compressed, are not written: texts of a column
/// are addressed by 32 bits with a sign.
const ENTRY_BYTES_MAX: usize = i32::MAX as usize;

const TAG: u8 = 0;
const FLOAT: u8 = 1;
const INTEGER: u8 = 2;
const UINTEGER: u8 = 3;
const STRING: u8 = 4;
const BOOLEAN: u8 = 5;

/// The bytes of one request.
///
/// # Errors
/// [`FrameError::TooLarge`] when [`decode`] could not read them.
pub fn encode(db: DbId, tables: &[StoredRows]) -> Result<Vec<u8>, FrameError> {
    let mut plain = Vec::with_capacity(4096);
    put_u32(&mut plain, db.0);
    put_u32(&mut plain, tables.len() as u32);
    for table in tables {
        put_u32(&mut plain, table.table.0);
        put_u32(&mut plain, table.times.len() as u32);
        put_signed(&mut plain, &table.times);
        put_u32(&mut plain, table.columns.len() as u32);
        for column in &table.columns {
            put_column(&mut plain, column);
        }
    }
    if plain.len() > ENTRY_BYTES_MAX {
        return Err(FrameError::TooLarge(plain.len()));
    }
    Ok(lz4_flex::block::compress_prepend_size(&plain))
}

/// The request that [`encode`] stored.
///
/// # Errors
/// When the bytes are not such an entry.
pub fn decode(bytes: &[u8]) -> Result<(DbId, Vec<StoredRows>), FrameError> {
    let size = Reader(bytes).u32()? as usize;
    // LZ4 cannot compress better than 255 to 1, so a larger claim is damage, not data.
    if size / 255 > bytes.len() {
        return Err(FrameError::Malformed("impossible size"));
    }
    let plain = lz4_flex::block::decompress_size_prepended(bytes)
        .map_err(|_| FrameError::Malformed("bad LZ4 block"))?;
    let mut reader = Reader(&plain);
    let db = DbId(reader.u32()?);
    let tables = (0..reader.u32()?).map(|_| table(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    if !reader.0.is_empty() {
        return Err(FrameError::Malformed("bytes left over"));
    }
    Ok((db, tables))
}

fn put_u32(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn put_signed(out: &mut Vec<u8>, values: &[i64]) {
    let base = values.iter().copied().min().unwrap_or(0);
    let max = values.iter().map(|v| v.wrapping_sub(base) as u64).max().unwrap_or(0);
    out.extend_from_slice(&base.to_le_bytes());
    let width = width_of(max);
    out.push(width as u8);
    put_narrow(out, width, values.iter().map(|v| v.wrapping_sub(base) as u64));
}

fn put_unsigned(out: &mut Vec<u8>, values: &[u64]) {
    let base = values.iter().copied().min().unwrap_or(0);
    let max = values.iter().map(|v| v.wrapping_sub(base)).max().unwrap_or(0);
    out.extend_from_slice(&base.to_le_bytes());
    let width = width_of(max);
    out.push(width as u8);
    put_narrow(out, width, values.iter().map(|v| v.wrapping_sub(base)));
}

fn put_strings(out: &mut Vec<u8>, strings: &Strings) {
    let width = width_of(strings.bytes.len() as u64);
    out.push(width as u8);
    put_narrow(out, width, strings.offsets.iter().skip(1).map(|o| *o as u64));
    out.extend_from_slice(&strings.bytes);
}

fn put_column(out: &mut Vec<u8>, column: &StoredColumn) {
    put_u32(out, column.id.0);
    match &column.validity {
        None => out.push(0),
        Some(bits) => {
            out.push(1);
            out.extend_from_slice(&bits.bytes);
        }
    }
    match &column.data {
        ColumnData::Tag { keys, dictionary } => {
            out.push(TAG);
            put_u32(out, dictionary.len() as u32);
            put_strings(out, dictionary);
            put_narrow(out, width_of(dictionary.len() as u64), keys.iter().map(|k| *k as u64));
        }
        ColumnData::Float(values) => {
            out.push(FLOAT);
            values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        }
        ColumnData::Integer(values) => {
            out.push(INTEGER);
            put_signed(out, values);
        }
        ColumnData::UInteger(values) => {
            out.push(UINTEGER);
            put_unsigned(out, values);
        }
        ColumnData::String(values) => {
            out.push(STRING);
            put_strings(out, values);
        }
        ColumnData::Boolean(bits) => {
            out.push(BOOLEAN);
            out.extend_from_slice(&bits.bytes);
        }
    }
}

fn table(reader: &mut Reader<'_>) -> Result<StoredRows, FrameError> {
    let table = TableId(reader.u32()?);
    let rows = reader.u32()? as usize;
    let times = numbers(reader, rows)?.map(|v| v as i64).collect();
    let columns =
        (0..reader.u32()?).map(|_| column(reader, rows)).collect::<Result<Vec<_>, _>>()?;
    Ok(StoredRows { table, times, columns })
}

/// `rows` numbers as [`put_signed`] and [`put_unsigned`] store them.
fn numbers<'a>(
    reader: &mut Reader<'a>,
    rows: usize,
) -> Result<impl Iterator<Item = u64> + use<'a>, FrameError> {
    let base = reader.u64()?;
    Ok(narrow_items(reader, rows)?.map(move |v| base.wrapping_add(v)))
}

fn narrow_items<'a>(
    reader: &mut Reader<'a>,
    n: usize,
) -> Result<impl Iterator<Item = u64> + use<'a>, FrameError> {
    let width = reader.u8()? as usize;
    items_of_width(reader, n, width)
}

fn items_of_width<'a>(
    reader: &mut Reader<'a>,
    n: usize,
    width: usize,
) -> Result<impl Iterator<Item = u64> + use<'a>, FrameError> {
    if !matches!(width, 1 | 2 | 4 | 8) {
        return Err(FrameError::Malformed("unknown width"));
    }
    Ok(reader.items(n, width)?.chunks_exact(width).map(narrow))
}

fn strings(reader: &mut Reader<'_>, n: usize) -> Result<Strings, FrameError> {
    let mut offsets = Vec::with_capacity(reader.0.len().min(n) + 1);
    offsets.push(0);
    for end in narrow_items(reader, n)? {
        let end = i32::try_from(end).map_err(|_| FrameError::Malformed("text offset"))?;
        if offsets.last().is_some_and(|last| *last > end) {
            return Err(FrameError::Malformed("text offset"));
        }
        offsets.push(end);
    }
    let size = offsets.last().map_or(0, |last| *last as usize);
    Ok(Strings { offsets, bytes: reader.take(size)?.to_vec() })
}

fn bits(reader: &mut Reader<'_>, len: usize) -> Result<Bits, FrameError> {
    Ok(Bits { bytes: reader.take(len.div_ceil(8))?.to_vec(), len })
}

fn column(reader: &mut Reader<'_>, rows: usize) -> Result<StoredColumn, FrameError> {
    let id = ColumnId(reader.u32()?);
    let validity = match reader.u8()? {
        0 => None,
        1 => Some(bits(reader, rows)?),
        _ => return Err(FrameError::Malformed("unknown validity")),
    };
    let data = match reader.u8()? {
        TAG => tag(reader, rows)?,
        FLOAT => ColumnData::Float(
            reader.items(rows, 8)?.chunks_exact(8).map(|b| f64::from_bits(narrow(b))).collect(),
        ),
        INTEGER => ColumnData::Integer(numbers(reader, rows)?.map(|v| v as i64).collect()),
        UINTEGER => ColumnData::UInteger(numbers(reader, rows)?.collect()),
        STRING => ColumnData::String(strings(reader, rows)?),
        BOOLEAN => ColumnData::Boolean(bits(reader, rows)?),
        _ => return Err(FrameError::Malformed("unknown column type")),
    };
    Ok(StoredColumn { id, data, validity })
}

fn tag(reader: &mut Reader<'_>, rows: usize) -> Result<ColumnData, FrameError> {
    let count = reader.u32()? as usize;
    let dictionary = strings(reader, count)?;
    let keys = items_of_width(reader, rows, width_of(count as u64))?
        .map(|key| i32::try_from(key).ok().filter(|k| (*k as usize) < count.max(1)))
        .collect::<Option<Vec<_>>>()
        .ok_or(FrameError::Malformed("dictionary key"))?;
    Ok(ColumnData::Tag { keys, dictionary })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(rows: usize) -> impl Strategy<Value = Strings> {
        proptest::collection::vec("[a-zé☃]{0,6}", rows).prop_map(|texts| {
            let mut strings = Strings::default();
            texts.iter().for_each(|t| strings.push(t.as_bytes()));
            strings
        })
    }

    fn some_bits(rows: usize) -> impl Strategy<Value = Bits> {
        proptest::collection::vec(any::<bool>(), rows).prop_map(|set| {
            let mut bits = Bits::default();
            set.into_iter().for_each(|b| bits.push(b));
            bits
        })
    }

    fn data(rows: usize) -> impl Strategy<Value = ColumnData> {
        prop_oneof![
            (texts(300), proptest::collection::vec(0..300_i32, rows))
                .prop_map(|(dictionary, keys)| ColumnData::Tag { keys, dictionary }),
            proptest::collection::vec(-1e9..1e9_f64, rows).prop_map(ColumnData::Float),
            proptest::collection::vec(any::<i64>(), rows).prop_map(ColumnData::Integer),
            proptest::collection::vec(0..200_i64, rows).prop_map(ColumnData::Integer),
            proptest::collection::vec(any::<u64>(), rows).prop_map(ColumnData::UInteger),
            texts(rows).prop_map(ColumnData::String),
            some_bits(rows).prop_map(ColumnData::Boolean),
        ]
    }

    fn rows() -> impl Strategy<Value = StoredRows> {
        (0..40_usize).prop_flat_map(|rows| {
            let column = (any::<u32>(), data(rows), proptest::option::of(some_bits(rows)))
                .prop_map(|(id, data, validity)| StoredColumn { id: ColumnId(id), data, validity });
            (
                any::<u32>(),
                proptest::collection::vec(any::<i64>(), rows),
                proptest::collection::vec(column, 0..6),
            )
                .prop_map(|(table, times, columns)| StoredRows {
                    table: TableId(table),
                    times,
                    columns,
                })
        })
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(tables in proptest::collection::vec(rows(), 0..4)) {
            let bytes = encode(DbId(7), &tables).unwrap();
            prop_assert_eq!(decode(&bytes), Ok((DbId(7), tables)));
        }

        #[test]
        fn damage_never_panics(tables in proptest::collection::vec(rows(), 1..3),
                               at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let mut bytes = encode(DbId(7), &tables).unwrap();
            let i = at.index(bytes.len());
            bytes[i] ^= flip;
            drop(decode(&bytes));
            drop(decode(&bytes[..i]));
        }
    }
}
