//! Waits between attempts: 0.2 to 10 s, doubled and jittered, so that a fleet does not come back as one.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

pub(super) struct Backoff {
    next: Duration,
    state: u64,
}

impl Backoff {
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self { next: FIRST, state: seed.unwrap_or_else(rand::random) }
    }

    /// The next wait: between the shortest and a bound that doubles.
    pub(super) fn wait(&mut self) -> Duration {
        let bound = self.next;
        self.next = (bound * 2).min(LONGEST);
        let spread = (bound - FIRST).as_millis() as u64;
        FIRST + Duration::from_millis(self.random() % (spread + 1))
    }

    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// splitmix64: enough for jitter, and the same in every run of a seed.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_in_their_bounds_and_spread() {
        let mut backoff = Backoff::new(Some(7));
        let waits: Vec<_> = (0..200).map(|_| backoff.wait()).collect();
        assert_eq!(waits[0], FIRST);
        assert!(waits.iter().all(|w| (FIRST..=LONGEST).contains(w)));
        assert!(
            waits.iter().any(|w| *w > Duration::from_secs(8))
                && waits[10..].iter().any(|w| *w < Duration::from_secs(2))
        );
        backoff.reset();
        assert_eq!(backoff.wait(), FIRST);
    }
}
