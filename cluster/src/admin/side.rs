//! What a process answers to those who ask its parts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use due_core::{
    Error, Kind, Owner, Result, Uid,
    registry::{Instance, Listed, Standing, State},
};
use serde::Serialize;
use tokio::{
    sync::oneshot,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{
    About, Ask, Change, ChannelView, Cursor, Happened, Health, Kick, Kicked, Lately, Metrics, Page, RouteView,
    SessionView, SessionsPage, Totals, UserAtNode,
    drain::Drains,
    gate::MOST_CHANNELS,
    newest_first, revision,
    setting::{Checked, Setting, Settings},
};
use crate::{
    gate::shard::GateSelf,
    link::end::Asked,
    node::part::NodeShared,
    shard::{driver::Shard, inbox::Inbox},
};

/// The number of an order that asks a part of a process.
pub(crate) const ADMIN_ORDER: i32 = 100;
/// Most sessions in one answer.
const MOST: usize = 1000;
/// Largest answer in bytes.
const LARGEST: usize = 8 * 1024 * 1024;
/// How long a question may take that comes without a limit.
const LONGEST: Duration = Duration::from_secs(10);
/// How long the registry may take to learn of a change before the answer goes out anyhow.
const SETTLE: Duration = Duration::from_secs(1);
/// Labels that the process needs itself.
const RESERVED: [&str; 3] = ["host", "pid", due_core::mesh::SERVICES];
/// Most labels, and bytes of name and value of one.
const LABELS: (usize, usize) = (32, 256);

/// The parts of a process and what is known of them off the message path.
pub(crate) struct Side {
    pub(super) gates: Vec<Arc<GateSelf>>,
    pub(super) nodes: Vec<Arc<NodeShared>>,
    pub(super) inboxes: Vec<Arc<Inbox>>,
    listed: Mutex<Vec<Listed>>,
    settings: OnceLock<Settings>,
    pub(super) backends: OnceLock<BTreeMap<&'static str, String>>,
    pub(super) drains: Drains,
    pub(crate) health: Health,
    started: SystemTime,
}

impl Side {
    pub(crate) fn new(gates: Vec<Arc<GateSelf>>, nodes: Vec<Arc<NodeShared>>, inboxes: Vec<Arc<Inbox>>) -> Arc<Self> {
        let (listed, drains, health) = (Mutex::default(), Drains::default(), Health::default());
        let (settings, backends, started) = (OnceLock::new(), OnceLock::new(), SystemTime::now());
        Arc::new(Self { gates, nodes, inboxes, listed, settings, backends, drains, health, started })
    }

    /// The registrations of the process, once they are made.
    pub(crate) fn list(&self, all: Vec<Listed>) {
        *self.listed_now() = all;
    }

    /// What the backends of the process are.
    pub(crate) fn backed_by(&self, schemes: BTreeMap<&'static str, String>) {
        // It is said once, at the start.
        let _ = self.backends.set(schemes);
    }

    /// The live settings that the program uses.
    pub(crate) fn uses(&self, settings: Settings) {
        // It is said once, at the start.
        let _ = self.settings.set(settings);
    }

    fn setting(&self, key: &str) -> Option<&dyn Setting> {
        self.settings.get()?.of(key)
    }

    fn check_setting(&self, key: &str, value: &str) -> Checked {
        match self.setting(key).map(|setting| setting.check(value.as_bytes())) {
            None => Checked::Unused,
            Some(Ok(())) => Checked::Good,
            Some(Err(why)) => Checked::Bad(why),
        }
    }

    pub(super) fn listed(&self) -> Vec<Listed> {
        self.listed_now().clone()
    }

    fn listed_now(&self) -> MutexGuard<'_, Vec<Listed>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The part of this process that is this very life.
    pub(super) fn part(&self, owner: &Owner) -> Option<Asked> {
        let gate = self.gates.iter().position(|g| g.owner == *owner).map(|g| Asked::Gate(g as u8));
        gate.or_else(|| self.nodes.iter().position(|n| n.own.owner == *owner).map(|n| Asked::Node(n as u8)))
    }

    fn owner(&self, part: Asked) -> Option<&Owner> {
        match part {
            Asked::Gate(g) => self.gates.get(usize::from(g)).map(|g| &g.owner),
            Asked::Node(n) => self.nodes.get(usize::from(n)).map(|n| &n.own.owner),
        }
    }

    /// The registration of a part.
    pub(super) fn listed_as(&self, part: Asked) -> Result<Listed> {
        let owner = self.owner(part).ok_or_else(|| Error::from(Kind::Gone))?;
        let listed = self.listed_now().iter().find(|l| l.instance().owner() == *owner).cloned();
        listed.ok_or_else(|| Error::new(Kind::NotReady, "the process is still starting"))
    }

    /// Answers a question to a part, as it travels.
    pub(super) async fn answer(self: &Arc<Self>, part: Asked, ask: &[u8]) -> Result<Vec<u8>> {
        let ask: Ask = serde_json::from_slice(ask)
            .map_err(|e| Error::new(Kind::Unsupported, "a question that this version does not know").because(e))?;
        match (ask, part) {
            (Ask::About, _) => json(&self.about(part)?),
            (Ask::Metrics, _) => json(&self.metrics(part).await),
            (Ask::Totals, _) => json(&self.totals(part).await),
            (Ask::Sessions(page), Asked::Gate(g)) => json(&self.sessions(g, page).await),
            (Ask::Session(uid), Asked::Gate(g)) => json(&self.session(g, &uid).await),
            (Ask::Kick(kick), Asked::Gate(g)) => json(&self.kick(g, kick).await),
            (Ask::Channels(name), Asked::Gate(g)) => json(&self.channels(g, name).await),
            (Ask::Lately(lately), Asked::Gate(g)) => json(&self.lately(g, lately).await),
            (Ask::User(uid), Asked::Node(n)) => json(&self.user(n, uid).await),
            (Ask::Routes, Asked::Node(n)) => json(&self.routes(n).await),
            (Ask::Links, _) => {
                json(&self.everywhere(move |s| s.links_of(part)).await.into_iter().flatten().collect::<Vec<_>>())
            }
            (Ask::CheckSetting { key, value }, _) => json(&self.check_setting(&key, &value)),
            (Ask::Setting(key), _) => json(&self.setting(&key).map(Setting::status)),
            (Ask::Settings, _) => json(&self.settings.get().map(Settings::versions).unwrap_or_default()),
            (Ask::Schema(key), _) => json(&self.settings.get().and_then(|settings| settings.schema(&key))),
            (Ask::Change(change), _) => json(&self.change(part, change).await?),
            (Ask::Drain(how), _) => json(&self.start_drain(part, how).await?),
            (Ask::Drained, _) => json(&self.drained(part).await),
            (Ask::CancelDrain, _) => json(&self.cancel_drain(part).await?),
            _ => Err(Error::new(Kind::Unsupported, "this kind of instance does not answer that")),
        }
    }

    pub(super) fn about(&self, part: Asked) -> Result<About> {
        let listed = self.listed_as(part)?;
        let instance = listed.instance();
        let standing = match listed.standing() {
            Standing::Held => "held",
            Standing::Lost => "lost",
            Standing::Superseded => "superseded",
        };
        Ok(About {
            id: instance.id.to_string(),
            incarnation: format!("{:016x}", instance.incarnation.0),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: unix(self.started),
            pid: std::process::id(),
            state: instance.state,
            weight: instance.weight,
            revision: revision(&instance),
            labels: instance.labels,
            standing: standing.to_owned(),
        })
    }

    pub(super) async fn metrics(&self, part: Asked) -> Metrics {
        let parts = self.everywhere(move |shard| (shard.metrics_of(part), shard.own_metrics())).await;
        let mut all = Metrics::default();
        for (m, (shard, held_by)) in parts {
            all.connections += m.connections;
            all.sessions += m.sessions;
            all.busy += m.busy;
            if let Some(gate) = &m.gate {
                all.gate.get_or_insert_default().add(gate);
            }
            if let Some(node) = &m.node {
                all.node.get_or_insert_default().add(node);
            }
            all.shards.push(shard);
            all.held_by.extend(held_by);
        }
        if let Asked::Gate(g) = part {
            all.users = self.gates.get(usize::from(g)).map_or(0, |gate| gate.users.len());
        }
        all
    }

    async fn totals(&self, part: Asked) -> Totals {
        let mut all = Totals::default();
        for here in self.everywhere(move |shard| shard.totals_of(part)).await {
            all.logins += here.logins;
            all.logouts += here.logouts;
            all.errors += here.errors;
        }
        all
    }

    /// Walks over the shards, a bounded number of slots in one turn of each.
    async fn sessions(&self, g: u8, page: Page) -> SessionsPage {
        let Some(gate) = self.gates.get(usize::from(g)) else { return SessionsPage::default() };
        let mut shards: Vec<_> = gate.shards.get().cloned().unwrap_or_default();
        shards.sort_by_key(|(number, _)| *number);
        let (limit, after) = (page.limit.clamp(1, MOST), page.after.unwrap_or_default());
        let filter = Arc::new(page.filter);
        let mut all = SessionsPage::default();
        for (shard, inbox) in shards.into_iter().filter(|(number, _)| *number >= after.shard) {
            let mut from = Some(if shard == after.shard { after.slot } else { 0 });
            while let Some(slot) = from {
                if all.items.len() >= limit {
                    all.next = Some(Cursor { shard, slot });
                    return all;
                }
                let (filter, room) = (filter.clone(), limit - all.items.len());
                let scan = on(&inbox, move |s| s.scan_sessions(g, slot, &filter, room)).await.unwrap_or_default();
                all.items.extend(scan.items);
                from = scan.next;
            }
        }
        all
    }

    async fn session(&self, g: u8, uid: &Uid) -> Option<SessionView> {
        let gate = self.gates.get(usize::from(g))?;
        let seat = gate.users.find(uid)?;
        let inbox = gate.inbox_of(seat.shard)?;
        on(&inbox, move |shard| shard.session_of_lane(g, seat.lane)).await?
    }

    async fn kick(&self, g: u8, kick: Kick) -> Kicked {
        let Some(gate) = self.gates.get(usize::from(g)) else { return Kicked::Offline };
        let Some(seat) = gate.users.find(&kick.uid) else { return Kicked::Offline };
        let Some(inbox) = gate.inbox_of(seat.shard) else { return Kicked::Offline };
        on(&inbox, move |shard| shard.kick_lane(g, seat.lane, &kick)).await.unwrap_or(Kicked::Offline)
    }

    async fn lately(&self, g: u8, lately: Lately) -> Vec<Happened> {
        let limit = lately.limit;
        let parts = self.everywhere(move |shard| shard.lately_here(g, &lately)).await;
        newest_first(parts, limit)
    }

    async fn channels(&self, g: u8, name: Option<String>) -> Vec<ChannelView> {
        let parts = self.everywhere(move |shard| shard.channels_here(g, name.as_deref())).await;
        let mut all = std::collections::BTreeMap::<String, u64>::new();
        parts.into_iter().flatten().for_each(|c| *all.entry(c.name).or_default() += c.subscribers);
        all.into_iter().take(MOST_CHANNELS).map(|(name, subscribers)| ChannelView { name, subscribers }).collect()
    }

    async fn user(&self, n: u8, uid: Uid) -> UserAtNode {
        let actors = self.nodes.get(usize::from(n)).map(|node| node.actors.of_user(&uid)).unwrap_or_default();
        let mut all = UserAtNode { actors, ..UserAtNode::default() };
        for here in self.everywhere(move |shard| shard.user_at(n, &uid)).await {
            all.sessions += here.sessions;
            all.waiting += here.waiting;
            all.busy += here.busy;
        }
        all
    }

    async fn routes(&self, n: u8) -> Vec<RouteView> {
        let Some(node) = self.nodes.get(usize::from(n)) else { return Vec::new() };
        let mut sums: Vec<crate::stat::RouteCounters> = Vec::new();
        for part in self.everywhere(move |shard| shard.routes_of(n)).await {
            sums.resize_with(sums.len().max(part.len()), Default::default);
            sums.iter_mut().zip(&part).for_each(|(sum, counters)| sum.add(counters));
        }
        let mut counted = HashMap::new();
        for (mount, counters) in node.table.mounts().iter().zip(sums) {
            counted.insert(mount.def().id.0, counters);
        }
        let view = |route: &crate::link::TableRoute| {
            let counters = counted.remove(&route.id).unwrap_or_default();
            RouteView {
                id: route.id,
                name: route.name.clone(),
                stateful: route.stateful,
                authorized: route.authorized,
                internal: route.internal,
                answers: route.answers,
                limit_ms: route.limit_ms,
                actor: route.kind.clone(),
                handled: counters.handled,
                faults: counters.faults,
                panics: counters.panics,
                timeouts: counters.timeouts,
                p50_us: counters.time.quantile(0.5).as_micros() as u64,
                p99_us: counters.time.quantile(0.99).as_micros() as u64,
            }
        };
        node.encoded.routes.iter().map(view).collect()
    }

    async fn change(&self, part: Asked, change: Change) -> Result<About> {
        let listed = self.listed_as(part)?;
        check(&change)?;
        let refuse = |now: &Instance| -> Result<()> {
            if change.seen.as_ref().is_some_and(|seen| *seen != revision(now)) {
                return Err(Error::new(Kind::Stale, "the instance has changed since it was looked at"));
            }
            match (now.state, change.state) {
                (State::Hang | State::Shut, Some(_)) => Err(Error::new(
                    Kind::Forbidden,
                    "an instance that is being emptied takes no other state: cancel its drain",
                )),
                _ => Ok(()),
            }
        };
        if change.dry_run {
            refuse(&listed.instance())?;
            return self.about(part);
        }
        let mut refused = Ok(());
        listed.update(|instance| match refuse(instance) {
            Ok(()) => apply(instance, &change),
            Err(e) => refused = Err(e),
        })?;
        refused?;
        settle(&listed).await;
        self.about(part)
    }

    /// Runs `look` on every shard that lives.
    pub(super) async fn everywhere<T: Send + 'static>(
        &self,
        look: impl Fn(&mut Shard) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for inbox in &self.inboxes {
            all.extend(on(inbox, look.clone()).await);
        }
        all
    }
}

