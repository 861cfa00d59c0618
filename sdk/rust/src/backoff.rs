//! How long to wait before connecting again.

use std::time::Duration;

use rand::RngExt;

/// Exponential back-off with jitter: the wait doubles from `min` to `max`, and each wait is drawn from its upper half,
/// so that clients that lost a server together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait. At least 1 ms.
    pub min: Duration,
    /// The longest wait. A connection that lasted this long makes the waits short again.
    pub max: Duration,
}

impl Default for Backoff {
    /// 0.2 to 10 seconds.
    fn default() -> Self {
        Self { min: Duration::from_millis(200), max: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// The wait before attempt `tries` (from 0).
    pub(crate) fn delay(&self, tries: u32) -> Duration {
        let min = self.min.max(Duration::from_millis(1));
        let whole = min.saturating_mul(1 << tries.min(20)).min(self.max.max(min));
        rand::rng().random_range(whole / 2..=whole)
    }

    /// A server named the wait itself: no less than that, and not all at once.
    pub(crate) fn after(&self, named: Duration) -> Duration {
        named + rand::rng().random_range(Duration::ZERO..=self.min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_vary() {
        let backoff = Backoff::default();
        for (tries, whole) in [(0, 200), (1, 400), (2, 800), (5, 6_400), (6, 10_000), (31, 10_000), (u32::MAX, 10_000)]
        {
            let whole = Duration::from_millis(whole);
            let delays: Vec<_> = (0..100).map(|_| backoff.delay(tries)).collect();
            assert!(delays.iter().all(|d| (whole / 2..=whole).contains(d)), "{tries} {delays:?}");
            assert!(delays.iter().any(|d| *d != delays[0]), "{tries}");
        }
    }

    #[test]
    fn odd_limits_still_give_a_wait() {
        let zero = Backoff { min: Duration::ZERO, max: Duration::ZERO };
        assert!(zero.delay(9) <= Duration::from_millis(1));
        let swapped = Backoff { min: Duration::from_secs(9), max: Duration::from_secs(1) };
        assert!(swapped.delay(3) <= Duration::from_secs(9));
    }

    #[test]
    fn a_wait_that_the_server_named_is_kept() {
        let named = Duration::from_secs(3);
        assert!((0..100).map(|_| Backoff::default().after(named)).all(|d| d >= named && d <= named * 2));
    }
}
