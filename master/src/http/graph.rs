//! Who is linked to whom.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Extension, Json};
use due_cluster::admin::{Ask as Question, LinkView};
use due_core::registry::InstanceKind;
use serde::Serialize;
use utoipa::ToSchema;

use super::cluster::state;
use crate::{api::Api, fanout::Failed, problem::Denials};

/// An instance in the graph.
#[derive(Serialize, ToSchema)]
pub(super) struct GraphNode {
    /// Its id.
    id: String,
    /// `gate`, `node`, `mesh` or `master`.
    kind: String,
    /// The name that it shares with its like.
    name: String,
    /// `work`, `busy`, `hang` or `shut`.
    state: String,
}

/// All links from one instance to another, as the first one sees them.
#[derive(Serialize, ToSchema)]
pub(super) struct GraphEdge {
    /// The instance that tells of it.
    from: String,
    /// The other side.
    to: String,
    /// `gate-to-node`, `node-to-gate` or `orders`.
    kind: String,
    /// How many links.
    links: u64,
    /// How many of them are up.
    up: u64,
    /// How many were found full.
    full: u64,
    /// Orders that wait for their answers.
    orders: u64,
    /// Frames that they have taken.
    sent: u64,
    /// How many a second since this master was asked last; nothing if that was never, just now or long ago.
    sent_per_sec: Option<f64>,
    /// How long a heartbeat takes there and back over the slowest of them, in microseconds: measured every 4 seconds and
    /// smoothed; nothing until it is known, and between parts of one process.
    rtt_us: Option<u64>,
    /// What went wrong since the instance that tells of it began, as far as it remembers: connections lost, frames refused,
    /// orders refused or lost.
    errors: u64,
}

/// Instances and their links.
#[derive(Serialize, ToSchema)]
pub(super) struct Graph {
    /// The instances.
    nodes: Vec<GraphNode>,
    /// Their links, each from both of its sides.
    edges: Vec<GraphEdge>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// Instances and the links between them.
#[utoipa::path(get, path = "/cluster/graph", tag = "cluster", responses((status = 200, body = Graph), Denials))]
pub(super) async fn graph(Extension(api): Extension<Api>) -> Json<Graph> {
    let all = api.members.all();
    let asked = all.iter().filter(|m| matches!(m.kind, InstanceKind::Gate | InstanceKind::Node)).cloned().collect();
    let fan = api.ask_all::<Vec<LinkView>>(asked, &Question::Links).await;
    let mut edges = BTreeMap::<(String, String, String), GraphEdge>::new();
    for (member, links) in fan.items {
        for link in links {
            let (from, to, kind) = (member.id.to_string(), link.peer, link.kind);
            let edge = edges.entry((from.clone(), to.clone(), kind.clone())).or_insert_with(|| GraphEdge {
                from,
                to,
                kind,
                links: 0,
                up: 0,
                full: 0,
                orders: 0,
                sent: 0,
                sent_per_sec: None,
                rtt_us: None,
                errors: 0,
            });
            edge.links += 1;
            edge.up += u64::from(link.state == "up");
            edge.full += u64::from(link.full);
            edge.orders += link.orders;
            edge.sent += link.sent;
            edge.rtt_us = edge.rtt_us.max(link.rtt_us);
            edge.errors += link.errors;
        }
    }
    let shown = |id: &str| all.iter().any(|m| *m.id.0 == *id);
    let foreign =
        api.fleet.all().into_iter().map(|m| m.id.to_string()).filter(|id| !shown(id)).collect::<BTreeSet<_>>();
    edges.retain(|(_, to, _), _| !foreign.contains(to));
    for edge in edges.values_mut() {
        edge.sent_per_sec = api.pace.seen(format!("{} {} {}/sent", edge.from, edge.to, edge.kind), edge.sent);
    }
    let node = |m: due_core::registry::Instance| GraphNode {
        id: m.id.to_string(),
        kind: m.kind.to_string(),
        state: state(m.state).to_owned(),
        name: m.name,
    };
    Json(Graph {
        nodes: all.into_iter().map(node).collect(),
        edges: edges.into_values().collect(),
        partial: !fan.failed.is_empty(),
        failed: fan.failed,
    })
}
