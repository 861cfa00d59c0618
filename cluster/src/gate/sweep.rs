//! Once a second: who is silent, slow, half open or not logged in.

use std::time::Duration;

use due_core::{Code, Kind, net::Farewell};

use super::{
    client::{Client, Lane, Stage},
    settings::Mechanism,
};
use crate::shard::driver::Shard;

/// What a look at a client found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Silent,
    Slow,
    /// Reset by the client while it was not read.
    Broken,
    HalfOpen,
    HalfFrame,
    NotLoggedIn,
    Starved,
    /// A node did not answer in time, nor did it say so.
    Unanswered,
    /// The gate goes away, and nothing of the client is under way.
    Idle,
}

/// How long a lane may be without credit.
const DRY_LIMIT: Duration = Duration::from_secs(10);

/// Nothing came of a client for so long while the gate goes away: a hello client has read that it is to leave by then.
const QUIET: Duration = Duration::from_secs(1);

impl Shard {
    pub(crate) fn sweep_clients(&mut self) {
        for g in 0..self.gates.len() as u8 {
            self.tick_listeners(g);
            for (slot, finding) in self.look(g) {
                self.act(g, slot, finding);
            }
        }
    }

    /// Sends the heartbeats of the `tick` mechanism.
    fn tick_listeners(&mut self, g: u8) {
        let now = self.millis();
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let mut due = Vec::new();
        for end in &mut gate.listeners {
            let interval = end.settings.heartbeat.as_millis() as u32;
            if end.settings.heartbeat_mechanism == Mechanism::Tick && interval > 0 && reached(now, end.next_tick) {
                end.next_tick = now.wrapping_add(interval);
                due.push(end.number);
            }
        }
        if due.is_empty() {
            return;
        }
        let open = gate.clients.iter().filter(|(_, c)| c.is_open() && due.contains(&c.listener));
        let slots: Vec<u32> = open.map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            self.write_heartbeat(g, slot);
        }
    }

    fn look(&mut self, g: u8) -> Vec<(u32, Finding)> {
        let now = self.millis();
        let mut found = Vec::new();
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return found };
        for (slot, client) in &mut gate.clients {
            let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { continue };
            let Some(seen) = gate.last_seen.get_mut(slot) else { continue };
            let set = &listener.settings;
            let slow = client.waiting() >= set.outbox && {
                let taken = client.conn.taken();
                if std::mem::replace(&mut client.taken, taken) != taken {
                    client.taken_at = now;
                }
                over(now, client.taken_at, set.slow_after)
            };
            if client.waiting() < set.outbox {
                client.taken_at = now;
            }
            if client.paused || client.ended {
                // Who is not read cannot be heard.
                *seen = now;
            }
            let dry = client.lanes().iter().any(|l| is_starving(l, now));
            let finding = match client.stage {
                Stage::Closing | Stage::Ending => continue,
                Stage::Opening if over(now, client.since, set.open_frame) => Finding::HalfOpen,
                Stage::Opening => continue,
                Stage::Open if (client.paused || client.ended) && client.conn.is_broken() => Finding::Broken,
                Stage::Open if slow => Finding::Slow,
                Stage::Open if client.half_since != 0 && over(now, client.half_since, set.open_frame) => {
                    Finding::HalfFrame
                }
                Stage::Open if set.heartbeat > Duration::ZERO && over(now, *seen, 2 * set.heartbeat) => Finding::Silent,
                Stage::Open if not_logged_in(client, now, set.authorize) => Finding::NotLoggedIn,
                Stage::Open if dry => Finding::Starved,
                Stage::Open if is_unanswered(client, now) => Finding::Unanswered,
                Stage::Open if client.leaving && is_idle(client) && over(now, *seen, QUIET) => Finding::Idle,
                Stage::Open => continue,
            };
            found.push((slot as u32, finding));
        }
        found
    }

    fn act(&mut self, g: u8, slot: u32, finding: Finding) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        match finding {
            Finding::Silent => gate.counters.silent += 1,
            Finding::Slow => gate.counters.slow += 1,
            Finding::HalfOpen | Finding::HalfFrame => gate.counters.malformed += 1,
            Finding::Broken => gate.counters.broken += 1,
            Finding::NotLoggedIn | Finding::Starved | Finding::Unanswered | Finding::Idle => {}
        }
        match finding {
            Finding::Silent => self.note_end(g, slot, ("silent", "")),
            Finding::Slow => self.note_end(g, slot, ("slow", "")),
            _ => {}
        }
        match finding {
            // Nobody reads there: a goodbye would only wait.
            Finding::Silent | Finding::Slow | Finding::Broken => self.drop_client(g, slot),
            Finding::HalfOpen => self.close_client(g, slot, Farewell::Normal, None),
            Finding::HalfFrame => self.kick_client(g, slot, Code::from(Kind::Malformed)),
            Finding::NotLoggedIn => self.kick_client(g, slot, Code::UNAUTHORIZED),
            Finding::Starved => self.starved(g, slot),
            Finding::Unanswered => self.unanswered(g, slot),
            Finding::Idle => self.close_client(g, slot, Farewell::GoingAway, None),
        }
    }

    /// No credit for too long: what was forwarded is answered as timed out. The hello client is read on, and what it
    /// sends to that node is refused until there is credit; an old one, which cannot be told, is closed.
    fn starved(&mut self, g: u8, slot: u32) {
        let now = self.millis();
        let Some(client) = self.client(g, slot) else { return };
        if !client.hello {
            return self.close_client(g, slot, Farewell::Policy, None);
        }
        let mut dry = Vec::new();
        for lane in client.lanes_mut().iter_mut().filter(|l| is_starving(l, now)) {
            dry.push(lane.member);
            lane.starved = true;
        }
        let requests = &mut client.extras().requests;
        let waiting: Vec<_> = requests.iter().filter(|r| dry.contains(&r.member)).copied().collect();
        requests.retain(|r| !dry.contains(&r.member));
        for request in waiting {
            let kind = Kind::Timeout;
            self.tell_fault(g, slot, (request.route, request.seq), (kind.code(), kind.text()));
        }
        self.resume(g, slot);
    }
}

/// Has a node let the time for an answer pass? It answers what it has in time, so it stands still or is cut off.
fn is_unanswered(client: &Client, now: u32) -> bool {
    let request =
        client.hello && client.extras.as_ref().is_some_and(|e| e.requests.iter().any(|r| reached(now, r.until)));
    request || client.lanes().iter().any(|l| l.unanswered > 0 && reached(now, l.until))
}

fn is_idle(client: &Client) -> bool {
    client.waiting() == 0 && !client.binding && client.lanes().iter().all(|l| l.unanswered == 0)
}

fn is_starving(lane: &Lane, now: u32) -> bool {
    lane.dry_since != 0 && !lane.starved && over(now, lane.dry_since, DRY_LIMIT)
}

fn not_logged_in(client: &Client, now: u32, authorize: Duration) -> bool {
    authorize > Duration::ZERO && client.user.is_none() && !client.binding && over(now, client.since, authorize)
}

/// Is `at` further back than `limit`?
fn over(now: u32, at: u32, limit: Duration) -> bool {
    u128::from(now.wrapping_sub(at)) > limit.as_millis()
}

pub(super) fn reached(now: u32, at: u32) -> bool {
    now.wrapping_sub(at) < u32::MAX / 2
}
