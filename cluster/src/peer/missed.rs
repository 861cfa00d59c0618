//! Members that the registry has lost: when most of a kind vanish at once, it is more likely the registry that is wrong
//! than they. They go on getting work, from those who can reach them (`semantics`: mass loss).

use std::time::Duration;

use due_core::{
    Owner,
    registry::{Instance, State},
};
use tokio::time::Instant;

/// How long a member that vanished so goes on getting work.
const HOLD: Duration = Duration::from_secs(30);

/// Who vanished from the views of one kind.
pub(crate) struct Missed {
    /// Who vanishes within this time vanishes at once.
    window: Duration,
    listed: Vec<Instance>,
    left: Vec<Left>,
}

struct Left {
    member: Instance,
    at: Instant,
    held: bool,
}

impl Missed {
    /// `window`: the longest time until the registry drops a killed member.
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, listed: Vec::new(), left: Vec::new() }
    }

    /// Takes the members of the newest view.
    pub(crate) fn see(&mut self, members: &[Instance], now: Instant) {
        let listed = |m: &Instance| members.iter().any(|other| other.id == m.id);
        // Who said that it goes is not missed.
        let gone = self.listed.drain(..).filter(|m| !listed(m) && matches!(m.state, State::Work | State::Busy));
        self.left.extend(gone.map(|member| Left { member, at: now, held: false }));
        self.left.retain(|left| !listed(&left.member) && now < left.at + HOLD);
        let recent = |left: &Left| now <= left.at + self.window;
        let count = self.left.iter().filter(|left| recent(left)).count();
        if members.is_empty() || 2 * count > members.len() + count {
            self.left.iter_mut().filter(|left| now <= left.at + self.window).for_each(|left| left.held = true);
        }
        self.listed = members.to_vec();
    }

    /// It cannot be reached: the registry was right.
    pub(crate) fn forget(&mut self, owner: &Owner) {
        self.left.retain(|left| left.member.owner() != *owner);
    }

    /// Those that vanished with most others, and not long ago.
    pub(crate) fn held(&self, now: Instant) -> impl Iterator<Item = &Instance> {
        self.left.iter().filter(move |left| left.held && now < left.at + HOLD).map(|left| &left.member)
    }

    /// When the first of them is held no longer.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.left.iter().filter(|left| left.held).map(|left| left.at + HOLD).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use due_core::registry::InstanceKind;

    fn members(ids: &str) -> Vec<Instance> {
        ids.chars().map(|id| Instance::new(InstanceKind::Node, id.to_string(), "game")).collect()
    }

    fn held(missed: &Missed, now: Instant) -> String {
        missed.held(now).map(|m| m.id.to_string()).collect()
    }

    /// Sees these views, a second apart; who is held after each.
    #[track_caller]
    fn check(views: &[&str], expected: &[&str]) {
        let (mut missed, start) = (Missed::new(Duration::from_secs(12)), Instant::now());
        let mut seen = Vec::new();
        for (second, ids) in views.iter().enumerate() {
            let now = start + Duration::from_secs(second as u64);
            missed.see(&members(ids), now);
            seen.push(held(&missed, now));
        }
        assert_eq!(seen, expected, "{views:?}");
    }

    /// proves P11, B124
    #[test]
    fn who_vanishes_with_most_others_is_held_and_who_vanishes_alone_is_not() {
        check(&["abc", "", "abc"], &["", "abc", ""]);
        check(&["a", "", "a"], &["", "a", ""]);
        check(&["ab", "a", "ab"], &["", "", ""]);
        check(&["abcd", "abc", "ab", "a"], &["", "", "", "dcb"]);
        check(&["abcd", "ab"], &["", ""]);
        check(&["abc", "c", "cb"], &["", "ab", "a"]);
        check(&["", "", "a"], &["", "", ""]);
    }

    #[test]
    fn nobody_is_held_for_ever_and_who_said_goodbye_not_at_all() {
        let (mut missed, start) = (Missed::new(Duration::from_secs(12)), Instant::now());
        let mut all = members("ab");
        all[1].state = State::Hang;
        missed.see(&all, start);
        missed.see(&[], start);
        assert_eq!(held(&missed, start + HOLD / 2), "a");
        assert_eq!(missed.until(), Some(start + HOLD));
        assert_eq!(held(&missed, start + HOLD), "");
        missed.see(&[], start + HOLD);
        assert_eq!(missed.until(), None);
    }

    #[test]
    fn who_cannot_be_reached_is_held_no_longer() {
        let (mut missed, start) = (Missed::new(Duration::from_secs(12)), Instant::now());
        let all = members("ab");
        missed.see(&all, start);
        missed.see(&[], start);
        missed.forget(&all[0].owner());
        assert_eq!(held(&missed, start), "b");
    }

    #[test]
    fn losses_that_are_long_apart_are_not_one() {
        let (mut missed, start) = (Missed::new(Duration::from_secs(12)), Instant::now());
        for (second, ids) in [(0, "abcd"), (1, "abc"), (14, "ab"), (27, "a")] {
            let now = start + Duration::from_secs(second);
            missed.see(&members(ids), now);
            assert_eq!(held(&missed, now), "", "{ids}");
        }
    }
}
