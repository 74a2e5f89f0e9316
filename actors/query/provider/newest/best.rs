//! The newest row of each group, out of rows that come in any order.

use super::super::groups::{GroupName, Groups};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::{interleave_record_batch, take_record_batch};
use datafusion::arrow::datatypes::TimestampNanosecondType;
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use hashbrown::HashMap;

/// Rows that are kept although newer ones of their groups came, at least.
const OUTDATED_ROWS_MAX: usize = 65_536;

/// One row of each group so far.
#[derive(Default)]
pub(super) struct Best {
    /// What the rows are in.
    batches: Vec<RecordBatch>,
    rows: usize,
    by_group: HashMap<GroupName, Place>,
}

/// Where a row is.
struct Place {
    time_ns: i64,
    batch: usize,
    row: usize,
}

impl Best {
    /// Looks at the rows of `batch` that may be the newest of their groups.
    pub(super) fn offer(
        &mut self,
        batch: &RecordBatch,
        groups: &Groups,
        time: usize,
    ) -> Result<()> {
        let candidates = take_record_batch(batch, &groups.newest(batch, Some(time))?)?;
        let times = candidates.column(time).as_primitive_opt::<TimestampNanosecondType>();
        let times = times.ok_or_else(|| exec_datafusion_err!("rows without a time column"))?;
        let number = self.batches.len();
        let mut is_needed = false;
        let names = groups.of(&candidates)?;
        for (row, name) in names.iter().enumerate() {
            let place = Place { time_ns: times.value(row), batch: number, row };
            match self.by_group.get_mut(name.data()) {
                Some(best) if best.time_ns >= place.time_ns => continue,
                Some(best) => *best = place,
                None => drop(self.by_group.insert(Box::from(name.data()), place)),
            }
            is_needed = true;
        }
        if is_needed {
            groups.meet(names.iter().map(|name| name.data()));
            self.rows += candidates.num_rows();
            self.batches.push(candidates);
        }
        if self.rows > OUTDATED_ROWS_MAX + 2 * self.by_group.len() {
            self.compact()?;
        }
        Ok(())
    }

    /// Lets go of the rows that are not the newest of their groups.
    fn compact(&mut self) -> Result<()> {
        let mut places: Vec<&mut Place> = self.by_group.values_mut().collect();
        let rows: Vec<(usize, usize)> = places.iter().map(|p| (p.batch, p.row)).collect();
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let compact = interleave_record_batch(&batches, &rows)?;
        for (row, place) in places.iter_mut().enumerate() {
            (place.batch, place.row) = (0, row);
        }
        self.rows = compact.num_rows();
        self.batches = vec![compact];
        Ok(())
    }

    /// The rows.
    pub(super) fn take(mut self) -> Result<Option<RecordBatch>> {
        if self.by_group.is_empty() {
            return Ok(None);
        }
        self.compact()?;
        Ok(self.batches.pop())
    }
}
