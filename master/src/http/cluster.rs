//! The whole, in numbers.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Extension, Json};
use due_cluster::admin::{About, Ask as Question, Metrics};
use due_core::registry::{Instance, InstanceKind, State as Standing};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::Ask;
use crate::{
    api::Api,
    fanout::Failed,
    problem::{Denials, Problem},
};

/// Sums over the fleet.
#[derive(Serialize, ToSchema)]
pub(super) struct ClusterView {
    /// Instances by kind.
    kinds: BTreeMap<String, u64>,
    /// Instances by state.
    states: BTreeMap<String, u64>,
    /// Gates and nodes by the version that they say.
    versions: BTreeMap<String, u64>,
    /// Connections of all gates that have answered.
    connections: u64,
    /// Users with a session at them.
    users: u64,
    /// Sessions that nodes know.
    sessions: u64,
    /// Messages that gates have read since they started.
    messages: u64,
    /// How many a second since this master was asked last; nothing if that was never, just now or long ago.
    messages_per_sec: Option<f64>,
    /// Replies that they have written since they started.
    replies: u64,
    /// Pushes that they have put into outboxes since they started.
    pushes: u64,
    /// What an operator should look at.
    warnings: Vec<String>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// Sums over the fleet, and what an operator should look at.
#[utoipa::path(get, path = "/cluster", tag = "cluster", responses((status = 200, body = ClusterView), Denials))]
pub(super) async fn cluster(Extension(api): Extension<Api>) -> Json<ClusterView> {
    let all = api.members.all();
    let asked: Vec<Instance> =
        all.iter().filter(|m| matches!(m.kind, InstanceKind::Gate | InstanceKind::Node)).cloned().collect();
    let (metrics, about) = tokio::join!(api.ask_all::<Metrics>(asked.clone(), &Question::Metrics), api.versions(asked));
    let count = |words: Vec<String>| {
        let mut counts = BTreeMap::<String, u64>::new();
        words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
        counts
    };
    let mut view = ClusterView {
        kinds: count(all.iter().map(|m| m.kind.to_string()).collect()),
        states: count(all.iter().map(|m| state(m.state).to_owned()).collect()),
        versions: count(about.items.iter().map(|(_, a)| a.version.clone()).collect()),
        connections: 0,
        users: 0,
        sessions: 0,
        messages: 0,
        messages_per_sec: None,
        replies: 0,
        pushes: 0,
        warnings: Vec::new(),
        partial: !metrics.failed.is_empty(),
        failed: metrics.failed,
    };
    for (member, m) in &metrics.items {
        view.connections += m.connections;
        view.users += m.users;
        view.sessions += m.sessions;
        if let Some(gate) = &m.gate {
            view.messages += gate.messages;
            let pace = api.pace.seen(format!("{}#{:x}/messages", member.key(), member.incarnation.0), gate.messages);
            view.messages_per_sec =
                pace.map(|pace| pace + view.messages_per_sec.unwrap_or_default()).or(view.messages_per_sec);
            view.replies += gate.replies;
            view.pushes += gate.pushes;
        }
    }
    view.warnings = warnings(&api, &all, &view);
    Json(view)
}

fn warnings(api: &Api, all: &[Instance], view: &ClusterView) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(secs) = api.members.stale_secs() {
        found.push(format!("the registry has not answered for {secs} s: this is the last that is known"));
    }
    if view.versions.len() > 1 {
        let versions: Vec<&str> = view.versions.keys().map(String::as_str).collect();
        found.push(format!("several versions run: {}", versions.join(", ")));
    }
    let names: BTreeSet<(InstanceKind, &str)> = all.iter().map(|m| (m.kind, m.name.as_str())).collect();
    for (kind, name) in names {
        let works = |m: &&Instance| matches!(m.state, Standing::Work | Standing::Busy);
        if !all.iter().filter(|m| m.kind == kind && m.name == name).any(|m| works(&m)) {
            found.push(format!("no {kind} of the name {name} takes new work"));
        }
    }
    found.extend(view.failed.iter().map(|f| format!("{} does not answer: {}", f.node, f.error)));
    found
}

/// The version that an instance has said; nothing if it has not answered.
pub(crate) fn version_of(versions: &[(Instance, About)], instance: &Instance) -> String {
    let said = versions.iter().find(|(one, _)| one.key() == instance.key());
    said.map(|(_, about)| about.version.clone()).unwrap_or_default()
}

/// The word for a state.
pub(crate) fn state(state: Standing) -> &'static str {
    match state {
        Standing::Work => "work",
        Standing::Busy => "busy",
        Standing::Hang => "hang",
        Standing::Shut => "shut",
    }
}

/// How to group.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct By {
    /// `gate` (the default), `name`, `version`, or `label:NAME`.
    by: Option<String>,
}

/// Connections of a group of gates.
#[derive(Serialize, ToSchema)]
pub(super) struct OnlineGroup {
    /// The group.
    group: String,
    /// Connections.
    connections: u64,
    /// Of these, with a user.
    users: u64,
}

/// Who is online.
#[derive(Serialize, ToSchema)]
pub(super) struct Online {
    /// Connections of all gates that have answered.
    connections: u64,
    /// Of these, with a user.
    users: u64,
    /// The same by group.
    items: Vec<OnlineGroup>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// How many are online, and where.
#[utoipa::path(get, path = "/online", tag = "cluster", params(By), responses((status = 200, body = Online), Denials))]
pub(super) async fn online(Extension(api): Extension<Api>, Ask(By { by }): Ask<By>) -> Result<Json<Online>, Problem> {
    let by = by.unwrap_or_else(|| "gate".to_owned());
    let label = by.strip_prefix("label:");
    if label.is_none() && !["gate", "name", "version"].contains(&by.as_str()) {
        return Err(Problem::invalid(format!("by {by:?}: write gate, name, version or label:NAME")));
    }
    let gates = api.members.of(InstanceKind::Gate);
    let versions = if by == "version" { api.versions(gates.clone()).await.items } else { Vec::new() };
    let fan = api.ask_all::<Metrics>(gates, &Question::Metrics).await;
    let mut groups = BTreeMap::<String, (u64, u64)>::new();
    for (gate, metrics) in &fan.items {
        let group = match (label, by.as_str()) {
            (Some(label), _) => gate.labels.get(label).cloned().unwrap_or_default(),
            (None, "name") => gate.name.clone(),
            (None, "version") => version_of(&versions, gate),
            (None, _) => gate.id.to_string(),
        };
        let sums = groups.entry(group).or_default();
        *sums = (sums.0 + metrics.connections, sums.1 + metrics.users);
    }
    let items = groups.into_iter().map(|(group, (connections, users))| OnlineGroup { group, connections, users });
    let items: Vec<OnlineGroup> = items.collect();
    Ok(Json(Online {
        connections: items.iter().map(|g| g.connections).sum(),
        users: items.iter().map(|g| g.users).sum(),
        items,
        partial: !fan.failed.is_empty(),
        failed: fan.failed,
    }))
}
