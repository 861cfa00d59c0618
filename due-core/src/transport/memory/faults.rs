//! What a network does to links, played on purpose.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, Weak},
};

use super::flow::Direction;
use crate::{id::InstanceId, sync::locked};

/// Disturbs the links of one hub. It acts on links that are up and on those still to come.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Rules>>);

#[derive(Default)]
struct Rules {
    /// Nothing goes from the first to the second.
    cut: HashSet<(InstanceId, InstanceId)>,
    stalled: HashSet<InstanceId>,
    refusing: HashSet<InstanceId>,
    live: Vec<Live>,
}

struct Live {
    from: InstanceId,
    to: InstanceId,
    flow: Weak<Direction>,
}

impl Faults {
    /// From now on nothing that `from` flushes arrives at `to`, not even the end of a link, and neither can connect to
    /// the other. The sender notices nothing until its link is full. After [`Faults::heal`] all of it arrives in order.
    pub fn cut(&self, from: &InstanceId, to: &InstanceId) {
        self.change(|rules| {
            rules.cut.insert((from.clone(), to.clone()));
        });
    }

    /// Cuts both ways.
    pub fn cut_both(&self, a: &InstanceId, b: &InstanceId) {
        self.cut(a, b);
        self.cut(b, a);
    }

    /// Ends a cut, both ways.
    pub fn heal(&self, a: &InstanceId, b: &InstanceId) {
        self.change(|rules| {
            rules.cut.retain(|(from, to)| (from, to) != (a, b) && (from, to) != (b, a));
        });
    }

    /// Resets every link between the two: both ends are over at once, what was flushed and not received is lost.
    pub fn reset(&self, a: &InstanceId, b: &InstanceId) {
        let live: Vec<_> = {
            let rules = locked(&self.0);
            let between = rules.live.iter().filter(|l| (&l.from, &l.to) == (a, b) || (&l.from, &l.to) == (b, a));
            between.filter_map(|l| l.flow.upgrade()).collect()
        };
        live.iter().for_each(|flow| flow.reset());
    }

    /// `id` stops reading its links, as a stopped process does.
    pub fn stall(&self, id: &InstanceId) {
        self.change(|rules| {
            rules.stalled.insert(id.clone());
        });
    }

    /// `id` reads again.
    pub fn resume(&self, id: &InstanceId) {
        self.change(|rules| {
            rules.stalled.remove(id);
        });
    }

    /// Connects to `id` are refused; links that are up stay.
    pub fn refuse(&self, id: &InstanceId) {
        locked(&self.0).refusing.insert(id.clone());
    }

    /// Connects to `id` are possible again.
    pub fn welcome(&self, id: &InstanceId) {
        locked(&self.0).refusing.remove(id);
    }

    /// May `from` connect to `to`? Notes the two directions of the link then.
    pub(super) fn admit(
        &self,
        from: &InstanceId,
        to: &InstanceId,
        there: &Arc<Direction>,
        back: &Arc<Direction>,
    ) -> bool {
        let mut rules = locked(&self.0);
        if rules.refuses(from, to) {
            return false;
        }
        Direction::pair(there, back);
        rules.live.retain(|l| l.flow.strong_count() > 0);
        for (from, to, flow) in [(from, to, there), (to, from, back)] {
            flow.set_silent(rules.stalled.contains(to));
            rules.live.push(Live { from: from.clone(), to: to.clone(), flow: Arc::downgrade(flow) });
        }
        true
    }

    /// Changes the rules and applies them to the links that are up.
    fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut rules = locked(&self.0);
        change(&mut rules);
        let live: Vec<_> = rules.live.iter().filter_map(|l| Some((l.flow.upgrade()?, rules.silences(l)))).collect();
        drop(rules);
        live.iter().for_each(|(flow, silent)| flow.set_silent(*silent));
    }
}

impl Rules {
    fn refuses(&self, from: &InstanceId, to: &InstanceId) -> bool {
        let cut = |a: &InstanceId, b: &InstanceId| self.cut.contains(&(a.clone(), b.clone()));
        self.refusing.contains(to) || cut(from, to) || cut(to, from)
    }

    fn silences(&self, live: &Live) -> bool {
        self.stalled.contains(&live.to) || self.cut.contains(&(live.from.clone(), live.to.clone()))
    }
}
