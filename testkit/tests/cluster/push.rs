//! What a push says of its targets is true, also when gates die or are silent.

use std::time::Duration;

use due_cluster::{
    App, Fault, Gate, Node, Sent, Session, To,
    handler::{Msg, Routes},
};
use due_codec::Json;
use due_core::{Call, Drivers, Push, Uid};
use due_testkit::cluster::{Client, TestCluster};

use crate::play::{ADD, COUNT, FLOOD, JOIN, LOGIN, NEWS, PAGE, Play, SCORE};

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

/// A cluster whose gate stands still after the link to it was filled, and what was taken of the pages that filled it.
async fn filled(play: &Play) -> (TestCluster, Client, u64) {
    let cluster = play.cluster(false).gates(1).nodes(1).start().await;
    let ann = cluster.client().await;
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
    cluster.stall("gate-1");
    ann.notify(FLOOD, &400).unwrap();
    cluster.settle().await;
    let taken: Vec<String> = play.log().into_iter().map(|l| l.text).collect();
    assert_eq!(taken, ["400 0"], "all of them stand in the process's queue");
    let full = cluster.snapshot("game-1").await.nodes["game"].pushes_full;
    assert!(full > 0 && full < 400, "{full} of 400 found no room in the link");
    (cluster, ann, 400 - full)
}

// proves P5: what a push to a session is told and what is counted add up
#[tokio::test(start_paused = true)]
async fn pushes_that_find_the_link_full_are_counted_and_the_next_ones_are_refused() {
    let play = Play::new();
    let (cluster, ann, sent) = filled(&play).await;
    ann.notify(FLOOD, &10).unwrap();
    cluster.settle().await;
    assert_eq!(play.log().last().unwrap().text, "0 10", "the handler is told");
    cluster.resume("gate-1");
    cluster.settle().await;
    let arrived = ann.arrived(PAGE).unwrap().len() as u64;
    assert_eq!(arrived + cluster.snapshot("gate-1").await.gates["gate"].pushes_full, sent);
    ann.notify(FLOOD, &10).unwrap();
    cluster.settle().await;
    assert_eq!((play.log().last().unwrap().text.as_str(), ann.arrived(PAGE).unwrap().len()), ("10 0", 10));
}

#[tokio::test(start_paused = true)]
async fn of_a_latest_route_the_newest_push_waits_for_room_in_the_link() {
    let (cluster, ann, _) = filled(&Play::new()).await;
    ann.notify(COUNT, &99).unwrap();
    cluster.settle().await;
    assert_eq!(cluster.snapshot("game-1").await.nodes["game"].pushes_latest, 100);
    cluster.resume("gate-1");
    cluster.settle().await;
    assert_eq!(ann.arrived(SCORE), Ok(vec![99]));
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
}

const ENTER: Call<String, (), Json> = Call::new(1, "enter");
const SAID: Push<String, Json> = Push::new(2, "said");

/// Gates that listen there, and a node that lets clients into channels.
async fn with_channels(listener: &'static str, gates: usize) -> TestCluster {
    let enter = |me: Session, Msg(channel): Msg<String>| me.subscribe(&channel).map_err(Fault::from);
    let app = move || {
        let gate = Gate::new("gate").listen(listener);
        App::new(Drivers::memory()).with(gate).with(Node::new("game").routes(Routes::new().route(ENTER, enter)))
    };
    TestCluster::new(app).gates(gates).nodes(1).start().await
}

/// A room so large that its members are written to at once: what comes behind that waits for its turn, as does the rest of
/// what a member has no room for.
#[tokio::test(start_paused = true)]
async fn a_large_room_hears_all_in_order_and_those_who_read_late_do_too() {
    let cluster = with_channels("memory://?buffer=4KiB&outbox=1MiB", 1).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        let client = cluster.client().await;
        client.call(ENTER, &"hall".to_owned()).await.unwrap();
        clients.push(client);
    }
    clients.iter().step_by(7).for_each(|client| client.read(false));
    let way = cluster.cluster("game-1");
    let said = |i: usize| format!("{i} {}", "x".repeat(100 + i * 7 % 900));
    let mut sent = 0;
    for round in 0..60 {
        // Ticks by themselves, then some with more behind them.
        let more = if round % 20 < 10 { 0 } else { round % 3 };
        let all = (0..=more).map(|n| {
            let (way, text) = (way.clone(), said(sent + n));
            let to = if n == 2 { To::Everyone } else { To::Channel("hall") };
            async move { way.push(to, SAID, &text).await }
        });
        for told in futures_util::future::join_all(all).await {
            assert_eq!(told.unwrap(), Sent { queued: 40, ..Sent::default() });
        }
        sent += 1 + more;
    }
    clients.iter().for_each(|client| client.read(true));
    cluster.settle().await;
    let want: Vec<String> = (0..sent).map(said).collect();
    for client in &clients {
        assert_eq!(client.arrived(SAID).as_ref(), Ok(&want));
    }
}

/// Clients in the channels a, b, both, and a third one; the last pushes are large, so that outboxes get full.
#[tokio::test(start_paused = true)]
async fn pushes_to_channels_that_leave_together_reach_every_member_once_and_in_order() {
    let cluster = with_channels("memory://?outbox=20KiB", 2).await;
    let mut clients = Vec::new();
    for channels in ["a", "b", "ab", "c", "abc", ""].repeat(2) {
        let client = cluster.client().await;
        for channel in channels.chars() {
            client.call(ENTER, &channel.to_string()).await.unwrap();
        }
        clients.push((channels, client));
    }
    let way = cluster.cluster("game-1");
    let said = |i: usize| format!("{i} {}", "x".repeat(if i < 40 { 10 } else { 300 }));
    let channel_of = |i: usize| ["a", "b", "a", "c"][i % 4];
    let pushes = (0..60).map(|i| {
        let way = way.clone();
        async move { way.push(To::Channel(channel_of(i)), SAID, &said(i)).await.unwrap() }
    });
    let mut sent = futures_util::future::join_all(pushes).await;
    cluster.settle().await;
    let mut together = way.to_channels();
    (60..80).for_each(|i| together.push(channel_of(i), SAID, &said(i)).unwrap());
    sent.extend(together.send().await);
    assert_eq!(sent.len(), 80);
    for (i, sent) in sent.iter().enumerate() {
        let members = clients.iter().filter(|(channels, _)| channels.contains(channel_of(i))).count();
        assert_eq!(*sent, Sent { queued: members, ..Sent::default() }, "{i}");
    }
    cluster.settle().await;
    for (channels, client) in &clients {
        let want: Vec<String> = (0..80).filter(|i| channels.contains(channel_of(*i))).map(said).collect();
        assert_eq!(client.arrived(SAID), Ok(want), "{channels}");
    }
    let nobody = way.push(To::Channel("nobody"), SAID, &said(0)).await.unwrap();
    assert_eq!(nobody, Sent::default());
}
