//! New connections: the limit, the hooks, hello.

use std::{sync::atomic::Ordering, task::Poll};

use due_core::{
    Code, Kind, Uid,
    net::{Conn, Farewell, Verdict},
};
use due_protocol::due::Welcome;

use super::{
    client::Stage,
    orders::ReplyTo,
    part::{Admission, Arrival, Refusal},
    shard::ListenerEnd,
};
use crate::shard::{
    driver::{Shard, free_of_budget},
    ready::Token,
};

/// Connections taken from one listener in one turn.
const ACCEPTS_A_TURN: usize = 64;

impl Shard {
    /// Adds a listener; its connections are taken from the next turn on.
    pub(crate) fn add_listener(
        &mut self,
        g: u8,
        make: impl FnOnce(u8, std::task::Waker, crate::shard::ready::Mark) -> ListenerEnd,
    ) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let number = gate.listeners.len() as u8;
        let (waker, mark) = self.ready.waker(Token::Listener(g, number));
        mark.wake();
        gate.listeners.push(make(number, waker, mark));
    }

    /// A listener has clients, or work of its own.
    pub(crate) fn listener_ready(&mut self, g: u8, number: u8) {
        for taken in 0..=ACCEPTS_A_TURN {
            let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
            let Some(end) = gate.listeners.get_mut(usize::from(number)) else { return };
            if taken == 0 {
                end.mark.clear();
            }
            if taken == ACCEPTS_A_TURN {
                return end.mark.wake();
            }
            let (waker, listener) = (&end.waker, &mut end.listener);
            match free_of_budget(waker, |cx| listener.poll_accept(cx)) {
                Poll::Pending => return,
                Poll::Ready(Ok(conn)) => self.arrive(g, number, conn),
                Poll::Ready(Err(e)) => {
                    gate.counters.accept_errors += 1;
                    tracing::warn!(error = %e, "a client could not be accepted; the listener tries again");
                }
            }
        }
    }

    pub(crate) fn flush_listeners(&mut self) {
        for gate in &mut self.gates {
            for end in &mut gate.listeners {
                let (waker, listener) = (&end.waker, &mut end.listener);
                let _ = free_of_budget(waker, |cx| listener.poll_flush(cx));
            }
        }
    }

    /// Stops taking clients.
    pub(crate) fn close_listeners(&mut self, g: u8) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        for end in &mut gate.listeners {
            end.listener.close();
            end.mark.wake();
        }
    }

    fn arrive(&mut self, g: u8, number: u8, conn: Box<dyn Conn>) {
        let now = self.millis();
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(end) = gate.listeners.get(usize::from(number)) else { return };
        let Some(connections) = gate.own.connections.get(usize::from(number)) else { return };
        if connections.fetch_add(1, Ordering::Relaxed) >= end.settings.max_connections {
            connections.fetch_sub(1, Ordering::Relaxed);
            gate.counters.refused += 1;
            return;
        }
        gate.counters.accepted += 1;
        let wake = self.ready.waker(Token::Conn(g, gate.next_slot()));
        wake.1.wake();
        let (slot, _) = gate.insert(conn, number, wake, now);
        if self.client(g, slot).is_some_and(|c| c.stage == Stage::Open) {
            match self.judge(g, slot, None) {
                Ok(admission) => self.let_in(g, slot, admission),
                Err(Refusal(code)) => {
                    self.count_refusal(g);
                    self.kick_client(g, slot, code);
                }
            }
        }
    }

    fn count_refusal(&mut self, g: u8) {
        if let Some(gate) = self.gates.get_mut(usize::from(g)) {
            gate.counters.refused += 1;
        }
    }

    /// The request head is here (ws): the hook decides before the upgrade.
    pub(crate) fn admit(&mut self, g: u8, slot: u32) {
        let judged = self.judge(g, slot, None);
        let Some(client) = self.client(g, slot) else { return };
        let verdict = match &judged {
            Ok(_) => Verdict::Accept,
            Err(Refusal(code)) => Verdict::Refuse(403, code.text().to_owned()),
        };
        client.conn.admit(verdict, &mut client.out);
        self.mark_dirty(g, slot);
        match judged {
            Ok(admission) => {
                if let Some(client) = self.client(g, slot) {
                    client.stage = Stage::Open;
                }
                self.let_in(g, slot, admission);
            }
            Err(_) => {
                self.count_refusal(g);
                self.close_client(g, slot, Farewell::Policy, None);
            }
        }
    }

    /// Asks the `accept` hook, or with a hello the `on_hello` hook.
    fn judge(&mut self, g: u8, slot: u32, hello: Option<&serde_json::Value>) -> Result<Admission, Refusal> {
        let gate = self.gates.get(usize::from(g)).ok_or(Refusal(Code::INTERNAL))?;
        let part = &gate.own.part;
        let hook = if hello.is_some() { &part.on_hello } else { &part.accept };
        let Some(hook) = hook else { return Ok(Admission::new()) };
        let client = gate.clients.get(slot as usize).ok_or(Refusal(Code::INTERNAL))?;
        let listener = gate.listeners.get(usize::from(client.listener)).ok_or(Refusal(Code::INTERNAL))?;
        let arrival = Arrival { peer: client.conn.peer(), listener: &listener.url, head: client.conn.head(), hello };
        let judge = std::panic::AssertUnwindSafe(|| hook(&arrival));
        std::panic::catch_unwind(judge).unwrap_or_else(|_| {
            tracing::error!("a hook of the gate panicked; the client is refused");
            Err(Refusal(Code::INTERNAL))
        })
    }

    /// The session begins: nodes that want events hear of it, in the lane that its messages take.
    fn let_in(&mut self, g: u8, slot: u32, admission: Admission) {
        self.label(g, slot, &admission);
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let wanting: Vec<u16> = gate.members.iter().filter(|(_, m)| m.table.events).map(|(i, _)| i).collect();
        for member in wanting {
            self.open_lane(g, slot, member, false);
        }
        self.bind_admitted(g, slot, admission.uid);
    }

    fn label(&mut self, g: u8, slot: u32, admission: &Admission) {
        if !admission.labels.is_empty()
            && let Some(client) = self.client(g, slot)
        {
            client.extras().labels.extend(admission.labels.iter().cloned());
        }
    }

    fn bind_admitted(&mut self, g: u8, slot: u32, uid: Option<Uid>) {
        let Some(uid) = uid else { return };
        match uid.check() {
            Ok(()) => self.bind(g, slot, uid, ReplyTo::Nobody),
            Err(e) => {
                tracing::warn!(error = %e, "a hook of the gate bound a session to a uid that is none");
                self.kick_client(g, slot, Code::BAD_REQUEST);
            }
        }
    }

    /// A client says hello as its first frame.
    pub(crate) fn client_hello(&mut self, g: u8, slot: u32, body: &[u8]) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        let Some(client) = gate.clients.get_mut(slot as usize) else { return };
        let Some(listener) = gate.listeners.get(usize::from(client.listener)) else { return };
        client.hello = true;
        let hello = match listener.dialect.hello(body) {
            Ok(hello) => hello,
            Err(e) => {
                let text = e.to_string();
                return self.close_client(g, slot, Farewell::Protocol, Some((e.kind().code(), &text)));
            }
        };
        match self.judge(g, slot, Some(&hello.payload)) {
            Ok(admission) => {
                let welcome = Welcome::new();
                self.write_frame(g, slot, |d, framing, out| {
                    if let Err(e) = d.put_welcome(&welcome, framing, out) {
                        tracing::error!(error = %e, "a welcome does not fit the listener's max-body");
                    }
                });
                self.label(g, slot, &admission);
                self.reopen_lanes(g, slot);
                self.bind_admitted(g, slot, admission.uid);
            }
            Err(Refusal(code)) => {
                self.count_refusal(g);
                self.kick_client(g, slot, code);
            }
        }
    }

    /// Lets a part of the clients go, in the last step all: those that said hello are told so, they are not read any
    /// more, and each connection ends once its requests are answered.
    pub(crate) fn drain_clients(&mut self, g: u8, part: (usize, usize)) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let (step, steps) = part;
        let theirs = |slot: usize| step >= steps || slot % steps < step;
        let slots: Vec<u32> =
            gate.clients.iter().filter(|(slot, c)| theirs(*slot) && !c.leaving).map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            if self.client(g, slot).is_some_and(|c| c.hello) {
                self.write_frame(g, slot, |d, framing, out| {
                    let away = due_protocol::due::GoAway { retry_ms: 0, reason: Kind::Draining.code(), token: &[] };
                    let _ = d.put_goaway(&away, framing, out);
                });
            }
            if let Some(client) = self.client(g, slot) {
                client.leaving = true;
            }
        }
    }

    /// Nobody has to leave any more; who was told to go may do so all the same.
    pub(crate) fn stay(&mut self, g: u8) {
        let Some(gate) = self.gates.get_mut(usize::from(g)) else { return };
        gate.clients.iter_mut().for_each(|(_, client)| client.leaving = false);
    }

    /// Reads no client any more: each ends when what was read of it is answered.
    pub(crate) fn end_clients(&mut self, g: u8) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let slots: Vec<u32> = gate.clients.iter().map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            if let Some(client) = self.client(g, slot) {
                client.ended = true;
            }
            if self.owes_nothing_more(g, slot) {
                self.close_client(g, slot, Farewell::GoingAway, None);
            }
        }
    }

    /// Ends the connections that are left at the deadline of a drain.
    pub(crate) fn close_clients(&mut self, g: u8) {
        let Some(gate) = self.gates.get(usize::from(g)) else { return };
        let slots: Vec<u32> = gate.clients.iter().map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            self.close_client(g, slot, Farewell::GoingAway, None);
        }
    }
}
