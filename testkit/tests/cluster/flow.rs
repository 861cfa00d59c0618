//! Order and backpressure across links.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use due_core::Kind;
use due_testkit::cluster::CallError;
use tokio::task::JoinSet;

use crate::play::{ADD, MEASURE, Play, SAY_SLOWLY, WAIT, WHERE};

// proves P6: nothing a client sent is dropped, and its order holds, however slow the handlers are
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_messages_to_slow_handlers_stay_in_order() {
    const CLIENTS: u64 = 20;
    const EACH: u64 = 5_000;
    let play = Play::new();
    let cluster = play.cluster(false).gates(2).nodes(2).start().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(cluster.client().await);
    }
    for n in 0..EACH {
        clients.iter().for_each(|c| c.notify(SAY_SLOWLY, &n).unwrap());
    }
    for client in &clients {
        // Stands behind all of them.
        client.confirmed(SAY_SLOWLY, &EACH).await.unwrap();
    }
    let told = play.by_session();
    assert_eq!(told.len() as u64, CLIENTS);
    for lines in told.into_values() {
        assert!(lines.iter().map(|l| l.parse::<u64>().unwrap()).eq(0..=EACH));
    }
    let mut pauses = 0;
    for gate in ["gate-1", "gate-2"] {
        pauses += cluster.snapshot(gate).await.gates["gate"].pauses;
    }
    assert!(pauses > CLIENTS, "the gates held the clients back, {pauses} times");
}

// semantics 6: one lane at zero credit changes no other lane
#[tokio::test(start_paused = true)]
async fn a_session_without_credit_changes_nothing_for_others() {
    let play = Play::new();
    let cluster = play.cluster(false).nodes(1).start().await;
    let ann = cluster.client().await;
    for n in 0..2_000 {
        ann.notify(WAIT, &n).unwrap();
    }
    cluster.settle().await;
    assert_eq!(cluster.snapshot("gate-1").await.gates["gate"].pauses, 1);
    let begun = tokio::time::Instant::now();
    for _ in 0..50 {
        let bob = cluster.client().await;
        for n in 0..20 {
            assert_eq!(bob.call(ADD, &n).await, Ok(n + 1));
        }
    }
    // The clock stands still unless everybody waits for it.
    assert_eq!(begun.elapsed(), Duration::ZERO);
    play.open(2_000);
    cluster.settle().await;
    let lines = play.by_session().into_values().next().unwrap();
    assert!(lines.iter().map(|l| l.parse::<u64>().unwrap()).eq(0..2_000));
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
}

// semantics 6: 10 s without credit, then what was forwarded is answered
#[tokio::test(start_paused = true)]
async fn requests_behind_a_handler_that_does_not_end_are_answered_after_ten_seconds() {
    let play = Play::new();
    let cluster = play.cluster(false).nodes(1).start().await;
    let ann = cluster.client().await;
    for n in 0..200 {
        ann.notify(WAIT, &n).unwrap();
    }
    let behind: Vec<_> = (0..100).map(|n| ann.send(ADD, &n).unwrap()).collect();
    ann.notify(WAIT, &200).unwrap();
    cluster.advance(Duration::from_secs(13)).await;
    let mut timeouts = 0;
    for answer in behind {
        assert!(answer.is_here());
        match answer.await {
            Err(CallError::Refused(code, _)) if code == Kind::Timeout.code() => timeouts += 1,
            Err(CallError::Refused(code, _)) => assert_eq!(code, Kind::Overloaded.code()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((timeouts, ann.notices().len()), (56, 1), "a lane takes 256, the rest is refused at the gate");
    assert_eq!(ann.ended(), None, "a hello client is read on");
    play.open(1_000);
    cluster.advance(Duration::from_secs(1)).await;
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
    assert_eq!(ann.strays(), 0, "a late answer reaches nobody");
}

#[tokio::test(start_paused = true)]
async fn clients_that_share_a_full_link_get_equal_shares() {
    // More under way than a link of 4 MiB takes.
    const CLIENTS: usize = 64;
    const WINDOW: usize = 8;
    const LEN: usize = 16 * 1024;
    let play = Play::new();
    let cluster = play.cluster(false).nodes(1).start().await;
    let text = "x".repeat(LEN);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(cluster.client().await);
    }
    let total = Arc::new(AtomicUsize::new(0));
    let mut playing = JoinSet::new();
    for client in clients {
        let (total, text) = (total.clone(), text.clone());
        playing.spawn(async move {
            let (mut under_way, mut share) = (VecDeque::new(), 0);
            while total.load(Ordering::Relaxed) < CLIENTS * WINDOW * 8 {
                while under_way.len() < WINDOW {
                    under_way.push_back(client.send(MEASURE, &text).unwrap());
                }
                assert_eq!(under_way.pop_front().unwrap().await, Ok(LEN));
                total.fetch_add(1, Ordering::Relaxed);
                share += 1;
            }
            share
        });
    }
    let shares: Vec<usize> = playing.join_all().await;
    assert!(cluster.snapshot("gate-1").await.gates["gate"].pauses > 0, "the link was full");
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(2 * least >= *most, "{least} to {most} of {shares:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_node_holds_back_its_own_clients_and_loses_nothing() {
    let play = Play::new();
    let cluster = play.cluster(false).nodes(2).start().await;
    let (mut stuck, mut free) = (None, None);
    while stuck.is_none() || free.is_none() {
        let client = cluster.client().await;
        match client.call(WHERE, &()).await.unwrap() {
            1 => stuck = Some(client),
            _ => free = Some(client),
        }
    }
    let (stuck, free) = (stuck.unwrap(), free.unwrap());
    cluster.stall("game-1");
    for n in 0..3_000 {
        stuck.notify(SAY_SLOWLY, &n).unwrap();
    }
    for n in 0..100 {
        assert_eq!(free.call(ADD, &n).await, Ok(n + 1));
    }
    cluster.advance(Duration::from_secs(5)).await;
    cluster.resume("game-1");
    stuck.confirmed(SAY_SLOWLY, &3_000).await.unwrap();
    let lines = play.by_session().into_values().next().unwrap();
    assert!(lines.iter().map(|l| l.parse::<u64>().unwrap()).eq(0..=3_000));
}
