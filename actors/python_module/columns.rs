//! Rows of Arrow become Python values.

use arrow::array::cast::AsArray;
use arrow::array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow::array::{Array, ArrayRef, PrimitiveArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};
use std::io::Cursor;

/// What becomes of nulls.
#[derive(Clone, Copy)]
enum Nulls {
    /// The dict of a row lacks the key.
    Absent,
    /// The value is `None`.
    None,
}

fn broken(error: ArrowError) -> PyErr {
    PyRuntimeError::new_err(format!("rows cannot be read: {error}"))
}

/// Rows as they came from the server, for `host.py`: they become Python values when it wants them.
#[pyclass(frozen)]
pub(crate) struct Stream(Bytes);

impl Stream {
    /// Of an Arrow IPC stream.
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

#[pymethods]
impl Stream {
    /// Appends written rows. What a line did not have, its dict has not.
    fn append_to(&self, py: Python<'_>, rows: &Bound<'_, PyList>) -> PyResult<()> {
        append(py, &self.0, rows, Nulls::Absent)
    }

    /// The rows of an answered query.
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows = PyList::empty(py);
        append(py, &self.0, &rows, Nulls::None)?;
        Ok(rows)
    }

    /// Where the bytes of the Arrow IPC stream are and how many, for as long as this object is.
    /// (What Python has for that, the buffer protocol, is in its stable interface from 3.11 on.)
    fn place(&self) -> (usize, usize) {
        (self.0.as_ptr() as usize, self.0.len())
    }
}

fn append(py: Python<'_>, stream: &Bytes, rows: &Bound<'_, PyList>, nulls: Nulls) -> PyResult<()> {
    let reader = StreamReader::try_new(Cursor::new(stream.clone()), None).map_err(broken)?;
    for field in reader.schema().fields() {
        form(field.data_type())?;
    }
    for batch in reader {
        append_batch(py, &batch.map_err(broken)?, rows, nulls)?;
    }
    Ok(())
}

fn append_batch(
    py: Python<'_>,
    batch: &RecordBatch,
    rows: &Bound<'_, PyList>,
    nulls: Nulls,
) -> PyResult<()> {
    let schema = batch.schema();
    let keys: Vec<_> = schema.fields().iter().map(|f| PyString::intern(py, f.name())).collect();
    let columns = batch.columns().iter().map(|column| Column::new(py, column));
    let columns = columns.collect::<PyResult<Vec<_>>>()?;
    for row in 0..batch.num_rows() {
        let dict = PyDict::new(py);
        for (key, column) in keys.iter().zip(&columns) {
            match (column.value(py, row)?, nulls) {
                (Some(value), _) => dict.set_item(key, value)?,
                (None, Nulls::None) => dict.set_item(key, py.None())?,
                (None, Nulls::Absent) => {}
            }
        }
        rows.append(dict)?;
    }
    Ok(())
}

/// The type in which values of `data_type` are read.
///
/// # Errors
/// When they have no form in Python.
fn form(data_type: &DataType) -> PyResult<DataType> {
    Ok(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            DataType::UInt64
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
        DataType::Boolean => DataType::Boolean,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Decimal128(..) | DataType::Decimal256(..) => DataType::Utf8,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            DataType::Timestamp(TimeUnit::Nanosecond, None)
        }
        DataType::Dictionary(_, values) if form(values)? == DataType::Utf8 => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        DataType::Null => DataType::Null,
        other => {
            return Err(PyValueError::new_err(format!("Unsupported data type: {other}")));
        }
    })
}

/// A column whose values can be taken one by one.
enum Column<'py> {
    Integer(PrimitiveArray<Int64Type>),
    UInteger(PrimitiveArray<UInt64Type>),
    Float(PrimitiveArray<Float64Type>),
    Boolean(arrow::array::BooleanArray),
    Text(StringArray),
    /// Texts that are the same are the same object.
    Tag(PrimitiveArray<Int32Type>, Vec<Bound<'py, PyString>>),
    Time(PrimitiveArray<TimestampNanosecondType>),
    Null,
}

impl<'py> Column<'py> {
    fn new(py: Python<'py>, array: &ArrayRef) -> PyResult<Self> {
        let form = form(array.data_type())?;
        let array = match array.data_type() {
            // The zone goes, the instant stays.
            DataType::Timestamp(unit, Some(_)) => {
                cast(array, &DataType::Timestamp(*unit, None)).map_err(broken)?
            }
            _ => ArrayRef::clone(array),
        };
        let array =
            if *array.data_type() == form { array } else { cast(&array, &form).map_err(broken)? };
        Ok(match form {
            DataType::Int64 => Self::Integer(array.as_primitive().clone()),
            DataType::UInt64 => Self::UInteger(array.as_primitive().clone()),
            DataType::Float64 => Self::Float(array.as_primitive().clone()),
            DataType::Boolean => Self::Boolean(array.as_boolean().clone()),
            DataType::Utf8 => Self::Text(array.as_string().clone()),
            DataType::Timestamp(..) => Self::Time(array.as_primitive().clone()),
            DataType::Dictionary(..) => {
                let tags = array.as_dictionary::<Int32Type>();
                let texts = tags.values().as_string::<i32>();
                let texts = texts.iter().map(|text| PyString::new(py, text.unwrap_or_default()));
                Self::Tag(tags.keys().clone(), texts.collect())
            }
            _ => Self::Null,
        })
    }

    /// The value of a row; nothing if it is null.
    fn value(&self, py: Python<'py>, row: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let is_null = match self {
            Self::Integer(values) => values.is_null(row),
            Self::UInteger(values) => values.is_null(row),
            Self::Float(values) => values.is_null(row),
            Self::Boolean(values) => values.is_null(row),
            Self::Text(values) => values.is_null(row),
            Self::Tag(keys, _) => keys.is_null(row),
            Self::Time(values) => values.is_null(row),
            Self::Null => true,
        };
        if is_null {
            return Ok(None);
        }
        Ok(match self {
            Self::Integer(values) => Some(PyInt::new(py, values.value(row)).into_any()),
            Self::UInteger(values) => Some(PyInt::new(py, values.value(row)).into_any()),
            Self::Float(values) => Some(PyFloat::new(py, values.value(row)).into_any()),
            Self::Boolean(values) => Some(PyBool::new(py, values.value(row)).to_owned().into_any()),
            Self::Text(values) => Some(PyString::new(py, values.value(row)).into_any()),
            Self::Tag(keys, texts) => {
                let text = usize::try_from(keys.value(row)).ok().and_then(|key| texts.get(key));
                text.map(|text| text.clone().into_any())
            }
            Self::Time(values) => Some(PyInt::new(py, values.value(row)).into_any()),
            Self::Null => None,
        })
    }
}
