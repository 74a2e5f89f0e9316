//! Holds a line against the schema as the catalog and the earlier lines of the request left it.
//! Nothing is changed here: what the line would add is kept in a [`Plan`] until the whole line is
//! known to be good.

use super::builder::{TableBuilder, known_counts};
use super::fault::Fault;
use super::lexer::LexedLine;
use super::{ParseOptions, SchemaLimits};
use crate::ids::ColumnId;
use crate::schema::{
    CHUNK_ORDER_COLUMN, ColumnKind, DatabaseSchema, TIME_COLUMN, TIMESTAMP_PLAIN_NAME, TableSchema,
};
use hashbrown::{HashMap, HashSet};
use std::borrow::Cow;
use std::sync::Arc;

/// A column that a line adds to the request, and perhaps to the table.
#[derive(Debug)]
pub(super) struct NewColumn {
    pub(super) name: Arc<str>,
    pub(super) kind: ColumnKind,
    /// The catalog's id when the table has the column already.
    pub(super) id: Option<ColumnId>,
}

/// What to do with a good line. Reused from line to line for its memory.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The table in the catalog, when the request names it for the first time.
    pub(super) known: Option<Arc<TableSchema>>,
    /// The column of each tag. Those past the columns of the table are in `new_columns`.
    pub(super) tags: Vec<usize>,
    /// The column of each field, likewise.
    pub(super) fields: Vec<usize>,
    pub(super) new_columns: Vec<NewColumn>,
    new_by_name: HashMap<Arc<str>, usize>,
    seen: HashSet<usize>,
    column_count: usize,
    tag_count: usize,
}

/// What a line is checked against.
pub(super) struct Against<'c, 'a> {
    pub(super) database: Option<&'c DatabaseSchema>,
    /// Name of the table.
    pub(super) measurement: &'c str,
    /// The table as the request has built it so far.
    pub(super) table: Option<&'c TableBuilder<'a>>,
    /// Tables that the request has added so far.
    pub(super) new_tables: usize,
    pub(super) options: &'c ParseOptions,
}

impl Against<'_, '_> {
    fn limits(&self) -> &SchemaLimits {
        &self.options.limits
    }

    /// The table in the catalog.
    fn known<'p>(&'p self, plan: &'p Plan) -> Option<&'p TableSchema> {
        match self.table {
            Some(table) => table.known.as_deref(),
            None => plan.known.as_deref(),
        }
    }

    fn table_exists(&self, plan: &Plan) -> bool {
        self.table.is_some() || plan.known.is_some()
    }

    /// The table's own columns in this request: new ones are counted from here.
    fn built_columns(&self) -> usize {
        self.table.map_or(0, |table| table.columns.len())
    }
}

