//! Who gets the next call: shares by weight, evenly spread.

use due_core::registry::State;

/// One that may be picked.
pub(super) struct Candidate {
    pub(super) state: State,
    pub(super) weight: u32,
    /// What it is owed: rises by its weight with every pick, falls by the sum of all weights when it is picked.
    pub(super) owed: i64,
}

impl Candidate {
    pub(super) fn new(state: State, weight: u32) -> Self {
        Self { state, weight, owed: 0 }
    }

    fn may(&self, state: State) -> bool {
        self.state == state && self.weight > 0
    }
}

/// Picks among the candidates that `usable` admits: those that work, else those that are busy, never another. Over any
/// run of picks the shares follow the weights, and no candidate comes in bursts.
pub(super) fn pick<'a, T>(
    from: impl Iterator<Item = (T, &'a mut Candidate)>,
    usable: impl Fn(&T) -> bool,
) -> Option<T> {
    let mut found: Vec<_> = from.filter(|(key, _)| usable(key)).collect();
    let state = [State::Work, State::Busy].into_iter().find(|s| found.iter().any(|(_, c)| c.may(*s)))?;
    found.retain(|(_, c)| c.may(state));
    let total: i64 = found.iter().map(|(_, c)| i64::from(c.weight)).sum();
    for (_, candidate) in &mut found {
        candidate.owed += i64::from(candidate.weight);
    }
    let (key, chosen) = found.into_iter().max_by_key(|(_, c)| c.owed)?;
    chosen.owed -= total;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Busy, Hang, Shut, Work};

    fn shares(members: &[(State, u32)], rounds: usize) -> Vec<usize> {
        let mut all: Vec<_> = members.iter().map(|(s, w)| Candidate::new(*s, *w)).collect();
        let mut counts = vec![0; all.len()];
        for _ in 0..rounds {
            if let Some(i) = pick(all.iter_mut().enumerate(), |_| true) {
                counts[i] += 1;
            }
        }
        counts
    }

    #[test]
    fn shares_follow_the_weights() {
        assert_eq!(shares(&[(Work, 1), (Work, 2), (Work, 5)], 80), [10, 20, 50]);
        assert_eq!(shares(&[(Work, 0), (Work, u32::MAX)], 3), [0, 3]);
    }

    #[test]
    fn busy_serves_only_when_nobody_works() {
        assert_eq!(shares(&[(Work, 1), (Busy, 9)], 4), [4, 0]);
        assert_eq!(shares(&[(Hang, 1), (Busy, 9)], 4), [0, 4]);
        assert_eq!(shares(&[(Work, 0), (Busy, 9)], 4), [0, 4]);
    }

    #[test]
    fn who_leaves_gets_nothing() {
        assert_eq!(shares(&[(Hang, 1), (Shut, 9)], 4), [0, 0]);
    }
}
