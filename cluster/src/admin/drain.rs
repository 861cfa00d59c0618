//! Emptying a part that goes on running, and taking that back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use due_core::{Error, Kind, Result, registry::State};
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{
    About, DrainView, Metrics, Mode, Phase, Side, StartDrain, leave,
    side::{settle, unix},
};
use crate::{
    app::drain::{Drained, steps},
    link::end::Asked,
};

/// The drains of a process.
#[derive(Default)]
pub(crate) struct Drains(Mutex<HashMap<Asked, Running>>);

struct Running {
    how: StartDrain,
    since: SystemTime,
    until: Instant,
    began: Tally,
    told: Arc<AtomicBool>,
    task: AbortHandle,
}

/// Client sessions of a gate, or slots of a node: those that are there, and how many came and went so far.
#[derive(Clone, Copy)]
struct Tally {
    here: u64,
    came: u64,
    moved: u64,
    finished: u64,
    cut: u64,
}

/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(100);
/// The longest drain.
const LONGEST: u64 = 7 * 24 * 3600;

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drains {
    fn all(&self) -> MutexGuard<'_, HashMap<Asked, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Side {
    /// Nobody new comes from now on, and with [`Mode::GoAway`] clients are told to leave and actors end.
    pub(super) async fn start_drain(self: &Arc<Self>, part: Asked, how: StartDrain) -> Result<Option<DrainView>> {
        if !(1..=LONGEST).contains(&how.deadline_secs) {
            return Err(Error::new(Kind::BadRequest, format!("deadline_secs: write 1 to {LONGEST}")));
        }
        let listed = self.listed_as(part)?;
        let metrics = self.metrics(part).await;
        let until = Instant::now() + Duration::from_secs(how.deadline_secs);
        let told = Arc::<AtomicBool>::default();
        {
            let mut drains = self.drains.all();
            if drains.contains_key(&part) {
                return Err(Error::new(Kind::Duplicate, "it is being emptied already"));
            }
            if matches!(listed.instance().state, State::Hang | State::Shut) {
                return Err(Error::new(Kind::Forbidden, "the process is stopping"));
            }
            listed.update(|instance| instance.state = State::Hang)?;
            self.set_draining(part, true);
            let began = self.tally(part, &metrics).ok_or(Kind::Gone)?;
            let task = tokio::spawn(run(self.clone(), part, (how, until), told.clone())).abort_handle();
            let since = SystemTime::now();
            drains.insert(part, Running { how, since, until, began, told, task });
        }
        settle(&listed).await;
        Ok(self.drained(part).await)
    }

    /// How a drain stands.
    pub(super) async fn drained(&self, part: Asked) -> Option<DrainView> {
        let metrics = self.metrics(part).await;
        let drains = self.drains.all();
        let drain = drains.get(&part)?;
        let (now, began) = (self.tally(part, &metrics)?, &drain.began);
        // A session of a node that has no work ends with the node and loses nothing by that.
        let phase = match () {
            () if now.here + metrics.busy == 0 => Phase::Empty,
            () if Instant::now() >= drain.until => Phase::Overdue,
            () if drain.told.load(Ordering::Acquire) => Phase::Waiting,
            () => Phase::Telling,
        };
        let bound = if matches!(part, Asked::Node(_)) { now.here } else { 0 };
        Some(DrainView {
            phase,
            mode: drain.how.mode,
            since: unix(drain.since),
            left_secs: drain.until.saturating_duration_since(Instant::now()).as_secs(),
            began_with: began.here,
            came: now.came.saturating_sub(began.came),
            moved: now.moved.saturating_sub(began.moved),
            finished: now.finished.saturating_sub(began.finished),
            cut: now.cut.saturating_sub(began.cut),
            connections: metrics.connections,
            sessions: metrics.sessions,
            busy: metrics.busy,
            bound,
            holders: self.holders(part),
        })
    }

    fn tally(&self, part: Asked, metrics: &Metrics) -> Option<Tally> {
        match part {
            Asked::Gate(g) => {
                let mut account = Drained::default();
                self.gates.get(usize::from(g))?.ledger.add_to(&mut account);
                let Drained { moved, finished, cut, .. } = account;
                let came = metrics.gate.map_or(0, |g| g.accepted);
                Some(Tally { here: metrics.connections, came, moved, finished, cut })
            }
            Asked::Node(n) => {
                let counts = self.nodes.get(usize::from(n))?.own.bindings.counts();
                let (came, moved, finished, cut) = (counts.came, counts.moved, counts.finished, counts.cut);
                Some(Tally { here: counts.held(), came, moved, finished, cut })
            }
        }
    }

    /// Takes work again. Clients and actors that were told to leave may do so all the same.
    pub(super) async fn cancel_drain(&self, part: Asked) -> Result<About> {
        let listed = self.listed_as(part)?;
        if self.drains.all().remove(&part).is_none() {
            return Err(Error::new(Kind::Gone, "it is not being emptied"));
        }
        self.set_draining(part, false);
        match part {
            Asked::Gate(g) => drop(self.everywhere(move |shard| shard.stay(g)).await),
            Asked::Node(n) => self.nodes.get(usize::from(n)).into_iter().for_each(|node| node.actors.reopen()),
        }
        listed.update(|instance| instance.state = State::Work)?;
        settle(&listed).await;
        self.about(part)
    }

    /// A stop of the whole process takes over.
    pub(crate) fn stop_drains(&self) {
        let parts: Vec<Asked> = self.drains.all().drain().map(|(part, _)| part).collect();
        for part in parts {
            self.set_draining(part, false);
        }
    }

    fn set_draining(&self, part: Asked, draining: bool) {
        if let Asked::Gate(g) = part
            && let Some(gate) = self.gates.get(usize::from(g))
        {
            gate.ledger.reset();
            gate.draining.store(draining, Ordering::Relaxed);
        }
    }
}

/// Tells clients or actors to leave, and cuts those that have not at the end of the time.
async fn run(side: Arc<Side>, part: Asked, how: (StartDrain, Instant), told: Arc<AtomicBool>) {
    match (how.0.mode, part) {
        (Mode::Wait, _) => told.store(true, Ordering::Release),
        (Mode::GoAway, Asked::Gate(g)) => gate(side, g, how, told).await,
        (Mode::GoAway, Asked::Node(n)) => leave::node(side, n, how.1, told).await,
    }
}

async fn gate(side: Arc<Side>, g: u8, (how, until): (StartDrain, Instant), told: Arc<AtomicBool>) {
    let clients = side.metrics(Asked::Gate(g)).await.connections as usize;
    let (steps, pause) = steps(clients, Duration::from_secs(how.deadline_secs));
    for step in 1..=steps {
        side.everywhere(move |shard| shard.drain_clients(g, (step, steps))).await;
        if step < steps {
            sleep(pause).await;
        }
    }
    told.store(true, Ordering::Release);
    while Instant::now() < until {
        // Those that came later are told too.
        side.everywhere(move |shard| shard.drain_clients(g, (1, 1))).await;
        sleep_until(until.min(Instant::now() + LOOK)).await;
    }
    if let Some(gate) = side.gates.get(usize::from(g)) {
        gate.ledger.cutting.store(true, Ordering::Relaxed);
    }
    side.everywhere(move |shard| shard.close_clients(g)).await;
}
