//! Roles: what each may, and changing that.

use axum::{
    Extension, Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    extract::{Ask, Body, Name, if_match},
    query::DryRun,
};
use crate::{
    act::Deed,
    api::Api,
    auth::{Caller, NEEDS, Need, NotPut, RoleSet, Seen, known},
    problem::{Denials, Problem, ProblemView, Refusals, backend},
};

/// A role.
#[derive(Serialize, ToSchema)]
pub(super) struct RoleView {
    /// Its name.
    name: String,
    /// What it may: a resource and a verb, `users:kick`.
    permissions: Vec<String>,
    /// The endpoints that this opens, as `METHOD /path`.
    may: Vec<String>,
    /// Rises with each change: the ETag. 0 is as it was from the beginning.
    revision: u64,
}

impl From<RoleSet> for RoleView {
    fn from(role: RoleSet) -> Self {
        let opens = |need: &Need| match need {
            Need::May(permission) => role.permissions.contains(permission),
            Need::Token | Need::Nothing => true,
        };
        let may =
            NEEDS.iter().filter(|(_, _, need, _)| opens(need)).map(|(method, path, ..)| format!("{method} {path}"));
        Self {
            may: may.collect(),
            permissions: role.permissions.into_iter().map(str::to_owned).collect(),
            name: role.name,
            revision: role.revision,
        }
    }
}

/// All roles.
#[derive(Serialize, ToSchema)]
pub(super) struct RoleList {
    /// The roles: first those that are there from the beginning.
    items: Vec<RoleView>,
}

/// The roles, and what each may do.
#[utoipa::path(get, path = "/roles", tag = "auth", responses((status = 200, body = RoleList), Denials))]
pub(super) async fn list(Extension(api): Extension<Api>) -> Result<Json<RoleList>, Problem> {
    let all = api.roles.all().await.map_err(backend)?;
    Ok(Json(RoleList { items: all.into_iter().map(RoleView::from).collect() }))
}

/// One role.
#[utoipa::path(get, path = "/roles/{name}", tag = "auth", params(("name" = String, Path)),
    responses((status = 200, body = RoleView, headers(("ETag" = String, description = "for a change"))),
        (status = 404, body = ProblemView, content_type = "application/problem+json"), Denials))]
pub(super) async fn one(Extension(api): Extension<Api>, Name(name): Name) -> Result<Response, Problem> {
    let role = api.roles.one(&name).await.map_err(backend)?;
    Ok(tagged(role.ok_or_else(|| Problem::not_found(format!("there is no role {name}")))?))
}

fn tagged(role: RoleSet) -> Response {
    ([(header::ETAG, format!("\"{}\"", role.revision))], Json(RoleView::from(role))).into_response()
}

/// What a role is to be permitted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRole {
    /// Why; it stands in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// All that it may from now on; nothing else.
    #[schema(max_items = 256)]
    permissions: Vec<String>,
}

/// Changes what a role may, or makes one. Tokens that have it may that at once, at other masters within a second. The role
/// `admin` stays as it is, and nobody else may write roles or tokens: an admin cannot be locked out.
#[utoipa::path(put, path = "/roles/{name}", tag = "auth", request_body = NewRole,
    params(("name" = String, Path, description = "1 to 32 of a-z, 0-9 and -"), DryRun,
        ("If-Match" = Option<String>, Header, description = "the ETag that was seen"),
        ("If-None-Match" = Option<String>, Header, description = "`*` for a new role")),
    responses((status = 200, body = RoleView, headers(("ETag" = String))),
        (status = 404, body = ProblemView, content_type = "application/problem+json", description = "there is no such role"),
        (status = 412, body = ProblemView, content_type = "application/problem+json", description = "precondition_failed: it has changed since"),
        (status = 428, body = ProblemView, content_type = "application/problem+json", description = "precondition_required"),
        Refusals))]
pub(super) async fn put(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
    (Ask(DryRun { dry_run }), headers): (Ask<DryRun>, HeaderMap),
    Body(new): Body<NewRole>,
) -> Result<Response, Problem> {
    let seen = seen(&headers)?;
    if new.permissions.len() > 256 {
        return Err(Problem::field("permissions", "name at most 256"));
    }
    let detail = json!({ "permissions": new.permissions });
    let deed = Deed { verb: "role.put", resource: format!("role/{name}"), reason: &new.reason, dry_run, detail };
    let doing = async {
        let permissions =
            new.permissions.iter().map(|p| known(p).ok_or_else(|| unknown(p))).collect::<Result<_, _>>()?;
        let to = RoleSet { name: name.clone(), permissions, revision: 0 };
        api.roles.put(&to, seen, dry_run).await.map_err(not_put)
    };
    Ok(tagged(api.act(&caller, deed, doing).await?))
}

fn seen(headers: &HeaderMap) -> Result<Seen, Problem> {
    if headers.get(header::IF_NONE_MATCH).is_some_and(|v| v == "*") {
        return Ok(Seen::Absent);
    }
    // What is no revision is one that nothing has.
    Ok(Seen::Revision(if_match(headers)?.parse().unwrap_or(u64::MAX)))
}

fn unknown(permission: &str) -> Problem {
    let mut problem = Problem::field(
        "permissions",
        format!("there is no {permission:.64?}, or only admins have it: GET /roles/admin has all there are"),
    );
    problem.code = "unknown_permission";
    problem
}

fn not_put(why: NotPut) -> Problem {
    match why {
        NotPut::Fixed => Problem::conflict("fixed_role", "admins may everything, always: make another role"),
        NotPut::Unknown => Problem::not_found("there is no role of this name: send If-None-Match: * to make it"),
        NotPut::Stale => {
            let text = "the role has changed, or is there already: look again";
            Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", text)
        }
        NotPut::TooMany => Problem::conflict("too_many", "64 roles were made or changed: change one of them"),
        NotPut::Permission(permission) => unknown(&permission),
        NotPut::Name => Problem::invalid("a role has a name of 1 to 32 letters a-z, digits and -"),
        NotPut::Source(e) => backend(e),
    }
}
