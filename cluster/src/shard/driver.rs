//! The one future of a shard: polls what is ready, runs handlers, writes once at the end of the turn.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use due_core::{
    net::{Pool, Scratch},
    transport::Batch,
};
use slab::Slab;
use tokio::{runtime::Handle, task::coop::unconstrained, time::Instant};

use super::{
    inbox::{Command, Commands, Inbox, SessionKey},
    ready::{Mark, Ready, Token},
    timers::Timers,
    watchdog::Pulse,
};
use crate::{
    admin::Side,
    gate::{
        at_once::AtOnce,
        fan::{Fans, Groups},
        shard::GateShard,
    },
    link::end::LinkEnd,
    node::{shard::NodeShard, wake::ASLEEP},
    stat::ShardCounters,
};

/// What a timer of a shard is for.
pub(crate) enum TimerEvent {
    /// Look at all clients.
    Sweep,
    /// A handler's time is over: node, task and its number.
    Deadline(u8, u32, u64),
    /// An answer that was to come later has not: session and number.
    Late(SessionKey, u64),
    /// Lane credit of notifies goes back.
    Credits,
    /// A closing connection's time is over: gate, slot, generation.
    Shutdown(u8, u32, u32),
}

/// A shard's state; only its driver touches it.
pub(crate) struct Shard {
    pub(crate) number: u16,
    pub(crate) ready: Arc<Ready>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) service: Handle,
    pub(crate) pulse: Arc<Pulse>,
    /// What the process answers to those who ask its parts.
    pub(crate) side: Arc<Side>,
    pub(crate) scratch: Option<Box<Scratch>>,
    pub(crate) pool: Pool,
    pub(crate) batch: Batch,
    pub(crate) gates: Vec<GateShard>,
    pub(crate) nodes: Vec<NodeShard>,
    /// Actors whose names fall to this shard; they end with it.
    pub(crate) actors: tokio::task::JoinSet<()>,
    pub(crate) links: Slab<LinkEnd>,
    /// What went wrong on links that are over.
    pub(crate) past: crate::link::past::Past,
    pub(crate) timers: Timers<TimerEvent>,
    pub(crate) dirty: Vec<(u8, u32)>,
    /// In this turn answers are written right after the read that they are for.
    pub(crate) prompt: bool,
    /// Pushes to clients before this turn.
    pushes: u64,
    pub(crate) dirty_links: Vec<u32>,
    /// Pushes to channels that are delivered together; empty between commands and frames of other kinds.
    pub(crate) fans: Fans,
    /// How they are sorted while they are delivered.
    pub(crate) groups: Groups,
    pub(crate) at_once: AtOnce,
    /// Sessions with queued messages and no running handler, whose turn was over: node and slot.
    pub(crate) runnable: Vec<(u8, u32)>,
    /// Sessions with gathered credit of notifies; a timer runs as long as there are any.
    pub(crate) credits: Vec<SessionKey>,
    pub(crate) counters: ShardCounters,
    pub(crate) stopped: bool,
    /// Commands are being carried out.
    pub(crate) obeying: bool,
    epoch: Instant,
    now: Instant,
    /// `now` as [`Shard::millis`] gives it.
    millis: u32,
    sweep: Duration,
    tokens: Vec<Token>,
    commands: Commands,
    timer: (Waker, Mark),
}

/// What a shard begins with.
pub(crate) struct Setup {
    pub(crate) number: u16,
    pub(crate) service: Handle,
    pub(crate) gates: Vec<GateShard>,
    pub(crate) nodes: Vec<NodeShard>,
    pub(crate) sweep: Duration,
    pub(crate) ready: Arc<Ready>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) side: Arc<Side>,
}

/// Times a turn goes round for what its own handlers asked.
const ROUNDS: usize = 8;
/// In a turn of so many, a connection that was read has left the cache before the turn's end.
const MANY: usize = 32;

impl Shard {
    /// Call it on the runtime that will poll the driver: the shard's timer belongs to that runtime.
    pub(crate) fn new(setup: Setup) -> Self {
        let now = Instant::now();
        let mut timers = Timers::new(now);
        timers.add(now + setup.sweep, TimerEvent::Sweep);
        let timer = setup.ready.waker(Token::Timer);
        timer.1.wake();
        Self {
            number: setup.number,
            inbox: setup.inbox,
            service: setup.service,
            pulse: setup.pulse,
            side: setup.side,
            scratch: Some(Box::new(Scratch::new())),
            pool: Pool::default(),
            batch: Batch::default(),
            gates: setup.gates,
            nodes: setup.nodes,
            actors: tokio::task::JoinSet::new(),
            links: Slab::new(),
            past: Default::default(),
            timers,
            dirty: Vec::new(),
            prompt: false,
            pushes: 0,
            dirty_links: Vec::new(),
            fans: Fans::default(),
            groups: Groups::default(),
            at_once: AtOnce::default(),
            runnable: Vec::new(),
            credits: Vec::new(),
            counters: ShardCounters::default(),
            stopped: false,
            obeying: false,
            epoch: now,
            now,
            millis: 1,
            sweep: setup.sweep,
            tokens: Vec::new(),
            commands: Commands::default(),
            ready: setup.ready,
            timer,
        }
    }

