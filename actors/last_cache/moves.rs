//! Which rows of a batch go to which places.

use crate::cache_kit::NONE;

/// Rows that follow each other and go to places that follow each other: what a writer who always
/// reports its series in the same order makes of nearly a whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    row: usize,
    place: usize,
    length: usize,
}

/// See the module's page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moves(Vec<Run>);

impl Moves {
    /// The moves to the place of each row; rows without a place stay out.
    pub(super) fn new(places: &[u32]) -> Self {
        let rows = places.iter().enumerate().filter(|(_, place)| **place != NONE);
        Self::of(rows.map(|(row, place)| (row, *place as usize)))
    }

    /// The moves of these rows to these places.
    pub(super) fn of(rows: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for (row, place) in rows {
            match runs.last_mut() {
                Some(run) if row == run.row + run.length && place == run.place + run.length => {
                    run.length += 1;
                }
                _ => runs.push(Run { row, place, length: 1 }),
            }
        }
        Self(runs)
    }

    /// Gives `take` row, place and length of all runs, and what it did not take of them again.
    pub(super) fn parts(&self, mut take: impl FnMut(usize, usize, usize) -> usize) {
        for run in &self.0 {
            let mut taken = 0;
            while taken < run.length {
                taken += take(run.row + taken, run.place + taken, run.length - taken).max(1);
            }
        }
    }

    /// Row and place of each move, in order of rows.
    pub(super) fn each(&self) -> impl Iterator<Item = (usize, usize)> {
        self.0.iter().flat_map(|run| (run.row..).zip(run.place..run.place + run.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_as_long_as_rows_and_places_go_together() {
        let moves = Moves::new(&[4, 5, NONE, 6, 7, 0, NONE]);
        let run = |row, place, length| Run { row, place, length };
        assert_eq!(moves, Moves(vec![run(0, 4, 2), run(3, 6, 2), run(5, 0, 1)]));
        let each: Vec<_> = moves.each().collect();
        assert_eq!(each, [(0, 4), (1, 5), (3, 6), (4, 7), (5, 0)]);
        let mut parts = Vec::new();
        moves.parts(|row, place, length| {
            parts.push((row, place, length));
            1
        });
        assert_eq!(parts, [(0, 4, 2), (1, 5, 1), (3, 6, 2), (4, 7, 1), (5, 0, 1)]);
        assert_eq!(Moves::new(&[NONE, NONE]), Moves(vec![]));
    }
}
