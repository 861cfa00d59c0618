//! Who is listed, and who was.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::StatusCode;
use due_core::{
    Result,
    registry::{Freshness, Instance, InstanceKind, Registry, State, View},
};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    auth::Scopes,
    clock,
    events::{Event, Events},
    problem::Problem,
};

/// Instances that are remembered after they have left.
const MOST: usize = 1024;

/// The registry as this master sees it, and as it shows it to somebody.
#[derive(Clone, Default)]
pub(crate) struct Members {
    seen: Arc<Mutex<Seen>>,
    /// What is shown of it.
    scopes: Arc<Scopes>,
}

#[derive(Default)]
struct Seen {
    views: BTreeMap<InstanceKind, View>,
    left: VecDeque<Left>,
}

/// An instance that was listed.
struct Left {
    kind: InstanceKind,
    id: String,
    labels: BTreeMap<String, String>,
    /// When it was seen last, in seconds since 1970.
    at: u64,
}

impl Members {
    /// Follows the registry in tasks that end with `tasks`.
    pub(crate) async fn follow(registry: &dyn Registry, tasks: &mut JoinSet<()>, events: &Events) -> Result<Self> {
        let members = Self::default();
        for kind in InstanceKind::ALL {
            let mut watch = registry.watch(kind).await?;
            members.show(kind, watch.view());
            let (shown, events) = (members.clone(), events.clone());
            tasks.spawn(async move {
                loop {
                    let view = watch.changed().await;
                    if let Some(before) = shown.show(kind, view.clone()) {
                        compare(kind, (&before, &view), &events);
                    }
                }
            });
        }
        Ok(members)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows this from now on; what was shown before.
    fn show(&self, kind: InstanceKind, view: View) -> Option<View> {
        let mut seen = self.seen();
        let listed = |id: &str| view.members.iter().any(|m| &*m.id.0 == id);
        seen.left.retain(|left| left.kind != kind || !listed(&left.id));
        let before = seen.views.get(&kind).map(|v| v.members.clone()).unwrap_or_else(|| Arc::from([]));
        for member in before.iter().filter(|m| !listed(&m.id.0)) {
            let (id, labels) = (member.id.to_string(), member.labels.clone());
            seen.left.push_back(Left { kind, id, labels, at: clock::seconds() });
        }
        while seen.left.len() > MOST {
            seen.left.pop_front();
        }
        seen.views.insert(kind, view)
    }

    /// The same for somebody of these scopes.
    pub(crate) fn within(&self, scopes: &Scopes) -> Self {
        Self { seen: self.seen.clone(), scopes: Arc::new(scopes.clone()) }
    }

    fn is_shown(&self, one: &Instance) -> bool {
        self.scopes.node(&one.id.0, &one.labels).is_ok()
    }

    /// All, in scope or not.
    fn everybody(&self) -> Vec<Instance> {
        self.seen().views.values().flat_map(|v| v.members.iter().cloned()).collect()
    }

    /// Refuses one that is out of scope; to whom something is out of scope at all, also one that nobody knows.
    pub(crate) fn admit(&self, kind: InstanceKind, id: &str) -> Result<(), Problem> {
        if self.scopes.has_all_nodes() {
            return Ok(());
        }
        let seen = self.seen();
        let listed = seen.views.get(&kind).and_then(|v| v.members.iter().find(|m| *m.id.0 == *id)).map(|m| &m.labels);
        let left = || seen.left.iter().rev().find(|left| left.kind == kind && left.id == id).map(|left| &left.labels);
        let none = BTreeMap::new();
        self.scopes.node(id, listed.or_else(left).unwrap_or(&none))
    }

    /// Refuses an id that is of one that is out of scope, of whatever kind.
    pub(crate) fn admit_any(&self, id: &str) -> Result<(), Problem> {
        let mut found = self.everybody();
        found.retain(|m| *m.id.0 == *id);
        match found.is_empty() {
            true => self.scopes.node(id, &BTreeMap::new()),
            false => found.iter().try_for_each(|m| self.scopes.node(id, &m.labels)),
        }
    }

    /// May this be seen, `gate/gate-1` or another subject of an event? What is done to users may be done anywhere.
    pub(crate) fn shows(&self, subject: &str) -> bool {
        let (word, rest) = subject.split_once('/').unwrap_or((subject, ""));
        match InstanceKind::ALL.into_iter().find(|kind| kind.to_string() == word) {
            _ if self.scopes.has_all_nodes() => true,
            Some(kind) => self.admit(kind, rest).is_ok(),
            None => matches!(word, "registry" | "config"),
        }
    }

    /// All of a kind, by id.
    pub(crate) fn of(&self, kind: InstanceKind) -> Vec<Instance> {
        let mut all = self.seen().views.get(&kind).map(|v| v.members.to_vec()).unwrap_or_default();
        all.retain(|m| self.is_shown(m));
        all
    }

    /// All, by kind and id.
    pub(crate) fn all(&self) -> Vec<Instance> {
        let mut all = self.everybody();
        all.retain(|m| self.is_shown(m));
        all
    }

    /// For how long the registry has not answered, in seconds; nothing while it does.
    pub(crate) fn stale_secs(&self) -> Option<u64> {
        let since = |view: &View| match view.fresh {
            Freshness::Live => None,
            Freshness::Stale { since } => Some(Instant::now().duration_since(since).as_secs()),
        };
        self.seen().views.values().filter_map(since).max()
    }

    /// The one of this id.
    pub(crate) fn find(&self, id: &str, kind: Option<InstanceKind>) -> Result<Instance, Problem> {
        let wanted = |k: InstanceKind| kind.is_none_or(|wanted| wanted == k);
        let mut found = self.everybody();
        found.retain(|m| &*m.id.0 == id && wanted(m.kind));
        let hidden = found.iter().find_map(|m| self.scopes.node(id, &m.labels).err());
        found.retain(|m| self.is_shown(m));
        match (found.pop(), found.len(), hidden) {
            (Some(one), 0, _) => Ok(one),
            (Some(_), ..) => Err(Problem::conflict("ambiguous", format!("several kinds have the id {id}: add ?kind="))),
            (None, _, Some(foreign)) => Err(foreign),
            (None, _, None) => {
                let seen = self.seen();
                let left = seen.left.iter().rev().find(|left| left.id == id && wanted(left.kind));
                Err(match left {
                    Some(Left { at, .. }) => {
                        Problem::new(StatusCode::GONE, "gone", format!("{id} is not listed any more"))
                            .with("last_seen", at)
                    }
                    None => Problem::not_found(format!("the registry lists no {id}")),
                })
            }
        }
    }
}

/// Tells what is another between two views of a kind.
fn compare(kind: InstanceKind, (before, now): (&View, &View), events: &Events) {
    if !before.is_live() && before.members.is_empty() {
        // It was not known yet who is there.
        return;
    }
    let old = |new: &Instance| before.members.iter().find(|old| old.id == new.id);
    for new in now.members.iter() {
        let tell = |what: &str, text: String| events.add(Event::new(what, new.key(), text));
        match old(new) {
            None => tell("instance.joined", format!("{}, {}", new.name, word(new.state))),
            Some(old) if old.incarnation != new.incarnation => tell("instance.restarted", word(new.state).to_owned()),
            Some(old) => {
                if old.state != new.state {
                    tell("instance.state", format!("{}, was {}", word(new.state), word(old.state)));
                }
                if old.weight != new.weight || old.labels != new.labels {
                    tell("instance.changed", format!("weight {}, labels {}", new.weight, labels(new)));
                }
            }
        }
    }
    let still = |old: &&Instance| now.members.iter().any(|new| new.id == old.id);
    for old in before.members.iter().filter(|old| !still(old)) {
        events.add(Event::new("instance.left", old.key(), format!("was {}", word(old.state))));
    }
    let subject = || format!("registry/{kind}");
    match (before.is_live(), now.is_live()) {
        (true, false) => events.add(Event::new("registry.silent", subject(), "what is shown is the last that it said")),
        (false, true) => events.add(Event::new("registry.back", subject(), "it answers again")),
        _ => {}
    }
}

fn word(state: State) -> &'static str {
    crate::http::state(state)
}

