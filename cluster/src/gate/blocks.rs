//! Users who may not log in for a while: a document among the live settings, which masters write and each gate follows.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use due_core::{
    Error, Kind, Result, Uid,
    config::{ConfigSource, Live, Validate},
    net::Farewell,
};
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{orders::ReplyTo, shard::GateSelf};
use crate::shard::driver::Shard;

/// How long a gate that starts waits to learn who is blocked, and the pause between two tries after that.
const FIRST: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(1);
/// So much later a gate itself ends the session of a user whom it learns to be blocked: whoever has blocked him has told
/// him why by then.
const GRACE: Duration = Duration::from_secs(1);

/// Users who may not log in, as it stands in the source of live settings under [`Blocks::KEY`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// Until when, in seconds since 1970, by user: digits for a number, a text in double quotes.
    until: BTreeMap<String, u64>,
}

impl Validate for Blocks {}

impl Blocks {
    /// Where it stands.
    pub const KEY: &'static str = ".master/blocks";
    /// Most users in it.
    pub const MOST: usize = 10_000;

    /// Until when a user is blocked, in seconds since 1970; it may be over.
    pub fn until(&self, uid: &Uid) -> Option<u64> {
        self.until.get(&written(uid)).copied()
    }

    /// Blocks a user until a time, in place of an earlier block, and forgets blocks that are over at `now`; both in seconds
    /// since 1970. `Full` if there are [`Blocks::MOST`] others.
    pub fn block(&mut self, uid: &Uid, until: u64, now: u64) -> Result<()> {
        self.until.retain(|_, until| *until > now);
        let key = written(uid);
        if self.until.len() >= Self::MOST && !self.until.contains_key(&key) {
            let text = format!("{} users are blocked: unblock some", Self::MOST);
            return Err(Error::new(Kind::Full, text));
        }
        self.until.insert(key, until);
        Ok(())
    }

    /// Ends the block of a user: until when it would have been.
    pub fn unblock(&mut self, uid: &Uid) -> Option<u64> {
        self.until.remove(&written(uid))
    }
}

fn written(uid: &Uid) -> String {
    match uid {
        Uid::Int(n) => n.to_string(),
        Uid::Str(text) => format!("\"{text}\""),
    }
}

fn read(text: &str) -> Option<Uid> {
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    quoted.map(Uid::from).or_else(|| text.parse().ok().map(Uid::Int))
}

/// The users whom a gate lets in no more.
#[derive(Default)]
pub(crate) struct Blocked(ArcSwap<HashMap<Uid, Block>>);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Block {
    /// Seconds since 1970.
    until: u64,
    /// The same by the clock of the process.
    ends: Instant,
}

impl Blocked {
    /// Why a user may not log in now; nothing if he may.
    pub(crate) fn refusal(&self, uid: &Uid) -> Option<Error> {
        let block = self.0.load().get(uid).copied()?;
        let left = block.ends.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        let secs = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let text = format!("blocked for {secs} s, until {} (seconds since 1970)", block.until);
        Some(Error::new(Kind::Forbidden, text))
    }

    /// These count from now on; who was not among them before.
    fn show(&self, blocks: &Blocks) -> Vec<Uid> {
        let (before, now) = (self.0.load_full(), Instant::now());
        let block = |(text, until): (&String, &u64)| {
            let uid = read(text)?;
            let known = before.get(&uid).filter(|block| block.until == *until).copied();
            let block = || Some(Block { until: *until, ends: now.checked_add(left_until(*until))? });
            Some((uid, known.or_else(block)?))
        };
        let all: HashMap<Uid, Block> = blocks.until.iter().filter_map(block).collect();
        let fresh = all.keys().filter(|uid| !before.contains_key(uid)).cloned().collect();
        self.0.store(Arc::new(all));
        fresh
    }
}

/// The time that is left until so many seconds since 1970.
fn left_until(until: u64) -> Duration {
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(until));
    end.and_then(|end| end.duration_since(SystemTime::now()).ok()).unwrap_or_default()
}

