//! Random numbers that never change, so that a seed names a data set for ever.

/// SplitMix64. Written out here because a data set must not change with the version of a library.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True once in `one_in` draws.
    pub(crate) fn once_in(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// About normal, mean 0 and deviation 1: the sum of four uniform numbers, scaled. It takes
    /// one draw and no logarithm, whose last bit would differ between machines.
    pub(crate) fn normal(&mut self) -> f64 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
        let mean = 2.0 * f64::from(u16::MAX);
        (sum as f64 - mean) / f64::from(u16::MAX) * 3f64.sqrt()
    }

    /// Different numbers below `limit`, in the order of their drawing.
    pub(crate) fn distinct(&mut self, count: usize, limit: u32) -> Vec<u32> {
        let mut drawn: Vec<u32> = Vec::with_capacity(count);
        while drawn.len() < count.min(limit as usize) {
            let number = self.below(u64::from(limit)) as u32;
            if !drawn.contains(&number) {
                drawn.push(number);
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_are_fixed() {
        let mut random = Random::new(1);
        let drawn: Vec<u64> = (0..3).map(|_| random.next()).collect();
        let expected = [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67, 0xf893_a2ee_fb32_555e];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn normal_numbers_have_their_mean_and_deviation() {
        let mut random = Random::new(2);
        let drawn: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / drawn.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn distinct_numbers_are_distinct_and_end_when_there_are_no_more() {
        let mut drawn = Random::new(3).distinct(10, 8);
        drawn.sort_unstable();
        assert_eq!(drawn, (0..8).collect::<Vec<u32>>());
    }
}
