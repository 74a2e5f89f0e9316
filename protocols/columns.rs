//! Columns as the line protocol parser builds them and the WAL stores them: plain vectors that
//! become Arrow arrays without a copy.

use crate::ids::{ColumnId, TableId};
use crate::schema::{ColumnKind, FieldType, TableSchema, time_field};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampNanosecondArray, UInt64Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, FieldRef, Schema};
use std::sync::{Arc, LazyLock};

/// A growing run of bits, least significant first. As validity, 1 means "has a value".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    /// The packed bits; those past `len` are zero.
    pub bytes: Vec<u8>,
    /// Number of bits.
    pub len: usize,
}

impl Bits {
    /// `len` bits, all set.
    pub fn all_set(len: usize) -> Self {
        let mut bits = Self::default();
        bits.push_n(len, true);
        bits
    }

    /// Appends one bit.
    #[inline]
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if bit && let Some(last) = self.bytes.last_mut() {
            *last |= 1 << (self.len % 8);
        }
        self.len += 1;
    }

    /// Appends `n` equal bits.
    pub fn push_n(&mut self, n: usize, bit: bool) {
        let mut left = n;
        while left > 0 && !self.len.is_multiple_of(8) {
            self.push(bit);
            left -= 1;
        }
        let fill = if bit { 0xff } else { 0 };
        self.bytes.resize(self.bytes.len() + left / 8, fill);
        self.len += left / 8 * 8;
        for _ in 0..left % 8 {
            self.push(bit);
        }
    }

    /// The bit at `i`; false past the end.
    #[inline]
    pub fn get(&self, i: usize) -> bool {
        i < self.len && self.bytes.get(i / 8).is_some_and(|b| b & (1 << (i % 8)) != 0)
    }

    fn into_boolean_buffer(self) -> BooleanBuffer {
        BooleanBuffer::new(Buffer::from_vec(self.bytes), 0, self.len)
    }
}

/// Texts laid end to end. Text `i` is `bytes[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    /// One more than there are texts; the first is 0, none is smaller than the one before.
    pub offsets: Vec<i32>,
    /// The UTF-8 bytes of all texts.
    pub bytes: Vec<u8>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: Vec::new() }
    }
}

impl Strings {
    /// Number of texts.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// True when there is no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a text. The parser bounds a request far below the 2 GiB that offsets can address.
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.offsets.push(self.bytes.len() as i32);
    }

    /// The bytes of text `i`; empty past the end.
    pub fn get(&self, i: usize) -> &[u8] {
        match (self.offsets.get(i), self.offsets.get(i + 1)) {
            (Some(&a), Some(&b)) => self.bytes.get(a as usize..b as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    fn into_arrow(self, nulls: Option<NullBuffer>) -> Result<StringArray, ArrowError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        StringArray::try_new(offsets, Buffer::from_vec(self.bytes), nulls)
    }
}

/// The values of one column. Rows without a value hold a default (0, empty, key 0).
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnData {
    /// Dictionary-encoded text: `keys[row]` is an index into `dictionary`.
    Tag {
        /// One key a row.
        keys: Vec<i32>,
        /// Distinct values in order of first appearance.
        dictionary: Strings,
    },
    /// 64-bit floats.
    Float(Vec<f64>),
    /// Signed integers.
    Integer(Vec<i64>),
    /// Unsigned integers.
    UInteger(Vec<u64>),
    /// Texts, one a row.
    String(Strings),
    /// Booleans, one bit a row.
    Boolean(Bits),
}

impl ColumnData {
    /// An empty column of that kind.
    pub fn new(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Tag => Self::Tag { keys: Vec::new(), dictionary: Strings::default() },
            ColumnKind::Field(FieldType::Float) => Self::Float(Vec::new()),
            ColumnKind::Field(FieldType::Integer) => Self::Integer(Vec::new()),
            ColumnKind::Field(FieldType::UInteger) => Self::UInteger(Vec::new()),
            ColumnKind::Field(FieldType::String) => Self::String(Strings::default()),
            ColumnKind::Field(FieldType::Boolean) => Self::Boolean(Bits::default()),
        }
    }

    /// What kind of column these values belong to.
    pub fn kind(&self) -> ColumnKind {
        match self {
            Self::Tag { .. } => ColumnKind::Tag,
            Self::Float(_) => ColumnKind::Field(FieldType::Float),
            Self::Integer(_) => ColumnKind::Field(FieldType::Integer),
            Self::UInteger(_) => ColumnKind::Field(FieldType::UInteger),
            Self::String(_) => ColumnKind::Field(FieldType::String),
            Self::Boolean(_) => ColumnKind::Field(FieldType::Boolean),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Tag { keys, .. } => keys.len(),
            Self::Float(v) => v.len(),
            Self::Integer(v) => v.len(),
            Self::UInteger(v) => v.len(),
            Self::String(v) => v.len(),
            Self::Boolean(v) => v.len,
        }
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives back room that is empty, if it is much.
    pub(crate) fn trim(&mut self) {
        let trim_texts = |texts: &mut Strings| {
            trim(&mut texts.offsets);
            trim(&mut texts.bytes);
        };
        match self {
            Self::Tag { keys, dictionary } => {
                trim(keys);
                trim_texts(dictionary);
            }
            Self::Float(values) => trim(values),
            Self::Integer(values) => trim(values),
            Self::UInteger(values) => trim(values),
            Self::String(texts) => trim_texts(texts),
            Self::Boolean(bits) => trim(&mut bits.bytes),
        }
    }

    /// The values as an Arrow array, without copying them.
    ///
    /// # Errors
    /// When texts are not UTF-8, or lengths, keys or offsets do not fit together: only possible
    /// for columns decoded from damaged bytes.
    pub fn into_arrow(self, validity: Option<Bits>) -> Result<ArrayRef, ArrowError> {
        let nulls = validity.map(|v| NullBuffer::new(v.into_boolean_buffer()));
        Ok(match self {
            Self::Tag { keys, dictionary } => {
                let keys = Int32Array::try_new(keys.into(), nulls)?;
                let values: ArrayRef = Arc::new(dictionary.into_arrow(None)?);
                Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values)?)
            }
            Self::Float(v) => Arc::new(Float64Array::try_new(v.into(), nulls)?),
            Self::Integer(v) => Arc::new(Int64Array::try_new(v.into(), nulls)?),
            Self::UInteger(v) => Arc::new(UInt64Array::try_new(v.into(), nulls)?),
            Self::String(v) => Arc::new(v.into_arrow(nulls)?),
            Self::Boolean(v) => Arc::new(BooleanArray::new(v.into_boolean_buffer(), nulls)),
        })
    }
}

