//! Stopping processes in order.

use std::time::Duration;

use due_core::{Kind, Uid, Url, registry::InstanceKind};
use due_testkit::cluster::{Ended, TestCluster};

use crate::play::{ADD, HELD, LOGIN, Play, WHERE};

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
