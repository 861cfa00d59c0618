//! Nodes and the users that are bound to them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use due_cluster::{Gate, Node};
use due_core::{
    Epoch, Kind, SessionId, Uid,
    locate::{Claim, Place, Subject},
};
use due_testkit::cluster::TestCluster;

use crate::play::{LOGIN, PLAY, Play, STAY};

#[tokio::test(start_paused = true)]
async fn a_user_of_a_dead_node_is_told_so_also_by_its_next_connection() {
    let cluster = Play::new().cluster(false).gates(2).nodes(2).start().await;
    let ann = cluster.client_at("gate-1").await;
    ann.call(LOGIN, &7).await.unwrap();
    let owner = ann.call(STAY, &()).await.unwrap();
    cluster.kill(&format!("game-{owner}")).await;
    cluster.advance(Duration::from_secs(20)).await;
    cluster.stop("gate-2").await.unwrap();
    cluster.restart("gate-2").await;
    // One gate knew the node, the other is new.
    for gate in ["gate-1", "gate-2"] {
        let again = cluster.client_at(gate).await;
        again.call(LOGIN, &7).await.unwrap();
        assert_eq!(again.call(PLAY, &()).await.unwrap_err().code(), Some(Kind::OwnerLost.code()), "{gate}");
    }
    let again = cluster.client_at("gate-2").await;
    again.call(LOGIN, &7).await.unwrap();
    let other = again.call(STAY, &()).await.unwrap();
    assert_eq!(again.call(PLAY, &()).await, Ok(other));
}

type Told = Arc<Mutex<Vec<Uid>>>;

fn watched(told: &Told) -> TestCluster {
    let (play, told) = (Play::new(), told.clone());
    TestCluster::new(move || {
        let told = told.clone();
        let fenced = move |_, uid| {
            told.lock().unwrap().push(uid);
            std::future::ready(())
        };
        play.app_of(false, Gate::new("gate"), |node: Node| node.fenced(fenced.clone()))
    })
}

/// Somebody else gets the user's slot.
async fn taken_over(cluster: &TestCluster, uid: i64) -> Epoch {
    let owner = due_core::Owner { id: "game-9".into(), incarnation: due_core::Incarnation(9) };
    let claim = Claim { owner, session: SessionId(9), floor: Epoch(0) };
    let way = cluster.cluster("game-1");
    way.locator().take(Subject::from(Uid::from(uid)), Place::node("game"), claim).await.unwrap().epoch
}

#[tokio::test(start_paused = true)]
async fn a_node_learns_that_its_user_is_another_nodes_by_the_feed_or_by_asking() {
    for feed in [true, false] {
        let told = Told::default();
        let cluster = watched(&told).nodes(1).start().await;
        let ann = cluster.client().await;
        ann.call(LOGIN, &7).await.unwrap();
        ann.call(STAY, &()).await.unwrap();
        cluster.advance(Duration::from_secs(40)).await;
        assert!(told.lock().unwrap().is_empty());
        cluster.locator().break_feeds(!feed);
        taken_over(&cluster, 7).await;
        cluster.settle().await;
        assert_eq!(told.lock().unwrap().len(), usize::from(feed));
        cluster.advance(Duration::from_secs(20)).await;
        assert_eq!(*told.lock().unwrap(), [Uid::from(7)], "once, whichever way");
    }
}

// semantics 1: a login tells the nodes it talks to who owns the user, feed or not
#[tokio::test(start_paused = true)]
async fn a_node_learns_from_the_users_next_login_that_it_was_taken_over() {
    let told = Told::default();
    let cluster = watched(&told).gates(2).nodes(1).start().await;
    let ann = cluster.client_at("gate-1").await;
    ann.call(LOGIN, &7).await.unwrap();
    ann.call(STAY, &()).await.unwrap();
    cluster.locator().break_feeds(true);
    taken_over(&cluster, 7).await;
    let again = cluster.client_at("gate-2").await;
    again.call(LOGIN, &7).await.unwrap();
    cluster.settle().await;
    assert_eq!(*told.lock().unwrap(), [Uid::from(7)]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_a_binding_learns_it_from_its_node() {
    let told = Told::default();
    let cluster = watched(&told).nodes(1).start().await;
    let ann = cluster.client().await;
    ann.call(LOGIN, &7).await.unwrap();
    ann.call(STAY, &()).await.unwrap();
    cluster.locator().wipe();
    cluster.advance(Duration::from_secs(20)).await;
    let nodes = cluster.cluster("game-1").nodes_of(&Uid::from(7)).await.unwrap();
    assert_eq!(nodes["game"].id, "game-1".into());
    assert!(told.lock().unwrap().is_empty());
}
