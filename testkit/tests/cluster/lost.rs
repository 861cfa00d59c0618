//! What clients are told of messages that died with a node.

use std::time::Duration;

use due_cluster::Gate;
use due_core::Kind;
use due_testkit::cluster::{Client, Ended, TestCluster};

use crate::play::{ADD, Play, SAY, WAIT};

/// The counts of the notices that messages were lost; no other notice came.
fn lost(client: &Client) -> Vec<u64> {
    let count = |(code, text): (u32, String)| {
        assert_eq!(code, Kind::Lost.code(), "{text}");
        text.split(' ').next().unwrap().parse().unwrap()
    };
    client.notices().into_iter().map(count).collect()
}

// proves P5: what is lost with a node is counted, and nothing else
#[tokio::test(start_paused = true)]
async fn a_hello_client_learns_how_many_notifies_died_with_their_node() {
    for by_reset in [false, true] {
        let play = Play::new();
        let cluster = play.cluster(false).nodes(1).start().await;
        let (ann, bob) = (cluster.client().await, cluster.client().await);
        for n in 0..10 {
            ann.notify(SAY, &n).unwrap();
            bob.notify(SAY, &n).unwrap();
            assert_eq!(ann.call(ADD, &n).await, Ok(n + 1));
        }
        cluster.advance(Duration::from_secs(1)).await;
        (0..7).for_each(|n| ann.notify(WAIT, &n).unwrap());
        let waiting = ann.send(ADD, &1).unwrap();
        cluster.settle().await;
        match by_reset {
            true => cluster.reset("gate-1", "game-1"),
            false => cluster.kill("game-1").await,
        }
        assert_eq!(waiting.await.unwrap_err().code(), Some(Kind::OwnerLost.code()), "it may have been handled");
        cluster.settle().await;
        assert_eq!((lost(&ann), lost(&bob)), (vec![7], vec![]), "only what was under way");
        assert_eq!((ann.ended(), bob.ended(), ann.strays()), (None, None, 0));
    }
}

async fn old_client(gate: &'static str) -> (Play, TestCluster, Client) {
    let play = Play::new();
    let app = play.clone();
    let cluster = TestCluster::new(move || app.app_with(false, Gate::new("gate").listen(gate)));
    let cluster = cluster.nodes(1).start().await;
    let ann = cluster.old_client_at("gate-1").await;
    ann.notify(SAY, &1).unwrap();
    cluster.advance(Duration::from_secs(1)).await;
    (play, cluster, ann)
}

#[tokio::test(start_paused = true)]
async fn an_old_client_whose_notifies_died_is_closed_so_that_it_learns_of_it() {
    let (_play, cluster, ann) = old_client("memory://gate").await;
    ann.notify(WAIT, &2).unwrap();
    cluster.settle().await;
    cluster.kill("game-1").await;
    assert_eq!(ann.closed().await, Some(Ended::Closed));
}

#[tokio::test(start_paused = true)]
async fn an_old_client_whose_notifies_were_all_handled_stays() {
    let (_play, cluster, ann) = old_client("memory://gate").await;
    cluster.kill("game-1").await;
    cluster.advance(Duration::from_secs(5)).await;
    assert_eq!(ann.ended(), None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_listener_keeps_old_clients_as_due_does() {
    let (play, cluster, ann) = old_client("memory://gate?on-lost=silent").await;
    ann.notify(WAIT, &2).unwrap();
    cluster.settle().await;
    cluster.kill("game-1").await;
    cluster.restart("game-1").await;
    cluster.advance(Duration::from_secs(5)).await;
    assert_eq!(ann.ended(), None);
    play.open(1);
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
}
