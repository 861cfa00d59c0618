//! What has happened: looked at, and followed.

use std::{convert::Infallible, fmt::Write, time::Duration};

use axum::{
    Extension, Json,
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use utoipa::{IntoParams, ToSchema};

use super::{extract::Ask, query::limit, serve::Lasting};
use crate::{
    api::Api,
    auth::Caller,
    events::{Event, Events, KEPT},
    problem::{Denials, Problem, ProblemView},
};

/// Events in one piece of a stream.
const AT_ONCE: usize = 64;
/// So long nothing happens before a stream says that it lives.
const QUIET: Duration = Duration::from_secs(15);
/// So often a stream looks whether its token is still there, and what it may.
const LOOK: Duration = Duration::from_secs(1);

/// Which events.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Whose kinds begin so: `instance.`, `config.`, `user.kick`. `bind` is for logins and logouts, which nobody is told
    /// without it: of each gate with some at most one event of each kind a second, with their `count`. They have cursors of
    /// their own.
    kind: Option<String>,
    /// Whose subjects begin so: `gate/`, `config/game/`.
    subject: Option<String>,
}

impl Wanted {
    /// Where these events are: binds stand apart from all others.
    fn among<'a>(&self, api: &'a Api) -> &'a Events {
        let binds = self.kind.as_ref().is_some_and(|kind| kind.starts_with("bind"));
        if binds { &api.binds } else { &api.events }
    }

    fn takes(&self, event: &Event) -> bool {
        self.kind.as_ref().is_none_or(|kind| event.kind.starts_with(kind))
            && self.subject.as_ref().is_none_or(|subject| event.subject.starts_with(subject))
    }
}

/// How many, and from where on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Whose kinds begin so: `instance.`, `config.`, `user.kick`. `bind` is for logins and logouts, which nobody is told
    /// without it: of each gate with some at most one event of each kind a second, with their `count`. They have cursors of
    /// their own.
    kind: Option<String>,
    /// Whose subjects begin so: `gate/`, `config/game/`.
    subject: Option<String>,
    /// At most so many: 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Those behind this one: an `id`, or the `cursor` of an answer. Without it they are the newest.
    cursor: Option<String>,
}

/// Some events.
#[derive(Serialize, ToSchema)]
pub(super) struct EventsPage {
    /// The events, oldest first.
    items: Vec<Event>,
    /// Where the next page begins; nothing if there is no more by now.
    next: Option<String>,
    /// Go on from here, now or later, also with a stream.
    cursor: String,
}

/// What has happened in the fleet, as far as this master has seen it since it started: the last 4096 events. Acts are those
/// of this master; what users had done to them is for those who may see users, everywhere. An instance with 10 errors a second or more is
/// told by `errors.began`, and by `errors.ended` with their count when there were fewer for 5 seconds.
#[utoipa::path(get, path = "/events", tag = "events", params(EventsQuery),
    responses((status = 200, body = EventsPage),
        (status = 410, body = ProblemView, content_type = "application/problem+json", description = "cursor_expired: it is of another master, or what stood behind it has gone"),
        Denials))]
pub(super) async fn list(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Ask(query): Ask<EventsQuery>,
) -> Result<Json<EventsPage>, Problem> {
    let limit = limit(query.limit)?;
    let wanted = Wanted { kind: query.kind, subject: query.subject };
    let takes = |event: &Event| sees(&api, &caller, event) && wanted.takes(event);
    let among = wanted.among(&api);
    let place = match query.cursor.as_deref() {
        Some(cursor) => among.place(cursor).filter(|place| among.reaches(*place)).ok_or_else(expired)?,
        None => among.newest(limit, takes),
    };
    let behind = among.behind(place, limit, takes);
    let cursor = among.cursor(behind.place);
    let more = !among.behind(behind.place, 1, takes).events.is_empty();
    Ok(Json(EventsPage { items: behind.events, next: more.then(|| cursor.clone()), cursor }))
}

/// Is it for this one?
fn sees(api: &Api, caller: &Caller, event: &Event) -> bool {
    let key = event.subject.strip_prefix("config/");
    caller.may(event.need) && api.members.shows(&event.subject) && key.is_none_or(|key| caller.scopes.key(key).is_ok())
}

fn expired() -> Problem {
    let text = format!("this master does not know that place, or no longer: it keeps {KEPT} events; begin without it");
    Problem::new(StatusCode::GONE, "cursor_expired", text)
}

/// The same as it happens, as server-sent events whose data is one event as JSON. `Last-Event-ID` goes on behind that one; a
/// reader who is too slow gets an event `lost` that says how many it has missed. It ends with its token, and after an hour.
#[utoipa::path(get, path = "/events/stream", tag = "events",
    params(Wanted, ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that was read")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 410, body = ProblemView, content_type = "application/problem+json", description = "cursor_expired: it is of another master"),
        Denials))]
pub(super) async fn stream(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Extension(lasting): Extension<Lasting>,
    Ask(wanted): Ask<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let events = wanted.among(&api).clone();
    let place = match headers.get("last-event-id") {
        Some(id) => id.to_str().ok().and_then(|id| events.place(id)).ok_or_else(expired)?,
        None => events.end(),
    };
    let permit = api.events.follow().ok_or_else(|| {
        let text = "too many follow the events of this master: try another one";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", text)
    })?;
    lasting.last();
    let follower = Follower { api, events, caller, wanted, place, greeted: false, _permit: permit };
    let pieces = stream::unfold(follower, |mut follower| async move {
        let piece = follower.next().await?;
        Some((Ok::<_, Infallible>(piece), follower))
    });
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response())
}

/// Somebody who follows.
struct Follower {
    api: Api,
    events: Events,
    caller: Caller,
    wanted: Wanted,
    /// Behind what was written.
    place: u64,
    greeted: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next piece of the stream; nothing at its end.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.greeted, true) {
            // Whoever loses the connection before anything has happened goes on from here.
            return Some(format!("id: {}\n\n", self.events.cursor(self.place)));
        }
        let quiet = tokio::time::Instant::now() + QUIET;
        loop {
            let more = timeout(LOOK, self.events.past(self.place)).await.is_ok();
            if !self.is_admitted().await {
                return None;
            }
            if more && let Some(piece) = self.piece() {
                return Some(piece);
            }
            if tokio::time::Instant::now() >= quiet {
                return Some(": nothing has happened\n\n".to_owned());
            }
        }
    }

    /// Is the token still there, and may it look on? Also if the source does not say.
    async fn is_admitted(&mut self) -> bool {
        match self.api.tokens.of_id(&self.caller.id).await {
            Ok(Some(holder)) => match self.api.caller(holder).await {
                Ok(now) => self.caller = now,
                Err(e) => tracing::debug!(error = %e, "the roles cannot be read"),
            },
            Ok(None) => return false,
            Err(e) => tracing::debug!(error = %e, "the tokens cannot be read"),
        }
        self.caller.may("events:read")
    }

    /// What stands behind the place, if there is something for this one.
    fn piece(&mut self) -> Option<String> {
        let takes = |event: &Event| sees(&self.api, &self.caller, event) && self.wanted.takes(event);
        let behind = self.events.behind(self.place, AT_ONCE, takes);
        self.place = behind.place;
        let mut piece = String::new();
        if behind.lost > 0 {
            let _ = write!(piece, "event: lost\ndata: {{\"lost\":{}}}\n\n", behind.lost);
        }
        for event in &behind.events {
            let data = serde_json::to_string(event).unwrap_or_default();
            let _ = write!(piece, "id: {}\ndata: {data}\n\n", event.id);
        }
        (!piece.is_empty()).then_some(piece)
    }
}
