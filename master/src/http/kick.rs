//! One user: the door, also for a while.

use axum::{Extension, Json};
use due_cluster::admin::{Ask as Question, Kick, Kicked};
use due_core::{Error, Kind, locate::Slot, registry::InstanceKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{Ask, Body, User},
    query::{DryRun, flag},
    users::offline,
};
use crate::{
    act::Deed,
    api::Api,
    auth::{Caller, LONGEST_BLOCK},
    problem::{OfOneNode, Problem, Refusals, backend},
};

/// Why and how a user has to leave.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKick {
    /// Why; it stands in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// The code that the client is told; 0 tells it nothing.
    #[serde(default)]
    code: u32,
    /// The text with the code, at most 256 bytes.
    #[serde(default)]
    #[schema(max_length = 256)]
    message: String,
    /// Only the login of this epoch; another one stays, and the answer is 409.
    epoch: Option<u64>,
    /// For so many seconds the user cannot log in at any gate, whether there is a session now or not: up to a year. A later
    /// block takes the place of an earlier one. For tokens without scopes, as it holds in the whole fleet.
    #[schema(minimum = 1, maximum = 31_536_000)]
    block_for: Option<u64>,
}

/// What became of a kick.
#[derive(Serialize, ToSchema)]
pub(super) struct KickMade {
    /// The gate of the session; nothing of one who was only blocked, as there was no session.
    gate: Option<String>,
    /// Until when the user may not log in, in seconds since 1970.
    blocked_until: Option<u64>,
    /// Was it done, or would it only be?
    dry_run: bool,
}

/// Ends the session of a user, and with `block_for` lets him log in no more for a while. The block is written first: gates
/// that learn of it refuse him, and end within a second what slipped in before they did. Old clients, which know no errors,
/// are closed.
#[utoipa::path(post, path = "/users/{uid}/kick", tag = "users", request_body = NewKick,
    params(("uid" = String, Path), DryRun), responses((status = 200, body = KickMade), OfOneNode, Refusals))]
pub(super) async fn kick(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    User(uid): User,
    Ask(DryRun { dry_run }): Ask<DryRun>,
    Body(new): Body<NewKick>,
) -> Result<Json<KickMade>, Problem> {
    if new.message.len() > 256 {
        return Err(Problem::field("message", "write at most 256 bytes"));
    }
    if new.block_for.is_some_and(|secs| !(1..=LONGEST_BLOCK).contains(&secs)) {
        return Err(Problem::field("block_for", format!("write 1 to {LONGEST_BLOCK} seconds")));
    }
    if new.block_for.is_some() {
        // A block holds at every gate.
        caller.scopes.whole()?;
    }
    let detail = json!({ "code": new.code, "message": new.message, "epoch": new.epoch, "block_for": new.block_for });
    let resource = format!("user/{uid}");
    let deed = Deed { verb: "user.kick", resource, reason: &new.reason, dry_run, detail };
    let doing = async {
        let record = api.admin.locate(&uid).await.map_err(backend)?;
        let ask = Kick { uid: uid.clone(), epoch: new.epoch, code: new.code, text: new.message.clone(), dry_run };
        let Some(secs) = new.block_for else {
            let slot = record.gate.ok_or_else(|| offline(&uid))?;
            return Ok(KickMade { gate: Some(send_away(&api, &slot, ask).await?), blocked_until: None, dry_run });
        };
        if new.epoch.is_some() {
            // Whose login was meant is decided before the block: nobody else logs in as him behind it.
            let slot = record.gate.as_ref().ok_or_else(|| offline(&uid))?;
            send_away(&api, slot, Kick { dry_run: true, ..ask.clone() }).await?;
        }
        let until = api.blocks.block(&uid, secs, dry_run).await.map_err(unblocked)?;
        let gate = match &record.gate {
            Some(slot) => match send_away(&api, slot, Kick { epoch: None, ..ask }).await {
                Ok(gate) => Some(gate),
                Err(problem) if problem.code == "offline" => None,
                Err(problem) => return Err(problem.with("blocked_until", until)),
            },
            None => None,
        };
        Ok(KickMade { gate, blocked_until: Some(until), dry_run })
    };
    Ok(Json(api.act(&caller, deed, doing).await?))
}

/// Ends a session at its gate; the gate.
async fn send_away(api: &Api, slot: &Slot, kick: Kick) -> Result<String, Problem> {
    let gate = api.members.find(&slot.owner.id.0, Some(InstanceKind::Gate))?;
    let uid = kick.uid.clone();
    match api.ask_one::<Kicked>(&gate, &Question::Kick(kick)).await? {
        Kicked::Yes => Ok(gate.id.to_string()),
        Kicked::Offline => Err(offline(&uid)),
        Kicked::Moved { epoch } => {
            let text = "the user has logged in anew since: look again";
            Err(Problem::conflict("epoch_changed", text).with("epoch", epoch))
        }
    }
}

/// Why a user is not blocked, or not let in again.
fn unblocked(e: Error) -> Problem {
    match e.kind() {
        Kind::Full | Kind::TooLarge => Problem::conflict("too_many_blocks", e.text()),
        Kind::Forbidden => {
            let text = "the source of live settings cannot be written from here, and gates learn of blocks from it";
            Problem::conflict("not_writable", text)
        }
        _ => backend(e),
    }
}

/// Why a block ends.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Unblock {
    /// Why; it stands in the audit log.
    #[serde(default)]
    #[param(min_length = 1, max_length = 500, required = true)]
    reason: String,
    /// `1`: nothing is changed.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = Option<String>)]
    dry_run: bool,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
pub(super) struct Unblocked {
    /// Until when the user would have been blocked, in seconds since 1970; nothing if he was not.
    was_until: Option<u64>,
    /// Was it done, or would it only be?
    dry_run: bool,
}

/// Lets a user log in again at once. One who is not blocked is no error.
#[utoipa::path(delete, path = "/users/{uid}/block", tag = "users", params(("uid" = String, Path), Unblock),
    responses((status = 200, body = Unblocked), Refusals))]
pub(super) async fn unblock(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    User(uid): User,
    Ask(Unblock { reason, dry_run }): Ask<Unblock>,
) -> Result<Json<Unblocked>, Problem> {
    let resource = format!("user/{uid}");
    let deed = Deed { verb: "user.unblock", resource, reason: &reason, dry_run, detail: Value::Null };
    let doing = async { api.blocks.unblock(&uid, dry_run).await.map_err(unblocked) };
    let was_until = api.act(&caller, deed, doing).await?;
    Ok(Json(Unblocked { was_until, dry_run }))
}
