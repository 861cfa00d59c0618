//! Is the other side alive, in both directions?

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// A heartbeat goes out so often, and the clocks are looked at.
pub(crate) const SWEEP: Duration = Duration::from_secs(1);
/// A connection that is silent, or whose heartbeats nobody confirms, is dead after this.
const DEAD: Duration = Duration::from_secs(4);
/// A side that was not polled for so long was stopped: what it has read may be old.
pub(super) const ASLEEP: Duration = Duration::from_secs(2);
/// One heartbeat in so many is answered at once, so that its way can be timed.
const TIMED: u64 = 4;
/// What a new time counts against all before it.
const WEIGHT: u32 = 8;
/// Heartbeats that are remembered until they are confirmed.
const PENDING: usize = 16;

/// The clocks of one connection.
pub(super) struct Beat {
    heard: Instant,
    turned: Instant,
    sent: u64,
    seen: u64,
    pending: VecDeque<(u64, Instant)>,
    sweeps: u64,
    /// The heartbeat whose way there and back is timed, and since when.
    timed: Option<(u64, Instant)>,
    round_trip: Option<Duration>,
}

impl Beat {
    pub(super) fn new(now: Instant) -> Self {
        let (pending, timed, round_trip) = (VecDeque::new(), None, None);
        Self { heard: now, turned: now, sent: 0, seen: 0, pending, sweeps: 0, timed, round_trip }
    }

    /// A new connection; the numbers go on, so that an old answer confirms nothing new.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.heard, self.turned) = (now, now);
        (self.sweeps, self.timed) = (0, None);
        self.pending.clear();
    }

    /// A turn begins; was there none for too long? Silence that this side has made itself is not held against the other.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        let slept = now.duration_since(self.turned) > ASLEEP;
        self.turned = now;
        if slept {
            self.forgive(now);
        }
        slept
    }

    pub(super) fn forgive(&mut self, now: Instant) {
        self.heard = now;
        self.pending.iter_mut().for_each(|(_, since)| *since = now);
        // What it slept is no part of the way.
        self.timed = None;
    }

    /// Is the way of the next heartbeat to be timed? Asked once for each that goes out by the clock.
    pub(super) fn is_timed(&mut self) -> bool {
        self.sweeps += 1;
        self.sweeps % TIMED == 1
    }

    /// The heartbeat of this number goes out now, and is answered at once.
    pub(super) fn time(&mut self, number: u64, now: Instant) {
        self.timed = Some((number, now));
    }

    /// The time of a heartbeat's way there and back, smoothed.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    fn came_back(&mut self, took: Duration) {
        self.round_trip = Some(self.round_trip.map_or(took, |known| (known * (WEIGHT - 1) + took) / WEIGHT));
    }

    /// Something arrived.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A heartbeat of the other side with what it has seen of ours.
    pub(super) fn ping(&mut self, now: Instant, number: u64, seen: u64) {
        self.seen = self.seen.max(number);
        if let Some((_, since)) = self.timed.take_if(|(timed, _)| *timed <= seen) {
            self.came_back(now.saturating_duration_since(since));
        }
        while self.pending.front().is_some_and(|(number, _)| *number <= seen) {
            self.pending.pop_front();
        }
    }

    /// The other side confirmed frames: what we send arrives.
    pub(super) fn confirm(&mut self, now: Instant) {
        self.pending.iter_mut().for_each(|(_, since)| *since = now);
    }

    /// The number of the next heartbeat, and the highest seen.
    pub(super) fn next(&mut self, now: Instant) -> (u64, u64) {
        self.sent += 1;
        if self.pending.len() < PENDING {
            self.pending.push_back((self.sent, now));
        }
        (self.sent, self.seen)
    }

    /// Why the connection is dead, if it is.
    pub(super) fn fault(&self, now: Instant) -> Option<&'static str> {
        if now.duration_since(self.heard) >= DEAD {
            return Some("nothing arrived for 4 s");
        }
        let oldest = self.pending.front()?.1;
        (now.duration_since(oldest) >= DEAD).then_some("nothing that was sent was confirmed for 4 s")
    }
}

