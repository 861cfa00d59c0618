//! Which offsets of a partition are done: an offset to commit, and what is done beyond it.

use std::collections::BTreeSet;

/// Bytes that Kafka keeps beside an offset (`offset.metadata.max.bytes`).
const LONGEST: usize = 4096;

/// One partition as a durable name sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Everything before it is done, or was never there.
    next: i64,
    /// Handed over and not done.
    open: BTreeSet<i64>,
    /// Done, behind something that is not.
    beyond: BTreeSet<i64>,
    /// Behind everything that was handed over.
    end: i64,
}

impl Done {
    /// Reads what [`Done::note`] wrote beside the committed `offset`; a note of somebody else is none.
    pub(super) fn read(offset: i64, note: &str) -> Self {
        let mut beyond = BTreeSet::new();
        let mut at = offset;
        if let Some(steps) = note.strip_prefix("due1:") {
            for step in steps.split(',').filter(|s| !s.is_empty()) {
                match i64::from_str_radix(step, 36).ok().and_then(|s| at.checked_add(s)) {
                    Some(next) => at = next,
                    None => break,
                }
                beyond.insert(at);
            }
        }
        Self { next: offset, open: BTreeSet::new(), beyond, end: offset }
    }

    /// Notes an event that arrived; `false` if it is done already.
    pub(super) fn arrives(&mut self, offset: i64) -> bool {
        self.end = self.end.max(offset + 1);
        if offset < self.next || self.beyond.contains(&offset) {
            self.settle();
            return false;
        }
        self.open.insert(offset);
        true
    }

    pub(super) fn finish(&mut self, offset: i64) {
        if self.open.remove(&offset) {
            self.beyond.insert(offset);
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.next = self.open.first().copied().unwrap_or(self.end).max(self.next);
        let next = self.next;
        self.beyond.retain(|o| *o >= next);
    }

    /// What to commit.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// What is done behind it: steps in base 36, as many as fit. The rest comes again.
    pub(super) fn note(&self) -> String {
        let (mut note, mut at) = ("due1:".to_owned(), self.next);
        for offset in &self.beyond {
            let step = format!("{},", base36(offset - at));
            if note.len() + step.len() > LONGEST {
                break;
            }
            note.push_str(&step);
            at = *offset;
        }
        note
    }

    pub(super) fn is_open(&self, offset: i64) -> bool {
        self.open.contains(&offset)
    }

    /// How many were handed over and are not done.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }
}

fn base36(mut n: i64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(n % 36).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        n /= 36;
        if n <= 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_out_of_turn_is_kept_beside_the_offset() {
        let mut done = Done::read(100, "");
        assert!((100..150).all(|o| done.arrives(o)));
        [100, 102, 104, 149].into_iter().for_each(|o| done.finish(o));
        assert_eq!((done.next(), &*done.note(), done.open()), (101, "due1:1,2,19,", 46));
        let mut again = Done::read(101, "due1:1,2,19,");
        let come: Vec<_> = (101..106).filter(|o| again.arrives(*o)).collect();
        assert_eq!(come, [101, 103, 105]);
        come.iter().for_each(|o| again.finish(*o));
        assert_eq!(again.next(), 106);
    }

    #[test]
    fn offsets_that_are_no_events_do_not_hold_it_up() {
        let mut done = Done::read(0, "");
        for offset in [0, 5, 9] {
            assert!(done.arrives(offset));
            done.finish(offset);
        }
        assert_eq!((done.next(), &*done.note()), (10, "due1:"));
        done.finish(9);
        done.finish(1000);
        assert_eq!(done.next(), 10);
    }

    #[test]
    fn a_note_is_bounded_and_what_does_not_fit_comes_again() {
        let mut done = Done::read(0, "");
        (0..10_000).for_each(|o| assert!(done.arrives(o)));
        (1..10_000).for_each(|o| done.finish(o));
        let note = done.note();
        assert!(note.len() <= LONGEST);
        let mut again = Done::read(0, &note);
        assert!(again.arrives(0) && !again.arrives(1) && again.arrives(9_999));
    }

    #[test]
    fn a_note_of_another_kind_is_none() {
        for note in ["", "x", "due2:1,", "due1:!,1,", "due1:zzzzzzzzzzzzzzzzzzzz,"] {
            assert!(Done::read(5, note).arrives(6), "{note}");
        }
    }
}
