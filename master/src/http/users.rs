//! One user: the truth on one page, a word.

use std::collections::BTreeMap;

use axum::{Extension, Json};
use due_cluster::{
    To,
    admin::{Ask as Question, Happened, Lately, RawPush, SessionView, UserAtNode, newest_first},
};
use due_core::{Class, Uid, registry::InstanceKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{
    extract::{Ask, Body, User},
    query::DryRun,
};
use crate::{
    act::Deed,
    api::Api,
    auth::Caller,
    clock,
    fanout::{BUDGET, Failed, word},
    problem::{Denials, OfOneNode, Problem, ProblemView, Refusals, backend},
};

/// A node that a user is bound to.
#[derive(Serialize, ToSchema)]
pub(super) struct Bound {
    /// The name, or the name and a kind of actors.
    slot: String,
    /// The id of the node.
    node: String,
    /// Since which epoch.
    epoch: u64,
    /// What the node knows; nothing if it has not answered, or is out of scope.
    there: Option<UserAtNode>,
}

/// Something that has happened to a user, and where.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct HappenedAt {
    /// The gate.
    gate: String,
    /// What.
    #[serde(flatten)]
    happened: Happened,
}

/// All that is known of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct UserView {
    /// The user.
    #[schema(value_type = serde_json::Value)]
    uid: Uid,
    /// The gate that holds the connection.
    gate: String,
    /// The epoch of the login.
    epoch: u64,
    /// The session; nothing if the gate has not answered or it has just ended.
    session: Option<SessionView>,
    /// The nodes that the user is bound to.
    nodes: Vec<Bound>,
    /// The actors that the user is attached to, as `kind/key`.
    actors: Vec<String>,
    /// When something was heard of the client last, in seconds since 1970; nothing if the gate has not answered.
    last_seen: Option<u64>,
    /// Until when the user may not log in, in seconds since 1970; nothing if he may.
    blocked_until: Option<u64>,
    /// How the session before this one ended, as far as gates remember it.
    last_end: Option<HappenedAt>,
    /// What has happened to the user at all gates, newest first: the last 20 that they remember.
    events: Vec<HappenedAt>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// Where a user is, and what the gate and the nodes know.
#[utoipa::path(get, path = "/users/{uid}", tag = "users",
    params(("uid" = String, Path, description = "a number, or a text; the text of digits in double quotes")),
    responses((status = 200, body = UserView),
        (status = 404, body = ProblemView, content_type = "application/problem+json", description = "offline; `last_seen` is when, in seconds since 1970, and `last_end` how the last session ended, as far as gates remember it; `blocked_until` if the user may not log in"), Denials))]
pub(super) async fn look(Extension(api): Extension<Api>, User(uid): User) -> Result<Json<UserView>, Problem> {
    let record = api.admin.locate(&uid).await.map_err(backend)?;
    let (mut events, silent) = lately(&api, &uid).await;
    let blocked = api.blocks.until(&uid).await;
    let Some(slot) = record.gate else {
        let problem = last_seen(offline(&uid), &events);
        return Err(match blocked {
            Ok(Some(until)) => problem.with("blocked_until", until),
            _ => problem,
        });
    };
    api.members.admit(InstanceKind::Gate, &slot.owner.id.0)?;
    let gates = api.members.of(InstanceKind::Gate).into_iter().filter(|m| m.owner() == slot.owner).collect();
    let at_gate = api.ask_all::<Option<SessionView>>(gates, &Question::Session(uid.clone())).await;
    let all = api.members.of(InstanceKind::Node);
    let bound_to = |node: &&due_core::registry::Instance| record.node.values().any(|s| s.owner == node.owner());
    let nodes = all.iter().filter(bound_to).cloned().collect();
    let at_nodes = api.ask_all::<UserAtNode>(nodes, &Question::User(uid.clone())).await;
    let mut failed = silent;
    if let Err(e) = &blocked {
        failed.push(Failed { node: "config".to_owned(), error: word(e) });
    }
    for other in at_gate.failed.into_iter().chain(at_nodes.failed) {
        if !failed.contains(&other) {
            failed.push(other);
        }
    }
    let mut actors: Vec<String> = at_nodes.items.iter().flat_map(|(_, there)| there.actors.iter().cloned()).collect();
    actors.sort_unstable();
    let session = at_gate.items.into_iter().find_map(|(_, session)| session);
    let last_end = events.iter().find(|h| h.happened.is_end()).cloned();
    events.truncate(SHOWN);
    let bound = record.node.iter().map(|(name, slot)| Bound {
        slot: name.to_string(),
        node: slot.owner.id.to_string(),
        epoch: slot.epoch.0,
        there: at_nodes.items.iter().find(|(m, _)| m.owner() == slot.owner).map(|(_, there)| there.clone()),
    });
    Ok(Json(UserView {
        gate: slot.owner.id.to_string(),
        epoch: slot.epoch.0,
        last_seen: session.as_ref().map(|s| clock::seconds().saturating_sub(s.silent_ms / 1000)),
        session,
        blocked_until: blocked.ok().flatten(),
        nodes: bound.collect(),
        actors,
        last_end,
        events,
        partial: !failed.is_empty(),
        failed,
        uid,
    }))
}

/// Events of a user on a page.
const SHOWN: usize = 20;