/// Lets a gate follow the document, in a task. When this returns it knows who is blocked, unless the source of live
/// settings does not answer soon: a source that is away lets gates start, and what a gate knows counts as long.
pub(crate) async fn follow(gate: &Arc<GateSelf>, index: u8, source: &Arc<dyn ConfigSource>) -> JoinHandle<()> {
    let gate = gate.clone();
    let blocked = gate.blocked.clone();
    begin(blocked, source.clone(), move |uids| gate.end_sessions(index, uids)).await
}

/// The same; `late` ends the sessions of those who came in before it was known that they are blocked.
async fn begin(
    blocked: Arc<Blocked>,
    source: Arc<dyn ConfigSource>,
    late: impl Fn(&[Uid]) + Send + 'static,
) -> JoinHandle<()> {
    let live = Live::<Blocks>::new(|bytes: &[u8]| serde_json::from_slice(bytes));
    let followed = match timeout(FIRST, live.follow(source.clone(), Blocks::KEY)).await {
        Ok(followed) => followed,
        Err(_) => Err(Error::new(Kind::Unavailable, "the source of live settings does not answer")),
    };
    if let Err(e) = &followed {
        tracing::warn!(error = %e, "a gate does not know yet who is blocked; trying again");
    }
    // Before the first client comes; their sessions are none.
    blocked.show(&live.get());
    tokio::spawn(run((blocked, source), (live, followed.is_ok()), late))
}

async fn run(
    (blocked, source): (Arc<Blocked>, Arc<dyn ConfigSource>),
    (mut live, mut followed): (Live<Blocks>, bool),
    late: impl Fn(&[Uid]) + Send,
) {
    while !followed {
        sleep(AGAIN).await;
        followed = live.follow(source.clone(), Blocks::KEY).await.is_ok();
    }
    let mut fresh = VecDeque::new();
    loop {
        fresh.push_back((Instant::now() + GRACE, blocked.show(&live.get())));
        while let Some((at, _)) = fresh.front() {
            if timeout_at(*at, live.changed()).await.is_ok() {
                fresh.push_back((Instant::now() + GRACE, blocked.show(&live.get())));
            } else if let Some((_, uids)) = fresh.pop_front() {
                late(&uids);
            }
        }
        live.changed().await;
    }
}

impl GateSelf {
    fn end_sessions(&self, index: u8, uids: &[Uid]) {
        for uid in uids {
            let Some(refusal) = self.blocked.refusal(uid) else { continue };
            let Some(seat) = self.users.find(uid) else { continue };
            let Some(inbox) = self.inbox_of(seat.shard) else { continue };
            let (at, uid, text) = ((index, seat.lane), uid.clone(), refusal.text().to_owned());
            inbox.run(move |shard| shard.end_blocked(at, &uid, &text));
        }
    }
}

impl Shard {
    /// Ends the session of a lane if it is that of a user who is blocked by now.
    fn end_blocked(&mut self, at: (u8, u64), uid: &Uid, text: &str) {
        let found = self.gates.get_mut(usize::from(at.0)).and_then(|gate| gate.of_lane(at.1));
        if let Some((slot, client)) = found
            && client.user.as_deref().is_some_and(|(known, _)| known == uid)
        {
            self.close_client(at.0, slot, Farewell::Policy, Some((Kind::Forbidden.code(), text)));
        }
    }

    /// A user who is blocked does not log in. A login that nobody waits for is one by a hook of the gate: its client is told
    /// and goes.
    pub(super) fn refuse_login(&mut self, g: u8, slot: u32, refusal: Error, to: ReplyTo) {
        if matches!(to, ReplyTo::Nobody) {
            self.close_client(g, slot, Farewell::Policy, Some((refusal.kind().code(), refusal.text())));
        }
        self.answer(to, Err(refusal));
    }
}

#[cfg(test)]
mod tests {
    use due_core::config::{Expect, memory::Memory};
    use tokio::time::advance;

    use super::*;