/// How old frames are when they arrive, by the clock of their sender.
///
/// Clocks of two machines differ by an unknown amount and drift. The smallest difference seen in the last minutes is a
/// frame that took no time; what is above it is age.
#[derive(Default)]
pub(super) struct Ages {
    /// The smallest difference of each of the last minutes, the newest first.
    minutes: [Option<i64>; 5],
    minute: u64,
}

impl Ages {
    /// A time stamp arrived; both clocks in milliseconds.
    pub(super) fn note(&mut self, own: u64, stamp: u64) -> u64 {
        let minute = own / 60_000;
        let passed = minute.saturating_sub(self.minute).min(self.minutes.len() as u64) as usize;
        self.minute = self.minute.max(minute);
        self.minutes.rotate_right(passed);
        self.minutes.iter_mut().take(passed).for_each(|m| *m = None);
        let difference = own.wrapping_sub(stamp) as i64;
        if let Some(newest) = self.minutes.first_mut() {
            *newest = Some(newest.map_or(difference, |least| least.min(difference)));
        }
        let least = self.minutes.iter().flatten().min().copied().unwrap_or(difference);
        difference.saturating_sub(least).max(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_waited_is_as_old_as_it_waited() {
        let mut ages = Ages::default();
        let (ours, theirs) = (1_000_000, 77);
        assert_eq!(ages.note(ours, theirs), 0);
        assert_eq!(ages.note(ours + 10, theirs + 10), 0);
        assert_eq!(ages.note(ours + 9_000, theirs + 20), 8_980, "it lay in a socket");
        assert_eq!(ages.note(ours + 9_001, theirs + 9_001), 0);
    }

    /// Their clock loses 1 ms a second: after some minutes the old minimum must not make everything look old.
    #[test]
    fn a_drift_of_the_clocks_is_forgotten_after_five_minutes() {
        let mut ages = Ages::default();
        let mut last = 0;
        for second in 0..3_600u64 {
            last = ages.note(second * 1_000, second * 999);
        }
        assert!(last <= 5 * 60, "{last}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_one_way_cuts_are_seen_and_own_sleep_is_not_held_against_the_other() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut beat = Beat::new(start);
        assert_eq!((beat.next(at(1)), beat.fault(at(3))), ((1, 0), None));
        assert_eq!(beat.fault(at(4)), Some("nothing arrived for 4 s"));
        beat.hear(at(4));
        assert_eq!(beat.fault(at(5)), Some("nothing that was sent was confirmed for 4 s"));
        beat.confirm(at(4));
        assert_eq!(beat.fault(at(5)), None);
        beat.ping(at(8), 7, 1);
        beat.hear(at(8));
        assert_eq!((beat.next(at(9)), beat.fault(at(11))), ((2, 7), None));
        assert!(beat.turn(at(60)) && beat.fault(at(60)).is_none(), "it slept itself");
        assert!(!beat.turn(at(61)));
        assert_eq!(beat.fault(at(64)), Some("nothing arrived for 4 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn one_heartbeat_in_four_is_timed_and_a_time_counts_an_eighth() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut beat = Beat::new(start);
        let timed: Vec<bool> = (0..6).map(|_| beat.is_timed()).collect();
        assert_eq!(timed, [true, false, false, false, true, false]);
        beat.time(3, at(1_000));
        beat.ping(at(1_001), 1, 2);
        assert_eq!(beat.round_trip(), None, "it answers an earlier one");
        beat.ping(at(1_008), 2, 3);
        assert_eq!(beat.round_trip(), Some(Duration::from_millis(8)));
        beat.time(4, at(2_000));
        beat.ping(at(2_016), 3, 5);
        beat.ping(at(9_000), 4, 6);
        assert_eq!(beat.round_trip(), Some(Duration::from_millis(9)));
        beat.time(7, at(10_000));
        beat.forgive(at(60_000));
        beat.ping(at(60_000), 5, 7);
        assert_eq!(beat.round_trip(), Some(Duration::from_millis(9)), "what this side slept is no part of it");
    }
}
