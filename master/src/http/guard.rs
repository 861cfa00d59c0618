//! What happens before any handler: whose token it is, whether it may, how far it reaches, and how often it asks.

use std::collections::HashMap;

use axum::{
    extract::{FromRequestParts, MatchedPath, Path, Query, Request, State},
    http::{Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{asking::Approved, query::OfKind};
use crate::{
    act::acted,
    api::Api,
    audit::Record,
    auth::{Caller, Need, OUT_OF_SCOPE, Reach, first_role, methods, need},
    problem::{Problem, backend},
};

/// The bucket of those whose token is none.
const STRANGERS: &str = "";

pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&api, &mut parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admit(api: &Api, request: &mut Parts) -> Result<(), Problem> {
    let path = request.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let needed = need(request.method.as_str(), &path);
    if matches!(needed, Some((Need::Nothing, _))) {
        return Ok(());
    }
    let approved = request.extensions.get::<Approved>().cloned();
    let caller = match &approved {
        Some(approved) => asker(api, approved).await?,
        None => caller(api, request).await?,
    };
    if approved.is_none() && !api.rates.take(&caller.id) {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests: wait a second"));
    }
    let changes = !matches!(request.method, Method::GET | Method::HEAD);
    let refused = match needed.map(|(need, _)| need) {
        Some(Need::May(permission)) if !caller.may(permission) => {
            let role = first_role(permission).as_str();
            let text = format!("this needs the permission {permission}, which the role {role} has");
            Some(denied(text).with("need", role).with("permission", permission))
        }
        Some(_) if changes && api.read_only => Some(denied("this master is read-only")),
        Some(_) => None,
        None => return Err(no_such(&path)),
    };
    let mine = api.within(&caller.scopes);
    let refused = match (refused, needed) {
        (None, Some((_, reach))) => in_scope(&mine, &caller, request, reach).await.err(),
        (refused, _) => refused,
    };
    if let Some(problem) = refused {
        if changes {
            note(api, &caller, request, &problem).await;
        }
        return Err(problem);
    }
    request.extensions.insert(mine);
    request.extensions.insert(caller);
    Ok(())
}

/// Is what the path names in the scopes of the token?
async fn in_scope(mine: &Api, caller: &Caller, request: &mut Parts, reach: Reach) -> Result<(), Problem> {
    let part = match reach {
        Reach::Any | Reach::Nodes | Reach::Keys | Reach::Asked => return Ok(()),
        Reach::Whole => return caller.scopes.whole(),
        Reach::Node => "id",
        Reach::Key => "key",
    };
    // A path that cannot be read is told so by the handler, which reads it in the same way.
    let Ok(Path(mut parts)) = Path::<HashMap<String, String>>::from_request_parts(request, &()).await else {
        return Ok(());
    };
    let name = parts.remove(part).unwrap_or_default();
    if reach == Reach::Key {
        return caller.scopes.key(&name);
    }
    let kind = Query::<OfKind>::try_from_uri(&request.uri).ok().and_then(|of| of.0.kind);
    match mine.members.find(&name, kind.map(Into::into)) {
        Err(problem) if problem.code == OUT_OF_SCOPE => Err(problem),
        // Who is not there, or there twice, is told so by the handler.
        _ => Ok(()),
    }
}

/// Nothing is there for this method, or at all.
fn no_such(path: &str) -> Problem {
    match methods(path) {
        none if none.is_empty() => Problem::not_found("there is nothing under this path"),
        some => Problem::not_allowed(&some),
    }
}

/// Whoever has asked for what was approved, with what he may now.
async fn asker(api: &Api, approved: &Approved) -> Result<Caller, Problem> {
    let holder = api.tokens.of_id(&approved.asker).await.map_err(backend)?;
    let gone = || Problem::conflict("asker_gone", "the token that has asked is not there any more");
    let caller = api.caller(holder.ok_or_else(gone)?).await.map_err(backend)?;
    Ok(Caller { approved_by: Some(approved.by.clone()), ..caller })
}

async fn caller(api: &Api, request: &Parts) -> Result<Caller, Problem> {
    let header = request.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let token = header.and_then(|h| h.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let holder = match token {
        Some((_, token)) if token.len() <= 256 => api.tokens.check(token.trim()).await.map_err(backend)?,
        _ => None,
    };
    match holder {
        Some(holder) => api.caller(holder).await.map_err(backend),
        None if !api.rates.take(STRANGERS) => {
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests without a valid token"))
        }
        None => {
            let text = "send Authorization: Bearer TOKEN with a valid token";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", text))
        }
    }
}

fn denied(text: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "permission_denied", text)
}

/// A change that was refused is known to whoever reads the log.
async fn note(api: &Api, caller: &Caller, request: &Parts, problem: &Problem) {
    let record = Record {
        actor: caller.id.clone(),
        actor_name: caller.name.clone(),
        approved_by: caller.approved_by.clone(),
        verb: format!("denied.{}", request.method.as_str().to_lowercase()),
        resource: request.uri.path().chars().take(256).collect(),
        detail: json!({ "why": problem.detail }),
        outcome: Some("denied".to_owned()),
        ..Record::default()
    };
    api.events.add(acted(&record));
    if let Err(e) = api.audit.write(record).await {
        tracing::error!(error = %e, "the audit log does not take a record");
    }
}
