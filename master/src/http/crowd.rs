//! Sending many users away: those who were counted before.

use axum::{Extension, Json};
use due_cluster::admin::{Ask as Question, Filter, Kick, Kicked};
use due_core::{
    Uid,
    registry::{Instance, InstanceKind},
};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    counted::Many,
    extract::{Ask, Body},
    query::DryRun,
    sessions::{network, page_of},
};
use crate::{
    act::Deed,
    api::Api,
    auth::Caller,
    fanout::Failed,
    problem::{Problem, ProblemView, Refusals},
};

/// Most users of one request.
const MOST: usize = 10_000;
/// Kicks under way at a time.
const AT_ONCE: usize = 64;

/// Which users: all that is set must hold, and something must be.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Selector {
    /// At this gate.
    gate: Option<String>,
    /// Those whose uid begins so.
    uid_prefix: Option<String>,
    /// From this address or network.
    ip: Option<String>,
    /// Those who were bound so many seconds ago at least.
    older_than_secs: Option<u64>,
}

/// Why and how many users have to leave.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CrowdKick {
    /// Why; it stands in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// Which users.
    selector: Selector,
    /// The code that the clients are told; 0 tells them nothing.
    #[serde(default)]
    code: u32,
    /// The text with the code, at most 256 bytes.
    #[serde(default)]
    #[schema(max_length = 256)]
    message: String,
    /// What the dry run answered: without it nobody is kicked.
    count_token: Option<String>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(super) struct CrowdKicked {
    /// So many users the selector finds.
    count: u64,
    /// For the request that does it, after a dry run.
    count_token: Option<String>,
    /// So many were kicked.
    kicked: u64,
    /// So many had left, or logged in anew, by then.
    left: u64,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// Ends the sessions of many users: first a dry run, which counts them and answers a token, then the same with that token.
/// Whoever logs in anew in between stays.
#[utoipa::path(post, path = "/users/kick", tag = "users", request_body = CrowdKick, params(DryRun),
    responses((status = 200, body = CrowdKicked),
        (status = 412, body = ProblemView, content_type = "application/problem+json", description = "selector_changed: it finds far more than were counted"),
        Refusals))]
pub(super) async fn kick(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Ask(DryRun { dry_run }): Ask<DryRun>,
    Body(new): Body<CrowdKick>,
) -> Result<Json<CrowdKicked>, Problem> {
    if new.message.len() > 256 {
        return Err(Problem::field("message", "write at most 256 bytes"));
    }
    let filter = filter(&new.selector)?;
    let detail = json!({ "selector": new.selector, "code": new.code, "message": new.message });
    let deed = Deed { verb: "users.kick", resource: "users".to_owned(), reason: &new.reason, dry_run, detail };
    let doing = async {
        let (found, failed) = find(&api, new.selector.gate.as_deref(), filter).await?;
        let count = found.len() as u64;
        if dry_run {
            // A token says that these were counted: does it still hold?
            new.count_token.as_deref().map(|token| many(&new.selector).admit(Some(token), count)).transpose()?;
            let (token, partial) = (Some(many(&new.selector).token(count)), !failed.is_empty());
            return Ok(CrowdKicked { count, count_token: token, kicked: 0, left: 0, partial, failed });
        }
        many(&new.selector).admit(new.count_token.as_deref(), count)?;
        Ok(send_away(&api, &new, found, failed).await)
    };
    Ok(Json(api.act(&caller, deed, doing).await?))
}

fn filter(selector: &Selector) -> Result<Filter, Problem> {
    let Selector { gate, uid_prefix, ip, older_than_secs } = selector;
    if gate.is_none() && uid_prefix.is_none() && ip.is_none() && older_than_secs.is_none() {
        return Err(Problem::field("selector", "say which users: by gate, uid_prefix, ip or older_than_secs"));
    }
    let wrong = |problem: Problem| Problem::field("selector", problem.detail);
    Ok(Filter {
        uid: None,
        uid_prefix: uid_prefix.clone(),
        ip: ip.as_deref().map(network).transpose().map_err(wrong)?,
        bound: Some(true),
        older_than_secs: *older_than_secs,
    })
}

/// A user with the epoch of the login, at a gate.
type Found = (Instance, Uid, Option<u64>);

async fn find(api: &Api, gate: Option<&str>, filter: Filter) -> Result<(Vec<Found>, Vec<Failed>), Problem> {
    gate.map(|gate| api.members.admit(InstanceKind::Gate, gate)).transpose()?;
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for at in api.members.of(InstanceKind::Gate) {
        if gate.is_some_and(|gate| *at.id.0 != *gate) {
            continue;
        }
        let mut after = None;
        loop {
            match page_of(api, &at, (after, 1000, filter.clone())).await {
                Ok(page) => {
                    found.extend(page.items.into_iter().filter_map(|s| Some((at.clone(), s.uid?, s.epoch))));
                    after = page.next;
                }
                Err(problem) => {
                    failed.push(Failed { node: at.id.to_string(), error: problem.code.to_owned() });
                    break;
                }
            }
            if found.len() > MOST {
                return Err(Problem::field(
                    "selector",
                    format!("it finds more than {MOST} users: say it more closely"),
                ));
            }
            if after.is_none() {
                break;
            }
        }
    }
    Ok((found, failed))
}

fn many(selector: &Selector) -> Many<'static> {
    Many { whom: format!("{selector:?}"), verb: "finds", unit: " users" }
}

async fn send_away(api: &Api, new: &CrowdKick, found: Vec<Found>, mut failed: Vec<Failed>) -> CrowdKicked {
    let count = found.len() as u64;
    let kicks = found.into_iter().map(|(gate, uid, epoch)| async move {
        let (code, text) = (new.code, new.message.clone());
        let ask = Question::Kick(Kick { uid, epoch, code, text, dry_run: false });
        let kicked = api.ask_one::<Kicked>(&gate, &ask).await;
        kicked.map_err(|problem| Failed { node: gate.id.to_string(), error: problem.code.to_owned() })
    });
    let (mut kicked, mut left) = (0, 0);
    let mut outcomes = stream::iter(kicks).buffer_unordered(AT_ONCE);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(Kicked::Yes) => kicked += 1,
            Ok(Kicked::Offline | Kicked::Moved { .. }) => left += 1,
            Err(why) if failed.contains(&why) => {}
            Err(why) => failed.push(why),
        }
    }
    CrowdKicked { count, count_token: None, kicked, left, partial: !failed.is_empty(), failed }
}
