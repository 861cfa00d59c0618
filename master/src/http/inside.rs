//! What instances know of themselves: links, routes, counters, connections; and routes and services of all.

use std::collections::BTreeMap;

use axum::{Extension, Json};
use due_cluster::admin::{Ask as Question, Happened, Lately, LinkView, Metrics, RouteView, SessionView};
use due_core::{mesh::SERVICES, registry::InstanceKind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    cluster::state,
    extract::{Ask, Name},
    query::{Kind, OfKind, limit},
    sessions::{page_of, read_cursor, write_cursor},
};
use crate::{
    api::Api,
    fanout::Failed,
    problem::{Denials, OfOneNode, Problem},
};

/// Links of an instance.
#[derive(Serialize, ToSchema)]
pub(super) struct Links {
    /// The links.
    items: Vec<LinkView>,
}

/// Its links to other processes.
#[utoipa::path(get, path = "/nodes/{id}/links", tag = "nodes", params(("id" = String, Path), OfKind),
    responses((status = 200, body = Links), OfOneNode, Denials))]
pub(super) async fn links(
    Extension(api): Extension<Api>,
    Name(id): Name,
    Ask(of): Ask<OfKind>,
) -> Result<Json<Links>, Problem> {
    let member = api.members.find(&id, of.kind.map(Into::into))?;
    Ok(Json(Links { items: api.ask_one(&member, &Question::Links).await? }))
}

/// Routes of a node.
#[derive(Serialize, ToSchema)]
pub(super) struct RoutesOfNode {
    /// The routes.
    items: Vec<RouteView>,
}

/// The routes of a node, with what they have counted.
#[utoipa::path(get, path = "/nodes/{id}/routes", tag = "nodes", params(("id" = String, Path), OfKind),
    responses((status = 200, body = RoutesOfNode), OfOneNode, Denials))]
pub(super) async fn routes_of(
    Extension(api): Extension<Api>,
    Name(id): Name,
    Ask(of): Ask<OfKind>,
) -> Result<Json<RoutesOfNode>, Problem> {
    let member = api.members.find(&id, of.kind.map(Into::into))?;
    Ok(Json(RoutesOfNode { items: api.ask_one(&member, &Question::Routes).await? }))
}

/// What an instance has counted since it started.
#[utoipa::path(get, path = "/nodes/{id}/metrics", tag = "nodes", params(("id" = String, Path), OfKind),
    responses((status = 200, body = Metrics), OfOneNode, Denials))]
pub(super) async fn metrics(
    Extension(api): Extension<Api>,
    Name(id): Name,
    Ask(of): Ask<OfKind>,
) -> Result<Json<Metrics>, Problem> {
    let member = api.members.find(&id, of.kind.map(Into::into))?;
    Ok(Json(api.ask_one(&member, &Question::Metrics).await?))
}

/// In which order, and how many.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ConnectionsQuery {
    /// Of this kind; needed only if several kinds have the id.
    #[param(inline)]
    kind: Option<Kind>,
    /// Orders each page: `bytes` (in and out), `queued`, `age` or `silent`, the largest first. Without it is the order of the gate.
    #[param(inline)]
    sort: Option<Sort>,
    /// At most so many: 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// Also so many of the last sessions of users that ended here: 0 to 1000, 0 by default.
    #[param(maximum = 1000)]
    closed: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    Bytes,
    Queued,
    Age,
    Silent,
}

/// Connections of a gate.
#[derive(Serialize, ToSchema)]
pub(super) struct Connections {
    /// The connections.
    items: Vec<SessionView>,
    /// Where the next page begins; nothing at the end.
    next: Option<String>,
    /// Sessions of users that have ended here and how, newest first, as far as the gate remembers them.
    closed: Vec<Happened>,
}

/// The connections of a gate.
#[utoipa::path(get, path = "/nodes/{id}/connections", tag = "nodes", params(("id" = String, Path), ConnectionsQuery),
    responses((status = 200, body = Connections), OfOneNode, Denials))]
