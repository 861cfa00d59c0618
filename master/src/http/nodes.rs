//! Instances: all, one, and what of one may be changed.

use std::collections::BTreeMap;

use axum::{
    Extension, Json,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use due_cluster::admin::{About, Ask as Question, Change, Metrics, revision};
use due_core::{
    Kind as ErrorKind,
    registry::{Instance, InstanceKind, State as Standing},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::{
    cluster::{state, version_of},
    extract::{Ask, Body, Name, if_match},
    query::{DryRun, Kind, OfKind, limit},
};
use crate::{
    act::Deed,
    api::Api,
    auth::Caller,
    fanout::{BUDGET, Failed, Fan},
    problem::{Denials, OfOneNode, Problem, ProblemView, Refusals},
};

/// An instance as the registry lists it.
#[derive(Serialize, ToSchema)]
pub(super) struct NodeView {
    /// Its id.
    id: String,
    /// `gate`, `node`, `mesh` or `master`.
    kind: String,
    /// The name that it shares with its like.
    name: String,
    /// Which life of it, in hexadecimal.
    incarnation: String,
    /// `work`, `busy`, `hang` or `shut`.
    state: String,
    /// Its share of the work.
    weight: u32,
    /// Where it listens.
    endpoints: Vec<String>,
    /// Its labels.
    labels: BTreeMap<String, String>,
    /// Of state, weight and labels: the ETag of the instance.
    revision: String,
}

impl From<Instance> for NodeView {
    fn from(m: Instance) -> Self {
        Self {
            revision: revision(&m),
            id: m.id.to_string(),
            kind: m.kind.to_string(),
            incarnation: format!("{:016x}", m.incarnation.0),
            state: state(m.state).to_owned(),
            weight: m.weight,
            endpoints: m.endpoints,
            name: m.name,
            labels: m.labels,
        }
    }
}

/// Which instances.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct NodesQuery {
    /// Of this kind.
    #[param(inline)]
    kind: Option<Kind>,
    /// Of this name.
    name: Option<String>,
    /// In this state: `work`, `busy`, `hang` or `shut`.
    state: Option<String>,
    /// With this label: `NAME=VALUE`.
    label: Option<String>,
    /// Of this version: gates and nodes, which are asked for it.
    version: Option<String>,
    /// At most so many: 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// A page of instances.
#[derive(Serialize, ToSchema)]
pub(super) struct NodesPage {
    /// The instances, by kind and id.
    items: Vec<NodeView>,
    /// Where the next page begins; nothing at the end.
    next: Option<String>,
    /// For how many seconds the registry has not answered; nothing while it does.
    stale_secs: Option<u64>,
    /// Has somebody not told its version who was asked for it?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// Instances that the registry lists.
#[utoipa::path(get, path = "/nodes", tag = "nodes", params(NodesQuery), responses((status = 200, body = NodesPage), Denials))]
pub(super) async fn list(
    Extension(api): Extension<Api>,
    Ask(query): Ask<NodesQuery>,
) -> Result<Json<NodesPage>, Problem> {
    let limit = limit(query.limit)?;
    let label = match &query.label {
        Some(text) => Some(text.split_once('=').ok_or_else(|| Problem::invalid("label: write NAME=VALUE"))?),
        None => None,
    };
    let kind = query.kind.map(InstanceKind::from);
    let takes = |m: &Instance| {
        kind.is_none_or(|kind| m.kind == kind)
            && query.name.as_ref().is_none_or(|name| m.name == *name)
            && query.state.as_ref().is_none_or(|wanted| state(m.state) == wanted)
            && label.is_none_or(|(name, value)| m.labels.get(name).is_some_and(|v| v == value))
            && query.cursor.as_ref().is_none_or(|after| m.key() > *after)
    };
    let mut found: Vec<Instance> = api.members.all().into_iter().filter(takes).collect();
    found.sort_by_key(Instance::key);
    let failed = match &query.version {
        Some(version) => keep_version(&api, &mut found, version).await,
        None => Vec::new(),
    };
    let next = (found.len() > limit).then(|| found.get(limit - 1).map(Instance::key)).flatten();
    found.truncate(limit);
    let items = found.into_iter().map(NodeView::from).collect();
    let stale_secs = api.members.stale_secs();
    Ok(Json(NodesPage { items, next, stale_secs, partial: !failed.is_empty(), failed }))
}

/// Leaves those that say that they are of this version; who has not answered.
async fn keep_version(api: &Api, found: &mut Vec<Instance>, version: &str) -> Vec<Failed> {
    found.retain(|m| matches!(m.kind, InstanceKind::Gate | InstanceKind::Node));
    let Fan { items, failed } = api.versions(found.clone()).await;
    found.retain(|m| version_of(&items, m) == version);
    failed
}

/// An instance, as it is listed and as it sees itself.
#[derive(Serialize, ToSchema)]
pub(super) struct NodeDetail {
    /// As the registry lists it.
    listed: NodeView,
    /// As it sees itself; nothing of meshes and masters.
    about: Option<About>,
    /// What it has counted.
    metrics: Option<Metrics>,
    /// What it runs of the live settings: by key the version of each that its program says it uses (`App::setting`), the
    /// same that `/config/{key}/status` tells; `null` behind a key while the default counts. Nothing of meshes and masters,
    /// and of an instance that is too old to tell.
    config_revision: Option<BTreeMap<String, Option<String>>>,
}

/// One instance. Gates and nodes are asked themselves.
#[utoipa::path(get, path = "/nodes/{id}", tag = "nodes", params(("id" = String, Path), OfKind),
    responses((status = 200, body = NodeDetail, headers(("ETag" = String, description = "for a change"))), OfOneNode, Denials))]
pub(super) async fn one(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    Ask(of): Ask<OfKind>,
) -> Result<Response, Problem> {
    let member = api.members.find(&id, of.kind.map(Into::into))?;
    if !matches!(member.kind, InstanceKind::Gate | InstanceKind::Node) {
        let listed = NodeView::from(member);
        let detail = NodeDetail { listed, about: None, metrics: None, config_revision: None };
        return Ok(tagged(&detail.listed.revision.clone(), detail));
    }
    let (about, metrics, versions) = tokio::join!(
        api.ask_one::<About>(&member, &Question::About),
        api.ask_one::<Metrics>(&member, &Question::Metrics),
        versions(&api, &member)
    );
    let about = about?;
    let tag = about.revision.clone();
    let (about, metrics, mut config_revision) = (Some(about), Some(metrics?), versions?);
    if let Some(versions) = &mut config_revision {
        versions.retain(|key, _| caller.scopes.key(key).is_ok());
    }
    Ok(tagged(&tag, NodeDetail { listed: member.into(), about, metrics, config_revision }))
}

/// The settings that an instance runs; nothing if it is of a version that cannot tell.
async fn versions(api: &Api, member: &Instance) -> Result<Option<BTreeMap<String, Option<String>>>, Problem> {
    match api.admin.ask(member, &Question::Settings, Instant::now() + BUDGET).await {
        Ok(versions) => Ok(Some(versions)),
        Err(e) if e.kind() == ErrorKind::Unsupported => Ok(None),
        Err(e) => Err(Problem::from(e).with("node", &member.id)),
    }
}

fn tagged<T: Serialize>(revision: &str, body: T) -> Response {
    ([(header::ETAG, format!("\"{revision}\""))], Json(body)).into_response()
}

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Settable {
    /// Takes all work.
    Work,
    /// Takes work if nobody else can.
    Busy,
}

/// New values; what is not given stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeChange {
    /// Why; it stands in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// How much work it takes. To empty it, begin a drain.
    state: Option<Settable>,
    /// Its share of the work; 0 takes none while others do.
    weight: Option<u32>,
    /// Labels to set; `null` removes one.
    #[serde(default)]
    labels: BTreeMap<String, Option<String>>,
}

