//! A word to many, and what came of it.

use std::sync::Arc;

use axum::{
    Extension, Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use due_cluster::{
    Sent, To,
    admin::{Ask as Question, Metrics, RawPush},
};
use due_core::registry::{Instance, InstanceKind};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::Instant};
use utoipa::{IntoParams, ToSchema};

use super::{
    channels::channels,
    counted::Many,
    extract::{Ask, Body, Name},
    query::{DryRun, limit},
    users::{Urgency, bytes_of},
};
use crate::{
    act::Deed,
    api::Api,
    auth::{Caller, hex},
    broadcasts::{AtGate, Audience, Broadcast, Stage},
    fanout::{BUDGET, Failed, word},
    problem::{Denials, Problem, ProblemView, Refusals},
};

/// A message to many.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBroadcast {
    /// Why; it stands in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// Whom it reaches.
    to: Audience,
    /// The channel, for `channel`.
    channel: Option<String>,
    /// The number of the push.
    route: i32,
    /// The message as JSON, for pushes whose bodies are JSON.
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<Value>,
    /// The message in hexadecimal, for all others. One of the two.
    hex: Option<String>,
    /// What happens when an outbox is full.
    #[serde(default)]
    class: Urgency,
    /// What the dry run answered: without it nothing is sent.
    count_token: Option<String>,
    /// Answer when it is sent; else, with 202, once it is certain that it will be.
    #[serde(default = "yes")]
    wait: bool,
}

fn yes() -> bool {
    true
}

/// What came of asking for a broadcast.
#[derive(Serialize, ToSchema)]
pub(super) struct BroadcastMade {
    /// So many connections it reaches, as counted before.
    count: u64,
    /// For the request that sends it, after a dry run.
    count_token: Option<String>,
    /// Where to look at it from now on; nothing after a dry run.
    id: Option<String>,
    /// Where it is; nothing after a dry run.
    stage: Option<Stage>,
    /// What each gate has done.
    items: Vec<AtGate>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

impl BroadcastMade {
    fn counted(count: u64, token: String, failed: Vec<Failed>) -> Self {
        let (items, partial) = (Vec::new(), !failed.is_empty());
        Self { count, count_token: Some(token), id: None, stage: None, items, partial, failed }
    }
}

impl From<Broadcast> for BroadcastMade {
    fn from(b: Broadcast) -> Self {
        let Broadcast { id, count, stage, items, partial, failed, .. } = b;
        Self { count, count_token: None, id: Some(id), stage: Some(stage), items, partial, failed }
    }
}

/// Sends a message to many: first a dry run, which counts them and answers a token, then the same with that token.
#[utoipa::path(post, path = "/broadcasts", tag = "users", request_body = NewBroadcast, params(DryRun),
    responses((status = 200, body = BroadcastMade),
        (status = 202, body = BroadcastMade, description = "it will be sent; look at it by its id"),
        (status = 412, body = ProblemView, content_type = "application/problem+json", description = "selector_changed: it reaches others, or far more, than were counted"),
        Refusals))]
pub(super) async fn send(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Ask(DryRun { dry_run }): Ask<DryRun>,
    Body(new): Body<NewBroadcast>,
) -> Result<Response, Problem> {
    let body = bytes_of(new.body.as_ref(), new.hex.as_deref())?;
    if (new.to == Audience::Channel) != new.channel.is_some() {
        return Err(Problem::field("channel", "name one for `channel`, and none for the others"));
    }
    if dry_run {
        return Ok(Json(counted(&api, &caller, &new, &body).await?).into_response());
    }
    let (wait, begun) = (new.wait, oneshot::channel());
    // It goes on to its end, whoever waits for it, and its outcome is written down then.
    let sending = tokio::spawn(async move { audited(&api, &caller, (new, body), begun.0).await });
    let (answered, early) = match wait {
        true => (StatusCode::OK, None),
        false => (StatusCode::ACCEPTED, begun.1.await.ok()),
    };
    if let Some(made) = early {
        return Ok((answered, Json(BroadcastMade::from(made))).into_response());
    }
    let panicked =
        |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the broadcast ended in a panic: look again");
    let made = sending.await.map_err(panicked)??;
    Ok((answered, Json(BroadcastMade::from(made))).into_response())
}

/// Counts them, which is written down too.
async fn counted(api: &Api, caller: &Caller, new: &NewBroadcast, body: &[u8]) -> Result<BroadcastMade, Problem> {
    let (reason, detail) = (&*new.reason, detail(new, body));
    let deed = Deed { verb: "broadcast.send", resource: "broadcast".to_owned(), reason, dry_run: true, detail };
    let doing = async {
        let (count, failed) = count(api, new).await;
        new.count_token.as_deref().map(|token| many(new).admit(Some(token), count)).transpose()?;
        Ok(BroadcastMade::counted(count, many(new).token(count), failed))
    };
    api.act(caller, deed, doing).await
}

fn detail(new: &NewBroadcast, body: &[u8]) -> Value {
    json!({ "to": new.to, "channel": new.channel, "route": new.route, "bytes": body.len() })
}

