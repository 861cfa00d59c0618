//! Emptying an instance that goes on running.

use axum::{Extension, Json, http::StatusCode};
use due_cluster::admin::{About, Ask as Question, DrainView, Draining, Mode, StartDrain};
use due_core::registry::{Instance, State as Standing};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    extract::{Ask, Body, Name},
    query::{DryRun, Ending, OfKind},
};
use crate::{
    act::Deed,
    api::Api,
    auth::Caller,
    problem::{Denials, OfOneNode, Problem, Refusals},
};

/// How to empty an instance.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDrain {
    /// Why; it stands in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// `wait`: who is there stays; `goaway`: clients of a gate are told to leave, over half of the time; actors of a node end.
    #[serde(default)]
    mode: Mode,
    /// After so many seconds clients that were told and have not left are cut off, and users of a node let go: 1 to 604800.
    #[serde(default = "a_minute")]
    #[schema(minimum = 1, maximum = 604_800)]
    deadline_secs: u64,
    /// Also if nobody else of its name takes work.
    #[serde(default)]
    force: bool,
}

fn a_minute() -> u64 {
    60
}

/// Begins to empty a gate or node: the registry says that it takes no new work.
#[utoipa::path(post, path = "/nodes/{id}/drain", tag = "nodes", request_body = NewDrain,
    params(("id" = String, Path), OfKind, DryRun), responses((status = 202, body = Option<DrainView>), OfOneNode, Refusals))]
pub(super) async fn start(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    (Ask(of), Ask(DryRun { dry_run })): (Ask<OfKind>, Ask<DryRun>),
    Body(new): Body<NewDrain>,
) -> Result<(StatusCode, Json<Draining>), Problem> {
    let member = api.members.find(&id, of.kind.map(Into::into))?;
    let how = StartDrain { mode: new.mode, deadline_secs: new.deadline_secs };
    let detail = json!({ "mode": new.mode, "deadline_secs": new.deadline_secs, "force": new.force });
    let deed = Deed { verb: "node.drain", resource: member.key(), reason: &new.reason, dry_run, detail };
    let draining = api
        .act(&caller, deed, async {
            if !(1..=604_800).contains(&new.deadline_secs) {
                return Err(Problem::field("deadline_secs", "write 1 to 604800"));
            }
            if !new.force && !has_another(&api, &member) {
                let text =
                    format!("nobody else of the name {} takes work: force it, or start another one", member.name);
                return Err(Problem::conflict("last_of_kind", text));
            }
            let ask = if dry_run { Question::Drained } else { Question::Drain(how) };
            let draining = api.ask_one::<Draining>(&member, &ask).await;
            match draining {
                Ok(Some(_)) if dry_run => Err(already()),
                Err(problem) if problem.status == 409 && problem.detail.starts_with("duplicate") => Err(already()),
                other => other,
            }
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(draining)))
}

fn already() -> Problem {
    Problem::conflict("already_draining", "it is being emptied already")
}

fn has_another(api: &Api, member: &Instance) -> bool {
    let works = |m: &Instance| matches!(m.state, Standing::Work | Standing::Busy);
    api.fleet.of(member.kind).iter().any(|m| m.id != member.id && m.name == member.name && works(m))
}

/// How its drain stands.
#[utoipa::path(get, path = "/nodes/{id}/drain", tag = "nodes", params(("id" = String, Path), OfKind),
    responses((status = 200, body = DrainView), OfOneNode, Denials))]
pub(super) async fn look(
    Extension(api): Extension<Api>,
    Name(id): Name,
    Ask(of): Ask<OfKind>,
) -> Result<Json<DrainView>, Problem> {
    let member = api.members.find(&id, of.kind.map(Into::into))?;
    let draining = api.ask_one::<Draining>(&member, &Question::Drained).await?;
    draining.map(Json).ok_or_else(not_draining)
}

/// Ends its drain: it takes work again. Clients that were told to leave may do so all the same.
#[utoipa::path(delete, path = "/nodes/{id}/drain", tag = "nodes", params(("id" = String, Path), Ending),
    responses((status = 200, body = About), OfOneNode, Refusals))]
pub(super) async fn cancel(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    Ask(ending): Ask<Ending>,
) -> Result<Json<About>, Problem> {
    let member = api.members.find(&id, ending.kind.map(Into::into))?;
    let (resource, dry_run) = (member.key(), ending.dry_run);
    let deed = Deed { verb: "node.drain.cancel", resource, reason: &ending.reason, dry_run, detail: Value::Null };
    let about = api
        .act(&caller, deed, async {
            if dry_run {
                let draining = api.ask_one::<Draining>(&member, &Question::Drained).await?;
                draining.ok_or_else(not_draining)?;
                return api.ask_one::<About>(&member, &Question::About).await;
            }
            let cancelled = api.ask_one::<About>(&member, &Question::CancelDrain).await;
            cancelled.map_err(|problem| if problem.status == 404 { not_draining() } else { problem })
        })
        .await?;
    Ok(Json(about))
}

fn not_draining() -> Problem {
    let mut problem = Problem::not_found("it is not being emptied");
    problem.code = "not_draining";
    problem
}