    /// The turn's time.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// The turn's time in milliseconds since the shard began; 0 is never returned, so it can mean "not set". Wraps after
    /// 49 days: compare with `wrapping_sub`.
    pub(crate) fn millis(&self) -> u32 {
        self.millis
    }

    fn turn(&mut self, cx: &mut Context<'_>) {
        let now = Instant::now();
        if now.duration_since(self.now) > ASLEEP {
            self.woke();
        }
        self.now = now;
        self.pulse.turned(now);
        self.millis = ((self.now - self.epoch).as_millis() as u32).max(1);
        self.counters.turns += 1;
        let mut tokens = std::mem::take(&mut self.tokens);
        self.ready.take(&mut tokens);
        self.prompt = self.is_quiet() && tokens.len() >= MANY;
        for token in tokens.drain(..) {
            self.wake(token);
        }
        self.tokens = tokens;
        self.catch_up();
        self.flush_links();
        self.at_once.end_turn(self.dirty.len());
        self.flush_clients();
        self.flush_listeners();
        self.arm(cx);
    }

    /// Did the last turn push nothing to clients? Where clients hear of each other, what a connection is pushed would need
    /// a write of its own if its answer were written before the turn's end.
    fn is_quiet(&mut self) -> bool {
        let pushes = self.gates.iter().map(|gate| gate.counters.pushes).sum();
        std::mem::replace(&mut self.pushes, pushes) == pushes
    }

    fn wake(&mut self, token: Token) {
        match token {
            Token::Conn(gate, slot) => self.client_ready(gate, slot),
            Token::Listener(gate, number) => self.listener_ready(gate, number),
            Token::Link(link) => self.link_ready(link),
            Token::Task(node, task) => self.task_ready(node, task),
            Token::Inbox => self.obey(),
            Token::Timer => self.timers_due(),
        }
    }

    /// Does what handlers of this turn asked for, a bounded number of times; the rest waits for the next turn.
    fn catch_up(&mut self) {
        for _ in 0..ROUNDS {
            self.run_waiting();
            if !self.inbox.is_filled() {
                return;
            }
            self.obey();
        }
        if !self.runnable.is_empty() {
            self.wake_soon();
        }
    }

    /// Carries out what stands in the inbox. Also called between a handler and its answer, so that its pushes come first;
    /// never within itself, or later commands would overtake earlier ones.
    pub(crate) fn obey(&mut self) {
        if self.obeying {
            return;
        }
        self.run_fans();
        self.obeying = true;
        let mut commands = std::mem::take(&mut self.commands);
        self.inbox.take(&mut commands);
        std::mem::swap(&mut self.fans.bytes, &mut commands.fans);
        for command in commands.list.drain(..) {
            if !matches!(command, Command::Fan(..)) {
                self.run_fans();
            }
            match command {
                Command::Fan(fan, reply) => self.add_fan(fan, reply),
                Command::Push { session, head, body } => {
                    let body = commands.bytes.get(body).unwrap_or_default();
                    self.session_push(session, head, body);
                }
                Command::Run(work) => work(self),
            }
        }
        self.run_fans();
        std::mem::swap(&mut self.fans.bytes, &mut commands.fans);
        for bytes in [&mut commands.bytes, &mut commands.fans] {
            bytes.clear();
            bytes.shrink_to(256 * 1024);
        }
        self.commands = commands;
        self.obeying = false;
    }

    /// Asks for another turn right after this one.
    pub(crate) fn wake_soon(&mut self) {
        self.timer.1.wake();
    }

    fn timers_due(&mut self) {
        self.timer.1.clear();
        while let Some(event) = self.timers.pop(self.now) {
            match event {
                TimerEvent::Sweep => {
                    self.sweep_clients();
                    self.sweep_links();
                    self.timers.add(self.now + self.sweep, TimerEvent::Sweep);
                }
                TimerEvent::Deadline(node, task, number) => self.task_overdue(node, task, number),
                TimerEvent::Credits => self.credits_due(),
                TimerEvent::Late(session, id) => self.late_overdue(session, id),
                TimerEvent::Shutdown(gate, slot, generation) => self.shutdown_overdue(gate, slot, generation),
            }
        }
    }

    fn arm(&mut self, cx: &mut Context<'_>) {
        let waker = self.timer.0.clone();
        let timers = &mut self.timers;
        let due = free_of_budget(&waker, |cx| timers.poll(cx));
        if due.is_ready() {
            self.timer.1.wake();
        }
        if !self.ready.park(cx.waker()) {
            cx.waker().wake_by_ref();
        }
    }
}

/// Polls I/O without tokio's cooperative budget: with it, sockets late in a full turn would seem not ready and wait for
/// another turn. User code is never polled in here.
pub(crate) fn free_of_budget<T>(waker: &Waker, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    let mut poll = Some(poll);
    let free = unconstrained(std::future::poll_fn(|cx| {
        Poll::Ready(match poll.take() {
            Some(poll) => poll(cx),
            None => Poll::Pending,
        })
    }));
    match pin!(free).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(result) => result,
        Poll::Pending => Poll::Pending,
    }
}

/// Runs a shard until it is stopped.
pub(crate) struct Driver(pub(crate) Box<Shard>);

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.0.stopped {
            self.0.turn(cx);
        }
        if self.0.stopped {
            self.0.inbox.close();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
