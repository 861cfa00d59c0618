//! Requests that wait for a second person: looked at, approved, rejected.

use axum::{
    Extension, Json,
    body::to_bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_service::Service;
use utoipa::ToSchema;

use super::{
    asking::{Again, again},
    extract::{Body, Name},
};
use crate::{
    act::Deed,
    api::Api,
    auth::{Action, Asked, Caller, Decision, Need, NotDecided, Person, Reach, Scopes, first_role, need},
    clock,
    problem::{Denials, OfOneNode, Problem, ProblemView, Refusals, backend},
};

/// Largest answer of what was approved.
const ANSWER: usize = 16 * 1024 * 1024;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// It waits for a second person.
    Pending,
    /// Nobody has decided in time.
    Expired,
    /// It was carried out; `outcome` says what came of it.
    Approved,
    /// It is not done.
    Rejected,
}

/// What was asked.
#[derive(Serialize, ToSchema)]
pub(super) struct HeldView {
    /// The method.
    method: String,
    /// The path with its query.
    path: String,
    /// The ETag that it expects.
    if_match: Option<String>,
    /// The body, until it is decided; for whoever may do the same.
    #[schema(value_type = Option<Object>)]
    body: Option<Value>,
}

/// What a second person has said.
#[derive(Serialize, ToSchema)]
pub(super) struct DecisionView {
    /// The name of the token.
    by: String,
    /// Its id.
    by_id: String,
    /// Why.
    reason: String,
    /// When, in seconds since 1970.
    at: u64,
    /// Of one that was approved: `done`, or the code of the problem; nothing while it is carried out, or if the master has
    /// ended meanwhile.
    outcome: Option<String>,
}

/// A request that waits for a second person, or did.
#[derive(Serialize, ToSchema)]
pub(super) struct ApprovalView {
    /// Its id.
    id: String,
    /// Where it stands.
    state: Standing,
    /// What it does.
    action: Action,
    /// Who has asked, by the name of the token.
    by: String,
    /// The id of that token.
    by_id: String,
    /// Why.
    reason: String,
    /// When, in seconds since 1970.
    asked_at: u64,
    /// From when on nobody can approve it.
    expires_at: u64,
    /// What was asked.
    request: HeldView,
    /// What a second person has said.
    decision: Option<DecisionView>,
}

impl From<Asked> for ApprovalView {
    fn from(asked: Asked) -> Self {
        let state = match &asked.decision {
            None if asked.has_expired() => Standing::Expired,
            None => Standing::Pending,
            Some(decision) if decision.approved => Standing::Approved,
            Some(_) => Standing::Rejected,
        };
        let request = asked.request;
        let decision = |d: Decision| DecisionView {
            by: d.by.name,
            by_id: d.by.id,
            reason: d.reason,
            at: d.at,
            outcome: d.outcome,
        };
        Self {
            id: asked.id,
            state,
            action: asked.action,
            by: asked.by.name,
            by_id: asked.by.id,
            reason: asked.reason,
            asked_at: asked.asked,
            expires_at: asked.expires,
            request: HeldView {
                method: request.method,
                path: request.path,
                if_match: request.if_match,
                body: request.body,
            },
            decision: asked.decision.map(decision),
        }
    }
}

/// Requests that wait, or did.
#[derive(Serialize, ToSchema)]
pub(super) struct ApprovalList {
    /// The requests, newest first: at most 512.
    items: Vec<ApprovalView>,
}

/// Requests that wait for a second person, and those that were decided lately: what this token has asked for, and what it may
/// decide.
#[utoipa::path(get, path = "/approvals", tag = "approvals", responses((status = 200, body = ApprovalList), Denials))]
pub(super) async fn list(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ApprovalList>, Problem> {
    let mut items = Vec::new();
    for asked in api.approvals.all().await.map_err(backend)? {
        items.extend(shown(&api, &caller, asked).await?);
    }
    Ok(Json(ApprovalList { items }))
}

/// One of them.
#[utoipa::path(get, path = "/approvals/{id}", tag = "approvals", params(("id" = String, Path)),
    responses((status = 200, body = ApprovalView),
        (status = 404, body = ProblemView, content_type = "application/problem+json", description = "nobody has asked for it, or this token may not decide it"),
        Denials))]
pub(super) async fn one(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
) -> Result<Json<ApprovalView>, Problem> {
    let asked = api.approvals.one(&id).await.map_err(backend)?.ok_or_else(unknown)?;
    shown(&api, &caller, asked).await?.map(Json).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("no request of this id waits for a second person")
}

/// What whoever asks may see of it.
async fn shown(api: &Api, caller: &Caller, mut asked: Asked) -> Result<Option<ApprovalView>, Problem> {
    let refused = may_decide(api, caller, &asked).await.err();
    match refused {
        Some(problem) if problem.status != StatusCode::FORBIDDEN => return Err(problem),
        Some(_) if asked.by.id != caller.id => return Ok(None),
        // Whoever may not do it any more does not see what he could not see elsewhere.
        Some(_) => asked.request.body = None,
        None => {}
    }
    Ok(Some(asked.into()))
}

