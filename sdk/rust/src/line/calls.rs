//! Calls in flight: their numbers, deadlines and answers.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use crate::{CallError, Closed, answer::Outcome};

/// Calls of one connection by sequence number.
///
/// Numbers run from 1 to what the format's width holds and around. A number is not used again while the server may still
/// answer it, so a late answer never meets another call.
#[derive(Default)]
pub(crate) struct Calls {
    open: HashMap<i32, Entry>,
    /// Numbers of calls whose time is up, oldest first; some of them are answered by now.
    given_up: VecDeque<i32>,
    waiting: usize,
    last: i32,
    /// No later than the earliest deadline.
    due: Option<Instant>,
}

struct Entry {
    route: i32,
    due: Instant,
    /// `None` once the time is up.
    caller: Option<oneshot::Sender<Outcome>>,
}

/// What bounds the calls of one connection.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// The largest sequence number.
    pub(crate) seq: i32,
    /// Calls that wait for an answer.
    pub(crate) in_flight: usize,
}

/// Room that an idle map may keep.
const SPARE: usize = 16;

impl Calls {
    /// A number for a new call, and where its answer comes; `None` when too many wait.
    pub(crate) fn add(
        &mut self,
        route: i32,
        due: Instant,
        bounds: Bounds,
    ) -> Option<(i32, oneshot::Receiver<Outcome>)> {
        if self.waiting >= bounds.in_flight {
            return None;
        }
        let numbers = usize::try_from(bounds.seq).ok()?;
        while self.open.len() >= numbers {
            self.forget_oldest()?;
        }
        let seq = self.free(bounds.seq);
        let (caller, receiver) = oneshot::channel();
        self.open.insert(seq, Entry { route, due, caller: Some(caller) });
        self.waiting += 1;
        self.due = Some(self.due.map_or(due, |d| d.min(due)));
        Some((seq, receiver))
    }

    /// The next number that no call has. There is one.
    fn free(&mut self, max: i32) -> i32 {
        loop {
            self.last = if self.last >= max { 1 } else { self.last + 1 };
            if !self.open.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    /// Frees the number of the call that was given up first; `None` if all wait.
    fn forget_oldest(&mut self) -> Option<()> {
        loop {
            let seq = self.given_up.pop_front()?;
            if self.open.get(&seq).is_some_and(|e| e.caller.is_none()) {
                self.open.remove(&seq);
                return Some(());
            }
        }
    }

    /// Takes back a call that was not sent.
    pub(crate) fn remove(&mut self, seq: i32) {
        if self.open.remove(&seq).is_some() {
            self.waiting -= 1;
        }
    }

    /// Hands an answer to its caller. `false`: nobody waits for it.
    pub(crate) fn answer(&mut self, route: i32, seq: i32, outcome: impl FnOnce() -> Outcome) -> bool {
        if self.open.get(&seq).is_none_or(|e| e.route != route) {
            return false;
        }
        let Some(entry) = self.open.remove(&seq) else { return false };
        let Some(caller) = entry.caller else { return false };
        self.waiting -= 1;
        if self.waiting == 0 {
            self.rest();
        }
        // Fails if the caller is gone, who then does not miss it.
        let _ = caller.send(outcome());
        true
    }

    /// Nothing waits: no deadline, and no room kept beyond the spare.
    fn rest(&mut self) {
        self.due = None;
        if self.open.is_empty() {
            self.given_up = VecDeque::new();
            if self.open.capacity() > 2 * SPARE {
                self.open.shrink_to(SPARE);
            }
        }
    }

    /// Gives up the calls whose time is up; their numbers stay taken until the answer comes or `keep` others follow.
    pub(crate) fn expire(&mut self, now: Instant, keep: usize) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let mut next = None;
        for (seq, entry) in &mut self.open {
            if entry.due > now {
                let due: Instant = next.unwrap_or(entry.due);
                next = entry.caller.as_ref().map_or(next, |_| Some(due.min(entry.due)));
            } else if let Some(caller) = entry.caller.take() {
                self.waiting -= 1;
                self.given_up.push_back(*seq);
                let _ = caller.send(Err(CallError::Timeout));
            }
        }
        self.due = next;
        while self.given_up.len() > keep {
            if self.forget_oldest().is_none() {
                break;
            }
        }
    }

    /// The connection ended: nothing will be answered. The next one counts anew.
    pub(crate) fn fail_all(&mut self, reason: &Closed) {
        for entry in std::mem::take(self).open.into_values() {
            if let Some(caller) = entry.caller {
                let _ = caller.send(Err(CallError::Gone { reason: reason.clone(), sent: true }));
            }
        }
    }

    /// Calls that wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// When to call [`Calls::expire`].
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }
}