/// Runs `look` on a shard; nothing if that has ended.
pub(super) async fn on<T: Send + 'static>(
    inbox: &Inbox,
    look: impl FnOnce(&mut Shard) -> T + Send + 'static,
) -> Option<T> {
    let (tx, rx) = oneshot::channel();
    inbox.run(move |shard| drop(tx.send(look(shard))));
    rx.await.ok()
}

/// Waits until the registry knows, but not for ever.
pub(super) async fn settle(listed: &Listed) {
    if timeout(SETTLE, listed.settled()).await.is_err() {
        tracing::warn!(instance = %listed.instance().id, "the registry has not taken a change yet");
    }
}

pub(super) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
}

fn check(change: &Change) -> Result<()> {
    let bad = |text: String| Err(Error::new(Kind::BadRequest, text));
    if matches!(change.state, Some(State::Hang | State::Shut)) {
        return bad("state: only work and busy can be set; to empty an instance begin a drain".to_owned());
    }
    if change.labels.len() > LABELS.0 {
        return bad(format!("labels: at most {} at once", LABELS.0));
    }
    for (name, value) in &change.labels {
        let length = name.len() + value.as_ref().map_or(0, String::len);
        if name.is_empty() || length > LABELS.1 || RESERVED.contains(&name.as_str()) {
            return bad(format!("labels.{name}: is reserved, empty or longer than {} bytes with its value", LABELS.1));
        }
    }
    Ok(())
}

