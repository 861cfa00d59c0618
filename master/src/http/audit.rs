//! What was done by whom.

use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{extract::Ask, query::limit};
use crate::{
    api::Api,
    audit::{Query, Record},
    problem::{Denials, Problem, backend},
};

/// Which records.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Of this token, by its id or name.
    actor: Option<String>,
    /// Of resources that begin so: `user/ann`, `gate/`.
    resource: Option<String>,
    /// Of verbs that begin so: `user.`.
    verb: Option<String>,
    /// Not before this time, in milliseconds since 1970.
    from_ms: Option<u64>,
    /// Not after this time.
    until_ms: Option<u64>,
    /// At most so many: 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<u64>,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    /// The records of this master, newest first.
    items: Vec<Record>,
    /// Where the next page begins; nothing at the end.
    next: Option<u64>,
}

/// The audit log of this master. Each record is chained to the one before by `prev` and `hash`.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = AuditPage), Denials))]
pub(super) async fn audit(
    Extension(api): Extension<Api>,
    Ask(query): Ask<AuditQuery>,
) -> Result<Json<AuditPage>, Problem> {
    let limit = limit(query.limit)?;
    let wanted = Query {
        before: query.cursor,
        actor: query.actor,
        resource: query.resource,
        verb: query.verb,
        from_ms: query.from_ms,
        until_ms: query.until_ms,
        limit: limit + 1,
    };
    let mut items = api.audit.read(wanted).await.map_err(backend)?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = more.then(|| items.last().map(|r| r.seq)).flatten();
    Ok(Json(AuditPage { items, next }))
}
