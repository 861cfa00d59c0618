//! The API: one file for each resource.

mod approvals;
mod asking;
mod audit;
mod broadcasts;
mod canary;
mod channels;
mod cluster;
mod config;
mod contract;
mod counted;
mod crowd;
mod drain;
mod events;
mod extract;
mod graph;
mod guard;
mod head;
mod info;
mod inside;
mod kick;
mod mask;
mod nodes;
mod query;
mod revisions;
mod roles;
mod serve;
mod sessions;
mod tokens;
mod users;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
};
pub(crate) use cluster::state;
pub(crate) use serve::serve;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{api::Api, idempotency, problem::Problem};

/// Bytes of a body: a setting of 1 MiB as JSON fits.
pub(crate) const BODY: usize = 2 * 1024 * 1024;

/// Everything under `/api/v1`.
pub(crate) fn router(api: &Api) -> Router {
    let documented = OpenApiRouter::with_openapi(contract::empty()).nest("/api/v1", endpoints());
    let (router, contract) = documented.split_for_parts();
    let router = router
        .layer(from_fn_with_state(api.clone(), asking::asking))
        .layer(from_fn_with_state(api.clone(), idempotency::once))
        .layer(from_fn_with_state(api.clone(), guard::guard))
        .fallback(|| async { Problem::not_found("there is nothing under this path") })
        .layer(axum::Extension(contract::written(contract)))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn(contract::no_store));
    // What was approved goes the same way once more.
    let again = asking::Again(router.clone());
    router.layer(axum::Extension(again))
}

/// Their handlers get the `Api` of whoever asks as an extension, which the guard puts there: there is no other way to it.
fn endpoints() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(contract::openapi))
        .routes(routes!(info::info))
        .routes(routes!(roles::list))
        .routes(routes!(roles::one, roles::put))
        .routes(routes!(tokens::me))
        .routes(routes!(tokens::list, tokens::mint))
        .routes(routes!(tokens::revoke))
        .routes(routes!(cluster::cluster))
        .routes(routes!(cluster::online))
        .routes(routes!(graph::graph))
        .routes(routes!(crowd::kick))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::one, nodes::change))
        .routes(routes!(drain::start, drain::look, drain::cancel))
        .routes(routes!(inside::links))
        .routes(routes!(inside::routes_of))
        .routes(routes!(inside::metrics))
        .routes(routes!(inside::connections))
        .routes(routes!(inside::routes))
        .routes(routes!(inside::services))
        .routes(routes!(sessions::sessions))
        .routes(routes!(users::look))
        .routes(routes!(kick::kick))
        .routes(routes!(kick::unblock))
        .routes(routes!(users::push))
        .routes(routes!(channels::list))
        .routes(routes!(channels::one))
        .routes(routes!(broadcasts::list, broadcasts::send))
        .routes(routes!(broadcasts::one))
        .routes(routes!(config::list))
        .routes(routes!(config::one, config::put))
        .routes(routes!(config::validate))
        .routes(routes!(canary::schema_of))
        .routes(routes!(revisions::list))
        .routes(routes!(revisions::one))
        .routes(routes!(revisions::rollback))
        .routes(routes!(config::status))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::one))
        .routes(routes!(approvals::approve))
        .routes(routes!(approvals::reject))
        .routes(routes!(audit::audit))
        .routes(routes!(events::list))
        .routes(routes!(events::stream))
}
