//! Sessions of all gates, a page at a time, filtered where they are.

use std::net::IpAddr;

use axum::{Extension, Json};
use due_cluster::admin::{Ask as Question, Cursor, Filter, Page, SessionView, SessionsPage};
use due_core::registry::{Instance, InstanceKind};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{Ask, read_uid},
    query::{flag, limit},
};
use crate::{
    api::Api,
    fanout::{BUDGET, Failed},
    problem::{Denials, Problem},
};

/// Which sessions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SessionsQuery {
    /// Of this user: a number, or a text; the text of digits in double quotes.
    uid: Option<String>,
    /// Of users whose uid begins so.
    uid_prefix: Option<String>,
    /// From this address, or this network: `10.1.0.0/16`.
    ip: Option<String>,
    /// At this gate.
    gate: Option<String>,
    /// `1`: with a user; `0`: without.
    #[serde(default, deserialize_with = "maybe_flag")]
    #[param(value_type = Option<String>)]
    bound: Option<bool>,
    /// There for so many seconds at least.
    older_than_secs: Option<u64>,
    /// At most so many: 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn maybe_flag<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    flag(from).map(Some)
}

/// A session and its gate.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionAt {
    /// The id of the gate.
    gate: String,
    /// The session.
    #[serde(flatten)]
    session: SessionView,
}

/// A page of sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    /// The sessions, gate after gate.
    items: Vec<SessionAt>,
    /// Where the next page begins; nothing at the end.
    next: Option<String>,
    /// Has a gate not answered? Its sessions are not on this page or any other.
    partial: bool,
    /// Which have not.
    failed: Vec<Failed>,
}

/// Looks for sessions. Whoever stays connected from the first page to the last is on one of them, and only one.
#[utoipa::path(get, path = "/sessions", tag = "users", params(SessionsQuery), responses((status = 200, body = Sessions), Denials))]
pub(super) async fn sessions(
    Extension(api): Extension<Api>,
    Ask(query): Ask<SessionsQuery>,
) -> Result<Json<Sessions>, Problem> {
    let limit = limit(query.limit)?;
    query.gate.as_ref().map(|gate| api.members.admit(InstanceKind::Gate, gate)).transpose()?;
    let filter = Filter {
        uid: query.uid.as_deref().map(read_uid).transpose()?,
        uid_prefix: query.uid_prefix.clone(),
        ip: query.ip.as_deref().map(network).transpose()?,
        bound: query.bound,
        older_than_secs: query.older_than_secs,
    };
    let place = query.cursor.as_deref().map(read_cursor).transpose()?;
    let mut gates = api.members.of(InstanceKind::Gate);
    gates.retain(|g| query.gate.as_ref().is_none_or(|id| *g.id.0 == **id));
    gates.retain(|g| place.as_ref().is_none_or(|p| *g.id.0 > *p.gate || p.is_of(g)));
    gates.sort_by(|a, b| a.id.cmp(&b.id));
    let mut found = Sessions { items: Vec::new(), next: None, partial: false, failed: Vec::new() };
    let until = Instant::now() + BUDGET;
    for gate in gates {
        let after = place.as_ref().filter(|p| p.is_of(&gate)).map(|p| p.at);
        let room = limit - found.items.len();
        if room == 0 || Instant::now() >= until {
            found.next = Some(write_cursor(&gate, after.unwrap_or_default()));
            break;
        }
        match page_of(&api, &gate, (after, room, filter.clone())).await {
            Ok(page) => {
                let at = |session| SessionAt { gate: gate.id.to_string(), session };
                found.items.extend(page.items.into_iter().map(at));
                if let Some(at) = page.next {
                    found.next = Some(write_cursor(&gate, at));
                    break;
                }
            }
            Err(problem) => found.failed.push(Failed { node: gate.id.to_string(), error: problem.code.to_owned() }),
        }
    }
    found.partial = !found.failed.is_empty();
    Ok(Json(found))
}

/// One page of one gate: from where on, how many, which.
pub(super) async fn page_of(
    api: &Api,
    gate: &Instance,
    which: (Option<Cursor>, usize, Filter),
) -> Result<SessionsPage, Problem> {
    let (after, limit, filter) = which;
    api.ask_one(gate, &Question::Sessions(Page { filter, after, limit })).await
}

/// A place among all sessions.
pub(super) struct Place {
    gate: String,
    life: u64,
    pub(super) at: Cursor,
}

impl Place {
    /// Is it in this life of this gate?
    pub(super) fn is_of(&self, gate: &Instance) -> bool {
        *self.gate == *gate.id.0 && self.life == gate.incarnation.0
    }
}

pub(super) fn write_cursor(gate: &Instance, at: Cursor) -> String {
    format!("{}/{:x}/{}/{}", gate.id, gate.incarnation.0, at.shard, at.slot)
}

pub(super) fn read_cursor(text: &str) -> Result<Place, Problem> {
    let read = || {
        let mut parts = text.split('/');
        let gate = parts.next()?.to_owned();
        let life = u64::from_str_radix(parts.next()?, 16).ok()?;
        let at = Cursor { shard: parts.next()?.parse().ok()?, slot: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(Place { gate, life, at })
    };
    read().ok_or_else(|| Problem::invalid("cursor: take it from `next` of the page before"))
}

pub(super) fn network(text: &str) -> Result<(IpAddr, u8), Problem> {
    let wrong = || Problem::invalid("ip: write an address, or a network as 10.1.0.0/16");
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    match bits.map(str::parse::<u8>) {
        None => Ok((address, most)),
        Some(Ok(bits)) if bits <= most => Ok((address, bits)),
        Some(_) => Err(wrong()),
    }
}
