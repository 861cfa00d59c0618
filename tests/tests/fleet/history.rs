//! What bots did and saw, and what must be true of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use due::Kind;
use due_sdk::{CallError, Closed};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{game::Rolled, process::LIMIT};

/// What a bot did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Connect,
    Login,
    Enter(u64),
    Roll(u64),
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Answered.
    Answered,
    /// Answered by a room.
    Rolled(Rolled),
    /// Refused with this code.
    Refused(u32),
    /// The connection ended; the request may have left.
    Gone { sent: bool },
    /// Nobody answered within the time of the client, which is longer than all of the servers'.
    Hung,
}

impl End {
    pub(crate) fn of(e: &CallError) -> Self {
        match e {
            CallError::Refused { code, .. } => Self::Refused(*code),
            CallError::Gone { sent, .. } => Self::Gone { sent: *sent },
            CallError::Timeout => Self::Hung,
            other => panic!("a bot's own fault: {other}"),
        }
    }

    pub(crate) fn is(&self, kind: Kind) -> bool {
        matches!(self, Self::Refused(number) if *number == kind.code())
    }

    pub(crate) fn is_good(&self) -> bool {
        matches!(self, Self::Answered | Self::Rolled(_))
    }
}

/// One thing that a bot did.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) bot: i64,
    pub(crate) op: Op,
    pub(crate) sent: Instant,
    pub(crate) done: Instant,
    pub(crate) end: End,
}

/// All that happened, in the order in which it ended.
#[derive(Default)]
pub(crate) struct Tale {
    pub(crate) entries: Vec<Entry>,
    /// How connections ended that the bot did not end.
    pub(crate) closed: Vec<(i64, Closed)>,
    /// Who heard a cheer, and from which process.
    pub(crate) heard: Vec<(i64, String, u32)>,
}

impl Tale {
    /// What was sent from then on.
    pub(crate) fn since(&self, then: Instant) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |e| e.sent >= then)
    }

    /// Rolls that were answered, with what came.
    pub(crate) fn rolls(&self) -> impl Iterator<Item = (&Entry, u64, &Rolled)> {
        self.entries.iter().filter_map(|e| match (&e.op, &e.end) {
            (Op::Roll(room), End::Rolled(rolled)) => Some((e, *room, rolled)),
            _ => None,
        })
    }

    /// Has each of these bots rolled so often with an answer, all sent since then?
    pub(crate) fn all_rolled(&self, bots: i64, times: usize, since: Instant) -> bool {
        let mut counts = BTreeMap::new();
        self.rolls().filter(|(e, ..)| e.sent >= since).for_each(|(e, ..)| *counts.entry(e.bot).or_insert(0) += 1);
        (1..=bots).all(|bot| counts.get(&bot).is_some_and(|n| *n >= times))
    }

    /// The process each room was in at its last roll.
    pub(crate) fn homes(&self) -> BTreeMap<u64, Rolled> {
        self.rolls().map(|(_, room, rolled)| (room, rolled.clone())).collect()
    }

    /// What must be true of every history, whatever went wrong under it.
    pub(crate) fn check(&self) {
        let hung: Vec<_> = self.entries.iter().filter(|e| matches!(e.end, End::Hung)).collect();
        assert!(hung.is_empty(), "requests without an answer or an error: {hung:?}");
        self.no_room_is_open_twice();
        self.no_roll_counts_twice();
    }

    /// Each opening of a room is one life of it, in one process. It was open from the first answer that it gave to the
    /// sending of the last request that it answered: two such times of one room never overlap.
    fn no_room_is_open_twice(&self) {
        let mut lives: BTreeMap<(u64, u64), (Instant, Instant, u32)> = BTreeMap::new();
        for (entry, room, rolled) in self.rolls() {
            let life = lives.entry((room, rolled.opening)).or_insert((entry.done, entry.sent, rolled.process));
            life.0 = life.0.min(entry.done);
            life.1 = life.1.max(entry.sent);
            assert_eq!(life.2, rolled.process, "one opening of room {room} in two processes");
        }
        let all: Vec<_> = lives.iter().collect();
        for (i, (a, (from, to, process))) in all.iter().enumerate() {
            for (b, (other_from, other_to, other)) in all.iter().skip(i + 1).filter(|(b, _)| a.0 == b.0) {
                let apart = to < other_from || other_to < from;
                assert!(apart, "room {} is open in {process} and in {other} at once: {a:?} {b:?}", a.0);
            }
        }
    }

    /// A room numbers its rolls: no number is given to two requests, and none to a request that was never sent.
    fn no_roll_counts_twice(&self) {
        let mut seen: BTreeMap<(u64, u64), &Entry> = BTreeMap::new();
        for (entry, _, rolled) in self.rolls() {
            let before = seen.insert((rolled.opening, rolled.count), entry);
            assert!(before.is_none(), "one roll answers two requests: {before:?} and {entry:?}");
        }
    }

    /// How often each kind of end came, for a failed test's message.
    pub(crate) fn summary(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for entry in &self.entries {
            let op = format!("{:?}", entry.op);
            let op = op.split('(').next().unwrap_or_default().to_owned();
            let end = match &entry.end {
                End::Rolled(rolled) => format!("by {}", rolled.process),
                other => format!("{other:?}"),
            };
            *counts.entry(format!("{op} {end}")).or_default() += 1;
        }
        let slowest = self.entries.iter().map(|e| e.done - e.sent).max().unwrap_or_default();
        format!("{counts:#?}, the slowest took {slowest:?}; closed: {:?}", self.closed)
    }
}

/// A tale that is being written.
#[derive(Clone)]
pub(crate) struct History(Arc<watch::Sender<Tale>>);

impl History {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Tale::default())))
    }

    pub(crate) fn write(&self, with: impl FnOnce(&mut Tale)) {
        self.0.send_modify(with);
    }

    pub(crate) fn read<T>(&self, with: impl FnOnce(&Tale) -> T) -> T {
        with(&self.0.borrow())
    }

    /// Waits until the tale is as wanted; says how it stands if that never comes. `logs`: what else to show then.
    pub(crate) async fn until(&self, what: &str, logs: impl Fn() -> String, wanted: impl Fn(&Tale) -> bool) {
        let mut tale = self.0.subscribe();
        let met = timeout(LIMIT, async {
            while !wanted(&tale.borrow_and_update()) {
                tale.changed().await.unwrap();
                // A long tale is not read again for each word.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let met = met.await.is_ok();
        assert!(met, "never came: {what}\n{}\n{}", self.read(Tale::summary), logs());
    }

    /// The time from now until the tale is as wanted.
    pub(crate) async fn time(&self, what: &str, logs: impl Fn() -> String, wanted: impl Fn(&Tale) -> bool) -> Duration {
        let start = Instant::now();
        self.until(what, logs, wanted).await;
        start.elapsed()
    }
}
