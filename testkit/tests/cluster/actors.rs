//! Actors that all nodes share: each has one owner, and every node finds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use due_cluster::{
    App, Fault, Gate, Node, Session,
    actor::{Actor, Cx},
    handler::{Msg, Routes},
};
use due_codec::Json;
use due_core::{
    Call, Drivers, Epoch, Incarnation, Kind, Notify, Owner, Push, SessionId,
    locate::{Claim, Place, Subject},
};
use due_testkit::cluster::TestCluster;

/// Where the room is, and the sum after it.
const ADD: Call<(u64, u64), (u64, u64), Json> = Call::new(1, "add");
const NOTE: Notify<(u64, u64), Json> = Notify::new(2, "note");
/// Sits down in a room: its news and the messages of `play` from then on.
const SIT: Call<u64, u64, Json> = Call::new(3, "sit");
const PLAY: Call<u64, (u64, u64), Json> = Call::new(4, "play");
const LOGIN: Call<i64, (), Json> = Call::new(5, "login");
const NEWS: Push<u64, Json> = Push::new(101, "news");

type Log = Arc<Mutex<Vec<String>>>;

struct Room {
    key: u64,
    process: u64,
    sum: u64,
    log: Log,
}

impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;

    fn read_key(text: &str) -> Option<u64> {
        text.parse().ok()
    }

    async fn started(&mut self, _: &Cx<Self>) -> Result<(), Fault> {
        self.say("opened");
        Ok(())
    }

    async fn stopped(&mut self, _: &Cx<Self>) {
        self.say("closed");
    }
}

impl Room {
    fn say(&self, what: &str) {
        self.log.lock().unwrap().push(format!("{} {what} on {}", self.key, self.process));
    }

    fn add(&mut self, me: Session, Msg((_, n)): Msg<(u64, u64)>) -> (u64, u64) {
        self.sum += n;
        let _ = me.push(NEWS, &self.sum);
        (self.process, self.sum)
    }

    fn note(&mut self, Msg((_, n)): Msg<(u64, u64)>) {
        self.say(&format!("noted {n}"));
    }

    async fn sit(&mut self, me: Session, cx: Cx<Room>) -> Result<u64, Fault> {
        me.attach(&cx.addr())?.await?;
        Ok(self.process)
    }

    fn play(&mut self, Msg(n): Msg<u64>) -> (u64, u64) {
        self.sum += n;
        (self.process, self.sum)
    }
}

async fn login(me: Session, Msg(uid): Msg<i64>) -> Result<(), Fault> {
    me.bind(uid).await?;
    Ok(())
}

async fn start(log: &Log, gates: usize, nodes: usize) -> TestCluster {
    let (log, starts) = (log.clone(), AtomicU64::new(0));
    let cluster = TestCluster::new(move || {
        let (log, process) = (log.clone(), starts.fetch_add(1, Ordering::Relaxed));
        let routes = Routes::new()
            .actor_by(ADD, |(key, _)| *key, Room::add)
            .actor_by(NOTE, |(key, _)| *key, Room::note)
            .actor_by(SIT, |key| *key, Room::sit)
            .actor(PLAY, Room::play)
            .route(LOGIN, login);
        let open = move |key, _| {
            let log = log.clone();
            async move { Ok(Room { key, process, sum: 0, log }) }
        };
        App::new(Drivers::memory()).with(Gate::new("gate")).with(Node::new("game").routes(routes).actors(open))
    });
    let cluster = cluster.gates(gates).nodes(nodes).seed(3).start().await;
    cluster.advance(Duration::from_secs(1)).await;
    cluster
}

/// How often each room was opened and closed, in order; panics if one was ever open twice.
fn lives(log: &Log) -> BTreeMap<String, usize> {
    let mut open: BTreeMap<String, bool> = BTreeMap::new();
    let mut opened = BTreeMap::new();
    for line in log.lock().unwrap().iter() {
        let mut words = line.split(' ');
        let (key, what) = (words.next().unwrap().to_owned(), words.next().unwrap());
        match what {
            "opened" => {
                assert_ne!(open.insert(key.clone(), true), Some(true), "room {key} has two owners");
                *opened.entry(key).or_insert(0) += 1;
            }
            "closed" => assert_eq!(open.insert(key, false), Some(true)),
            _ => {}
        }
    }
    opened
}