/// Changes state, weight or labels of a gate or node, until its process ends.
#[utoipa::path(patch, path = "/nodes/{id}", tag = "nodes", request_body = NodeChange,
    params(("id" = String, Path), OfKind, DryRun, ("If-Match" = String, Header, description = "the ETag that was seen")),
    responses((status = 200, body = About, headers(("ETag" = String))),
        (status = 412, body = ProblemView, content_type = "application/problem+json", description = "precondition_failed: it has changed since"),
        (status = 428, body = ProblemView, content_type = "application/problem+json", description = "precondition_required: without If-Match"),
        OfOneNode, Refusals))]
pub(super) async fn change(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    (Ask(of), Ask(DryRun { dry_run }), headers): (Ask<OfKind>, Ask<DryRun>, HeaderMap),
    Body(change): Body<NodeChange>,
) -> Result<Response, Problem> {
    let seen = Some(if_match(&headers)?);
    let member = api.members.find(&id, of.kind.map(Into::into))?;
    caller.scopes.keeps(&change.labels)?;
    let state = change.state.map(|s| if s == Settable::Work { Standing::Work } else { Standing::Busy });
    let detail = json!({ "state": change.state, "weight": change.weight, "labels": change.labels });
    let question = Question::Change(Change { state, weight: change.weight, labels: change.labels, seen, dry_run });
    let deed = Deed { verb: "node.change", resource: member.key(), reason: &change.reason, dry_run, detail };
    let about = api.act(&caller, deed, api.ask_one::<About>(&member, &question)).await?;
    let tag = about.revision.clone();
    Ok(tagged(&tag, about))
}
