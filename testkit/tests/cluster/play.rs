//! The application that the tests run: it says where it is, binds, waits when told to, and keeps a log.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use due_cluster::{
    App, Fault, Gate, Node, Session,
    handler::{Event, FromRef, Msg, Routes, State},
};
use due_codec::Json;
use due_core::{Call, Drivers, Notify, Push, SessionId};
use due_testkit::cluster::TestCluster;
use tokio::sync::Semaphore;

/// Which process answers: its number in the order of starts, 1 for the first node.
pub(crate) const WHERE: Call<(), u64, Json> = Call::new(1, "where");
pub(crate) const ADD: Call<u64, u64, Json> = Call::new(2, "add");
/// Answers once [`Play::open`] lets it.
pub(crate) const HELD: Call<u64, u64, Json> = Call::new(3, "held");
/// Binds the session to a user; the epoch.
pub(crate) const LOGIN: Call<i64, u64, Json> = Call::new(4, "login");
/// Binds the user to the node that serves it.
pub(crate) const STAY: Call<(), u64, Json> = Call::new(5, "stay");
pub(crate) const PLAY: Call<(), u64, Json> = Call::new(6, "play").stateful();
/// As [`HELD`], on the node of the user.
pub(crate) const HELD_PLAY: Call<u64, u64, Json> = Call::new(7, "held.play").stateful();
/// Goes into the log.
pub(crate) const SAY: Notify<u64, Json> = Notify::new(8, "say");
/// Into the log, after a while.
pub(crate) const SAY_SLOWLY: Notify<u64, Json> = Notify::new(9, "say.slowly");
/// As [`HELD`], without an answer.
pub(crate) const WAIT: Notify<u64, Json> = Notify::new(10, "wait");
pub(crate) const JOIN: Call<(), (), Json> = Call::new(11, "join");
/// Pushes so many [`PAGE`]s; how many were taken and how many refused goes into the log.
pub(crate) const FLOOD: Notify<u64, Json> = Notify::new(12, "flood");
/// As [`STAY`], once [`Play::open`] lets it.
pub(crate) const STAY_LATER: Call<(), u64, Json> = Call::new(14, "stay.later");
/// Pushes [`SCORE`]s from 0 up to this.
pub(crate) const COUNT: Notify<u64, Json> = Notify::new(13, "count");
/// The length of a text.
pub(crate) const MEASURE: Call<String, usize, Json> = Call::new(15, "measure");
pub(crate) const NEWS: Push<u64, Json> = Push::new(101, "news");
/// 16 KiB of text.
pub(crate) const PAGE: Push<String, Json> = Push::new(102, "page");
pub(crate) const SCORE: Push<u64, Json> = Push::<u64, Json>::new(103, "score").latest();

/// What all processes of a test share.
#[derive(Clone)]
pub(crate) struct Play(Arc<Inner>);

struct Inner {
    gate: Semaphore,
    log: Mutex<Vec<Line>>,
    starts: AtomicU64,
    lives: Mutex<Vec<(u64, Weak<()>)>>,
}

/// One line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) session: SessionId,
    pub(crate) process: u64,
    pub(crate) text: String,
}

impl Play {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            gate: Semaphore::new(0),
            log: Mutex::default(),
            starts: AtomicU64::new(0),
            lives: Mutex::default(),
        }))
    }

    /// Lets so many held handlers go on.
    pub(crate) fn open(&self, n: usize) {
        self.0.gate.add_permits(n);
    }

    pub(crate) fn log(&self) -> Vec<Line> {
        self.0.log.lock().unwrap().clone()
    }

    /// The processes whose handlers still exist.
    pub(crate) fn alive(&self) -> Vec<u64> {
        let lives = self.0.lives.lock().unwrap();
        lives.iter().filter(|(_, life)| life.strong_count() > 0).map(|(number, _)| *number).collect()
    }

    /// What each session wrote, in order.
    pub(crate) fn by_session(&self) -> BTreeMap<SessionId, Vec<String>> {
        let mut all: BTreeMap<SessionId, Vec<String>> = BTreeMap::new();
        for line in self.log() {
            all.entry(line.session).or_default().push(line.text);
        }
        all
    }

    /// The application; `events`: its nodes log what happens to sessions.
    pub(crate) fn app(&self, events: bool) -> App {
        self.app_with(events, Gate::new("gate"))
    }

    /// The application with another gate.
    pub(crate) fn app_with(&self, events: bool, gate: Gate) -> App {
        self.app_of(events, gate, |node| node)
    }

    /// The application with another gate and node.
    pub(crate) fn app_of(&self, events: bool, gate: Gate, node: impl FnOnce(Node) -> Node) -> App {
        // The first call describes the application, the others are the processes in order.
        let (number, life) = (self.0.starts.fetch_add(1, Ordering::Relaxed), Arc::new(()));
        self.0.lives.lock().unwrap().push((number, Arc::downgrade(&life)));
        let here = Here { play: self.clone(), number, _life: life };
        let routes = if events { routes().merge(watching()) } else { routes() };
        App::new(Drivers::memory()).with(gate).with(node(Node::new("game").routes(routes.with_state(here))))
    }

    /// A cluster of it.
    pub(crate) fn cluster(&self, events: bool) -> TestCluster {
        let play = self.clone();
        TestCluster::new(move || play.app(events))
    }
}

