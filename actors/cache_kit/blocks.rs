//! A vector that grows without moving what it has.

use std::ops::{Index, IndexMut};

/// Items of a block.
const BLOCK: usize = 256;

/// Items by number, in blocks of fixed size. A vector that doubles touches up to three times the
/// memory that it needs in the end, and fresh memory is what a growing cache spends most time on.
#[derive(Debug)]
pub struct Blocks<T> {
    blocks: Vec<Box<[T; BLOCK]>>,
    length: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), length: 0 }
    }
}

impl<T: Clone> Blocks<T> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds copies of `item` until there are `length` items. Those beyond stay.
    pub fn grow(&mut self, length: usize, item: &T) {
        if length <= self.length {
            return;
        }
        // The rest of the last block is as old as the block.
        let end = length.min(self.blocks.len() * BLOCK);
        (self.length..end).for_each(|at| self.blocks[at / BLOCK][at % BLOCK] = item.clone());
        while self.blocks.len() * BLOCK < length {
            let block = vec![item.clone(); BLOCK].into_boxed_slice();
            self.blocks.extend(Box::<[T; BLOCK]>::try_from(block));
        }
        self.length = length;
    }

    /// Adds an item. Returns its number.
    pub fn push(&mut self, item: T) -> usize {
        let at = self.length;
        match self.blocks.get_mut(at / BLOCK) {
            Some(block) => {
                block[at % BLOCK] = item;
                self.length += 1;
            }
            None => self.grow(at + 1, &item),
        }
        at
    }

    /// The item of that number, if there is one.
    pub fn get(&self, at: usize) -> Option<&T> {
        (at < self.length).then(|| &self[at])
    }

    /// The items from `at` as far as they stand together, at most `length` of them.
    pub fn part_mut(&mut self, at: usize, length: usize) -> &mut [T] {
        let start = at % BLOCK;
        &mut self.blocks[at / BLOCK][start..(start + length).min(BLOCK)]
    }

    /// The items of these numbers.
    pub fn pick(&self, numbers: &[u32]) -> Vec<T> {
        numbers.iter().map(|number| self[*number as usize].clone()).collect()
    }
}

impl<T> Index<usize> for Blocks<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.blocks[at / BLOCK][at % BLOCK]
    }
}

impl<T> IndexMut<usize> for Blocks<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.blocks[at / BLOCK][at % BLOCK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_at_their_numbers() {
        let mut items = Blocks::default();
        assert!(items.is_empty() && items.get(0).is_none());
        for n in 0..1_000_usize {
            assert_eq!(items.push(n), n);
        }
        items.grow(2_000, &7);
        items.grow(10, &8);
        items[1_500] = 9;
        assert_eq!((items.len(), items.get(2_000), items.get(1_999)), (2_000, None, Some(&7)));
        assert_eq!(items.pick(&[0, 255, 256, 999, 1_000, 1_500]), [0, 255, 256, 999, 7, 9]);
        assert_eq!(items.part_mut(254, 5), [254, 255]);
        assert_eq!(items.part_mut(256, 2), [256, 257]);
    }
}
