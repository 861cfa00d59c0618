//! How long the way there and back takes, and how long to wait for an acknowledgement (RFC 6298, as KCP bounds it).

use super::Tuning;

/// Before the first measurement.
const FIRST: u32 = 200;
/// No timeout grows beyond this.
const LONGEST: u32 = 60_000;

#[derive(Debug)]
pub(super) struct Rtt {
    interval: u32,
    shortest: u32,
    /// Smoothed time and its deviation, both in ms; `None` before the first measurement.
    smoothed: Option<(u32, u32)>,
    timeout: u32,
    nodelay: bool,
}

impl Rtt {
    pub(super) fn new(tuning: &Tuning) -> Self {
        let shortest = if tuning.nodelay { 30 } else { 100 };
        Self { interval: tuning.interval, shortest, smoothed: None, timeout: FIRST, nodelay: tuning.nodelay }
    }

    /// The peer gave back `ts`, which stood in a push. A time in the future or over a minute ago is not ours.
    pub(super) fn echoed(&mut self, now: u32, ts: u32) {
        let took = now.wrapping_sub(ts);
        if took <= LONGEST {
            self.measured(took);
        }
    }

    fn measured(&mut self, took: u32) {
        let (smoothed, deviation) = match self.smoothed {
            None => (took, took / 2),
            Some((smoothed, deviation)) => {
                let off = smoothed.abs_diff(took);
                ((7 * smoothed + took) / 8, (3 * deviation + off) / 4)
            }
        };
        self.smoothed = Some((smoothed, deviation));
        self.timeout = (smoothed + self.interval.max(4 * deviation)).clamp(self.shortest, LONGEST);
    }

    /// How long to wait after a first try, in ms.
    pub(super) fn timeout(&self) -> u32 {
        self.timeout
    }

    /// How long to wait after another try that `waited` in vain.
    pub(super) fn backed_off(&self, waited: u32) -> u32 {
        let more = if self.nodelay { self.timeout / 2 } else { self.timeout };
        (waited + more).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::tuning, *};

    #[test]
    fn a_steady_way_gives_a_short_timeout() {
        let mut rtt = Rtt::new(&tuning());
        assert_eq!(rtt.timeout(), FIRST);
        for _ in 0..50 {
            rtt.echoed(1040, 1000);
        }
        assert_eq!(rtt.timeout(), 50);
        rtt.echoed(2000, 1000);
        assert!(rtt.timeout() > 500, "{}", rtt.timeout());
    }

    #[test]
    fn bounds_hold_at_both_ends_and_over_the_wrap() {
        let mut rtt = Rtt::new(&tuning());
        rtt.echoed(3, u32::MAX - 2);
        assert_eq!(rtt.timeout(), 30);
        assert_eq!(rtt.backed_off(30), 45);
        assert_eq!(rtt.backed_off(LONGEST), LONGEST);
    }

    #[test]
    fn a_time_that_is_not_ours_changes_nothing() {
        // B118
        let mut rtt = Rtt::new(&tuning());
        rtt.echoed(1000, 2000);
        rtt.echoed(1000, u32::MAX / 2);
        assert_eq!(rtt.timeout(), FIRST);
    }
}
