//! The master itself.

use std::collections::BTreeMap;

use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{api::Api, auth::Action, problem::Denials};

/// The master that answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Info {
    /// Its id in the registry.
    id: String,
    /// Its version.
    version: String,
    /// With what it was built.
    features: Vec<&'static str>,
    /// What its backends are: `registry` is `etcd`.
    backends: BTreeMap<&'static str, String>,
    /// Does it change nothing?
    read_only: bool,
    /// What waits for a second person.
    guard: Vec<Action>,
    /// For how many seconds the registry has not answered; nothing while it does.
    registry_stale_secs: Option<u64>,
    /// May it write live settings? Without, tokens end with the master.
    config_writable: bool,
}

/// Who answers.
#[utoipa::path(get, path = "/info", tag = "master", responses((status = 200, body = Info), Denials))]
pub(super) async fn info(Extension(api): Extension<Api>) -> Json<Info> {
    Json(Info {
        id: api.id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        features: features(),
        backends: api.admin.backends(),
        read_only: api.read_only,
        guard: api.policy.actions(),
        registry_stale_secs: api.members.stale_secs(),
        config_writable: api.admin.cluster().config().capability().writable,
    })
}

fn features() -> Vec<&'static str> {
    let all = [
        ("audit-redis", cfg!(feature = "audit-redis")),
        ("etcd", cfg!(feature = "etcd")),
        ("program", cfg!(feature = "program")),
    ];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}
