//! Rows as a table for a person at a terminal: as wide as that, with nulls that can be told from
//! empty texts.

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use comfy_table::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands for a null.
const NULL: &str = "NULL";
/// The narrowest that a column gets, in characters.
const WIDTH_MIN: usize = 4;
/// The lines around cells, as the server draws them.
const LINES: &str = "||--+-++|    ++++++";

/// A whole result as texts.
pub(super) struct Rows {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// Reads a Parquet file with its embedded schema.
    ///
    /// # Errors
    /// When it is none, or has a value that cannot be shown.
    pub(super) fn read(file: Bytes) -> Result<Self> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let header = header(reader.schema());
        let mut rows = Vec::new();
        for batch in reader.build()? {
            add(&batch?, &mut rows).context("the result cannot be shown")?;
        }
        Ok(Self { header, rows })
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The table, its lines no longer than `width` characters if that can be; `None` leaves all
    /// cells whole.
    pub(super) fn drawn(&self, width: Option<usize>) -> String {
        let widest = width.map_or(usize::MAX, |width| self.widest_cell(width));
        let mut table = Table::new();
        table.load_preset(LINES);
        table.set_header(self.header.iter().map(|cell| cut(cell, widest)));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| cut(cell, widest)));
        }
        table.to_string()
    }

    /// How wide cells may be at most for lines of `width`: narrow columns stay as they are, and the
    /// wide ones share what they leave.
    fn widest_cell(&self, width: usize) -> usize {
        let mut widths: Vec<usize> = self.header.iter().map(|cell| cell_width(cell)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell_width(cell).max(*width);
            }
        }
        widths.sort_unstable();
        // Each column has a line and a blank before it and a blank behind it.
        let mut rest = width.saturating_sub(3 * widths.len() + 1);
        for (narrower, width) in widths.iter().enumerate() {
            let share = rest / (widths.len() - narrower);
            if *width > share {
                return share.max(WIDTH_MIN);
            }
            rest -= width;
        }
        usize::MAX
    }
}

fn header(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| shown(field.name())).collect()
}

fn add(batch: &RecordBatch, rows: &mut Vec<Vec<String>>) -> Result<()> {
    let options = FormatOptions::default().with_null(NULL);
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        let cells = columns.iter().map(|column| Ok(shown(&column.value(row).try_to_string()?)));
        rows.push(cells.collect::<Result<_>>()?);
    }
    Ok(())
}

/// The text without what would steer the terminal. Its lines stay.
fn shown(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    let spelled = |c: char| match c {
        '\n' => Cow::Borrowed("\n"),
        c if c.is_control() => Cow::Owned(c.escape_default().to_string()),
        c => Cow::Owned(c.to_string()),
    };
    text.chars().map(spelled).collect()
}

fn cell_width(cell: &str) -> usize {
    cell.split('\n').map(UnicodeWidthStr::width).max().unwrap_or(0)
}

/// The cell with each of its lines cut to `width`.
fn cut(cell: &str, width: usize) -> String {
    let line = |line: &str| {
        if line.width() <= width {
            return line.to_owned();
        }
        let mut taken = 1; // the ellipsis
        let kept = line.chars().take_while(|c| {
            taken += c.width().unwrap_or(0);
            taken <= width
        });
        kept.chain(['…']).collect()
    };
    cell.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    fn rows(columns: Vec<(&str, ArrayRef)>) -> Rows {
        let nullable = columns.into_iter().map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(nullable).expect("columns");
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).expect("a schema");
        writer.write(&batch).expect("rows");
        writer.close().expect("a file");
        Rows::read(file.into()).expect("a file of rows")
    }

    fn texts(values: Vec<Option<&str>>) -> ArrayRef {
        Arc::new(StringArray::from(values))
    }

    #[test]
    fn nulls_are_no_empty_texts() {
        let rows = rows(vec![
            ("a", texts(vec![Some("x"), None, Some("")])),
            ("n", Arc::new(Int64Array::from(vec![None, Some(-1), Some(2)]))),
        ]);
        let expected = "\
+------+------+
| a    | n    |
+------+------+
| x    | NULL |
| NULL | -1   |
|      | 2    |
+------+------+";
        assert_eq!((rows.len(), rows.drawn(Some(80)).as_str()), (3, expected));
        assert_eq!(rows.drawn(None), expected);
    }

    #[test]
    fn wide_columns_share_what_narrow_ones_leave() {
        let long = "0123456789".repeat(5);
        let rows = rows(vec![
            ("id", texts(vec![Some("7")])),
            ("left", texts(vec![Some(&long)])),
            ("right", texts(vec![Some(&long)])),
        ]);
        let expected = "\
+----+-----------+-----------+
| id | left      | right     |
+----+-----------+-----------+
| 7  | 01234567… | 01234567… |
+----+-----------+-----------+";
        assert_eq!(rows.drawn(Some(30)), expected);
        assert!(rows.drawn(None).contains(&long));
        // Nothing is cut where all has room, and something stays where nothing has.
        assert_eq!(rows.drawn(Some(116)), rows.drawn(None));
        assert!(rows.drawn(Some(5)).contains("| 012… | 012… |"), "{}", rows.drawn(Some(5)));
    }

    #[test]
    fn widths_are_those_of_the_screen() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("one line\ntwo", 5), "one …\ntwo");
        assert_eq!(shown("a\u{1b}[2J\tb\nc"), "a\\u{1b}[2J\\tb\nc");
    }
}
