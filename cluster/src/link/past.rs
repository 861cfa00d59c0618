//! What went wrong on links that are over.

use std::collections::VecDeque;

use due_core::{InstanceId, Owner};

use super::end::{Asked, LinkEnd, Side};

/// Others whose errors are remembered after their last link has ended; the oldest go.
const MOST: usize = 256;

/// Whose link it was, what for, and with whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) part: Asked,
    /// `gate-to-node`, `node-to-gate` or `orders`.
    pub(crate) kind: &'static str,
    pub(crate) peer: InstanceId,
}

impl Pair {
    /// The one that a link of this side has.
    pub(crate) fn of(side: &Side) -> Self {
        let new = |part, kind, peer: &Owner| Self { part, kind, peer: peer.id.clone() };
        match side {
            Side::Gate { gate, node, .. } => new(Asked::Gate(*gate), "gate-to-node", node),
            Side::Node { node, gate, .. } => new(Asked::Node(*node), "node-to-gate", gate),
            Side::Asker { part, from } => new(*part, "orders", from),
        }
    }
}

/// Errors of a shard's links that are over.
#[derive(Default)]
pub(crate) struct Past(VecDeque<(Pair, u64)>);

impl Past {
    /// A link is over: its errors go on counting for the pair.
    pub(crate) fn note(&mut self, end: &LinkEnd) {
        self.add(Pair::of(&end.side), end.look().errors);
    }

    fn add(&mut self, pair: Pair, errors: u64) {
        if errors == 0 {
            return;
        }
        let before = self.0.iter().position(|(known, _)| *known == pair).and_then(|at| self.0.remove(at));
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((pair, before.map_or(0, |(_, n)| n) + errors));
    }

    /// The errors of earlier links of a pair.
    pub(crate) fn errors(&self, pair: &Pair) -> u64 {
        self.0.iter().find(|(known, _)| known == pair).map_or(0, |(_, errors)| *errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_pair_add_up_and_the_pairs_are_bounded() {
        let pair = |n: usize| Pair { part: Asked::Gate(0), kind: "orders", peer: format!("n{n}").into() };
        let mut past = Past::default();
        past.add(pair(0), 2);
        past.add(pair(1), 0);
        past.add(pair(0), 3);
        assert_eq!((past.errors(&pair(0)), past.errors(&pair(1)), past.0.len()), (5, 0, 1));
        let other = Pair { part: Asked::Node(0), ..pair(0) };
        assert_eq!(past.errors(&other), 0);
        (0..MOST + 1).for_each(|n| past.add(pair(n), 1));
        assert_eq!((past.errors(&pair(0)), past.errors(&pair(MOST)), past.0.len()), (0, 1, MOST));
    }
}
