//! What has happened to users at a gate: the last of it, by shard, in memory.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use due_core::{Epoch, SessionId, Uid, net::Farewell};
use serde::{Deserialize, Serialize};

use crate::{gate::client::Client, shard::driver::Shard};

/// Entries that a shard keeps of a gate; the oldest go.
const KEPT: usize = 2048;
/// Most entries in one answer.
const MOST: usize = 1000;
/// Longest text of one.
const LONGEST: usize = 256;

/// Something that has happened to a user at a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Happened {
    /// When, in milliseconds since 1970, by the clock of the gate.
    pub time_ms: u64,
    /// The user: a number or a text.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub uid: Uid,
    /// The session: 128 random bits in hexadecimal.
    pub session: String,
    /// The epoch of the login.
    pub epoch: u64,
    /// `bound`, `unbound`, or how the session ended: `left` (the client ended it), `lost` (its connection broke), `silent`,
    /// `slow`, `kicked`, `taken_over` (by a later login), `closed`, `policy`, `protocol`, `going_away`.
    pub what: String,
    /// The code and the text that the client was told.
    pub text: String,
}

impl Happened {
    /// Was it the end of a session?
    pub fn is_end(&self) -> bool {
        !matches!(self.what.as_str(), "bound" | "unbound")
    }
}

/// Which of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lately {
    /// Of this user.
    pub uid: Option<Uid>,
    /// Only ends of sessions.
    pub ends: bool,
    /// Most entries, newest first: 1 to 1000.
    pub limit: usize,
}

/// The last entries of a shard.
#[derive(Default)]
pub(crate) struct Recent(VecDeque<Entry>);

struct Entry {
    time: SystemTime,
    user: (Uid, Epoch),
    session: SessionId,
    what: &'static str,
    text: Box<str>,
}

impl Recent {
    /// Something has happened to the user of a session.
    pub(crate) fn note(&mut self, user: &(Uid, Epoch), session: SessionId, (what, text): (&'static str, &str)) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        let text = text.chars().take(LONGEST).collect::<String>().into();
        self.0.push_back(Entry { time: SystemTime::now(), user: user.clone(), session, what, text });
    }

    fn look(&self, lately: &Lately) -> Vec<Happened> {
        let of = |e: &&Entry| lately.uid.as_ref().is_none_or(|uid| *uid == e.user.0);
        let all = self.0.iter().rev().filter(of).map(Entry::view).filter(|h| !lately.ends || h.is_end());
        all.take(lately.limit.clamp(1, MOST)).collect()
    }
}

impl Entry {
    fn view(&self) -> Happened {
        Happened {
            time_ms: self.time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as u64),
            uid: self.user.0.clone(),
            session: self.session.to_string(),
            epoch: self.user.1.0,
            what: self.what.to_owned(),
            text: self.text.to_string(),
        }
    }
}

/// Puts what several shards or gates tell into one list, newest first.
pub fn newest_first(parts: impl IntoIterator<Item = Vec<Happened>>, limit: usize) -> Vec<Happened> {
    let mut all: Vec<Happened> = parts.into_iter().flatten().collect();
    all.sort_by_key(|h| std::cmp::Reverse(h.time_ms));
    all.truncate(limit.clamp(1, MOST));
    all
}

impl Shard {
    /// The session of a client ends, if it has a user: how, and what it is told.
    pub(crate) fn note_end(&mut self, g: u8, slot: u32, how: (&'static str, &str)) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get(slot as usize) else { return };
        let Some(user) = client.user.as_deref() else { return };
        let noted = gate.recent.0.back().is_some_and(|e| e.session == client.id && e.view().is_end());
        if !noted {
            gate.recent.note(user, client.id, how);
        }
    }

    /// The same, by what is done to end it.
    pub(crate) fn note_close(&mut self, g: u8, slot: u32, why: Farewell, kick: Option<(u32, &str)>) {
        let ended = self.client(g, slot).is_some_and(|c: &mut Client| c.ended);
        match (kick, why) {
            (Some((code, text)), _) => self.note_end(g, slot, ("kicked", &format!("{code}: {text}"))),
            (None, Farewell::Normal) if ended => self.note_end(g, slot, ("left", "")),
            (None, Farewell::Normal) => self.note_end(g, slot, ("closed", "")),
            (None, Farewell::GoingAway) => self.note_end(g, slot, ("going_away", "")),
            (None, Farewell::Protocol) => self.note_end(g, slot, ("protocol", "")),
            (None, Farewell::Policy) => self.note_end(g, slot, ("policy", "")),
        }
    }

    /// What has happened to users of a gate here.
    pub(super) fn lately_here(&self, g: u8, lately: &Lately) -> Vec<Happened> {
        self.gates.get(usize::from(g)).map(|gate| gate.recent.look(lately)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entries_are_kept_and_found_by_user_newest_first() {
        let mut recent = Recent::default();
        let (ann, bob) = ((Uid::from("ann"), Epoch(3)), (Uid::from("bob"), Epoch(4)));
        recent.note(&bob, SessionId::random(), ("bound", ""));
        for _ in 0..KEPT / 2 {
            let session = SessionId::random();
            recent.note(&ann, session, ("bound", ""));
            recent.note(&ann, session, ("kicked", &"x".repeat(1000)));
        }
        let look = |uid: Option<&str>, ends, limit| recent.look(&Lately { uid: uid.map(Uid::from), ends, limit });
        assert!(look(Some("bob"), false, 10).is_empty(), "it has gone");
        let whats: Vec<String> = look(Some("ann"), false, 3).into_iter().map(|h| h.what).collect();
        assert_eq!(whats, ["kicked", "bound", "kicked"]);
        let ends = look(None, true, 5000);
        assert_eq!((ends.len(), ends[0].text.len(), ends[0].epoch), (MOST, LONGEST, 3));
    }
}