/// May this token do the same, wherever it reaches?
async fn may_decide(api: &Api, caller: &Caller, asked: &Asked) -> Result<(), Problem> {
    let request = &asked.request;
    let Some((Need::May(permission), reach)) = need(&request.method, &request.route) else {
        return Err(unknown());
    };
    if !caller.may(permission) {
        let role = first_role(permission).as_str();
        let text = format!("to decide this needs the permission {permission}, which the role {role} has");
        let problem = Problem::new(StatusCode::FORBIDDEN, "permission_denied", text);
        return Err(problem.with("need", role).with("permission", permission));
    }
    let target = request.target.as_deref().unwrap_or_default();
    match reach {
        Reach::Any | Reach::Keys | Reach::Asked => Ok(()),
        Reach::Whole => caller.scopes.whole(),
        Reach::Key => caller.scopes.key(target),
        Reach::Node => api.members.admit_any(target),
        Reach::Nodes => {
            let asker = api.tokens.of_id(&asked.by.id).await.map_err(backend)?;
            caller.scopes.covers_nodes(&asker.map_or_else(Scopes::default, |asker| asker.scopes))
        }
    }
}

/// Why it is approved or rejected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDecision {
    /// Why; it stands in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// What came of a request that was approved.
#[derive(Serialize, ToSchema)]
pub(super) struct CarriedOut {
    /// The request.
    approval: ApprovalView,
    /// The status that it was answered with.
    status: u16,
    /// What it was answered: as if it had been asked now. It is shown this once.
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
}

/// Lets it be done: the very same request is carried out as if it was asked now, in the name of whoever has asked. It is for
/// another token than that one, which may do the same. What it cannot do now is answered with its problem: 412 if what is
/// changed is not as it was seen any more. It is decided then all the same.
#[utoipa::path(post, path = "/approvals/{id}/approve", tag = "approvals", request_body = NewDecision, params(("id" = String, Path)),
    responses((status = 200, body = CarriedOut),
        (status = 404, body = ProblemView, content_type = "application/problem+json", description = "nobody has asked for it"),
        (status = 410, body = ProblemView, content_type = "application/problem+json", description = "expired: it was not decided in time"),
        (status = 412, body = ProblemView, content_type = "application/problem+json", description = "precondition_failed, selector_changed: it is not as it was when it was asked"),
        OfOneNode, Refusals))]
pub(super) async fn approve(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Extension(Again(mut router)): Extension<Again>,
    Name(id): Name,
    Body(new): Body<NewDecision>,
) -> Result<Response, Problem> {
    let asked = decide(&api, &caller, &id, (true, new.reason)).await?;
    let answered = match again(&asked, &caller) {
        Ok(request) => router.call(request).await.unwrap_or_else(|never| match never {}),
        Err(problem) => problem.into_response(),
    };
    let (parts, body) = answered.into_parts();
    let status = parts.status.as_u16();
    let bytes = to_bytes(body, ANSWER).await.unwrap_or_default();
    let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
    let code = answer.as_ref().and_then(|a| a["code"].as_str()).unwrap_or("failed");
    let outcome = if parts.status.is_success() { "done" } else { code };
    let approval = match api.approvals.finish(&id, outcome).await {
        Ok(finished) => finished.unwrap_or(asked),
        Err(e) => {
            tracing::warn!(error = %e, approval = id, "what came of an approved request is not kept");
            asked
        }
    };
    if !parts.status.is_success() {
        return Ok(Response::from_parts(parts, bytes.into()));
    }
    Ok(Json(CarriedOut { approval: approval.into(), status, answer }).into_response())
}

/// Lets it not be done. It is for those who could have approved it.
#[utoipa::path(post, path = "/approvals/{id}/reject", tag = "approvals", request_body = NewDecision, params(("id" = String, Path)),
    responses((status = 200, body = ApprovalView),
        (status = 404, body = ProblemView, content_type = "application/problem+json", description = "nobody has asked for it"),
        (status = 410, body = ProblemView, content_type = "application/problem+json", description = "expired: it was not decided in time"),
        Refusals))]
pub(super) async fn reject(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    Body(new): Body<NewDecision>,
) -> Result<Json<ApprovalView>, Problem> {
    let mut asked = decide(&api, &caller, &id, (false, new.reason)).await?;
    asked.request.body = None;
    Ok(Json(asked.into()))
}

/// Decides, once; what was asked.
async fn decide(api: &Api, caller: &Caller, id: &str, said: (bool, String)) -> Result<Asked, Problem> {
    let asked = api.approvals.one(id).await.map_err(backend)?.ok_or_else(unknown)?;
    let (approved, reason) = said;
    let verb = if approved { "approval.approve" } else { "approval.reject" };
    let detail = json!({ "by": asked.by.name, "by_id": asked.by.id, "action": asked.action });
    let deed = Deed { verb, resource: asked.resource(), reason: &reason, dry_run: false, detail };
    let doing = async {
        may_decide(api, caller, &asked).await?;
        let (by, reason, at) = (Person::from(caller), reason.trim().to_owned(), clock::seconds());
        let decision = Decision { approved, by, reason, at, outcome: None };
        api.approvals.decide(id, &decision).await.map_err(not_decided)
    };
    api.act(caller, deed, doing).await
}

fn not_decided(why: NotDecided) -> Problem {
    match why {
        NotDecided::Unknown => unknown(),
        NotDecided::Same => {
            let text = "whoever has asked cannot decide: another token has to";
            Problem::new(StatusCode::FORBIDDEN, "second_person_needed", text)
        }
        NotDecided::Expired => Problem::new(StatusCode::GONE, "expired", "it was not decided in time: ask anew"),
        NotDecided::Already => Problem::conflict("already_decided", "somebody has decided: look at it"),
        NotDecided::Source(e) => backend(e),
    }
}