    fn unix(secs: u64) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + secs
    }

    async fn store(memory: &Memory, blocks: &Blocks) {
        let json = serde_json::to_vec(blocks).unwrap();
        memory.store(Blocks::KEY, json.into(), Expect::Any).await.unwrap();
    }

    /// A source in which Ann is blocked for an hour.
    async fn with_ann() -> (Memory, Uid, Blocks) {
        let (memory, ann, mut blocks) = (Memory::default(), Uid::from("ann"), Blocks::default());
        blocks.block(&ann, unix(3600), 0).unwrap();
        store(&memory, &blocks).await;
        (memory, ann, blocks)
    }

    /// A gate that follows.
    async fn follow(memory: &Memory) -> (Arc<Blocked>, JoinHandle<()>) {
        let blocked = Arc::<Blocked>::default();
        let task = begin(blocked.clone(), Arc::new(memory.clone()), |_| ()).await;
        (blocked, task)
    }

    #[test]
    fn blocks_are_bounded_and_those_that_are_over_make_room() {
        let mut blocks = Blocks::default();
        for n in 1..=Blocks::MOST as i64 {
            blocks.block(&Uid::from(n), 100 + u64::from(n == 1), 50).unwrap();
        }
        let ann = Uid::from("ann");
        assert_eq!(blocks.block(&ann, 200, 50).unwrap_err().kind(), Kind::Full);
        blocks.block(&Uid::from(1), 300, 50).unwrap();
        blocks.block(&ann, 200, 100).unwrap();
        assert_eq!(blocks.until.len(), 2, "all others are over");
        assert_eq!(
            (blocks.until(&ann), blocks.until(&Uid::from(1)), blocks.until(&Uid::from(2))),
            (Some(200), Some(300), None)
        );
        assert_eq!((blocks.unblock(&ann), blocks.unblock(&ann)), (Some(200), None));
    }

    #[test]
    fn a_number_and_the_text_of_its_digits_are_two_users_on_paper_too() {
        for uid in [Uid::from(42), Uid::from("42"), Uid::from("\"42\""), Uid::from("a b")] {
            assert_eq!(read(&written(&uid)), Some(uid.clone()));
        }
        assert_ne!(written(&Uid::from(42)), written(&Uid::from("42")));
        assert_eq!(read("ann"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_ends_by_itself_and_a_gate_that_starts_later_knows_of_it() {
        let (memory, ann) = (Memory::default(), Uid::from("ann"));
        let (first, task) = follow(&memory).await;
        let mut blocks = Blocks::default();
        blocks.block(&ann, unix(3600), 0).unwrap();
        store(&memory, &blocks).await;
        while first.refusal(&ann).is_none() {
            tokio::task::yield_now().await;
        }
        let (second, other) = follow(&memory).await;
        let refusal = second.refusal(&ann).unwrap();
        assert_eq!((refusal.kind(), second.refusal(&Uid::from("bob")).is_none()), (Kind::Forbidden, true));
        assert!(refusal.text().contains(&blocks.until(&ann).unwrap().to_string()), "{refusal}");
        advance(Duration::from_secs(3500)).await;
        assert!(first.refusal(&ann).is_some() && second.refusal(&ann).is_some());
        // Another write does not begin the hour anew.
        blocks.block(&Uid::from(7), unix(60), 0).unwrap();
        store(&memory, &blocks).await;
        while first.refusal(&Uid::from(7)).is_none() {
            tokio::task::yield_now().await;
        }
        advance(Duration::from_secs(100)).await;
        assert!(first.refusal(&ann).is_none() && first.refusal(&Uid::from(7)).is_none());
        task.abort();
        other.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_who_is_unblocked_may_come_and_what_cannot_be_read_changes_nothing() {
        let (memory, ann, mut blocks) = with_ann().await;
        let (gate, task) = follow(&memory).await;
        memory.store(Blocks::KEY, "{".into(), Expect::Any).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(gate.refusal(&ann).is_some());
        blocks.unblock(&ann);
        store(&memory, &blocks).await;
        while gate.refusal(&ann).is_some() {
            tokio::task::yield_now().await;
        }
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_is_away_lets_gates_start_and_what_they_know_counts_on() {
        let (memory, ann, _) = with_ann().await;
        memory.set_down(true);
        let (gate, task) = follow(&memory).await;
        assert!(gate.refusal(&ann).is_none(), "it cannot know yet");
        memory.set_down(false);
        while gate.refusal(&ann).is_none() {
            tokio::time::sleep(AGAIN).await;
        }
        memory.set_down(true);
        advance(Duration::from_secs(600)).await;
        tokio::task::yield_now().await;
        assert!(gate.refusal(&ann).is_some());
        task.abort();
    }
}
