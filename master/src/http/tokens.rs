//! Tokens: who am I, who is there, one more, one less.

use axum::{Extension, Json, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    extract::{Ask, Body, Name},
    query::{DryRun, Ending},
};
use crate::{
    act::Deed,
    api::Api,
    auth::{Caller, NewScopes, Order, Refused, Scopes},
    problem::{Denials, Problem, ProblemView, Refusals, backend},
};

/// Whoever asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// The id of the token.
    id: String,
    /// Its name.
    name: String,
    /// What it may do.
    roles: Vec<String>,
    /// What these may, all together.
    permissions: Vec<String>,
    /// How far it reaches.
    scopes: Scopes,
}

/// Whose token this is.
#[utoipa::path(get, path = "/auth/me", tag = "auth", responses((status = 200, body = Me), Denials))]
pub(super) async fn me(Extension(caller): Extension<Caller>) -> Json<Me> {
    let permissions = caller.can.into_iter().map(str::to_owned).collect();
    Json(Me { id: caller.id, name: caller.name, roles: caller.roles, permissions, scopes: caller.scopes })
}

/// A token, without what makes it one.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenView {
    /// Its id: the part between the first two `_`.
    id: String,
    /// Its name.
    name: String,
    /// What it may do.
    roles: Vec<String>,
    /// When it was made, in seconds since 1970.
    created: u64,
    /// When it ends, in seconds since 1970; never without.
    expires: Option<u64>,
    /// How far it reaches.
    scopes: Scopes,
}

/// All tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenList {
    /// The tokens.
    items: Vec<TokenView>,
}

/// All tokens; none can be shown again.
#[utoipa::path(get, path = "/auth/tokens", tag = "auth", responses((status = 200, body = TokenList), Denials))]
pub(super) async fn list(Extension(api): Extension<Api>) -> Result<Json<TokenList>, Problem> {
    let kept = api.tokens.list().await.map_err(backend)?;
    let view = |k: crate::auth::Kept| TokenView {
        id: k.id,
        name: k.name,
        roles: k.roles,
        created: k.created,
        expires: k.expires,
        scopes: k.scopes,
    };
    Ok(Json(TokenList { items: kept.into_iter().map(view).collect() }))
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// Why; it stands in the audit log.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// For whom: 1 to 64 bytes of plain text.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it may do: one role at least.
    #[schema(min_items = 1)]
    roles: Vec<String>,
    /// It ends after so many seconds; never without.
    #[schema(minimum = 1)]
    ttl_secs: Option<u64>,
    /// How far it reaches; everywhere without.
    scopes: Option<NewScopes>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct NewTokenMade {
    /// Its id; nothing after a dry run.
    id: Option<String>,
    /// The token. Nobody can show it again.
    token: Option<String>,
    /// When it ends, in seconds since 1970.
    expires: Option<u64>,
}

/// Makes a token, and shows it this once. Only a token without scopes makes others: nobody hands out more than he has.
#[utoipa::path(post, path = "/auth/tokens", tag = "auth", request_body = NewToken, params(DryRun),
    responses((status = 200, body = NewTokenMade, description = "after a dry run"), (status = 201, body = NewTokenMade), Refusals))]
pub(super) async fn mint(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Ask(DryRun { dry_run }): Ask<DryRun>,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<NewTokenMade>), Problem> {
    if !(1..=64).contains(&new.name.len()) || new.name.chars().any(char::is_control) {
        return Err(Problem::field("name", "write 1 to 64 bytes of plain text"));
    }
    let mut roles = new.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() {
        return Err(Problem::field("roles", "name one at least"));
    }
    let known = api.roles.all().await.map_err(backend)?;
    if let Some(unknown) = roles.iter().find(|name| known.iter().all(|role| role.name != **name)) {
        let known: Vec<&str> = known.iter().map(|role| role.name.as_str()).collect();
        return Err(Problem::field("roles", format!("there is no {unknown:.32?}: there are {}", known.join(", "))));
    }
    if new.ttl_secs == Some(0) {
        return Err(Problem::field("ttl_secs", "write 1 or more, or nothing"));
    }
    let scopes = new.scopes.unwrap_or_default().checked()?;
    let detail = json!({ "name": new.name, "roles": roles, "ttl_secs": new.ttl_secs, "scopes": scopes });
    let order = Order { name: new.name, roles, ttl_secs: new.ttl_secs, scopes };
    let deed = Deed { verb: "token.mint", resource: "token".to_owned(), reason: &new.reason, dry_run, detail };
    let minted = api.act(&caller, deed, async { api.tokens.mint(order, dry_run).await.map_err(refused) }).await?;
    if dry_run {
        return Ok((StatusCode::OK, Json(NewTokenMade { id: None, token: None, expires: minted.kept.expires })));
    }
    let made = NewTokenMade { id: Some(minted.kept.id), token: Some(minted.secret), expires: minted.kept.expires };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Ends a token.
#[utoipa::path(delete, path = "/auth/tokens/{id}", tag = "auth", params(("id" = String, Path), Ending),
    responses((status = 204), (status = 404, body = ProblemView, content_type = "application/problem+json"), Refusals))]
pub(super) async fn revoke(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(id): Name,
    Ask(ending): Ask<Ending>,
) -> Result<StatusCode, Problem> {
    let (resource, dry_run) = (format!("token/{id}"), ending.dry_run);
    let detail = serde_json::Value::Null;
    let deed = Deed { verb: "token.revoke", resource, reason: &ending.reason, dry_run, detail };
    api.act(&caller, deed, async { api.tokens.revoke(&id, dry_run).await.map_err(refused) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn refused(why: Refused) -> Problem {
    match why {
        Refused::Unknown => Problem::not_found("there is no token of this id"),
        Refused::LastAdmin => {
            let text = "it is the last admin's token that does not expire: make another one first";
            Problem::conflict("last_admin", text)
        }
        Refused::TooMany => Problem::conflict("too_many", "there are 1000 tokens: revoke some"),
        Refused::Source(e) => backend(e),
    }
}