/// A process as its handlers see it.
#[derive(Clone)]
pub(crate) struct Here {
    play: Play,
    number: u64,
    _life: Arc<()>,
}

impl FromRef<Here> for u64 {
    fn from_ref(here: &Here) -> Self {
        here.number
    }
}

impl Here {
    fn note(&self, me: &Session, text: impl Into<String>) {
        let line = Line { session: me.id(), process: self.number, text: text.into() };
        self.play.0.log.lock().unwrap().push(line);
    }

    async fn wait(&self) {
        self.play.0.gate.acquire().await.unwrap().forget();
    }
}

fn routes() -> Routes<Here> {
    Routes::new()
        .route(WHERE, |State(n): State<u64>| n)
        .route(ADD, |Msg(n): Msg<u64>| n + 1)
        .route(MEASURE, |Msg(text): Msg<String>| text.len())
        .route(HELD, held)
        .route(LOGIN, login)
        .route(STAY, stay)
        .route(STAY_LATER, stay_later)
        .route(PLAY, |State(n): State<u64>| n)
        .route(HELD_PLAY, held)
        .route(SAY, |me: Session, State(here): State<Here>, Msg(n): Msg<u64>| here.note(&me, n.to_string()))
        .route(SAY_SLOWLY, say_slowly)
        .route(WAIT, wait)
        .route(FLOOD, flood)
        .route(COUNT, |me: Session, Msg(n): Msg<u64>| (0..=n).try_for_each(|i| me.push(SCORE, &i)).map_err(Fault::from))
        .route(JOIN, |me: Session| me.subscribe("room").map_err(Fault::from))
}

fn watching() -> Routes<Here> {
    Routes::new()
        .on(Event::Connected, |me: Session, State(here): State<Here>| here.note(&me, "connected"))
        .on(Event::Bound, |me: Session, State(here): State<Here>| {
            here.note(&me, format!("bound {}", me.uid().unwrap()))
        })
        .on(Event::Disconnected, |me: Session, State(here): State<Here>| here.note(&me, "disconnected"))
}

fn flood(me: Session, State(here): State<Here>, Msg(n): Msg<u64>) {
    let page = "x".repeat(16 * 1024);
    let taken = (0..n).filter(|_| me.push(PAGE, &page).is_ok()).count() as u64;
    here.note(&me, format!("{taken} {}", n - taken));
}

async fn held(State(here): State<Here>, Msg(n): Msg<u64>) -> u64 {
    here.wait().await;
    n
}

async fn login(me: Session, Msg(uid): Msg<i64>) -> Result<u64, Fault> {
    Ok(me.bind(uid).await?.0)
}

async fn stay(me: Session, State(here): State<Here>) -> Result<u64, Fault> {
    me.bind_node().await?;
    Ok(here.number)
}

async fn stay_later(me: Session, State(here): State<Here>) -> Result<u64, Fault> {
    here.wait().await;
    stay(me, State(here)).await
}

async fn say_slowly(me: Session, State(here): State<Here>, Msg(n): Msg<u64>) {
    match n % 64 {
        0 => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
        n if n % 3 == 0 => tokio::task::yield_now().await,
        _ => {}
    }
    here.note(&me, n.to_string());
}

async fn wait(me: Session, State(here): State<Here>, Msg(n): Msg<u64>) {
    here.wait().await;
    here.note(&me, n.to_string());
}