fn apply(instance: &mut Instance, change: &Change) {
    instance.state = change.state.unwrap_or(instance.state);
    instance.weight = change.weight.unwrap_or(instance.weight);
    for (name, value) in &change.labels {
        match value {
            Some(value) => drop(instance.labels.insert(name.clone(), value.clone())),
            None => drop(instance.labels.remove(name)),
        }
    }
}

fn json<T: Serialize>(answer: &T) -> Result<Vec<u8>> {
    let bytes = serde_json::to_vec(answer).map_err(|e| Error::new(Kind::Internal, "an answer").because(e))?;
    match bytes.len() > LARGEST {
        true => Err(Error::new(Kind::TooLarge, "the answer is larger than 8 MiB: ask for less")),
        false => Ok(bytes),
    }
}

impl Shard {
    /// A question of another process to a part of this shard.
    pub(crate) fn asked(&mut self, part: Asked, at: (u32, u64), ttl_ms: u32, ask: &[u8]) -> Result<()> {
        let (link, corr) = at;
        let Some(end) = self.links.get_mut(link as usize) else { return Err(Kind::Gone.into()) };
        if end.calls.len() >= MOST_ASKED {
            end.failed += 1;
            return Err(Kind::Overloaded.into());
        }
        let limit = if ttl_ms == 0 { LONGEST } else { LONGEST.min(Duration::from_millis(ttl_ms.into())) };
        let (side, inbox, serial, ask) = (self.side.clone(), self.inbox.clone(), end.serial, ask.to_vec());
        let until = Instant::now() + limit;
        let task = self.service.spawn(async move {
            let answer = timeout_at(until, side.answer(part, &ask)).await;
            let answer = answer.unwrap_or_else(|_| Err(Kind::Timeout.into()));
            inbox.run(move |shard| shard.ask_ended((link, serial), corr, answer));
        });
        let abort: Option<AbortHandle> = Some(task.abort_handle());
        end.calls.insert(corr, abort);
        Ok(())
    }

    fn ask_ended(&mut self, link: (u32, u64), corr: u64, answer: Result<Vec<u8>>) {
        let end = self.links.get_mut(link.0 as usize).filter(|end| end.serial == link.1);
        if end.is_some_and(|end| end.calls.remove(&corr).is_some()) {
            self.link_answer(link.0, corr, answer);
        }
    }
}

/// Questions of one process that may run at once.
const MOST_ASKED: usize = 256;
