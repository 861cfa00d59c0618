//! The inbox of a shard: what handles and tasks of other threads, and user code on the shard itself, ask of it.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use due_core::{Error, Kind, Result, transport::Head};

use super::{driver::Shard, ready::Mark};
use crate::{
    gate::{
        awaited::{Awaited, Counting, Wait},
        fan::Fan,
        orders::ReplyTo,
    },
    session::ORDER_LIMIT,
};

/// A session of a node shard: part, slot and generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) node: u8,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// What a shard is asked to do.
pub(crate) enum Command {
    /// A frame for the session's gate; the body stands in [`Commands::bytes`].
    Push { session: SessionKey, head: Head, body: Range<usize> },
    /// A push to a channel of a gate; its bytes stand in [`Commands::fans`].
    Fan(Fan, ReplyTo),
    /// Anything off the hot path.
    Run(Box<dyn FnOnce(&mut Shard) + Send>),
}

/// Commands in the order they came, and the bodies of the pushes among them.
#[derive(Default)]
pub(crate) struct Commands {
    pub(crate) list: Vec<Command>,
    pub(crate) bytes: Vec<u8>,
    /// Names and bodies of the pushes to channels.
    pub(crate) fans: Vec<u8>,
    /// Who waits for their counts.
    counting: Option<(Arc<Counting>, Arc<Awaited>)>,
}

impl Commands {
    fn add_fans(&mut self, all: impl ExactSizeIterator<Item = Fan>) -> Wait {
        let (counting, awaited) = self.counting.get_or_insert_with(Counting::new);
        let places = awaited.add(all.len());
        let wait = Wait::new(awaited.clone(), places.clone(), ORDER_LIMIT);
        let replies = places.map(|at| ReplyTo::Counts(counting.clone(), at));
        self.list.extend(all.zip(replies).map(|(fan, reply)| Command::Fan(fan, reply)));
        wait
    }
}

/// Bounded for pushes; never blocks.
pub(crate) struct Inbox {
    commands: Mutex<Commands>,
    filled: AtomicBool,
    closed: AtomicBool,
    mark: Mark,
}

impl Inbox {
    /// Pushes that may wait.
    const MAX_COMMANDS: usize = 64 * 1024;
    /// Bytes of their bodies.
    const MAX_BYTES: usize = 16 * 1024 * 1024;
    /// Bytes of pushes to channels.
    const MAX_FANS: usize = 64 * 1024 * 1024;

    pub(crate) fn new(mark: Mark) -> Self {
        Self { commands: Mutex::default(), filled: AtomicBool::new(false), closed: AtomicBool::new(false), mark }
    }

    /// Queues a frame whose body `encode` appends. `Full` when too much waits, `Gone` when the shard has ended.
    pub(crate) fn push(
        &self,
        session: SessionKey,
        head: Head,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Acquire) {
            return Err(Kind::Gone.into());
        }
        if commands.list.len() >= Self::MAX_COMMANDS || commands.bytes.len() >= Self::MAX_BYTES {
            return Err(Error::new(Kind::Full, "the send queue towards the gate is full"));
        }
        let from = commands.bytes.len();
        if let Err(e) = encode(&mut commands.bytes) {
            commands.bytes.truncate(from);
            return Err(e);
        }
        let body = from..commands.bytes.len();
        commands.list.push(Command::Push { session, head, body });
        drop(commands);
        self.note();
        Ok(())
    }

    /// Queues work; `false` when the shard has ended (the work is dropped).
    pub(crate) fn run(&self, work: impl FnOnce(&mut Shard) + Send + 'static) -> bool {
        self.add(Command::Run(Box::new(work)))
    }

    /// Queues a push to a channel whose body `encode` appends, and says where its counts come. `Full` when too much
    /// waits, `Gone` when the shard has ended.
    pub(crate) fn fan(
        &self,
        to: (u8, &str),
        how: (i32, u8),
        encode: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<Wait> {
        let ((gate, channel), (route, flags)) = (to, how);
        let mut commands = self.for_fans()?;
        let bytes = &mut commands.fans;
        let from = bytes.len();
        bytes.extend_from_slice(channel.as_bytes());
        let body = bytes.len();
        if let Err(e) = encode(bytes) {
            bytes.truncate(from);
            return Err(e);
        }
        let end = bytes.len();
        let wait = commands.add_fans(std::iter::once(Fan { gate, flags, route, from, body, end }));
        drop(commands);
        self.note();
        Ok(wait)
    }

    /// The same for many at once, of one gate.
    pub(crate) fn fan_all(&self, gate: u8, all: Vec<Fan>, mut bytes: Vec<u8>) -> Result<Wait> {
        let mut commands = self.for_fans()?;
        let base = commands.fans.len();
        match base {
            0 => std::mem::swap(&mut commands.fans, &mut bytes),
            _ => commands.fans.extend_from_slice(&bytes),
        }
        let placed = |fan: Fan| Fan { gate, from: fan.from + base, body: fan.body + base, end: fan.end + base, ..fan };
        let wait = commands.add_fans(all.into_iter().map(placed));
        drop(commands);
        self.note();
        Ok(wait)
    }

    /// The commands, if there is room for pushes to channels.
    fn for_fans(&self) -> Result<MutexGuard<'_, Commands>> {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Acquire) {
            return Err(Kind::Gone.into());
        }
        if commands.fans.len() >= Self::MAX_FANS {
            return Err(Error::new(Kind::Full, "the send queue towards the gate is full"));
        }
        Ok(commands)
    }

    fn add(&self, command: Command) -> bool {
        {
            let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
            if self.closed.load(Ordering::Acquire) {
                return false;
            }
            commands.list.push(command);
        }
        self.note();
        true
    }

    fn note(&self) {
        if !self.filled.swap(true, Ordering::AcqRel) {
            self.mark.wake();
        }
    }

    /// Is there anything? One load.
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Swaps what came with `into`, which is empty.
    pub(crate) fn take(&self, into: &mut Commands) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *commands, into);
        // Whoever comes now is counted with others.
        into.counting = None;
        self.filled.store(false, Ordering::Release);
        self.mark.clear();
    }

    /// Takes nothing any more; what waits is dropped, so that whoever waits for an answer learns it.
    pub(crate) fn close(&self) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::Release);
        let dropped = std::mem::take(&mut *commands);
        drop(commands);
        drop(dropped);
    }
}