pub(super) async fn connections(
    Extension(api): Extension<Api>,
    Name(id): Name,
    Ask(query): Ask<ConnectionsQuery>,
) -> Result<Json<Connections>, Problem> {
    let limit = limit(query.limit)?;
    let member = api.members.find(&id, Some(query.kind.map_or(InstanceKind::Gate, Into::into)))?;
    let after = match &query.cursor {
        Some(text) => Some(read_cursor(text)?).filter(|place| place.is_of(&member)).map(|place| place.at),
        None => None,
    };
    let page = page_of(&api, &member, (after, limit, Default::default())).await?;
    let mut items = page.items;
    match query.sort {
        Some(Sort::Bytes) => items.sort_by_key(|s| std::cmp::Reverse(s.bytes_in.saturating_add(s.bytes_out))),
        Some(Sort::Queued) => items.sort_by_key(|s| std::cmp::Reverse(s.queued)),
        Some(Sort::Age) => items.sort_by_key(|s| std::cmp::Reverse(s.age_ms)),
        Some(Sort::Silent) => items.sort_by_key(|s| std::cmp::Reverse(s.silent_ms)),
        None => {}
    }
    let closed = match query.closed {
        None | Some(0) => Vec::new(),
        Some(limit @ 1..=1000) => {
            api.ask_one(&member, &Question::Lately(Lately { uid: None, ends: true, limit })).await?
        }
        Some(limit) => return Err(Problem::invalid(format!("closed {limit}: write 0 to 1000"))),
    };
    Ok(Json(Connections { items, next: page.next.map(|at| write_cursor(&member, at)), closed }))
}

/// A route, over all nodes that serve it.
#[derive(Serialize, ToSchema)]
pub(super) struct ClusterRoute {
    /// Its number.
    id: i32,
    /// Its name.
    name: String,
    /// The name of the nodes that serve it.
    node: String,
    /// Does it go to the node that the user is bound to?
    stateful: bool,
    /// Only for users?
    authorized: bool,
    /// Only for other servers?
    internal: bool,
    /// The nodes that serve it.
    owners: Vec<String>,
    /// Messages handled.
    handled: u64,
    /// Handlers that failed, panicked or did not end in time.
    failed: u64,
    /// The worst of the nodes: an upper bound of the time of 99 in 100 handlers, in microseconds.
    p99_us: u64,
}

/// Routes of all nodes.
#[derive(Serialize, ToSchema)]
pub(super) struct ClusterRoutes {
    /// The routes, by number.
    items: Vec<ClusterRoute>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// The routes of all nodes, who serves them, and what they have counted.
#[utoipa::path(get, path = "/routes", tag = "cluster", responses((status = 200, body = ClusterRoutes), Denials))]
pub(super) async fn routes(Extension(api): Extension<Api>) -> Json<ClusterRoutes> {
    let fan = api.ask_all::<Vec<RouteView>>(api.members.of(InstanceKind::Node), &Question::Routes).await;
    let mut all = BTreeMap::<(i32, String, String), ClusterRoute>::new();
    for (node, routes) in fan.items {
        for route in routes {
            let sum = all.entry((route.id, route.name.clone(), node.name.clone())).or_insert_with(|| ClusterRoute {
                id: route.id,
                name: route.name.clone(),
                node: node.name.clone(),
                stateful: route.stateful,
                authorized: route.authorized,
                internal: route.internal,
                owners: Vec::new(),
                handled: 0,
                failed: 0,
                p99_us: 0,
            });
            sum.owners.push(node.id.to_string());
            sum.handled += route.handled;
            sum.failed += route.faults + route.panics + route.timeouts;
            sum.p99_us = sum.p99_us.max(route.p99_us);
        }
    }
    Json(ClusterRoutes { items: all.into_values().collect(), partial: !fan.failed.is_empty(), failed: fan.failed })
}

/// A process that serves calls by name.
#[derive(Serialize, ToSchema)]
pub(super) struct ServiceInstance {
    /// Its id.
    id: String,
    /// `work`, `busy`, `hang` or `shut`.
    state: String,
    /// Its share of the calls.
    weight: u32,
    /// Where it listens.
    endpoints: Vec<String>,
    /// The full names of its gRPC services.
    names: Vec<String>,
}

/// A service of the mesh.
#[derive(Serialize, ToSchema)]
pub(super) struct Service {
    /// The name it is called by.
    name: String,
    /// Who serves it.
    instances: Vec<ServiceInstance>,
}

/// Services of the mesh.
#[derive(Serialize, ToSchema)]
pub(super) struct Services {
    /// The services, by name.
    items: Vec<Service>,
}

/// The services of the mesh, as the registry lists them.
#[utoipa::path(get, path = "/services", tag = "cluster", responses((status = 200, body = Services), Denials))]
pub(super) async fn services(Extension(api): Extension<Api>) -> Json<Services> {
    let mut all = BTreeMap::<String, Vec<ServiceInstance>>::new();
    for m in api.members.of(InstanceKind::Mesh) {
        let names = m.labels.get(SERVICES).map(|list| list.split(',').map(str::to_owned).collect());
        let instance = ServiceInstance {
            id: m.id.to_string(),
            state: state(m.state).to_owned(),
            weight: m.weight,
            endpoints: m.endpoints,
            names: names.unwrap_or_default(),
        };
        all.entry(m.name).or_default().push(instance);
    }
    Json(Services { items: all.into_iter().map(|(name, instances)| Service { name, instances }).collect() })
}
