//! Who is listed, and who was.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::http::StatusCode;
use due_core::{
    Result,
    registry::{Instance, InstanceKind, Registry, View},
};
use tokio::{task::JoinSet, time::Instant};

use crate::problem::Problem;

/// Instances that are remembered after they have left.
const MOST: usize = 1024;

/// The registry as this master sees it.
#[derive(Clone, Default)]
pub(crate) struct Members(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    views: BTreeMap<InstanceKind, View>,
    /// Kind, id, and when they were seen last, in seconds since 1970.
    left: VecDeque<(InstanceKind, String, u64)>,
}

impl Members {
    /// Follows the registry in tasks that end with `tasks`.
    pub(crate) async fn follow(registry: &dyn Registry, tasks: &mut JoinSet<()>) -> Result<Self> {
        let members = Self::default();
        for kind in InstanceKind::ALL {
            let mut watch = registry.watch(kind).await?;
            members.show(kind, watch.view());
            let shown = members.clone();
            tasks.spawn(async move {
                loop {
                    let view = watch.changed().await;
                    shown.show(kind, view);
                }
            });
        }
        Ok(members)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, kind: InstanceKind, view: View) {
        let mut seen = self.seen();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
        let listed = |id: &str| view.members.iter().any(|m| &*m.id.0 == id);
        seen.left.retain(|(k, id, _)| *k != kind || !listed(id));
        let before = seen.views.get(&kind).map(|v| v.members.clone()).unwrap_or_else(|| Arc::from([]));
        for member in before.iter().filter(|m| !listed(&m.id.0)) {
            seen.left.push_back((kind, member.id.to_string(), now));
        }
        while seen.left.len() > MOST {
            seen.left.pop_front();
        }
        seen.views.insert(kind, view);
    }

    /// All of a kind, by id.
    pub(crate) fn of(&self, kind: InstanceKind) -> Vec<Instance> {
        self.seen().views.get(&kind).map(|v| v.members.to_vec()).unwrap_or_default()
    }

    /// All, by kind and id.
    pub(crate) fn all(&self) -> Vec<Instance> {
        self.seen().views.values().flat_map(|v| v.members.iter().cloned()).collect()
    }

    /// For how long the registry has not answered, in seconds; nothing while it does.
    pub(crate) fn stale_secs(&self) -> Option<u64> {
        let since = |view: &View| match view.fresh {
            due_core::registry::Freshness::Live => None,
            due_core::registry::Freshness::Stale { since } => Some(Instant::now().duration_since(since).as_secs()),
        };
        self.seen().views.values().filter_map(since).max()
    }

    /// The one of this id.
    pub(crate) fn find(&self, id: &str, kind: Option<InstanceKind>) -> Result<Instance, Problem> {
        let wanted = |k: InstanceKind| kind.is_none_or(|wanted| wanted == k);
        let mut found: Vec<Instance> = self.all().into_iter().filter(|m| &*m.id.0 == id && wanted(m.kind)).collect();
        match (found.pop(), found.len()) {
            (Some(one), 0) => Ok(one),
            (Some(_), _) => Err(Problem::conflict("ambiguous", format!("several kinds have the id {id}: add ?kind="))),
            (None, _) => {
                let seen = self.seen();
                let left = seen.left.iter().rev().find(|(k, left, _)| left == id && wanted(*k));
                Err(match left {
                    Some((.., at)) => Problem::new(StatusCode::GONE, "gone", format!("{id} is not listed any more"))
                        .with("last_seen", at),
                    None => Problem::not_found(format!("the registry lists no {id}")),
                })
            }
        }
    }
}
