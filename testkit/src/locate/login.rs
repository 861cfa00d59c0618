//! Duplicate login: random interleavings of three sessions of one user on two gates, with lost kicks, closing clients and
//! a failover that forgets writes. Each rule of the protocol that is left out is found.

use due_core::{
    Epoch, Incarnation, Owner, Result, SessionId, Uid,
    locate::{Binding, Claim, Place, Slot, Subject, Verdict},
};

use super::{Bench, Fault};

/// What may go wrong, and which rule is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// The store loses up to two writes, once.
    pub failover: bool,
    /// A third of the kicks is lost.
    pub lost_kick: bool,
    /// One client leaves by itself.
    pub client_closes: bool,
    /// No gate asks how its bindings stand.
    pub without_sweep: bool,
    /// A kick that overtakes the bind it is about is forgotten.
    pub kick_not_remembered: bool,
    /// A gate keeps the session that was answered last.
    pub installs_in_reply_order: bool,
    /// Of two sessions with one epoch nobody takes anew.
    pub no_tie_rule: bool,
    /// A session that was displaced ends its binding too.
    pub displaced_unbind_too: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    Sent,
    Bound(Epoch),
    Closed,
}

#[derive(Clone, Copy, Debug)]
enum Message {
    Reply(usize, Epoch),
    Kick(usize, Epoch),
    Unbind(usize, Epoch),
}

struct World {
    plan: Plan,
    bench: Bench,
    random: u64,
    sessions: [State; 3],
    /// Kicks that overtook the session's own bind.
    below: [Epoch; 3],
    installed: [Option<usize>; 2],
    seen: [Epoch; 2],
    messages: Vec<Message>,
    failed_over: bool,
    closed_by_client: bool,
}

fn gate(session: usize) -> usize {
    session % 2
}

fn user() -> Subject {
    Uid::from(1).into()
}

fn slot(session: usize, epoch: Epoch) -> Slot {
    let owner = Owner { id: format!("gate-{}", gate(session)).into(), incarnation: Incarnation(gate(session) as u64) };
    Slot { owner, session: SessionId(session as u128), epoch }
}

