//! The master itself.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{api::Api, auth::Role, problem::Denials};

/// The master that answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Info {
    /// Its id in the registry.
    id: String,
    /// Its version.
    version: String,
    /// Does it change nothing?
    read_only: bool,
    /// For how many seconds the registry has not answered; nothing while it does.
    registry_stale_secs: Option<u64>,
    /// May it write live settings? Without, tokens end with the master.
    config_writable: bool,
}

/// Who answers.
#[utoipa::path(get, path = "/info", tag = "master", responses((status = 200, body = Info), Denials))]
pub(super) async fn info(State(api): State<Api>) -> Json<Info> {
    Json(Info {
        id: api.id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        read_only: api.read_only,
        registry_stale_secs: api.members.stale_secs(),
        config_writable: api.admin.cluster().config().capability().writable,
    })
}

/// A role.
#[derive(Serialize, ToSchema)]
pub(super) struct RoleView {
    /// Its name.
    name: Role,
    /// The endpoints that it may use, as `METHOD /path`.
    may: Vec<String>,
}

/// All roles.
#[derive(Serialize, ToSchema)]
pub(super) struct Roles {
    /// The roles.
    items: Vec<RoleView>,
}

/// The roles, and what each may do.
#[utoipa::path(get, path = "/roles", tag = "auth", responses((status = 200, body = Roles), Denials))]
pub(super) async fn roles() -> Json<Roles> {
    let may = |role: Role| {
        let allowed = crate::auth::NEEDS.iter().filter(|(.., need)| match need {
            crate::auth::Need::Role(needed) => role.covers(*needed),
            _ => true,
        });
        allowed.map(|(method, path, _)| format!("{method} {path}")).collect()
    };
    Json(Roles { items: Role::ALL.map(|role| RoleView { name: role, may: may(role) }).into() })
}
