//! Finding what is missing by the numbers of each publisher.

use std::collections::HashMap;

use crate::id::Incarnation;

/// Publishers remembered; beyond it the longest silent one is forgotten.
const PUBLISHERS: usize = 4096;

/// The last number seen of each publisher on one topic.
#[derive(Default)]
pub(super) struct Sequence {
    last: HashMap<Incarnation, Seen>,
    clock: u64,
    /// Losses that the broker has reported already: their jumps are not told again.
    reported: u64,
}

struct Seen {
    number: u64,
    at: u64,
}

impl Sequence {
    /// Notes an event and says how many are missing before it, beyond what was reported already. The first event of a
    /// publisher sets where its numbers begin; a number that does not rise is a repetition.
    pub(super) fn event(&mut self, publisher: Incarnation, number: u64) -> u64 {
        let missing = match self.last.get(&publisher) {
            Some(seen) if number <= seen.number => return 0,
            Some(seen) => number - seen.number - 1,
            None => 0,
        };
        self.note(publisher, number);
        self.unreported(missing)
    }

    /// Notes that a publisher's last event is `number`; says as [`Sequence::event`] how many are missing.
    pub(super) fn beacon(&mut self, publisher: Incarnation, number: u64) -> u64 {
        let missing = self.last.get(&publisher).map_or(0, |seen| number.saturating_sub(seen.number));
        let last = self.last.get(&publisher).map_or(number, |seen| seen.number.max(number));
        self.note(publisher, last);
        self.unreported(missing)
    }

    /// The broker has reported `lost` events.
    pub(super) fn reported(&mut self, lost: u64) {
        self.reported = self.reported.saturating_add(lost);
    }

    fn unreported(&mut self, missing: u64) -> u64 {
        let known = missing.min(self.reported);
        self.reported -= known;
        missing - known
    }

    fn note(&mut self, publisher: Incarnation, number: u64) {
        self.clock += 1;
        self.last.insert(publisher, Seen { number, at: self.clock });
        if self.last.len() > PUBLISHERS
            && let Some(oldest) = self.last.iter().min_by_key(|(_, seen)| seen.at).map(|(p, _)| *p)
        {
            self.last.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Incarnation = Incarnation(1);
    const Q: Incarnation = Incarnation(2);

    #[test]
    fn a_jump_is_counted_per_publisher() {
        let mut seq = Sequence::default();
        assert_eq!(
            [seq.event(P, 5), seq.event(Q, 1), seq.event(P, 6), seq.event(P, 10), seq.event(Q, 2)],
            [0, 0, 0, 3, 0]
        );
    }

    #[test]
    fn a_repetition_is_no_jump() {
        let mut seq = Sequence::default();
        assert_eq!([seq.event(P, 1), seq.event(P, 2), seq.event(P, 1), seq.event(P, 3)], [0, 0, 0, 0]);
    }

    #[test]
    fn a_beacon_shows_a_lost_tail_once() {
        let mut seq = Sequence::default();
        assert_eq!(
            [seq.beacon(P, 4), seq.event(P, 5), seq.beacon(P, 5), seq.beacon(P, 8), seq.beacon(P, 8)],
            [0, 0, 0, 3, 0]
        );
        assert_eq!(seq.event(P, 9), 0);
    }

    #[test]
    fn what_the_broker_reported_is_not_reported_again() {
        let mut seq = Sequence::default();
        seq.event(P, 1);
        seq.reported(3);
        assert_eq!([seq.event(P, 4), seq.event(P, 8)], [0, 2]);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut seq = Sequence::default();
        for n in 0..10_000 {
            seq.event(Incarnation(n), 1);
        }
        assert_eq!(seq.last.len(), PUBLISHERS);
        assert!(seq.last.contains_key(&Incarnation(9_999)) && !seq.last.contains_key(&Incarnation(0)));
    }
}
