//! `Idempotency-Key`: a change that is sent twice is made once, and answered twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header, response::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::{api::Api, auth::Caller, http::BODY, problem::Problem};

/// Most requests that are remembered.
const MOST: usize = 10_000;
/// For so long.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Largest answer that is remembered.
const ANSWER: usize = 64 * 1024;
/// Longest key.
const LONGEST: usize = 128;
const HEADER: &str = "idempotency-key";

/// A key of one token.
type Key = (String, String);

/// What was asked under which key, and answered. Each master remembers for itself.
#[derive(Clone, Default)]
pub(crate) struct Remembered(Arc<Mutex<HashMap<Key, Entry>>>);

struct Entry {
    asked: [u8; 32],
    at: Instant,
    /// Nothing while it runs.
    answer: Option<(Parts, Bytes)>,
}

impl Remembered {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer to repeat, or nothing: then the place is taken.
    fn begin(&self, key: &Key, asked: [u8; 32]) -> Result<Option<Response>, Problem> {
        let (mut all, now) = (self.all(), Instant::now());
        if all.len() >= MOST {
            all.retain(|_, entry| entry.answer.is_none() || now.duration_since(entry.at) < KEPT);
        }
        match all.get(key) {
            Some(entry) if now.duration_since(entry.at) >= KEPT && entry.answer.is_some() => {}
            Some(entry) if entry.asked != asked => {
                let text = "this Idempotency-Key was used for another request";
                return Err(Problem::field("Idempotency-Key", text));
            }
            Some(Entry { answer: None, .. }) => {
                return Err(Problem::conflict("in_progress", "the request with this Idempotency-Key still runs"));
            }
            Some(Entry { answer: Some((parts, body)), .. }) => {
                let mut response = Response::from_parts(parts.clone(), Body::from(body.clone()));
                response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
                return Ok(Some(response));
            }
            None if all.len() >= MOST => {
                let text = "too many requests with an Idempotency-Key are remembered";
                return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", text));
            }
            None => {}
        }
        all.insert(key.clone(), Entry { asked, at: now, answer: None });
        Ok(None)
    }

    /// Keeps an answer; one that says "try again" is forgotten instead.
    fn end(&self, key: &Key, answer: Option<(Parts, Bytes)>) {
        let mut all = self.all();
        match answer {
            Some(answer) => {
                if let Some(entry) = all.get_mut(key) {
                    entry.answer = Some(answer);
                }
            }
            None => drop(all.remove(key)),
        }
    }
}

/// Runs each change to its end, also when its client has hung up, and one with a key once.
pub(crate) async fn once(State(api): State<Api>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let key = match key(&request) {
        Ok(key) => key,
        Err(problem) => return problem.into_response(),
    };
    let work = async move {
        match key {
            Some(key) => keyed(&api, key, request, next).await.unwrap_or_else(Problem::into_response),
            None => next.run(request).await,
        }
    };
    let ended = tokio::spawn(work).await;
    ended.unwrap_or_else(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request ended in a panic").into_response()
    })
}

fn key(request: &Request) -> Result<Option<Key>, Problem> {
    let Some(header) = request.headers().get(HEADER) else { return Ok(None) };
    let key = header.to_str().ok().filter(|k| (1..=LONGEST).contains(&k.len()));
    let key = key.ok_or_else(|| Problem::invalid("Idempotency-Key has 1 to 128 printable characters"))?;
    let caller = request.extensions().get::<Caller>().map(|c| c.id.clone()).unwrap_or_default();
    Ok(Some((caller, key.to_owned())))
}

async fn keyed(api: &Api, key: Key, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY).await.map_err(|_| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large, or did not come")
    })?;
    let mut hash = Sha256::new();
    hash.update(format!("{} {}\n", parts.method, parts.uri));
    hash.update(parts.headers.get(header::IF_MATCH).map_or(&b""[..], HeaderValue::as_bytes));
    hash.update(&body);
    if let Some(answer) = api.remembered.begin(&key, hash.finalize().into())? {
        return Ok(answer);
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 16 * 1024 * 1024).await.unwrap_or_default();
    let keep = !parts.status.is_server_error() && body.len() <= ANSWER;
    api.remembered.end(&key, keep.then(|| (parts.clone(), body.clone())));
    Ok(Response::from_parts(parts, Body::from(body)))
}
