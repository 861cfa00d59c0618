//! Channels: who has subscribed, and a word to all of them or to everybody.

use std::collections::BTreeMap;

use axum::{Extension, Json, extract::State};
use due_cluster::{
    Sent, To,
    admin::{Ask as Question, ChannelView, Metrics, RawPush},
};
use due_core::registry::{Instance, InstanceKind};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{
    counted::Many,
    extract::{Ask, Body, Name},
    query::DryRun,
    users::{Urgency, bytes_of},
};
use crate::{
    act::Deed,
    api::Api,
    auth::Caller,
    fanout::{BUDGET, Failed, word},
    problem::{Denials, Problem, ProblemView, Refusals},
};

/// A channel over all gates.
#[derive(Serialize, ToSchema)]
pub(super) struct Channel {
    /// Its name.
    name: String,
    /// Sessions that have subscribed.
    subscribers: u64,
    /// The same by gate.
    gates: BTreeMap<String, u64>,
}

/// Channels with subscribers.
#[derive(Serialize, ToSchema)]
pub(super) struct Channels {
    /// The channels, by name: of each gate the first 1000.
    items: Vec<Channel>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// Channels with subscribers.
#[utoipa::path(get, path = "/channels", tag = "users", responses((status = 200, body = Channels), Denials))]
pub(super) async fn list(State(api): State<Api>) -> Json<Channels> {
    Json(channels(&api, None).await)
}

/// One channel; one that nobody has subscribed to is empty.
#[utoipa::path(get, path = "/channels/{name}", tag = "users", params(("name" = String, Path)),
    responses((status = 200, body = Channels), Denials))]
pub(super) async fn one(State(api): State<Api>, Name(name): Name) -> Json<Channels> {
    Json(channels(&api, Some(name)).await)
}

async fn channels(api: &Api, name: Option<String>) -> Channels {
    let fan = api.ask_all::<Vec<ChannelView>>(api.members.of(InstanceKind::Gate), &Question::Channels(name)).await;
    let mut all = BTreeMap::<String, Channel>::new();
    for (gate, views) in fan.items {
        for view in views {
            let channel = all.entry(view.name.clone()).or_insert_with(|| Channel {
                name: view.name,
                subscribers: 0,
                gates: BTreeMap::new(),
            });
            channel.subscribers += view.subscribers;
            channel.gates.insert(gate.id.to_string(), view.subscribers);
        }
    }
    Channels { items: all.into_values().collect(), partial: !fan.failed.is_empty(), failed: fan.failed }
}

/// Whom a broadcast reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Audience {
    /// Every connection.
    Everyone,
    /// Every connection with a user.
    Bound,
    /// The subscribers of a channel.
    Channel,
}

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
}

/// What a gate has done.
#[derive(Serialize, ToSchema)]
pub(super) struct AtGate {
    /// The gate.
    gate: String,
    /// Stands in so many outboxes.
    queued: u64,
    /// Refused or dropped by so many full ones.
    full: u64,
    /// Of so many the listener cannot carry the route.
    unknown: u64,
}

/// What came of a broadcast.
#[derive(Serialize, ToSchema)]
pub(super) struct Broadcast {
    /// So many connections it reaches, as counted before.
    count: u64,
    /// For the request that sends it, after a dry run.
    count_token: Option<String>,
    /// What each gate has done.
    items: Vec<AtGate>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// Sends a message to many: first a dry run, which counts them and answers a token, then the same with that token.
#[utoipa::path(post, path = "/broadcasts", tag = "users", request_body = NewBroadcast, params(DryRun),
    responses((status = 200, body = Broadcast),
        (status = 412, body = ProblemView, content_type = "application/problem+json", description = "selector_changed: it reaches others, or far more, than were counted"),
        Refusals))]
pub(super) async fn broadcast(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Ask(DryRun { dry_run }): Ask<DryRun>,
    Body(new): Body<NewBroadcast>,
) -> Result<Json<Broadcast>, Problem> {
    let body = bytes_of(new.body.as_ref(), new.hex.as_deref())?;
    if (new.to == Audience::Channel) != new.channel.is_some() {
        return Err(Problem::field("channel", "name one for `channel`, and none for the others"));
    }
    let detail = json!({ "to": new.to, "channel": new.channel, "route": new.route, "bytes": body.len() });
    let deed = Deed { verb: "broadcast.send", resource: "broadcast".to_owned(), reason: &new.reason, dry_run, detail };
    let push = RawPush { route: new.route, class: new.class.into(), body, then_close: false };
    let doing = async {
        let (count, failed) = count(&api, &new).await;
        let token = many(&new).token(count);
        if dry_run {
            let (items, partial) = (Vec::new(), !failed.is_empty());
            return Ok(Broadcast { count, count_token: Some(token), items, partial, failed });
        }
        many(&new).admit(new.count_token.as_deref(), count)?;
        Ok(send(&api, &new, &push, count).await)
    };
    Ok(Json(api.act(&caller, deed, doing).await?))
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

async fn send(api: &Api, new: &NewBroadcast, push: &RawPush, count: u64) -> Broadcast {
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
    let mut made = Broadcast { count, count_token: None, items: Vec::new(), partial: false, failed: Vec::new() };
    for (gate, sent) in join_all(sent).await {
        match sent {
            Ok(sent) => {
                let [queued, full, unknown] = [sent.queued, sent.full, sent.unknown].map(|n| n as u64);
                made.items.push(AtGate { gate, queued, full, unknown });
            }
            Err(e) => made.failed.push(Failed { node: gate, error: word(&e) }),
        }
    }
    made.partial = !made.failed.is_empty();
    made
}
