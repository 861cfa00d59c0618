//! What a gate's shard tells of its clients.

use std::{collections::BTreeMap, net::IpAddr};

use due_core::{Uid, net::Farewell};

use super::{ChannelView, Filter, Kick, Kicked, SessionView};
use crate::{
    gate::{
        client::{Client, Stage},
        shard::GateShard,
    },
    shard::driver::Shard,
};

/// Slots that are looked at in one turn of a shard.
const SCAN: u32 = 8192;
/// Most channels in one answer.
pub(super) const MOST_CHANNELS: usize = 1000;

/// A part of a page.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) items: Vec<SessionView>,
    /// The first slot that was not looked at; nothing at the end.
    pub(super) next: Option<u32>,
}

impl Shard {
    /// Looks at a bounded number of slots, from `from` on, for at most `room` sessions.
    pub(super) fn scan_sessions(&self, g: u8, from: u32, filter: &Filter, room: usize) -> Scan {
        let Some(gate) = self.gates.get(usize::from(g)) else { return Scan::default() };
        let (now, mut scan) = (self.millis(), Scan::default());
        let (all, end) = (gate.clients.capacity() as u32, from.saturating_add(SCAN));
        for slot in from..all.min(end) {
            let Some(client) = gate.clients.get(slot as usize).filter(|c| filter.takes(c, now)) else { continue };
            scan.items.push(view(gate, slot, client, now));
            if scan.items.len() == room {
                scan.next = (slot + 1 < all).then_some(slot + 1);
                return scan;
            }
        }
        scan.next = (end < all).then_some(end);
        scan
    }

    /// The session of a lane.
    pub(super) fn session_of_lane(&mut self, g: u8, lane: u64) -> Option<SessionView> {
        let now = self.millis();
        let gate = self.gates.get_mut(usize::from(g))?;
        let slot = gate.of_lane(lane)?.0;
        Some(view(gate, slot, gate.clients.get(slot as usize)?, now))
    }

    /// Ends the session of a lane if its user still has the epoch that was found.
    pub(super) fn kick_lane(&mut self, g: u8, lane: u64, kick: &Kick) -> Kicked {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return Kicked::Offline };
        let Some((slot, client)) = gate.of_lane(lane) else { return Kicked::Offline };
        match client.user.as_deref() {
            Some((uid, _)) if *uid != kick.uid => return Kicked::Offline,
            None => return Kicked::Offline,
            Some((_, epoch)) if kick.epoch.is_some_and(|wanted| wanted != epoch.0) => {
                return Kicked::Moved { epoch: epoch.0 };
            }
            Some(_) => {}
        }
        if !kick.dry_run {
            let why = (kick.code != 0).then_some((kick.code, kick.text.as_str()));
            let farewell = if why.is_some() { Farewell::Policy } else { Farewell::Normal };
            self.close_client(g, slot, farewell, why);
        }
        Kicked::Yes
    }

    /// Channels with subscribers here: of one name, or the first of all by name.
    pub(super) fn channels_here(&self, g: u8, name: Option<&str>) -> Vec<ChannelView> {
        let Some(gate) = self.gates.get(usize::from(g)) else { return Vec::new() };
        let view =
            |(name, subscribers): (&str, usize)| ChannelView { name: name.to_owned(), subscribers: subscribers as u64 };
        match name {
            Some(name) => {
                Some((name, gate.channels.members(name).len())).filter(|(_, n)| *n > 0).map(view).into_iter().collect()
            }
            None => {
                let mut all: Vec<_> = gate.channels.all().collect();
                all.sort_unstable();
                all.into_iter().take(MOST_CHANNELS).map(view).collect()
            }
        }
    }
}

impl Filter {
    fn takes(&self, client: &Client, now: u32) -> bool {
        let uid = client.user.as_deref().map(|(uid, _)| uid);
        let same = self.uid.as_ref().is_none_or(|wanted| uid == Some(wanted));
        let begins = |prefix: &String| uid.is_some_and(|uid| uid.to_string().starts_with(prefix));
        let from = |(net, bits): (IpAddr, u8)| in_net(client.conn.peer().ip(), net, bits);
        let age = u64::from(now.wrapping_sub(client.since)) / 1000;
        same && self.uid_prefix.as_ref().is_none_or(begins)
            && self.bound.is_none_or(|bound| bound == uid.is_some())
            && self.older_than_secs.is_none_or(|secs| age >= secs)
            && self.ip.is_none_or(from)
    }
}

fn in_net(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    let wide = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let ((ip, size), (net, of)) = (wide(ip), wide(net));
    let rest = 128u32.saturating_sub(u32::from(bits.min(size)));
    size == of && (ip ^ net).checked_shr(rest).unwrap_or(0) == 0
}

fn view(gate: &GateShard, slot: u32, client: &Client, now: u32) -> SessionView {
    let since = |then: u32| u64::from(now.wrapping_sub(then));
    let extras = client.extras.as_deref();
    let seen = gate.last_seen.get(slot as usize).copied().unwrap_or(now);
    let listener = gate.listeners.get(usize::from(client.listener)).map(|l| l.url.to_string());
    let user: Option<(Uid, u64)> = client.user.as_deref().map(|(uid, epoch)| (uid.clone(), epoch.0));
    SessionView {
        session: client.id.to_string(),
        cid: client.cid,
        epoch: user.as_ref().map(|(_, epoch)| *epoch),
        uid: user.map(|(uid, _)| uid),
        peer: client.conn.peer().to_string(),
        listener: listener.unwrap_or_default(),
        stage: stage(client.stage).to_owned(),
        age_ms: since(client.since),
        silent_ms: since(seen),
        queued: client.waiting() as u64,
        bytes_in: client.conn.received(),
        bytes_out: client.conn.taken(),
        in_flight: client.lanes().iter().map(|l| u64::from(l.frames)).sum(),
        nodes: bound_to(gate, client.slots()),
        channels: extras.map(|e| e.channels.iter().map(|c| c.to_string()).collect()).unwrap_or_default(),
        labels: extras.map(|e| e.labels.iter().cloned().collect()).unwrap_or_default(),
    }
}

fn bound_to(gate: &GateShard, slots: &[crate::gate::client::Slot]) -> BTreeMap<String, String> {
    let named = slots.iter().map(|slot| {
        let name = gate.members.name_of(slot.name).unwrap_or("?").to_owned();
        (name, gate.members.get(slot.member).map_or_else(String::new, |m| m.owner.id.to_string()))
    });
    named.collect()
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Opening => "opening",
        Stage::Open => "open",
        Stage::Closing | Stage::Ending => "closing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_takes_its_addresses_and_no_others() {
        let check = |ip: &str, net: &str, bits, expected| {
            assert_eq!(in_net(ip.parse().unwrap(), net.parse().unwrap(), bits), expected, "{ip} in {net}/{bits}");
        };
        check("10.1.2.3", "10.1.0.0", 16, true);
        check("10.2.2.3", "10.1.0.0", 16, false);
        check("10.1.2.3", "10.1.2.3", 32, true);
        check("10.1.2.3", "10.1.2.2", 32, false);
        check("10.1.2.3", "99.0.0.0", 0, true);
        check("fe80::1", "fe80::", 10, true);
        check("fe80::1", "::", 0, true);
        check("10.0.0.1", "::", 0, false);
        check("fe80::1", "fe80::2", 128, false);
        check("10.1.2.3", "10.1.2.2", 200, false);
    }
}
