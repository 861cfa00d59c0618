//! What the master guards is not done but waits for a second person, once it is certain that it could be done.

use std::collections::HashMap;

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{FromRequestParts, MatchedPath, Path, Query, Request, State},
    http::{HeaderMap, HeaderName, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{BODY, approvals::ApprovalView, query::DryRun};
use crate::{
    act::Deed,
    api::Api,
    auth::{Action, Asked, Caller, Held, NotAsked, Person, action, hex},
    problem::{Problem, backend},
};

/// The API once more, for a request that was approved.
#[derive(Clone)]
pub(super) struct Again(pub(super) Router);

/// On a request that was approved: who has asked, and who has approved. Nobody sends it: it is made here.
#[derive(Clone)]
pub(super) struct Approved {
    /// The id of the token that has asked.
    pub(super) asker: String,
    /// The token that has approved, for people.
    pub(super) by: String,
}

/// Lets through what is not guarded, and what was approved.
pub(super) async fn asking(State(api): State<Api>, request: Request, next: Next) -> Response {
    let asked = match guarded(&api, &request) {
        Ok(None) => return next.run(request).await,
        Ok(Some(action)) => ask(&api, action, request, next).await,
        Err(problem) => Err(problem),
    };
    asked.unwrap_or_else(IntoResponse::into_response)
}

fn guarded(api: &Api, request: &Request) -> Result<Option<Action>, Problem> {
    if request.extensions().get::<Approved>().is_some() {
        return Ok(None);
    }
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(action) = action(request.method().as_str(), path).filter(|action| api.policy.guards(*action)) else {
        return Ok(None);
    };
    let Query(DryRun { dry_run }) = Query::try_from_uri(request.uri()).map_err(|e| Problem::invalid(e.body_text()))?;
    Ok((!dry_run).then_some(action))
}

/// Tries it, and keeps it if it could be done.
async fn ask(api: &Api, action: Action, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY).await.map_err(|_| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large, or did not come")
    })?;
    let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(|| Problem::not_found("nobody asks"))?;
    let uri = parts.uri.clone();
    let mut trial = parts.clone();
    trial.uri = as_trial(&uri)?;
    let tried = next.run(Request::from_parts(trial, Body::from(bytes.clone()))).await;
    if !tried.status().is_success() {
        return Ok(tried);
    }
    let body: Option<Value> = match bytes.is_empty() {
        true => None,
        false => Some(serde_json::from_slice(&bytes).map_err(|e| Problem::invalid(e.to_string()))?),
    };
    if action.is_counted() && !body.as_ref().is_some_and(|body| body["count_token"].is_string()) {
        let text = "ask with ?dry_run=1 first: it answers how many it is for, and this token";
        return Err(Problem::field("count_token", text));
    }
    let reason = reason(body.as_ref(), &uri);
    let held = held(&mut parts, body).await;
    let id = hex(&rand::random::<[u8; 8]>());
    let asked = Asked::new(id, action, (Person::from(&caller), reason), held);
    keep(api, &caller, asked).await
}

async fn keep(api: &Api, caller: &Caller, asked: Asked) -> Result<Response, Problem> {
    let route = &asked.request.route;
    let detail = json!({ "method": asked.request.method, "route": route, "target": asked.request.target });
    let (resource, reason) = (asked.resource(), &*asked.reason);
    let deed = Deed { verb: "approval.ask", resource, reason, dry_run: false, detail };
    api.act(caller, deed, async { api.approvals.ask(&asked).await.map_err(not_asked) }).await?;
    let place = [(header::LOCATION, format!("/api/v1/approvals/{}", asked.id))];
    Ok((StatusCode::ACCEPTED, place, Json(ApprovalView::from(asked))).into_response())
}

fn not_asked(why: NotAsked) -> Problem {
    match why {
        NotAsked::Full => {
            let text = "too many requests wait for a second person: let somebody decide some of them first";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_pending", text)
        }
        NotAsked::TooLarge => {
            let text = "a request that waits for a second person is at most 384 KiB with all that wait";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
        }
        NotAsked::Source(e) => backend(e),
    }
}

/// The same, but as a dry run.
fn as_trial(uri: &Uri) -> Result<Uri, Problem> {
    // A pair is what the handler takes it for, however its name is written.
    let says = |pair: &&str| {
        let pairs =
            format!("/?{pair}").parse::<Uri>().ok().and_then(|u| Query::<Vec<(String, String)>>::try_from_uri(&u).ok());
        pairs.is_some_and(|Query(pairs)| pairs.iter().any(|(name, _)| name == "dry_run"))
    };
    let mut query: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
    query.retain(|pair| !says(pair));
    query.push("dry_run=1");
    let text = format!("{}?{}", uri.path(), query.join("&"));
    text.parse().map_err(|_| Problem::invalid("the query cannot be read"))
}

/// Why, as the body says, or the query of what has no body. The trial has refused what has none.
fn reason(body: Option<&Value>, uri: &Uri) -> String {
    let said = body.and_then(|body| body["reason"].as_str()).map(str::to_owned);
    let pairs = Query::<HashMap<String, String>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
    said.or_else(|| pairs.get("reason").cloned()).unwrap_or_default()
}

/// What is kept of a request.
async fn held(parts: &mut Parts, body: Option<Value>) -> Held {
    let path = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await;
    let target = path.ok().and_then(|Path(mut named)| {
        let key = named.remove("key");
        key.or_else(|| named.remove("id"))
    });
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    Held {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string),
        route,
        target,
        if_match: text(&parts.headers, header::IF_MATCH),
        if_none_match: text(&parts.headers, header::IF_NONE_MATCH),
        body,
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The request once more, in the name of whoever has asked.
pub(super) fn again(asked: &Asked, by: &Caller) -> Result<Request, Problem> {
    let held = &asked.request;
    let mut request = Request::builder().method(held.method.as_str()).uri(&held.path);
    let conditions = [(header::IF_MATCH, &held.if_match), (header::IF_NONE_MATCH, &held.if_none_match)];
    for (name, value) in conditions {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let body = match &held.body {
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let approved = Approved { asker: asked.by.id.clone(), by: format!("{} ({})", by.name, by.id) };
    let broken = |_| Problem::conflict("conflict", "what is kept of the request cannot be read: ask anew");
    request.extension(approved).body(body).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_a_dry_run_whatever_the_query_said() {
        let check = |uri: &str, expected: &str| {
            let trial = as_trial(&uri.parse().unwrap()).unwrap();
            assert_eq!(trial.to_string(), expected);
            let Query(DryRun { dry_run }) = Query::try_from_uri(&trial).unwrap();
            assert!(dry_run, "{uri}");
        };
        check("/a", "/a?dry_run=1");
        check("/a?kind=gate&reason=x%26y", "/a?kind=gate&reason=x%26y&dry_run=1");
        check("/a?dry_run=0&kind=gate", "/a?kind=gate&dry_run=1");
        check("/a?dry%5Frun=false&&", "/a?dry_run=1");
    }
}