fn labels(of: &Instance) -> String {
    of.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &[Instance], now: &[Instance], expected: &[(&str, &str)]) {
        let view = |members: &[Instance]| View { members: members.into(), fresh: Freshness::Live, skipped: 0 };
        let events = Events::default();
        compare(InstanceKind::Gate, (&view(before), &view(now)), &events);
        let seen = events.behind(0, 10, |_| true).events;
        let told: Vec<_> = seen.iter().map(|e| (e.kind.as_str(), e.text.as_str())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn who_comes_goes_starts_anew_or_becomes_another_is_told() {
        let mut one = Instance::new(InstanceKind::Gate, "gate-1", "gate");
        one.state = State::Work;
        check(&[], &[one.clone()], &[("instance.joined", "gate, work")]);
        check(&[one.clone()], &[one.clone()], &[]);
        let other =
            Instance { state: State::Hang, weight: 7, labels: [("zone".into(), "a".into())].into(), ..one.clone() };
        let told = [("instance.state", "hang, was work"), ("instance.changed", "weight 7, labels zone=a")];
        check(&[one.clone()], &[other], &told);
        let anew = Instance { incarnation: due_core::Incarnation(one.incarnation.0 ^ 1), ..one.clone() };
        check(&[one.clone()], &[anew], &[("instance.restarted", "work")]);
        check(&[one], &[], &[("instance.left", "was work")]);
    }
}
