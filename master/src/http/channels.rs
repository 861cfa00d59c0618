//! Channels: who has subscribed.

use std::collections::BTreeMap;

use axum::{Extension, Json};
use due_cluster::admin::{Ask as Question, ChannelView};
use due_core::registry::InstanceKind;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::Name;
use crate::{api::Api, fanout::Failed, problem::Denials};

/// A channel over all gates.
#[derive(Serialize, ToSchema)]
pub(super) struct Channel {
    /// Its name.
    name: String,
    /// Sessions that have subscribed.
    pub(super) subscribers: u64,
    /// The same by gate.
    gates: BTreeMap<String, u64>,
}

/// Channels with subscribers.
#[derive(Serialize, ToSchema)]
pub(super) struct Channels {
    /// The channels, by name: of each gate the first 1000.
    pub(super) items: Vec<Channel>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    pub(super) failed: Vec<Failed>,
}

/// Channels with subscribers.
#[utoipa::path(get, path = "/channels", tag = "users", responses((status = 200, body = Channels), Denials))]
pub(super) async fn list(Extension(api): Extension<Api>) -> Json<Channels> {
    Json(channels(&api, None).await)
}

/// One channel; one that nobody has subscribed to is empty.
#[utoipa::path(get, path = "/channels/{name}", tag = "users", params(("name" = String, Path)),
    responses((status = 200, body = Channels), Denials))]
pub(super) async fn one(Extension(api): Extension<Api>, Name(name): Name) -> Json<Channels> {
    Json(channels(&api, Some(name)).await)
}

/// Who has subscribed to one channel, or to all.
pub(super) async fn channels(api: &Api, name: Option<String>) -> Channels {
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