/// What gates remember of a user, newest first, and which have not answered.
async fn lately(api: &Api, uid: &Uid) -> (Vec<HappenedAt>, Vec<Failed>) {
    let lately = Lately { uid: Some(uid.clone()), ends: false, limit: 100 };
    let fan = api.ask_all::<Vec<Happened>>(api.members.of(InstanceKind::Gate), &Question::Lately(lately)).await;
    let mut gates = BTreeMap::new();
    let mut parts = Vec::new();
    for (gate, happened) in fan.items {
        gates.extend(happened.iter().map(|h| (h.session.clone(), gate.id.to_string())));
        parts.push(happened);
    }
    let at =
        |happened: Happened| HappenedAt { gate: gates.get(&happened.session).cloned().unwrap_or_default(), happened };
    (newest_first(parts, 100).into_iter().map(at).collect(), fan.failed)
}

fn last_seen(problem: Problem, events: &[HappenedAt]) -> Problem {
    let Some(HappenedAt { gate, happened }) = events.iter().find(|h| h.happened.is_end()) else { return problem };
    let Happened { time_ms, what, text, .. } = happened;
    let problem = problem.with("last_seen", time_ms / 1000).with("last_end", what).with("last_gate", gate);
    if text.is_empty() { problem } else { problem.with("last_text", text) }
}

pub(super) fn offline(uid: &Uid) -> Problem {
    let mut problem = Problem::not_found(format!("{uid} is not connected"));
    problem.code = "offline";
    problem
}

/// What happens when an outbox is full.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Urgency {
    /// The client is pushed back or closed by its gate's rules.
    #[default]
    Must,
    /// The newest one waits.
    Latest,
    /// It is dropped.
    Droppable,
}

impl From<Urgency> for Class {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Must => Self::Must,
            Urgency::Latest => Self::Latest,
            Urgency::Droppable => Self::Droppable,
        }
    }
}

/// A message to a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPush {
    /// Why; it stands in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// The number of the push.
    route: i32,
    /// The message as JSON, for pushes whose bodies are JSON.
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<Value>,
    /// The message in hexadecimal, for all others. One of the two.
    hex: Option<String>,
    /// What happens when the client's outbox is full.
    #[serde(default)]
    class: Urgency,
}

/// What became of a push.
#[derive(Serialize, ToSchema)]
pub(super) struct PushMade {
    /// Stands in the outbox of so many connections.
    queued: u64,
    /// Refused or dropped by so many full outboxes.
    full: u64,
    /// So many users had no connection.
    offline: u64,
    /// Of so many it is not known, or their listener cannot carry the route.
    unknown: u64,
    /// Was it sent, or would it only be?
    dry_run: bool,
}

/// Sends a message to a user. It is sent as it is: a fleet that encrypts bodies must be sent encrypted ones.
#[utoipa::path(post, path = "/users/{uid}/push", tag = "users", request_body = NewPush,
    params(("uid" = String, Path), DryRun), responses((status = 200, body = PushMade), OfOneNode, Refusals))]
pub(super) async fn push(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    User(uid): User,
    Ask(DryRun { dry_run }): Ask<DryRun>,
    Body(new): Body<NewPush>,
) -> Result<Json<PushMade>, Problem> {
    let body = bytes_of(new.body.as_ref(), new.hex.as_deref())?;
    let detail = json!({ "route": new.route, "bytes": body.len(), "class": new.class });
    let resource = format!("user/{uid}");
    let deed = Deed { verb: "user.push", resource, reason: &new.reason, dry_run, detail };
    let doing = async {
        let record = api.admin.locate(&uid).await.map_err(backend)?;
        let slot = record.gate.ok_or_else(|| offline(&uid))?;
        api.members.admit(InstanceKind::Gate, &slot.owner.id.0)?;
        if dry_run {
            return Ok(PushMade { queued: 1, full: 0, offline: 0, unknown: 0, dry_run });
        }
        let push = RawPush { route: new.route, class: new.class.into(), body, then_close: false };
        let sent = api.admin.push_at(&slot.owner, To::User(uid.clone()), &push, Instant::now() + BUDGET).await?;
        let [queued, full, offline, unknown] = [sent.queued, sent.full, sent.offline, sent.unknown].map(|n| n as u64);
        Ok(PushMade { queued, full, offline, unknown, dry_run })
    };
    Ok(Json(api.act(&caller, deed, doing).await?))
}

/// Largest message.
const LARGEST: usize = 64 * 1024;

/// The body of a message that was given in one of two ways.
pub(super) fn bytes_of(json: Option<&Value>, hex: Option<&str>) -> Result<Vec<u8>, Problem> {
    let bytes = match (json, hex) {
        (Some(value), None) => serde_json::to_vec(value).map_err(|e| Problem::field("body", e.to_string()))?,
        (None, Some(hex)) => from_hex(hex).ok_or_else(|| Problem::field("hex", "write pairs of hexadecimal digits"))?,
        _ => return Err(Problem::field("body", "give `body` or `hex`, and not both")),
    };
    match bytes.len() > LARGEST {
        true => Err(Problem::field("body", "a message is at most 64 KiB")),
        false => Ok(bytes),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
            u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
        }
        _ => None,
    };
    pairs.map(byte).collect()
}