impl World {
    fn new(seed: u64, plan: Plan, bench: Bench) -> Self {
        Self {
            plan,
            bench,
            random: seed,
            sessions: [State::Idle; 3],
            below: [Epoch(0); 3],
            installed: [None; 2],
            seen: [Epoch(0); 2],
            messages: Vec::new(),
            failed_over: false,
            closed_by_client: false,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % bound
    }

    /// Random steps until nothing is under way.
    async fn play(&mut self) -> Result<()> {
        while self.sessions.iter().any(|s| matches!(s, State::Idle | State::Sent)) || !self.messages.is_empty() {
            match self.below(8) {
                0 | 1 => self.bind().await?,
                2 if self.plan.failover && !self.failed_over => {
                    self.failed_over = true;
                    let writes = self.below(3);
                    self.bench.faults.play(Fault::FailOver(writes)).await;
                }
                3 if self.plan.client_closes && !self.closed_by_client => self.close_one(),
                _ => self.deliver().await?,
            }
        }
        Ok(())
    }

    async fn bind(&mut self) -> Result<()> {
        let session = self.below(3);
        if self.sessions[session] == State::Idle {
            self.sessions[session] = State::Sent;
            let floor = self.seen[gate(session)];
            let epoch = self.take(session, floor).await?;
            self.messages.push(Message::Reply(session, epoch));
        }
        Ok(())
    }

    /// Takes the user for a session and kicks whom it displaces.
    async fn take(&mut self, session: usize, floor: Epoch) -> Result<Epoch> {
        let Slot { owner, session: id, .. } = slot(session, floor);
        let taken = self.bench.a.take(user(), Place::Gate, Claim { owner, session: id, floor }).await?;
        assert!(taken.epoch > floor);
        if let Some(previous) = taken.previous.filter(|p| p.session != id) {
            self.messages.push(Message::Kick(previous.session.0 as usize, taken.epoch));
        }
        Ok(taken.epoch)
    }

    fn close_one(&mut self) {
        let session = self.below(3);
        if matches!(self.sessions[session], State::Bound(_)) {
            self.closed_by_client = true;
            self.end(session, true);
        }
    }

    /// Closes a session that lost its user: it has nothing to unbind.
    fn close(&mut self, session: usize) {
        self.end(session, self.plan.displaced_unbind_too);
    }

    fn end(&mut self, session: usize, unbind: bool) {
        if let (State::Bound(epoch), true) = (self.sessions[session], unbind) {
            self.messages.push(Message::Unbind(session, epoch));
        }
        self.sessions[session] = State::Closed;
        let installed = &mut self.installed[gate(session)];
        if *installed == Some(session) {
            *installed = None;
        }
    }

    async fn deliver(&mut self) -> Result<()> {
        if self.messages.is_empty() {
            return Ok(());
        }
        let at = self.below(self.messages.len());
        match self.messages.swap_remove(at) {
            Message::Reply(session, epoch) => self.install(session, epoch),
            Message::Kick(..) if self.plan.lost_kick && self.below(3) == 0 => {}
            Message::Kick(session, epoch) => self.kick(session, epoch),
            Message::Unbind(session, epoch) => self.unbind(session, epoch).await?,
        }
        Ok(())
    }

    async fn unbind(&self, session: usize, epoch: Epoch) -> Result<()> {
        self.bench.a.unbind(user(), Place::Gate, SessionId(session as u128), epoch).await?;
        Ok(())
    }

    fn install(&mut self, session: usize, epoch: Epoch) {
        let gate = gate(session);
        self.seen[gate] = self.seen[gate].max(epoch);
        let closed = self.sessions[session] == State::Closed;
        if closed {
            return self.messages.push(Message::Unbind(session, epoch));
        }
        self.sessions[session] = State::Bound(epoch);
        let kicked = self.below[session] > epoch && !self.plan.kick_not_remembered;
        // The higher epoch stays; of two equal ones, after a failover, the smaller session id, as in a sweep.
        let stays = |held, other| held > epoch || (held == epoch && other < session);
        let older = match self.installed[gate].map(|other| (other, self.sessions[other])) {
            Some((other, State::Bound(held))) if stays(held, other) && !self.plan.installs_in_reply_order => Err(other),
            Some((other, _)) => Ok(Some(other)),
            None => Ok(None),
        };
        match older {
            Ok(older) if !kicked => {
                older.into_iter().for_each(|other| self.close(other));
                self.installed[gate] = Some(session);
            }
            _ => self.close(session),
        }
    }

    fn kick(&mut self, session: usize, epoch: Epoch) {
        let seen = &mut self.seen[gate(session)];
        *seen = epoch.max(*seen);
        match self.sessions[session] {
            State::Bound(held) if held < epoch => self.close(session),
            State::Sent => self.below[session] = self.below[session].max(epoch),
            _ => {}
        }
    }

    /// Each gate checks what it owns, until nothing changes. Returns the rounds.
    async fn sweep(&mut self) -> Result<usize> {
        for round in 0.. {
            let before = (self.sessions, self.bench.a.locate(user()).await?);
            for session in 0..3 {
                if let State::Bound(epoch) = self.sessions[session] {
                    self.check(session, epoch).await?;
                }
            }
            while !self.messages.is_empty() {
                self.deliver().await?;
            }
            if (self.sessions, self.bench.a.locate(user()).await?) == before || round > 20 {
                return Ok(round);
            }
        }
        Ok(0)
    }

    async fn check(&mut self, session: usize, epoch: Epoch) -> Result<()> {
        let binding = Binding { subject: user(), place: Place::Gate, slot: slot(session, epoch) };
        let mut verdict = self.bench.a.check(vec![binding.clone()]).await?.remove(0);
        if verdict == Verdict::Missing {
            verdict = self.bench.a.reassert(binding).await?;
        }
        match verdict {
            Verdict::Fenced(_) => self.close(session),
            Verdict::Tie(other) if !self.plan.no_tie_rule => match SessionId(session as u128) < other.session {
                true => self.sessions[session] = State::Bound(self.take(session, epoch).await?),
                false => self.close(session),
            },
            _ => {}
        }
        Ok(())
    }

    /// At most one session lives, the store names it, and one lives if no client left.
    async fn is_good(&self) -> Result<bool> {
        let living: Vec<_> = (0..3).filter(|s| matches!(self.sessions[*s], State::Bound(_))).collect();
        let held = self.bench.a.locate(user()).await?.gate.map(|slot| slot.session.0 as usize);
        let named = living.first().is_none_or(|session| self.plan.without_sweep || held == Some(*session));
        Ok(living.len() <= 1 && named && (self.closed_by_client || living.len() == 1))
    }
}

/// Plays `seeds` worlds, each on a bench of its own that can fail over. The number of bad ends, and the most rounds of a
/// sweep.
pub async fn explore<F: Future<Output = Bench>>(plan: Plan, seeds: u64, make: impl Fn() -> F) -> Result<(u64, usize)> {
    let (mut bad, mut most) = (0, 0);
    for seed in 0..seeds {
        let mut world = World::new(seed, plan, make().await);
        world.play().await?;
        if !plan.without_sweep {
            most = most.max(world.sweep().await?);
        }
        bad += u64::from(!world.is_good().await?);
    }
    Ok((bad, most))
}

/// With these one session survives.
pub const SOUND: [Plan; 4] = {
    let none = Plan {
        failover: false,
        lost_kick: false,
        client_closes: false,
        without_sweep: false,
        kick_not_remembered: false,
        installs_in_reply_order: false,
        no_tie_rule: false,
        displaced_unbind_too: false,
    };
    [
        Plan { without_sweep: true, ..none },
        Plan { lost_kick: true, ..none },
        Plan { failover: true, ..none },
        Plan { failover: true, lost_kick: true, client_closes: true, ..none },
    ]
};