/// Sends it, and tells `begun` once it is certain that it will be.
async fn audited(
    api: &Api,
    caller: &Caller,
    (new, body): (NewBroadcast, Vec<u8>),
    begun: oneshot::Sender<Broadcast>,
) -> Result<Broadcast, Problem> {
    let id = hex(&rand::random::<[u8; 8]>());
    let (reason, detail, resource) = (&*new.reason, detail(&new, &body), format!("broadcast/{id}"));
    let deed = Deed { verb: "broadcast.send", resource, reason, dry_run: false, detail };
    let push = RawPush { route: new.route, class: new.class.into(), body, then_close: false };
    let doing = async {
        let (count, _) = count(api, &new).await;
        many(&new).admit(new.count_token.as_deref(), count)?;
        let (to, channel, bytes) = (new.to, new.channel.clone(), push.body.len() as u64);
        let made = Broadcast::begun(id, (&caller.name, reason), (to, channel), (push.route, bytes, count));
        let running = api.broadcasts.begin(made.clone());
        let _ = begun.send(made);
        let (items, failed) = at_gates(api, &new, &push).await;
        Ok(running.finish(items, failed))
    };
    api.act(caller, deed, doing).await
}

/// How many it reaches now.
async fn count(api: &Api, new: &NewBroadcast) -> (u64, Vec<Failed>) {
    if new.to == Audience::Channel {
        let found = channels(api, new.channel.clone()).await;
        return (found.items.iter().map(|c| c.subscribers).sum(), found.failed);
    }
    let fan = api.ask_all::<Metrics>(api.members.of(InstanceKind::Gate), &Question::Metrics).await;
    let of = |m: &Metrics| if new.to == Audience::Bound { m.users } else { m.connections };
    (fan.items.iter().map(|(_, m)| of(m)).sum(), fan.failed)
}

fn many(new: &NewBroadcast) -> Many<'static> {
    Many { whom: format!("{:?}/{:?}", new.to, new.channel), verb: "reaches", unit: "" }
}

/// What the gates have done.
async fn at_gates(api: &Api, new: &NewBroadcast, push: &RawPush) -> (Vec<AtGate>, Vec<Failed>) {
    let until = Instant::now() + BUDGET;
    let sent = api.members.of(InstanceKind::Gate).into_iter().map(|gate: Instance| async move {
        let to = match new.to {
            Audience::Everyone => To::Everyone,
            Audience::Bound => To::Bound,
            Audience::Channel => To::Channel(new.channel.as_deref().unwrap_or_default()),
        };
        let sent: due_core::Result<Sent> = api.admin.push_at(&gate.owner(), to, push, until).await;
        (gate.id.to_string(), sent)
    });
    let (mut items, mut failed) = (Vec::new(), Vec::new());
    for (gate, sent) in join_all(sent).await {
        match sent {
            Ok(sent) => {
                let [queued, full, unknown] = [sent.queued, sent.full, sent.unknown].map(|n| n as u64);
                items.push(AtGate { gate, queued, full, unknown });
            }
            Err(e) => failed.push(Failed { node: gate, error: word(&e) }),
        }
    }
    (items, failed)
}

/// What the gates in scope have done.
fn in_scope(api: &Api, broadcast: Arc<Broadcast>) -> Arc<Broadcast> {
    let foreign = |gate: &str| api.members.admit(InstanceKind::Gate, gate).is_err();
    let (items, failed) = (&broadcast.items, &broadcast.failed);
    if !items.iter().any(|at| foreign(&at.gate)) && !failed.iter().any(|of| foreign(&of.node)) {
        return broadcast;
    }
    let mut narrowed = (*broadcast).clone();
    narrowed.items.retain(|at| !foreign(&at.gate));
    narrowed.failed.retain(|of| !foreign(&of.node));
    narrowed.partial = !narrowed.failed.is_empty();
    Arc::new(narrowed)
}

/// How many.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct BroadcastsQuery {
    /// At most so many: 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// A page of broadcasts.
#[derive(Serialize, ToSchema)]
pub(super) struct BroadcastsPage {
    /// The broadcasts of this master, newest first.
    #[schema(value_type = Vec<Broadcast>)]
    items: Vec<Arc<Broadcast>>,
    /// Where the next page begins; nothing at the end.
    next: Option<String>,
}

/// The last 500 broadcasts of this master.
#[utoipa::path(get, path = "/broadcasts", tag = "users", params(BroadcastsQuery), responses((status = 200, body = BroadcastsPage), Denials))]
pub(super) async fn list(
    Extension(api): Extension<Api>,
    Ask(query): Ask<BroadcastsQuery>,
) -> Result<Json<BroadcastsPage>, Problem> {
    let (items, more) = api.broadcasts.page(query.cursor.as_deref(), limit(query.limit)?);
    let next = more.then(|| items.last().map(|b| b.id.clone())).flatten();
    Ok(Json(BroadcastsPage { items: items.into_iter().map(|b| in_scope(&api, b)).collect(), next }))
}

/// One broadcast of this master: where it is, and what each gate has done.
#[utoipa::path(get, path = "/broadcasts/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = Broadcast),
        (status = 404, body = ProblemView, content_type = "application/problem+json", description = "this master has not sent it, or has sent 500 since"),
        Denials))]
pub(super) async fn one(Extension(api): Extension<Api>, Name(id): Name) -> Result<Json<Arc<Broadcast>>, Problem> {
    let none = || Problem::not_found("this master knows no such broadcast, or no more: it keeps the last 500");
    api.broadcasts.find(&id).map(|b| Json(in_scope(&api, b))).ok_or_else(none)
}