#[tokio::test(start_paused = true)]
async fn every_node_finds_the_one_actor_of_a_key_and_they_are_spread() {
    let log = Log::default();
    let cluster = start(&log, 2, 3).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(cluster.client().await);
    }
    let mut homes = BTreeMap::new();
    for round in 1..=5 {
        for room in 0..40 {
            for (i, client) in clients.iter().enumerate() {
                let (home, sum) = client.call(ADD, &(room, 1)).await.unwrap();
                assert_eq!(*homes.entry(room).or_insert(home), home, "room {room} is in one place");
                assert_eq!(sum, (round - 1) * 6 + i as u64 + 1);
            }
        }
    }
    let places: BTreeSet<_> = homes.values().collect();
    assert_eq!(places.len(), 3, "{homes:?}");
    assert!(lives(&log).values().all(|n| *n == 1));
}

#[tokio::test(start_paused = true)]
async fn many_that_open_an_actor_at_once_get_the_same_one() {
    let log = Log::default();
    let cluster = start(&log, 2, 3).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(cluster.client().await);
    }
    for room in 0..30 {
        let asked: Vec<_> = clients.iter().map(|c| c.send(ADD, &(room, 1)).unwrap()).collect();
        let mut sums = BTreeSet::new();
        let mut homes = BTreeSet::new();
        for answer in asked {
            let (home, sum) = answer.await.unwrap();
            homes.insert(home);
            sums.insert(sum);
        }
        assert_eq!((homes.len(), sums), (1, (1..=12).collect()), "room {room}");
    }
    assert!(lives(&log).len() == 30 && lives(&log).values().all(|n| *n == 1));
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_sender_keep_their_order_wherever_the_actor_is() {
    let log = Log::default();
    let cluster = start(&log, 1, 3).await;
    let (ann, way) = (cluster.client().await, cluster.cluster("game-1"));
    for room in 0..6 {
        for n in 0..60 {
            ann.notify(NOTE, &(room, n)).unwrap();
        }
        for n in 100..160 {
            way.actor::<Room>(&room).tell(NOTE, &(room, n)).unwrap();
        }
    }
    cluster.advance(Duration::from_secs(1)).await;
    for room in 0..6 {
        let noted: Vec<u64> = log
            .lock()
            .unwrap()
            .iter()
            .filter_map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                (words[0] == room.to_string() && words[1] == "noted").then(|| words[2].parse().unwrap())
            })
            .collect();
        let of = |range: std::ops::Range<u64>| noted.iter().copied().filter(|n| range.contains(n)).collect::<Vec<_>>();
        assert_eq!((of(0..100), of(100..200)), ((0..60).collect(), (100..160).collect()), "room {room}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_elsewhere_reaches_the_session_and_takes_it_in() {
    let log = Log::default();
    let cluster = start(&log, 2, 3).await;
    let mut homes = BTreeSet::new();
    for uid in 1..=12 {
        let (ann, room) = (cluster.client().await, uid as u64);
        ann.call(LOGIN, &uid).await.unwrap();
        let (home, _) = ann.call(ADD, &(room, 5)).await.unwrap();
        assert_eq!(ann.next(NEWS).await, Ok(5), "a push from where the room is");
        assert_eq!(ann.call(PLAY, &1).await.unwrap_err().code(), Some(Kind::NotBound.code()));
        assert_eq!(ann.call(SIT, &room).await, Ok(home));
        for n in 1..=3 {
            assert_eq!(ann.call(PLAY, &1).await, Ok((home, 5 + n)));
        }
        homes.insert(home);
    }
    assert_eq!(homes.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn addresses_work_from_every_process_with_nodes() {
    let log = Log::default();
    let cluster = start(&log, 1, 3).await;
    let mut sums = 0;
    for round in 0..4 {
        for node in ["game-1", "game-2", "game-3"] {
            let addr = cluster.cluster(node).actor::<Room>(&7);
            sums += 1;
            assert_eq!(addr.call(ADD, &(7, 1)).await.unwrap().1, sums, "round {round}");
        }
    }
    let unknown: Call<(), (), Json> = Call::new(99, "unknown");
    for node in ["game-1", "game-2", "game-3"] {
        let fault = cluster.cluster(node).actor::<Room>(&7).call(unknown, &()).await.unwrap_err();
        assert_eq!(fault.code().number(), Kind::NoRoute.code());
    }
    assert_eq!(lives(&log)["7"], 1);
}

#[tokio::test(start_paused = true)]
async fn an_actor_whose_node_died_is_opened_elsewhere_and_nobody_waits_for_ever() {
    let log = Log::default();
    let cluster = start(&log, 1, 3).await;
    let ann = cluster.client().await;
    let mut lost = None;
    for room in 0..9 {
        let (home, _) = ann.call(ADD, &(room, 1)).await.unwrap();
        lost = Some((room, home));
    }
    let (room, home) = lost.unwrap();
    cluster.kill(&format!("game-{home}")).await;
    let mut refused = 0;
    let (moved, sum) = loop {
        match ann.call(ADD, &(room, 1)).await {
            Ok(answer) => break answer,
            Err(e) => assert_eq!(e.code(), Some(Kind::Unavailable.code()), "{e}"),
        }
        refused += 1;
        assert!(refused < 30, "its node is gone for {refused} s");
        cluster.advance(Duration::from_secs(1)).await;
    };
    assert!(refused > 0 && moved != home && sum == 1, "{refused} {moved} {sum}: opened anew, once its node is gone");
    for _ in 0..5 {
        assert_eq!(ann.call(ADD, &(room, 1)).await.unwrap().0, moved);
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_whose_place_is_taken_ends() {
    let log = Log::default();
    let cluster = start(&log, 1, 2).await;
    let ann = cluster.client().await;
    ann.call(ADD, &(1, 1)).await.unwrap();
    let owner = Owner { id: "game-9".into(), incarnation: Incarnation(9) };
    let claim = Claim { owner, session: SessionId(9), floor: Epoch(0) };
    let way = cluster.cluster("game-1");
    way.locator().take(Subject::actor("room", "1"), Place::node("game"), claim).await.unwrap();
    cluster.settle().await;
    assert!(log.lock().unwrap().last().unwrap().starts_with("1 closed"), "{log:?}");
    let mut tries = 0;
    while ann.call(ADD, &(1, 1)).await.is_err() {
        cluster.advance(Duration::from_secs(1)).await;
        tries += 1;
        assert!(tries < 20);
    }
    assert_eq!(lives(&log)["1"], 2, "an owner that never was holds nothing for ever");
}

// semantics 7: what a stopping node has begun is finished, and its actors are opened elsewhere
#[tokio::test(start_paused = true)]
async fn actors_of_a_node_that_stops_are_served_elsewhere_without_a_fault() {
    let log = Log::default();
    let cluster = start(&log, 2, 3).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(cluster.client().await);
    }
    let playing = futures_util::future::join_all(clients.iter().enumerate().map(|(i, client)| async move {
        for n in 0..600 {
            let room = (n + i as u64) % 10;
            client.call(ADD, &(room, 1)).await.unwrap_or_else(|e| panic!("client {i}, call {n}: {e}"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }));
    let rolling = async {
        for node in ["game-1", "game-2", "game-3"] {
            cluster.stop(node).await.unwrap();
            cluster.restart(node).await;
            cluster.advance(Duration::from_secs(1)).await;
        }
    };
    tokio::join!(playing, rolling);
    assert!(lives(&log).values().sum::<usize>() > 10, "rooms were opened anew");
}