impl Plan {
    /// Works out where the parts of `line` go.
    pub(super) fn check<'a>(
        &mut self,
        line: &LexedLine<'a>,
        against: &Against<'_, 'a>,
    ) -> Result<(), Fault<'a>> {
        self.tags.clear();
        self.fields.clear();
        self.new_columns.clear();
        self.new_by_name.clear();
        self.find_table(&line.measurement, against)?;
        for (i, tag) in line.tags.iter().enumerate() {
            let guess = against.table.and_then(|t| t.shape.tags.get(i)).map(|tag| tag.column);
            let column = self.column(&tag.key, ColumnKind::Tag, guess, against)?;
            self.tags.push(column);
        }
        for (i, (key, value)) in line.keys.iter().zip(&line.values).enumerate() {
            let guess = against.table.and_then(|t| t.shape.fields.get(i)).map(|f| f.column);
            let column = self.column(&key.key, value.kind(), guess, against)?;
            self.fields.push(column);
        }
        self.refuse_repetition(line)
    }

    fn find_table<'a>(&mut self, name: &str, against: &Against<'_, '_>) -> Result<(), Fault<'a>> {
        if let Some(table) = against.table {
            self.known = None;
            (self.column_count, self.tag_count) = (table.column_count, table.tag_count);
            return Ok(());
        }
        self.known = against.database.and_then(|database| database.table(name)).cloned();
        (self.column_count, self.tag_count) = known_counts(self.known.as_deref());
        let live = against.options.live_tables + against.new_tables;
        match against.limits().tables {
            Some(limit) if self.known.is_none() && live >= limit => {
                Err(Fault::Tables { live, limit })
            }
            _ => Ok(()),
        }
    }

    /// The index of the column `name`, which holds or gets values of `kind`.
    fn column<'a>(
        &mut self,
        name: &Cow<'a, str>,
        kind: ColumnKind,
        guess: Option<usize>,
        against: &Against<'_, '_>,
    ) -> Result<usize, Fault<'a>> {
        let clash = |expected| {
            let table = against.measurement.to_owned();
            Fault::Type { table, column: name.to_string(), expected, got: kind }
        };
        if let Some((index, existing)) = self.find(name, guess, against) {
            return if existing == kind { Ok(index) } else { Err(clash(existing.plain_name())) };
        }
        let known = against.known(self).and_then(|table| table.column(name)).cloned();
        if let Some(known) = known {
            if known.kind != kind {
                return Err(clash(known.kind.plain_name()));
            }
            return Ok(self.add(known.name, kind, Some(known.id), against));
        }
        match &**name {
            TIME_COLUMN if against.table_exists(self) => return Err(clash(TIMESTAMP_PLAIN_NAME)),
            TIME_COLUMN | CHUNK_ORDER_COLUMN => return Err(Fault::Reserved(name.to_string())),
            _ => {}
        }
        self.count_new_column(name, kind, against)?;
        Ok(self.add(Arc::from(&**name), kind, None, against))
    }

    /// Finds a column that this request has used before, in an earlier line or in this one.
    fn find(
        &self,
        name: &str,
        guess: Option<usize>,
        against: &Against<'_, '_>,
    ) -> Option<(usize, ColumnKind)> {
        if let Some(table) = against.table {
            // Most lines have the columns of the line before in the same order.
            let guessed = guess.filter(|i| table.columns.get(*i).is_some_and(|c| c.name() == name));
            if let Some(index) = guessed.or_else(|| table.column(name)) {
                return table.columns.get(index).map(|column| (index, column.kind()));
            }
        }
        let added = *self.new_by_name.get(name)?;
        self.new_columns.get(added).map(|new| (against.built_columns() + added, new.kind))
    }

    fn add(
        &mut self,
        name: Arc<str>,
        kind: ColumnKind,
        id: Option<ColumnId>,
        against: &Against<'_, '_>,
    ) -> usize {
        let added = self.new_columns.len();
        self.new_by_name.insert(Arc::clone(&name), added);
        self.new_columns.push(NewColumn { name, kind, id });
        against.built_columns() + added
    }

    fn count_new_column<'a>(
        &mut self,
        name: &str,
        kind: ColumnKind,
        against: &Against<'_, '_>,
    ) -> Result<(), Fault<'a>> {
        let is_tag = kind == ColumnKind::Tag;
        if is_tag && against.options.immutable_tags && against.known(self).is_some() {
            return Err(Fault::NewTag(name.to_owned()));
        }
        self.column_count += 1;
        self.tag_count += usize::from(is_tag);
        let limits = against.limits();
        if let Some(limit) = limits.columns_per_table.filter(|max| self.column_count > *max) {
            return Err(Fault::Columns(limit));
        }
        match limits.tag_columns_per_table {
            Some(limit) if is_tag && self.tag_count > limit => Err(Fault::TagColumns(limit)),
            _ => Ok(()),
        }
    }

    fn refuse_repetition<'a>(&mut self, line: &LexedLine<'a>) -> Result<(), Fault<'a>> {
        if let Some(again) = repeated(&self.fields, &mut self.seen) {
            let name = line.keys.get(again).map(|key| key.key.to_string());
            return Err(Fault::RepeatedField(name.unwrap_or_default()));
        }
        if let Some(again) = repeated(&self.tags, &mut self.seen) {
            let name = line.tags.get(again).map(|tag| tag.key.to_string());
            return Err(Fault::RepeatedTag(name.unwrap_or_default()));
        }
        Ok(())
    }
}

/// The position of the first column that stands before it already.
fn repeated(columns: &[usize], seen: &mut HashSet<usize>) -> Option<usize> {
    /// So few columns are compared with each other faster than they are hashed.
    const FEW: usize = 24;
    if columns.len() <= FEW {
        let before = |(i, column)| columns.iter().take(i).any(|earlier| earlier == column);
        return columns.iter().enumerate().position(before);
    }
    seen.clear();
    columns.iter().position(|column| !seen.insert(*column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_found_among_few_and_many() {
        for count in [0, 1, 2, 20, 30, 100] {
            let mut columns: Vec<usize> = (0..count).map(|i| i * 7).collect();
            assert_eq!(repeated(&columns, &mut HashSet::new()), None, "{count}");
            if let Some(&first) = columns.first() {
                columns.push(first);
                assert_eq!(repeated(&columns, &mut HashSet::new()), Some(count), "{count}");
            }
        }
    }
}
