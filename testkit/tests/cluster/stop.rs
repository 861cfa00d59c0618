//! Stopping processes in order.

use std::time::Duration;

use due_core::{Kind, Uid, Url, registry::InstanceKind};
use due_testkit::cluster::{Ended, TestCluster};

use crate::play::{ADD, HELD, LOGIN, PLAY, Play, STAY, WHERE};

async fn listed(cluster: &TestCluster, kind: InstanceKind) -> Vec<String> {
    let registry = cluster.drivers().registry.open(&Url::parse("memory://").unwrap()).await.unwrap();
    let view = registry.watch(kind).await.unwrap().view();
    view.members.iter().map(|m| m.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_stops_says_goodbye_frees_its_users_and_leaves_the_registry() {
    let play = Play::new();
    let cluster = play.cluster(true).gates(2).nodes(1).start().await;
    let (ann, old) = (cluster.client_at("gate-1").await, cluster.old_client_at("gate-1").await);
    let bob = cluster.client_at("gate-2").await;
    ann.call(LOGIN, &7).await.unwrap();
    old.call(LOGIN, &8).await.unwrap();
    assert_eq!(listed(&cluster, InstanceKind::Gate).await, ["gate-1", "gate-2"]);
    cluster.stop("gate-1").await.unwrap();
    assert!(matches!(ann.closed().await, Some(Ended::GoneAway(code, _)) if code == Kind::Draining.code()));
    assert_eq!(old.closed().await, Some(Ended::Closed), "an old client only sees the end");
    assert_eq!(listed(&cluster, InstanceKind::Gate).await, ["gate-2"]);
    cluster.settle().await;
    let way = cluster.cluster("game-1");
    for uid in [7, 8] {
        assert!(!way.is_online(&Uid::from(uid)).await.unwrap());
    }
    assert_eq!(play.log().iter().filter(|l| l.text == "disconnected").count(), 2);
    assert_eq!(bob.call(ADD, &1).await, Ok(2));
    let again = cluster.client().await;
    assert_eq!(again.gate(), "gate-2");
    cluster.restart("gate-1").await;
    assert_eq!(cluster.client_at("gate-1").await.call(ADD, &1).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_leaves_the_registry_and_its_sessions_go_elsewhere() {
    let cluster = Play::new().cluster(false).gates(1).nodes(2).start().await;
    let ann = cluster.client().await;
    let first = ann.call(WHERE, &()).await.unwrap();
    cluster.stop(&format!("game-{first}")).await.unwrap();
    let second = ann.call(WHERE, &()).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(listed(&cluster, InstanceKind::Node).await, [format!("game-{second}")]);
    cluster.restart(&format!("game-{first}")).await;
    cluster.advance(Duration::from_secs(1)).await;
    assert_eq!(listed(&cluster, InstanceKind::Node).await.len(), 2);
}

// semantics 7: every request the gate read is answered before the end
#[tokio::test(start_paused = true)]
async fn a_gate_that_stops_answers_what_it_has_read() {
    let play = Play::new();
    let cluster = play.cluster(false).gates(1).nodes(1).start().await;
    let (ann, old) = (cluster.client().await, cluster.old_client_at("gate-1").await);
    let waiting = [ann.send(HELD, &1).unwrap(), old.send(HELD, &2).unwrap()];
    cluster.settle().await;
    let stop = async { cluster.stop("gate-1").await };
    let open = async {
        cluster.advance(Duration::from_secs(1)).await;
        play.open(2);
    };
    let (stopped, ()) = tokio::join!(stop, open);
    let [first, second] = waiting;
    assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
    stopped.unwrap();
}

// semantics 7: in-flight requests finish
#[tokio::test(start_paused = true)]
async fn a_node_that_stops_finishes_what_it_has_begun() {
    let play = Play::new();
    let cluster = play.cluster(false).gates(1).nodes(2).start().await;
    let ann = cluster.client().await;
    let node = ann.call(WHERE, &()).await.unwrap();
    let waiting = ann.send(HELD, &1).unwrap();
    cluster.settle().await;
    let name = format!("game-{node}");
    let stop = async { cluster.stop(&name).await };
    let open = async {
        cluster.advance(Duration::from_secs(1)).await;
        play.open(1);
    };
    let (stopped, ()) = tokio::join!(stop, open);
    assert_eq!(waiting.await, Ok(1));
    stopped.unwrap();
}

// semantics 7: the ledger; clients leave one after the other, within half of the drain
#[tokio::test(start_paused = true)]
async fn a_gate_that_drains_accounts_for_every_session() {
    let cluster = Play::new().cluster(false).gates(1).nodes(1).start().await;
    let (mut told, mut old) = (Vec::new(), Vec::new());
    for _ in 0..150 {
        told.push(cluster.client_at("gate-1").await);
    }
    for _ in 0..10 {
        old.push(cluster.old_client_at("gate-1").await);
    }
    let stuck = told[7].send(HELD, &1).unwrap();
    let looks = async {
        let mut left = Vec::new();
        for _ in 0..16 {
            cluster.advance(Duration::from_secs(1)).await;
            left.push(told.iter().filter(|c| c.ended().is_none()).count());
        }
        for client in told.iter().filter(|c| c.ended().is_none()).skip(1) {
            assert_eq!(client.call(ADD, &1).await, Ok(2));
        }
        left
    };
    let (drained, left) = tokio::join!(cluster.drain("gate-1"), looks);
    assert!(left.windows(2).all(|w| w[0] >= w[1]) && left[1] > 100 && left[7] > 20, "{left:?}");
    assert_eq!(left.last(), Some(&1), "all but the one that waits for its answer");
    assert_eq!((drained.sessions, drained.moved, drained.finished, drained.cut), (160, 149, 10, 1), "{drained:?}");
    assert!(drained.left.is_empty());
    assert!(stuck.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_lets_its_users_go() {
    let cluster = Play::new().cluster(false).gates(1).nodes(2).start().await;
    let ann = cluster.client().await;
    ann.call(LOGIN, &7).await.unwrap();
    let owner = format!("game-{}", ann.call(STAY, &()).await.unwrap());
    assert_eq!(cluster.drain(&owner).await.released, 1);
    assert_eq!(ann.call(PLAY, &()).await.unwrap_err().code(), Some(Kind::OwnerLost.code()));
    let other = cluster.running().into_iter().find(|name| name.starts_with("game")).unwrap();
    assert!(cluster.cluster(&other).nodes_of(&Uid::from(7)).await.unwrap().is_empty());
    ann.call(STAY, &()).await.unwrap();
    ann.call(PLAY, &()).await.unwrap();
}
