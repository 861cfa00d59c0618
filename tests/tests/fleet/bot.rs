//! Bots: clients that play on whatever happens, and write down all of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use due::{Code, Kind};
use due_sdk::{CallError, Client, EventLoop};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    game::{CHEER, ENTER, Enter, HEARD, LOGIN, ROLL},
    history::{End, Entry, History, Op},
};

/// Longer than any deadline of the servers: who waits so long waits for ever.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(40);
/// Between two rolls of a bot.
const PACE: Duration = Duration::from_millis(50);
/// Users in one room.
pub(crate) const IN_A_ROOM: i64 = 4;

/// Bots that play until they are told to end.
pub(crate) struct Bots {
    pub(crate) history: History,
    pub(crate) count: i64,
    doors: Doors,
    stop: Arc<AtomicBool>,
    event_loop: EventLoop,
    tasks: JoinSet<()>,
}

/// Where bots go in, one door after the other.
#[derive(Clone)]
pub(crate) struct Doors(Arc<std::sync::Mutex<Vec<String>>>);

impl Doors {
    /// The door of this try.
    fn at(&self, turn: usize) -> String {
        let doors = self.0.lock().unwrap();
        doors[turn % doors.len()].clone()
    }
}

impl Bots {
    /// Lets users 1 to `count` play through these doors.
    pub(crate) fn play(count: i64, doors: Vec<String>) -> Self {
        let doors = Doors(Arc::new(std::sync::Mutex::new(doors)));
        let (history, event_loop) = (History::new(), EventLoop::start().unwrap());
        let mut bots = Self { history, count: 0, doors, stop: Arc::default(), event_loop, tasks: JoinSet::new() };
        bots.join(count);
        bots
    }

    /// Lets the next `count` users play too.
    pub(crate) fn join(&mut self, count: i64) {
        let first = self.count + 1;
        self.count += count;
        for uid in first..=self.count {
            let bot = Bot {
                uid,
                room: (uid - 1) as u64 / IN_A_ROOM as u64 + 1,
                history: self.history.clone(),
                doors: self.doors.clone(),
                stop: self.stop.clone(),
                event_loop: self.event_loop.clone(),
            };
            self.tasks.spawn(bot.run());
        }
    }

    /// From now on they go in here.
    pub(crate) fn go_by(&self, doors: Vec<String>) {
        *self.doors.0.lock().unwrap() = doors;
    }

    /// Waits until each has rolled so often with an answer from now on.
    pub(crate) async fn all_roll(&self, times: usize, logs: impl Fn() -> String) {
        let (since, count) = (Instant::now(), self.count);
        self.history.until("all bots roll", logs, |tale| tale.all_rolled(count, times, since)).await;
    }

    /// Ends them, and checks what must be true of every history.
    pub(crate) async fn end(mut self) -> History {
        self.stop.store(true, Ordering::Release);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.history.read(|tale| tale.check());
        self.history.clone()
    }
}

struct Bot {
    uid: i64,
    room: u64,
    history: History,
    doors: Doors,
    stop: Arc<AtomicBool>,
    event_loop: EventLoop,
}

impl Bot {
    async fn run(self) {
        let mut turn = self.uid as usize;
        while !self.stops() {
            if let Some(client) = self.connect(turn).await {
                let hearing = self.hear(&client);
                self.live(&client).await;
                client.close().await;
                let why = client.closed().await;
                self.history.write(|tale| tale.closed.push((self.uid, why)));
                hearing.abort();
            }
            turn += 1;
            sleep(PACE).await;
        }
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn note(&self, op: Op, sent: Instant, end: End) {
        let entry = Entry { bot: self.uid, op, sent, done: Instant::now(), end };
        self.history.write(|tale| tale.entries.push(entry));
    }

    async fn connect(&self, turn: usize) -> Option<Client> {
        let sent = Instant::now();
        let client = Client::builder(&self.doors.at(turn)).timeout(TIMEOUT).on(&self.event_loop).connect().await;
        let end = if client.is_ok() { End::Answered } else { End::Gone { sent: false } };
        self.note(Op::Connect, sent, end);
        client.ok()
    }

    fn hear(&self, client: &Client) -> tokio::task::AbortHandle {
        let (mut heard, history, uid) = (client.pushes(HEARD), self.history.clone(), self.uid);
        let task = tokio::spawn(async move {
            while let Some(Ok(cheered)) = heard.next().await {
                history.write(|tale| tale.heard.push((uid, cheered.text, cheered.process)));
            }
        });
        task.abort_handle()
    }

    /// Logs in, enters and rolls until the connection is over or the test is.
    async fn live(&self, client: &Client) {
        let mut at = At::Outside;
        while !self.stops() {
            at = match at {
                At::Outside => self.login(client).await,
                At::Lobby => self.enter(client).await,
                At::Room => self.roll(client).await,
                At::Over => return,
            };
            if at != At::Over {
                sleep(PACE).await;
            }
        }
    }

    async fn login(&self, client: &Client) -> At {
        let sent = Instant::now();
        let answer = client.call(LOGIN, &self.uid).await;
        let end = answer.as_ref().map_or_else(End::of, |_| End::Answered);
        self.note(Op::Login, sent, end);
        at(answer, At::Outside, At::Lobby, At::Outside)
    }

    async fn enter(&self, client: &Client) -> At {
        let sent = Instant::now();
        let answer = client.call(ENTER, &Enter { room: self.room }).await;
        let end = answer.as_ref().map_or_else(End::of, |_| End::Answered);
        self.note(Op::Enter(self.room), sent, end);
        at(answer, At::Lobby, At::Room, At::Lobby)
    }

    async fn roll(&self, client: &Client) -> At {
        let sent = Instant::now();
        let answer = client.call(ROLL, &()).await;
        let end = answer.as_ref().map_or_else(End::of, |rolled| End::Rolled(rolled.clone()));
        self.note(Op::Roll(self.room), sent, end);
        at(answer, At::Room, At::Room, At::Lobby)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Outside,
    Lobby,
    Room,
    Over,
}

/// What says that a user is in no room any more.
const LEFT: [Kind; 4] = [Kind::OwnerLost, Kind::NotBound, Kind::NotOwner, Kind::Moved];

/// Where a bot is after an answer and after such a refusal; after any other it tries the same again.
fn at<T>(answer: Result<T, CallError>, now: At, good: At, refused: At) -> At {
    match answer {
        Ok(_) => good,
        Err(CallError::Gone { .. }) => At::Over,
        Err(e) if e.is(Code::UNAUTHORIZED) => At::Outside,
        Err(e) if LEFT.iter().any(|kind| e.is(Code::from(*kind))) => refused,
        Err(_) => now,
    }
}

/// Connects and logs in; cheers once, as a user of its own.
pub(crate) async fn cheer(door: &str, uid: i64, text: &str) -> Result<(), CallError> {
    let client = Client::builder(door).timeout(TIMEOUT).connect().await.unwrap();
    client.call(LOGIN, &uid).await?;
    let end = client.call(CHEER, &text.to_owned()).await;
    client.close().await;
    end
}
