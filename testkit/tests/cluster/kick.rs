//! Two logins of one user at two gates.

use std::time::Duration;

use due_cluster::{Duplicate, Gate};
use due_core::{Kind, Uid};
use due_testkit::cluster::{Client, Ended, TestCluster};

use crate::play::{ADD, LOGIN, Play, WHERE};

fn was_kicked(client: &Client) -> bool {
    matches!(client.ended(), Some(Ended::Kicked(code, _)) if code == Kind::Relogin.code())
}

fn refused<T>(end: Result<T, due_testkit::cluster::CallError>) -> Option<u32> {
    end.err().and_then(|e| e.code())
}

/// Logs a user in twice. Of the kicks some are lost: the store's feed is broken, and for a while the gates hear nothing
/// of each other.
async fn twice(cluster: &TestCluster, uid: i64) {
    let dice = cluster.dice().clone();
    let (first, second) = if dice.one_in(2) { ("gate-1", "gate-2") } else { ("gate-2", "gate-1") };
    let (ann, again) = (cluster.client_at(first).await, cluster.client_at(second).await);
    let before = ann.call(LOGIN, &uid).await.unwrap();
    let cut = dice.one_in(4);
    let apart = ann.call(WHERE, &()).await != again.call(WHERE, &()).await;
    if cut {
        cluster.partition("gate-1", "gate-2");
    }
    assert!(again.call(LOGIN, &uid).await.unwrap() > before);
    cluster.settle().await;
    if cut {
        assert_eq!(ann.ended().is_none(), apart, "user {uid}: a node that sees both logins tells, nobody else can");
        cluster.advance(Duration::from_millis(dice.roll(3_000))).await;
        cluster.heal("gate-1", "gate-2");
        cluster.advance(Duration::from_millis(1_100)).await;
    }
    assert!(
        was_kicked(&ann) && again.ended().is_none(),
        "user {uid}, cut {cut}: {:?} {:?}",
        ann.ended(),
        again.ended()
    );
    assert_eq!(again.call(ADD, &1).await, Ok(2));
}

// proves P8: exactly one survives, the last, within 2 s of the kick's getting through
#[tokio::test(start_paused = true)]
async fn a_thousand_double_logins_at_two_gates_leave_one_session_each() {
    let cluster = Play::new().cluster(false).gates(2).nodes(2).seed(11).start().await;
    cluster.advance(Duration::from_secs(1)).await;
    cluster.locator().break_feeds(true);
    for uid in 1..=1_000 {
        twice(&cluster, uid).await;
    }
    cluster.advance(Duration::from_secs(1)).await;
    assert_eq!(cluster.cluster("game-1").stat().await.unwrap().users, 0);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_died_is_not_kicked_for_ever() {
    let cluster = Play::new().cluster(false).gates(2).nodes(1).start().await;
    let ann = cluster.client_at("gate-1").await;
    ann.call(LOGIN, &7).await.unwrap();
    cluster.kill("gate-1").await;
    let again = cluster.client_at("gate-2").await;
    again.call(LOGIN, &7).await.unwrap();
    cluster.advance(Duration::from_secs(60)).await;
    cluster.restart("gate-1").await;
    let third = cluster.client_at("gate-1").await;
    third.call(LOGIN, &7).await.unwrap();
    cluster.settle().await;
    assert!(was_kicked(&again) && third.ended().is_none());
}

fn rejecting() -> TestCluster {
    let play = Play::new();
    TestCluster::new(move || play.app_with(false, Gate::new("gate").duplicate(Duplicate::RejectNew)))
}

#[tokio::test(start_paused = true)]
async fn where_new_logins_are_rejected_the_earlier_session_stays_until_it_leaves() {
    let cluster = rejecting().gates(2).nodes(1).start().await;
    let ann = cluster.client_at("gate-1").await;
    let epoch = ann.call(LOGIN, &7).await.unwrap();
    assert_eq!(ann.call(LOGIN, &7).await, Ok(epoch), "its own login is none of another");
    for gate in ["gate-1", "gate-2"] {
        let other = cluster.client_at(gate).await;
        assert_eq!(refused(other.call(LOGIN, &7).await), Some(Kind::Duplicate.code()));
        assert_eq!((other.ended(), ann.ended()), (None, None));
        assert_eq!(other.call(ADD, &1).await, Ok(2));
    }
    drop(ann);
    cluster.settle().await;
    let next = cluster.client_at("gate-2").await;
    assert!(next.call(LOGIN, &7).await.unwrap() > epoch);
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_dead_gate_rejects_nobody() {
    let cluster = rejecting().gates(2).nodes(1).start().await;
    let ann = cluster.client_at("gate-1").await;
    ann.call(LOGIN, &7).await.unwrap();
    cluster.kill("gate-1").await;
    let other = cluster.client_at("gate-2").await;
    assert_eq!(refused(other.call(LOGIN, &7).await), Some(Kind::Duplicate.code()), "it may be back in a moment");
    cluster.advance(Duration::from_secs(15)).await;
    other.call(LOGIN, &7).await.unwrap();
}

// semantics 2: old clients reconnect without knowing why they were thrown out
#[tokio::test(start_paused = true)]
async fn two_old_clients_with_one_login_do_not_fight_for_ever() {
    let cluster = Play::new().cluster(false).gates(1).nodes(1).start().await;
    let mut now = cluster.old_client_at("gate-1").await;
    now.call(LOGIN, &7).await.unwrap();
    let mut takeovers = 0;
    for _ in 0..20 {
        let next = cluster.old_client_at("gate-1").await;
        let login = next.send(LOGIN, &7).unwrap().await_within(Duration::from_millis(500)).await;
        if login.is_ok() {
            takeovers += 1;
            now = next;
        }
    }
    assert_eq!((takeovers, now.ended()), (5, None));
    let hello = cluster.client().await;
    hello.call(LOGIN, &7).await.unwrap();
    cluster.settle().await;
    assert!(now.ended().is_some(), "a client that is told to stay away is no danger");
}

#[tokio::test(start_paused = true)]
async fn a_user_whose_gate_is_gone_is_offline() {
    let cluster = Play::new().cluster(false).gates(2).nodes(1).start().await;
    let ann = cluster.client_at("gate-1").await;
    ann.call(LOGIN, &7).await.unwrap();
    let (way, uid) = (cluster.cluster("game-1"), Uid::from(7));
    assert!(way.is_online(&uid).await.unwrap());
    cluster.registry().wipe();
    assert!(way.is_online(&uid).await.unwrap(), "a registry that forgets says nothing of a gate that answers");
    cluster.advance(Duration::from_secs(15)).await;
    cluster.kill("gate-1").await;
    assert!(way.is_online(&uid).await.is_err(), "the registry still lists it");
    cluster.advance(Duration::from_secs(15)).await;
    assert!(!way.is_online(&uid).await.unwrap());
    assert!(!cluster.cluster("gate-2").is_online(&uid).await.unwrap(), "another gate knows it too");
}