/// The outcome of an answer with this body.
pub(crate) fn answered(body: &[u8]) -> Outcome {
    Ok(Bytes::copy_from_slice(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BYTE: Bounds = Bounds { seq: 127, in_flight: 1000 };

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    fn add(calls: &mut Calls, bounds: Bounds) -> (i32, oneshot::Receiver<Outcome>) {
        calls.add(1, soon(), bounds).unwrap()
    }

    #[test]
    fn numbers_run_around_and_skip_those_in_flight() {
        let mut calls = Calls::default();
        let (first, kept) = add(&mut calls, BYTE);
        assert_eq!(first, 1);
        for want in (2..=127).chain(2..=10) {
            let (seq, _) = add(&mut calls, BYTE);
            assert_eq!(seq, want);
            assert!(calls.answer(1, seq, || answered(b"")));
        }
        assert!(calls.answer(1, 1, || answered(b"x")));
        assert_eq!(kept.blocking_recv().unwrap().unwrap(), "x");
    }

    #[test]
    fn too_many_calls_are_refused() {
        let mut calls = Calls::default();
        let all: Vec<_> = (0..127).map(|_| add(&mut calls, BYTE)).collect();
        assert!(calls.add(1, soon(), BYTE).is_none());
        assert_eq!((all.len(), calls.waiting()), (127, 127));
        let mut few = Calls::default();
        let bounds = Bounds { in_flight: 1, ..BYTE };
        let _one = add(&mut few, bounds);
        assert!(few.add(1, soon(), bounds).is_none());
    }

    #[test]
    fn the_number_of_a_call_that_timed_out_stays_taken() {
        let mut calls = Calls::default();
        let later = Instant::now() + Duration::from_secs(2);
        let (seq, answer) = add(&mut calls, BYTE);
        calls.expire(later, 1000);
        assert!(matches!(answer.blocking_recv().unwrap(), Err(CallError::Timeout)));
        assert_eq!((calls.waiting(), calls.due()), (0, None));
        for _ in 0..200 {
            let (other, _) = add(&mut calls, BYTE);
            assert_ne!(other, seq);
            calls.answer(1, other, || answered(b""));
        }
        assert!(!calls.answer(1, seq, || panic!("late")), "a late answer meets nobody");
        let numbers: Vec<_> = (0..127).map(|_| add(&mut calls, BYTE).0).collect();
        assert!(numbers.contains(&seq));
    }

    #[test]
    fn calls_that_are_never_answered_do_not_use_up_the_numbers() {
        let mut calls = Calls::default();
        for _ in 0..1000 {
            let _ = calls.add(1, Instant::now(), BYTE).unwrap();
            calls.expire(soon(), 1000);
            assert!(calls.given_up.len() <= 127 && calls.open.len() <= 127);
        }
        let mut few = Calls::default();
        for _ in 0..1000 {
            let _ = few.add(1, Instant::now(), Bounds { seq: i32::MAX, in_flight: 10 }).unwrap();
            few.expire(soon(), 10);
            assert!(few.given_up.len() <= 10 && few.open.len() <= 11);
        }
    }

    #[test]
    fn an_answer_of_another_route_is_none() {
        let mut calls = Calls::default();
        let (seq, _answer) = add(&mut calls, BYTE);
        assert!(!calls.answer(2, seq, || panic!("other route")));
        assert_eq!(calls.waiting(), 1);
    }

    #[test]
    fn only_the_calls_whose_time_is_up_end() {
        let mut calls = Calls::default();
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let all: Vec<_> = (1..=5).map(|s| calls.add(1, at(s), BYTE).unwrap()).collect();
        assert_eq!(calls.due(), Some(at(1)));
        calls.expire(at(3), 1000);
        assert_eq!((calls.waiting(), calls.due()), (2, Some(at(4))));
        calls.fail_all(&Closed::Server);
        let ends = all.into_iter().map(|(_, answer)| answer.blocking_recv().unwrap().unwrap_err());
        let timeouts = ends.filter(|e| matches!(e, CallError::Timeout)).count();
        assert_eq!((timeouts, calls.waiting(), calls.due()), (3, 0, None));
    }
}
