//! Slow start, congestion avoidance and fast recovery, counted in pushes. Off unless `nc` is off.

use super::Tuning;

/// Never fewer pushes under way than this after a loss that later pushes showed.
const LEAST: u32 = 2;

/// What a flush had to send again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Pushes whose time ran out.
    pub(super) late: u32,
    /// Pushes that others overtook.
    pub(super) overtaken: u32,
}

#[derive(Debug)]
pub(super) struct Congestion {
    on: bool,
    window: u32,
    /// From here on the window grows by one in a round trip.
    threshold: u32,
    /// Acknowledging datagrams since the window last grew.
    progress: u32,
    resend: u32,
}

impl Congestion {
    pub(super) fn new(tuning: &Tuning) -> Self {
        Self { on: tuning.congestion, window: LEAST, threshold: u32::MAX, progress: 0, resend: tuning.resend }
    }

    /// Most pushes under way.
    pub(super) fn window(&self) -> u32 {
        if self.on { self.window } else { u32::MAX }
    }

    /// A datagram moved the first unacknowledged push on.
    pub(super) fn acked(&mut self, peer_window: u32) {
        if self.window >= peer_window {
            return;
        }
        self.progress += 1;
        if self.window < self.threshold || self.progress >= self.window {
            self.window += 1;
            self.progress = 0;
        }
    }

    /// A flush sent again what was lost of `under_way` pushes.
    pub(super) fn lost(&mut self, lost: Lost, under_way: u32) {
        if lost.overtaken > 0 {
            self.threshold = (under_way / 2).max(LEAST);
            self.window = self.threshold.saturating_add(self.resend);
        }
        if lost.late > 0 {
            self.threshold = (self.window / 2).max(LEAST);
            self.window = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::tuning, *};

    #[test]
    fn off_means_no_bound() {
        let mut c = Congestion::new(&tuning());
        c.lost(Lost { late: 1, overtaken: 1 }, 10);
        assert_eq!(c.window(), u32::MAX);
    }

    #[test]
    fn the_window_grows_fast_then_slowly_and_falls_on_loss() {
        let mut c = Congestion::new(&Tuning { congestion: true, ..tuning() });
        for _ in 0..30 {
            c.acked(256);
        }
        assert_eq!(c.window(), 32);
        c.lost(Lost { late: 0, overtaken: 1 }, 32);
        assert_eq!(c.window(), 18);
        for _ in 0..18 {
            c.acked(256);
        }
        assert_eq!(c.window(), 19);
        c.lost(Lost { late: 3, overtaken: 0 }, 19);
        assert_eq!(c.window(), 1);
        for _ in 0..1000 {
            c.acked(5);
        }
        assert_eq!(c.window(), 5);
    }
}
