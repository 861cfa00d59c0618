//! Random numbers that are the same in every run.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A seeded source of numbers; clones draw from the same one.
#[derive(Clone, Debug)]
pub struct Dice(Arc<AtomicU64>);

impl Dice {
    /// Equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn roll(&self, n: u64) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let mut x = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)).checked_rem(n).unwrap_or(0)
    }

    /// Yes in one of `n` cases.
    pub fn one_in(&self, n: u64) -> bool {
        self.roll(n) == 0
    }

    /// Puts `items` in a random order.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.roll(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_and_every_number_comes() {
        let numbers = |seed| (Dice::new(seed), Vec::from_iter(0..8));
        let draw = |(dice, mut all): (Dice, Vec<u64>)| {
            dice.shuffle(&mut all);
            (all, (0..100).map(|_| dice.roll(5)).collect::<Vec<_>>())
        };
        let (first, again, other) = (draw(numbers(7)), draw(numbers(7)), draw(numbers(8)));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!((0..5).all(|n| first.1.contains(&n)) && first.1.iter().all(|n| *n < 5));
        assert_eq!(Dice::new(1).roll(0), 0);
    }
}
