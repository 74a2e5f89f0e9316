//! A value column of a last-value cache: one value for each place of a row.

use crate::cache_kit::NONE;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, Float64Array, Int64Array,
    PrimitiveArray, StringBuilder, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float64Type, Int32Type, Int64Type, UInt64Type,
};
use arrow::error::ArrowError;
use std::sync::Arc;

/// The values by place. Places without a value hold anything.
#[derive(Debug)]
enum Data {
    Float(Vec<f64>),
    Integer(Vec<i64>),
    UInteger(Vec<u64>),
    Boolean(Vec<bool>),
    Text(Vec<Option<Box<str>>>),
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct ValueColumn {
    pub(super) name: Arc<str>,
    data: Data,
    valid: Vec<bool>,
    text_bytes: usize,
}

impl ValueColumn {
    /// A column for values of the type of `sample`, without any.
    pub(super) fn new(name: Arc<str>, sample: &DataType) -> Result<Self, ArrowError> {
        let data = match sample {
            DataType::Float64 => Data::Float(Vec::new()),
            DataType::Int64 => Data::Integer(Vec::new()),
            DataType::UInt64 => Data::UInteger(Vec::new()),
            DataType::Boolean => Data::Boolean(Vec::new()),
            DataType::Utf8 | DataType::Dictionary(..) => Data::Text(Vec::new()),
            other => return Err(wrong(other)),
        };
        Ok(Self { name, data, valid: Vec::new(), text_bytes: 0 })
    }

    /// Makes room for places below `end`.
    pub(super) fn grow(&mut self, end: usize) {
        if self.valid.len() >= end {
            return;
        }
        self.valid.resize(end, false);
        match &mut self.data {
            Data::Float(values) => values.resize(end, 0.0),
            Data::Integer(values) => values.resize(end, 0),
            Data::UInteger(values) => values.resize(end, 0),
            Data::Boolean(values) => values.resize(end, false),
            Data::Text(values) => values.resize(end, None),
        }
    }

    /// Memory of a value beside its text.
    pub(super) fn value_bytes(&self) -> usize {
        match self.data {
            Data::Boolean(_) => 2,
            Data::Text(_) => 17,
            _ => 9,
        }
    }

    /// Memory of all texts.
    pub(super) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Puts the value of each row at its place; rows without a place are left out. Without a
    /// column none of them has a value.
    pub(super) fn put(
        &mut self,
        places: &[u32],
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else {
            for place in places.iter().filter(|place| **place != NONE) {
                self.clear(*place);
            }
            return Ok(());
        };
        let wrong = || wrong(column.data_type());
        match &mut self.data {
            Data::Float(values) => {
                let from = column.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
                scatter(from, places, values, &mut self.valid);
            }
            Data::Integer(values) => {
                let from = column.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
                scatter(from, places, values, &mut self.valid);
            }
            Data::UInteger(values) => {
                let from = column.as_primitive_opt::<UInt64Type>().ok_or_else(wrong)?;
                scatter(from, places, values, &mut self.valid);
            }
            Data::Boolean(values) => {
                let from = column.as_boolean_opt().ok_or_else(wrong)?;
                for (row, place) in places.iter().enumerate().filter(|(_, p)| **p != NONE) {
                    values[*place as usize] = from.value(row);
                    self.valid[*place as usize] = from.is_valid(row);
                }
            }
            Data::Text(_) => self.put_texts(places, column)?,
        }
        Ok(())
    }

    fn put_texts(&mut self, places: &[u32], column: &ArrayRef) -> Result<(), ArrowError> {
        let wrong = || wrong(column.data_type());
        let coded = column.as_dictionary_opt::<Int32Type>();
        let values = coded.map_or(column, |coded| coded.values());
        let texts = values.as_string_opt::<i32>().ok_or_else(wrong)?;
        for (row, place) in places.iter().enumerate().filter(|(_, place)| **place != NONE) {
            if column.is_null(row) {
                self.clear(*place);
                continue;
            }
            let at = coded.map_or(row, |coded| coded.keys().value(row) as usize);
            self.set_text(*place, texts.value(at));
        }
        Ok(())
    }

    fn set_text(&mut self, place: u32, text: &str) {
        let Data::Text(values) = &mut self.data else { return };
        let old = &mut values[place as usize];
        // Most texts stay as they are from row to row.
        if old.as_deref() != Some(text) {
            self.text_bytes -= old.as_ref().map_or(0, |old| old.len() + 16);
            self.text_bytes += text.len() + 16;
            *old = Some(text.into());
        }
        self.valid[place as usize] = true;
    }

    /// Takes the value of a place away.
    pub(super) fn clear(&mut self, place: u32) {
        self.valid[place as usize] = false;
        if let Data::Text(values) = &mut self.data
            && let Some(old) = values[place as usize].take()
        {
            self.text_bytes -= old.len() + 16;
        }
    }

    /// The values of these places, all of which have room.
    pub(super) fn gather(&self, places: &[u32]) -> ArrayRef {
        let mut valid = BooleanBufferBuilder::new(places.len());
        for place in places {
            valid.append(self.valid[*place as usize]);
        }
        let nulls = NullBuffer::new(valid.finish());
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let at = |place: &u32| *place as usize;
        match &self.data {
            Data::Float(values) => {
                let values = places.iter().map(|place| values[at(place)]).collect();
                Arc::new(Float64Array::new(values, nulls))
            }
            Data::Integer(values) => {
                let values = places.iter().map(|place| values[at(place)]).collect();
                Arc::new(Int64Array::new(values, nulls))
            }
            Data::UInteger(values) => {
                let values = places.iter().map(|place| values[at(place)]).collect();
                Arc::new(UInt64Array::new(values, nulls))
            }
            Data::Boolean(values) => {
                let mut bits = BooleanBufferBuilder::new(places.len());
                places.iter().for_each(|place| bits.append(values[at(place)]));
                Arc::new(BooleanArray::new(bits.finish(), nulls))
            }
            Data::Text(values) => {
                let texts = places.iter().map(|place| values[at(place)].as_deref());
                let bytes = texts.clone().map(|text| text.map_or(0, str::len)).sum();
                let mut builder = StringBuilder::with_capacity(places.len(), bytes);
                for (place, text) in places.iter().zip(texts) {
                    builder.append_option(text.filter(|_| self.valid[at(place)]));
                }
                Arc::new(builder.finish())
            }
        }
    }
}

fn scatter<T: ArrowPrimitiveType>(
    from: &PrimitiveArray<T>,
    places: &[u32],
    values: &mut [T::Native],
    valid: &mut [bool],
) {
    let nulls = from.nulls();
    for (row, (place, value)) in places.iter().zip(from.values()).enumerate() {
        if *place != NONE {
            values[*place as usize] = *value;
            valid[*place as usize] = nulls.is_none_or(|nulls| nulls.is_valid(row));
        }
    }
}

fn wrong(kind: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("{kind} is not the type that the column had before"))
}
