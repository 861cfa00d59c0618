//! What nodes hear of sessions, across links.

use std::{collections::BTreeSet, time::Duration};

use due_testkit::cluster::CallError;

use crate::play::{ADD, LOGIN, Play, SAY, WHERE};

// conformance 49, 50: the events of a session stand in order with its messages
#[tokio::test(start_paused = true)]
async fn each_session_is_connected_then_bound_then_heard_then_disconnected() {
    let play = Play::new();
    let cluster = play.cluster(true).gates(2).nodes(1).seed(3).start().await;
    let mut clients = Vec::new();
    for uid in 1..=300 {
        let ann = cluster.client().await;
        ann.notify(SAY, &1).unwrap();
        let login = ann.send(LOGIN, &uid).unwrap();
        ann.notify(SAY, &2).unwrap();
        clients.push((ann, login));
    }
    for (ann, login) in &mut clients {
        login.await.unwrap();
        ann.notify(SAY, &3).unwrap();
    }
    cluster.settle().await;
    cluster.dice().shuffle(&mut clients);
    drop(clients);
    cluster.settle().await;
    let told = play.by_session();
    assert_eq!(told.len(), 300);
    for (session, lines) in told {
        assert_eq!((lines.len(), lines[0].as_str(), lines[1].as_str()), (6, "connected", "1"), "{session}: {lines:?}");
        let at = |text: &str| lines.iter().position(|l| l == text);
        let bound = lines.iter().position(|l| l.starts_with("bound ")).unwrap();
        assert!(at("2") < at("3") && Some(bound) < at("3"), "{session}: {lines:?}");
        assert_eq!(at("disconnected"), Some(5));
    }
}

#[tokio::test(start_paused = true)]
async fn every_node_with_events_hears_of_every_session_once() {
    let play = Play::new();
    let cluster = play.cluster(true).gates(2).nodes(3).start().await;
    for _ in 0..20 {
        let ann = cluster.client().await;
        ann.call(WHERE, &()).await.unwrap();
    }
    cluster.settle().await;
    let mut told = BTreeSet::new();
    for line in play.log() {
        assert!(told.insert((line.session, line.process, line.text.clone())), "twice: {line:?}");
    }
    assert_eq!(told.len(), 20 * 3 * 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_gate_disconnects_its_sessions_on_the_nodes_and_only_these() {
    let play = Play::new();
    let cluster = play.cluster(true).gates(2).nodes(2).start().await;
    let gone = [cluster.client_at("gate-1").await, cluster.client_at("gate-1").await];
    let stays = cluster.client_at("gate-2").await;
    for ann in &gone {
        ann.notify(SAY, &1).unwrap();
    }
    stays.notify(SAY, &1).unwrap();
    cluster.settle().await;
    cluster.kill("gate-1").await;
    cluster.settle().await;
    for ann in &gone {
        assert!(ann.closed().await.is_some());
    }
    let ends: Vec<_> = play.log().into_iter().filter(|l| l.text == "disconnected").collect();
    let sessions: BTreeSet<_> = ends.iter().map(|l| l.session).collect();
    assert_eq!((ends.len(), sessions.len()), (4, 2), "two sessions, each on two nodes");
    for node in ["game-1", "game-2"] {
        assert_eq!(cluster.snapshot(node).await.sessions.get("game"), Some(&1));
    }
    assert_eq!(stays.call(ADD, &1).await, Ok(2));
}

// A lane to a node with events is open before the client says hello.
#[tokio::test(start_paused = true)]
async fn a_hello_client_has_its_rights_on_a_node_with_events() {
    let cluster = Play::new().cluster(true).start().await;
    let ann = cluster.client().await;
    assert_eq!(ann.confirmed(SAY, &1).await, Ok(()), "a notify with a number is answered empty");
    assert_eq!(ann.call(LOGIN, &-5).await.unwrap_err().code(), Some(due_core::Kind::BadRequest.code()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_while_a_link_is_broken_is_served_when_it_is_back() {
    let play = Play::new();
    let cluster = play.cluster(true).nodes(1).start().await;
    cluster.links().refuse(&"game-1".into());
    cluster.reset("gate-1", "game-1");
    cluster.settle().await;
    let ann = cluster.client().await;
    assert!(matches!(ann.call(ADD, &1).await, Err(CallError::Refused(..))));
    cluster.links().welcome(&"game-1".into());
    cluster.advance(Duration::from_secs(11)).await;
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
    drop(ann);
    cluster.settle().await;
    let lines = play.by_session().into_values().collect::<Vec<_>>();
    assert_eq!(lines, [["connected", "disconnected"]]);
}

// semantics 4: a member that the registry lost is harmless as long as its link lives
#[tokio::test(start_paused = true)]
async fn a_registry_that_forgets_nodes_harms_no_session() {
    let play = Play::new();
    let cluster = play.cluster(true).nodes(2).start().await;
    let ann = cluster.client().await;
    let node = ann.call(WHERE, &()).await.unwrap();
    for wiped in [true, false] {
        match wiped {
            true => cluster.registry().wipe(),
            false => ["node/game-1", "node/game-2"].iter().for_each(|key| cluster.registry().lose_lease(key)),
        }
        for _ in 0..30 {
            assert_eq!(ann.call(WHERE, &()).await, Ok(node));
            cluster.advance(Duration::from_millis(500)).await;
        }
        let bob = cluster.client().await;
        assert!(bob.call(WHERE, &()).await.is_ok());
    }
    let ends = play.log().into_iter().filter(|l| l.text == "disconnected").count();
    assert_eq!(ends, 2, "only the clients of bob's kind have left, each once on each node: {:?}", play.log());
}
