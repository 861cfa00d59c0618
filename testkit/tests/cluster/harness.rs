//! The cluster of the testkit does what it says.

use std::time::Duration;

use due_cluster::{
    App, Gate, Node, Refusal,
    handler::{Msg, Routes},
};
use due_codec::Json;
use due_core::{Call, Code, Drivers};
use due_testkit::cluster::{CallError, Ended, TestCluster};

use crate::play::{ADD, HELD, Play, WHERE};

const TWICE: Call<u64, u64, Json> = Call::new(70_000, "twice");
const CLOSED_TODAY: Code = Code::new(1001, "closed today");

#[tokio::test(start_paused = true)]
async fn every_part_has_its_instances_and_listeners_keep_their_dialect() {
    let cluster = TestCluster::new(|| {
        App::new(Drivers::memory())
            .with(Gate::new("gate").listen("tcp://127.0.0.1:1?route-bytes=4&seq-bytes=1&heartbeat=1s"))
            .with(Node::new("game"))
            .with(Node::new("chat").routes(Routes::new().route(TWICE, |Msg(n): Msg<u64>| 2 * n)))
    });
    let cluster = cluster.gates(2).nodes(2).start().await;
    assert_eq!(cluster.running(), ["chat-1", "chat-2", "game-1", "game-2", "gate-1", "gate-2"]);
    let ann = cluster.client().await;
    for n in 0..300 {
        assert_eq!(ann.call(TWICE, &n).await, Ok(2 * n), "one byte of numbers is used again");
    }
    cluster.advance(Duration::from_secs(100)).await;
    assert_eq!((ann.ended(), ann.strays()), (None, 0), "it sends heartbeats as often as the listener wants");
    assert_eq!((ann.gate(), cluster.client().await.gate()), ("gate-1", "gate-2"), "clients go to the gates in turn");
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_silence_and_heals_in_order() {
    let cluster = Play::new().cluster(false).gates(2).nodes(1).start().await;
    let (ann, bob) = (cluster.client_at("gate-1").await, cluster.client_at("gate-2").await);
    cluster.partition("gate-1", "game-1");
    let answers: Vec<_> = (0..10).map(|n| ann.send(ADD, &n).unwrap()).collect();
    assert_eq!(bob.call(ADD, &1).await, Ok(2));
    cluster.advance(Duration::from_secs(5)).await;
    assert!(answers.iter().all(|a| !a.is_here()));
    cluster.heal("gate-1", "game-1");
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await, Ok(n as u64 + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn calls_end_in_time_and_late_answers_are_known_as_such() {
    let play = Play::new();
    let cluster = play.cluster(false).start().await;
    let ann = cluster.client().await;
    let held = ann.send(HELD, &1).unwrap();
    assert_eq!(held.await_within(Duration::from_secs(2)).await, Err(CallError::Timeout));
    play.open(1);
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
    cluster.kill("gate-1").await;
    assert!(matches!(ann.closed().await, Some(Ended::Closed | Ended::Broke(_))));
    assert!(matches!(ann.call(ADD, &1).await, Err(CallError::Closed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_refused_hello_is_known_by_its_code_and_an_old_client_says_none() {
    let cluster = TestCluster::new(|| {
        let judge = |a: &due_cluster::Arrival<'_>| match a.hello.is_some_and(|h| h["token"] == "good") {
            true => Ok(due_cluster::Admission::new()),
            false => Err(Refusal(CLOSED_TODAY)),
        };
        let routes = Routes::new().route(ADD, |Msg(n): Msg<u64>| n + 1);
        App::new(Drivers::memory()).with(Gate::new("gate").on_hello(judge)).with(Node::new("game").routes(routes))
    });
    let cluster = cluster.start().await;
    let good = cluster.client_with("gate-1", serde_json::json!({"token": "good"})).await;
    assert_eq!(good.call(ADD, &1).await, Ok(2));
    let bad = cluster.client().await;
    assert_eq!(bad.closed().await, Some(Ended::Kicked(1001, "closed today".to_owned())));
    let old = cluster.old_client_at("gate-1").await;
    assert_eq!(old.call(ADD, &1).await, Ok(2));
    let refused = old.send(WHERE, &()).unwrap();
    assert_eq!(refused.await_within(Duration::from_secs(5)).await, Err(CallError::Timeout), "no route: silence");
}
