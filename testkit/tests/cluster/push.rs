//! What a push says of its targets is true, also when gates die or are silent.

use std::time::Duration;

use due_cluster::{Sent, To};
use due_core::Uid;

use crate::play::{JOIN, LOGIN, NEWS, Play};

#[tokio::test(start_paused = true)]
async fn users_of_a_dead_gate_count_as_unknown_and_strangers_as_offline() {
    let cluster = Play::new().cluster(false).gates(2).nodes(2).start().await;
    let mut clients = Vec::new();
    for uid in 1..=6 {
        let client = cluster.client().await;
        client.call(LOGIN, &uid).await.unwrap();
        clients.push(client);
    }
    let uids: Vec<Uid> = (1..=9).map(Uid::from).collect();
    let way = cluster.cluster("game-1");
    let sent = way.push(To::Users(&uids), NEWS, &1).await.unwrap();
    assert_eq!(sent, Sent { queued: 6, offline: 3, ..Sent::default() });
    cluster.kill("gate-1").await;
    let sent = way.push(To::Users(&uids), NEWS, &2).await.unwrap();
    assert_eq!(sent, Sent { queued: 3, offline: 3, unknown: 3, ..Sent::default() });
    assert_eq!(way.push(To::Bound, NEWS, &3).await.unwrap().queued, 3);
    cluster.settle().await;
    for client in clients {
        let want = if client.gate() == "gate-1" { vec![1] } else { vec![1, 2, 3] };
        assert_eq!(client.arrived(NEWS), Ok(want));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_gate_counts_as_unknown_and_delays_nobody_else() {
    let cluster = Play::new().cluster(false).gates(2).nodes(1).start().await;
    let (ann, bob) = (cluster.client_at("gate-1").await, cluster.client_at("gate-2").await);
    for client in [&ann, &bob] {
        client.call(JOIN, &()).await.unwrap();
    }
    let way = cluster.cluster("game-1");
    assert_eq!(way.push(To::Channel("room"), NEWS, &1).await.unwrap().queued, 2);
    cluster.partition("gate-1", "game-1");
    let push = {
        let way = way.clone();
        tokio::spawn(async move { way.push(To::Channel("room"), NEWS, &2).await.unwrap() })
    };
    assert_eq!((bob.next(NEWS).await, bob.next(NEWS).await), (Ok(1), Ok(2)));
    assert!(!push.is_finished());
    assert_eq!(push.await.unwrap(), Sent { queued: 1, unknown: 1, ..Sent::default() });
    cluster.heal("gate-1", "game-1");
    assert_eq!((ann.next(NEWS).await, ann.next(NEWS).await), (Ok(1), Ok(2)), "unknown is not lost");
    assert_eq!(way.push(To::Everyone, NEWS, &3).await.unwrap().queued, 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_fills_its_own_outbox_and_is_closed_as_slow() {
    let cluster = Play::new().cluster(false).gates(1).nodes(1).start().await;
    let (ann, bob) = (cluster.client().await, cluster.client().await);
    ann.read(false);
    let way = cluster.cluster("game-1");
    let mut full = 0;
    for n in 0..60_000 {
        let sent = way.push(To::Everyone, NEWS, &n).await.unwrap();
        full += sent.full;
        assert_eq!(sent.queued + sent.full, 2);
    }
    assert!(full > 0, "the outbox of one filled up");
    cluster.advance(Duration::from_secs(5)).await;
    ann.read(true);
    assert!(ann.closed().await.is_some());
    assert_eq!(bob.arrived(NEWS).unwrap().len(), 60_000);
    assert_eq!(cluster.snapshot("gate-1").await.gates["gate"].slow, 1);
}
