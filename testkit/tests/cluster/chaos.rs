//! Everything at once, by seed: what must hold whatever goes wrong.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use due_core::SessionId;
use due_testkit::cluster::{CallError, Client, TestCluster};
use futures_util::future::join_all;

use crate::play::{ADD, LOGIN, PLAY, Play, SAY, STAY};

/// Rounds; `DUE_TEST_SEEDS` asks for more.
const SEEDS: u64 = 6;
const NODES: [&str; 3] = ["game-1", "game-2", "game-3"];
const GATES: [&str; 2] = ["gate-1", "gate-2"];

/// Disturbs nodes and links for a while, then puts everything right.
async fn disturb(cluster: &TestCluster) {
    let dice = cluster.dice().clone();
    for _ in 0..12 {
        cluster.advance(Duration::from_micros(dice.roll(900_000))).await;
        let node = NODES[dice.roll(3) as usize];
        let gate = GATES[dice.roll(2) as usize];
        let short = Duration::from_micros(dice.roll(3_000_000));
        match dice.roll(8) {
            0 => {
                cluster.kill(node).await;
                cluster.advance(short).await;
                cluster.restart(node).await;
            }
            1 => {
                cluster.stop(node).await.unwrap();
                cluster.restart(node).await;
            }
            2 | 3 => cluster.reset(gate, node),
            4 => {
                cluster.partition(gate, node);
                cluster.advance(short).await;
                if dice.one_in(2) {
                    cluster.reset(gate, node);
                    cluster.advance(short).await;
                }
                cluster.heal(gate, node);
            }
            5 => {
                cluster.stall(node);
                cluster.advance(short).await;
                cluster.resume(node);
            }
            6 => cluster.registry().wipe(),
            _ => cluster.registry().lose_lease(&format!("node/{node}")),
        }
    }
    cluster.advance(Duration::from_secs(15)).await;
}

/// Plays until told to stop; every answer is right or an error by name.
async fn live(client: &Client, uid: i64, stop: &Cell<bool>, pace: Duration) -> u64 {
    let mut answered = 0;
    let mut n = 0;
    while !stop.get() {
        n += 1;
        client.notify(SAY, &n).unwrap();
        let pair = [client.send(ADD, &n).unwrap(), client.send(ADD, &(n + 1)).unwrap()];
        for (i, answer) in pair.into_iter().enumerate() {
            match answer.await {
                Ok(got) => {
                    answered += 1;
                    assert_eq!(got, n + 1 + i as u64);
                }
                Err(CallError::Refused(..)) => {}
                Err(e) => panic!("user {uid}, call {n}: {e}"),
            }
        }
        if n % 7 == 0 {
            let _ = client.call(LOGIN, &uid).await;
            let _ = client.call(STAY, &()).await;
        }
        let _ = client.call(PLAY, &()).await;
        tokio::time::sleep(pace).await;
    }
    answered
}

/// Each node heard of a session in the order connected, messages rising, disconnected, as often as it was connected.
fn check_log(seed: u64, play: &Play, killed: &BTreeSet<u64>) {
    let mut lanes: BTreeMap<(SessionId, u64), Vec<String>> = BTreeMap::new();
    for line in play.log() {
        lanes.entry((line.session, line.process)).or_default().push(line.text);
    }
    for ((session, process), lines) in lanes {
        let story = || format!("seed {seed}, session {session}, process {process}: {lines:?}");
        let (mut open, mut last) = (false, 0);
        for line in &lines {
            match line.as_str() {
                "connected" => assert!(!std::mem::replace(&mut open, true), "{}", story()),
                "disconnected" => assert!(std::mem::replace(&mut open, false), "{}", story()),
                bound if bound.starts_with("bound") => assert!(open, "{}", story()),
                n => {
                    let n: u64 = n.parse().unwrap();
                    assert!(open && n > last, "{}", story());
                    last = n;
                }
            }
        }
        assert!(!open || killed.contains(&process), "{}", story());
    }
}

async fn round(seed: u64) {
    let play = Play::new();
    let cluster = play.cluster(true).gates(2).nodes(3).seed(seed).start().await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(cluster.client().await);
    }
    let stop = Cell::new(false);
    let dice = cluster.dice().clone();
    let lives = clients.iter().enumerate().map(|(i, client)| {
        let pace = Duration::from_micros(5_000 + dice.roll(60_000));
        live(client, i as i64 + 1, &stop, pace)
    });
    let trouble = async {
        disturb(&cluster).await;
        stop.set(true);
    };
    let (answered, ()) = tokio::join!(join_all(lives), trouble);
    assert!(answered.iter().all(|n| *n > 100), "seed {seed}: {answered:?}");
    for client in &clients {
        assert_eq!((client.ended(), client.strays()), (None, 0), "seed {seed}");
        assert_eq!(client.call(ADD, &1).await, Ok(2), "seed {seed}");
    }
    drop(clients);
    cluster.advance(Duration::from_secs(1)).await;
    for node in NODES {
        let left = cluster.snapshot(node).await.sessions;
        assert_eq!(left.values().sum::<u64>(), 0, "seed {seed}: {node} keeps sessions");
    }
    assert_eq!(cluster.cluster("game-1").stat().await.unwrap(), due_cluster::Stat::default(), "seed {seed}");
    let alive: BTreeSet<u64> = play.alive().into_iter().collect();
    let killed = (0..1_000).filter(|p| !alive.contains(p)).collect();
    check_log(seed, &play, &killed);
}

// proves P2, P6: one answer for each request, order in each lane, and nothing is left behind
#[tokio::test(start_paused = true)]
async fn whatever_happens_to_nodes_and_links_each_request_has_one_answer() {
    let seeds = std::env::var("DUE_TEST_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        round(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn gates_that_die_and_come_back_leave_no_session_behind() {
    let play = Play::new();
    let cluster = play.cluster(true).gates(2).nodes(2).seed(5).start().await;
    let dice = cluster.dice().clone();
    let mut clients: Vec<Client> = Vec::new();
    for round in 0..30 {
        for n in 0..5 {
            let client = cluster.client().await;
            client.notify(SAY, &1).unwrap();
            let _ = client.call(LOGIN, &(round * 5 + n + 1)).await;
            clients.push(client);
        }
        let gate = GATES[dice.roll(2) as usize];
        match dice.one_in(2) {
            true => cluster.kill(gate).await,
            false => cluster.stop(gate).await.unwrap(),
        }
        cluster.restart(gate).await;
        cluster.settle().await;
    }
    drop(clients);
    cluster.advance(Duration::from_secs(3)).await;
    for node in ["game-1", "game-2"] {
        assert_eq!(cluster.snapshot(node).await.sessions["game"], 0);
    }
    check_log(5, &play, &BTreeSet::new());
    let connected = play.log().iter().filter(|l| l.text == "connected").count();
    assert_eq!(connected, 30 * 5 * 2);
}