/// Moves the items to where they fit, if much of the room for them is empty: they may stay there
/// for long. A few bytes do not matter.
pub(crate) fn trim<T: Copy>(items: &mut Vec<T>) {
    let (used, room) = (size_of_val(items.as_slice()), items.capacity() * size_of::<T>());
    if room - used > (used / 4).max(1024) {
        // Not `shrink_to_fit`: an allocator may leave them where they are.
        *items = items.as_slice().to_vec();
    }
}

/// One column of a parsed request.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name as written by the client.
    pub name: Arc<str>,
    /// The catalog's id when the column was known when the request was parsed.
    pub id: Option<ColumnId>,
    /// One value a row.
    pub data: ColumnData,
    /// Which rows have a value; `None` means all of them.
    pub validity: Option<Bits>,
}

/// One for all batches.
static TIME_FIELD: LazyLock<FieldRef> = LazyLock::new(|| Arc::new(time_field()));

/// The rows of one table in one request, as columns.
#[derive(Clone, Debug)]
pub struct TableRows {
    /// Name as written by the client.
    pub name: Arc<str>,
    /// The table as the catalog knew it when the request was parsed.
    pub known: Option<Arc<TableSchema>>,
    /// Nanoseconds since 1970, one a row.
    pub times: Vec<i64>,
    /// Columns in order of first appearance in the request.
    pub columns: Vec<Column>,
}

/// The rows of one table with the catalog's ids: what the WAL stores.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRows {
    /// The table.
    pub table: TableId,
    /// Nanoseconds since 1970, one a row.
    pub times: Vec<i64>,
    /// Columns that at least one row has a value for.
    pub columns: Vec<StoredColumn>,
}

/// A column with the catalog's id.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredColumn {
    /// The column inside its table.
    pub id: ColumnId,
    /// One value a row.
    pub data: ColumnData,
    /// Which rows have a value; `None` means all of them.
    pub validity: Option<Bits>,
}

impl StoredRows {
    /// The rows as an Arrow batch: the columns in their stored order under their catalog names,
    /// `time` last. No value is copied.
    ///
    /// # Errors
    /// When a column id is not in `schema` with that kind, or when the parts do not fit together.
    pub fn into_arrow(self, schema: &TableSchema) -> Result<RecordBatch, ArrowError> {
        let mut fields: Vec<FieldRef> = Vec::with_capacity(self.columns.len() + 1);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len() + 1);
        for column in self.columns {
            let known = schema.column_by_id(column.id);
            let known = known.filter(|(known, _)| known.kind == column.data.kind());
            let (_, field) = known.ok_or_else(|| {
                ArrowError::SchemaError(format!(
                    "column {} of table {} is not in the catalog with its type",
                    column.id, schema.name
                ))
            })?;
            fields.push(Arc::clone(field));
            arrays.push(column.data.into_arrow(column.validity)?);
        }
        fields.push(Arc::clone(&TIME_FIELD));
        arrays.push(Arc::new(TimestampNanosecondArray::try_new(self.times.into(), None)?));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    }
}
