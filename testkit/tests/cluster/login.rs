//! One session per user, whatever gates their logins come to.

use std::time::Duration;

use due_cluster::To;
use due_core::{Kind, Uid};
use due_testkit::cluster::{CallError, Client, Ended, TestCluster};

use crate::play::{ADD, LOGIN, NEWS, Play, SAY, WAIT, WHERE};

fn relogin() -> u32 {
    Kind::Relogin.code()
}

fn was_kicked(client: &Client) -> bool {
    matches!(client.ended(), Some(Ended::Kicked(code, _)) if code == relogin())
}

// proves P8
#[tokio::test(start_paused = true)]
async fn a_login_at_another_gate_ends_the_session_before() {
    let cluster = Play::new().cluster(true).gates(2).nodes(2).start().await;
    let ann = cluster.client_at("gate-1").await;
    let first = ann.call(LOGIN, &7).await.unwrap();
    let again = cluster.client_at("gate-2").await;
    let second = again.call(LOGIN, &7).await.unwrap();
    assert!(second > first);
    assert!(matches!(ann.closed().await, Some(Ended::Kicked(code, _)) if code == relogin()));
    let way = cluster.cluster("game-1");
    assert_eq!(way.gate_of(&Uid::from(7)).await.unwrap().unwrap().id, "gate-2".into());
    assert_eq!(way.push(To::User(Uid::from(7)), NEWS, &5).await.unwrap().queued, 1);
    assert_eq!(again.next(NEWS).await, Ok(5));
    cluster.settle().await;
    assert_eq!(way.stat().await.unwrap().users, 1);
    drop(again);
    cluster.settle().await;
    assert!(!way.is_online(&Uid::from(7)).await.unwrap());
}

/// Three logins of one user at random gates and times, over a locator whose answers and feeds overtake each other. Some
/// clients leave on their own if `leaving`.
async fn race(seed: u64, leaving: bool) {
    let cluster = Play::new().cluster(seed.is_multiple_of(2)).gates(2).nodes(2).seed(seed);
    let cluster = cluster.slow_locator(Duration::from_millis(4)).start().await;
    let dice = cluster.dice().clone();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(cluster.client_at(if dice.one_in(2) { "gate-1" } else { "gate-2" }).await);
    }
    let begun = clients.iter().map(|client| {
        let (wait, leaves) = (Duration::from_micros(dice.roll(9_000)), leaving && dice.one_in(3));
        let stay = Duration::from_micros(dice.roll(12_000));
        async move {
            tokio::time::sleep(wait).await;
            let login = client.send(LOGIN, &7);
            if leaves {
                tokio::time::sleep(stay).await;
                client.hang_up();
            }
            match login {
                Ok(login) => login.await,
                Err(e) => Err(e),
            }
        }
    });
    let epochs = futures_util::future::join_all(begun).await;
    cluster.advance(Duration::from_secs(5)).await;
    judge(seed, &cluster, &clients, &epochs, leaving).await;
}

async fn judge(seed: u64, cluster: &TestCluster, clients: &[Client], epochs: &[Result<u64, CallError>], leaving: bool) {
    let alive: Vec<usize> = (0..clients.len()).filter(|i| clients[*i].ended().is_none()).collect();
    let gates: Vec<_> = clients.iter().map(Client::gate).collect();
    let story = || format!("seed {seed}: alive {alive:?} at {gates:?}, epochs {epochs:?}");
    assert!(alive.len() <= 1, "{}", story());
    let users = cluster.cluster("game-1").stat().await.unwrap().users;
    assert_eq!(users, alive.len() as u64, "{}", story());
    for (i, client) in clients.iter().enumerate().filter(|_| !leaving) {
        assert!(alive.contains(&i) || was_kicked(client), "{}: {:?}", story(), client.ended());
    }
    if let Some(winner) = alive.first() {
        let epoch = epochs[*winner].as_ref().copied().unwrap_or_else(|e| panic!("{}: {e}", story()));
        assert!(epochs.iter().flatten().all(|other| *other <= epoch), "{}", story());
        let holder = cluster.cluster("game-1").gate_of(&Uid::from(7)).await.unwrap();
        assert_eq!(holder.map(|o| o.id), Some(clients[*winner].gate().into()), "{}", story());
        assert_eq!(clients[*winner].call(ADD, &1).await, Ok(2));
    }
    assert!(leaving || alive.len() == 1, "{}", story());
}

// proves P8
#[tokio::test(start_paused = true)]
async fn racing_logins_at_two_gates_leave_exactly_the_last_one() {
    for seed in 0..300 {
        race(seed, false).await;
    }
}

// proves P8
#[tokio::test(start_paused = true)]
async fn racing_logins_of_clients_that_leave_never_leave_two() {
    for seed in 1_000..1_300 {
        race(seed, true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_locator_that_is_down_refuses_logins_and_leaves_sessions_alone() {
    let cluster = Play::new().cluster(false).gates(2).start().await;
    let (ann, bob) = (cluster.client().await, cluster.client().await);
    ann.call(LOGIN, &7).await.unwrap();
    cluster.locator().unavailable(true);
    assert_eq!(bob.call(LOGIN, &7).await.unwrap_err().code(), Some(Kind::Unavailable.code()));
    assert!(cluster.cluster("game-1").is_online(&Uid::from(7)).await.is_err(), "not known is not offline");
    assert_eq!((ann.call(ADD, &1).await, bob.call(ADD, &1).await), (Ok(2), Ok(2)));
    cluster.locator().unavailable(false);
    bob.call(LOGIN, &7).await.unwrap();
    assert!(matches!(ann.closed().await, Some(Ended::Kicked(code, _)) if code == relogin()));
}

/// A client of the second gate whose node is not that of the first client.
async fn elsewhere(cluster: &TestCluster, first: &Client) -> Client {
    let node = first.call(WHERE, &()).await.unwrap();
    loop {
        let other = cluster.client_at("gate-2").await;
        if other.call(WHERE, &()).await.unwrap() != node {
            return other;
        }
    }
}

/// Two gates that do not hear of each other's logins.
async fn deaf_gates(play: &Play, nodes: usize) -> TestCluster {
    let cluster = play.cluster(false).gates(2).nodes(nodes).start().await;
    cluster.locator().break_feeds(true);
    cluster.partition("gate-1", "gate-2");
    cluster
}

// semantics 2: nodes that saw the later login answer `Stale` to the earlier session, and its gate closes it
#[tokio::test(start_paused = true)]
async fn a_node_that_sees_a_later_login_ends_the_session_before() {
    let cluster = deaf_gates(&Play::new(), 1).await;
    let (ann, bob) = (cluster.client_at("gate-1").await, cluster.client_at("gate-2").await);
    ann.call(LOGIN, &7).await.unwrap();
    bob.call(LOGIN, &7).await.unwrap();
    cluster.settle().await;
    assert!(was_kicked(&ann) && bob.ended().is_none());
    assert_eq!(bob.call(ADD, &1).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn what_a_session_sent_before_its_gate_knows_of_the_later_login_is_not_handled() {
    let play = Play::new();
    let cluster = deaf_gates(&play, 1).await;
    let (ann, bob) = (cluster.client_at("gate-1").await, cluster.client_at("gate-2").await);
    ann.call(LOGIN, &7).await.unwrap();
    ann.notify(WAIT, &7).unwrap();
    ann.notify(SAY, &1).unwrap();
    cluster.settle().await;
    cluster.partition("gate-1", "game-1");
    ann.notify(SAY, &2).unwrap();
    let asked = ann.send(ADD, &1).unwrap();
    bob.call(LOGIN, &7).await.unwrap();
    cluster.heal("gate-1", "game-1");
    play.open(1);
    assert!(asked.await.is_err());
    assert!(matches!(ann.closed().await, Some(Ended::Kicked(code, _)) if code == relogin()));
    cluster.settle().await;
    let said: Vec<String> = play.log().into_iter().map(|line| line.text).collect();
    assert_eq!(said, ["7"], "only what had begun before");
}

// proves P8: an earlier login that reaches the node later is refused all the same
#[tokio::test(start_paused = true)]
async fn a_lane_of_an_earlier_login_that_is_opened_late_is_no_way_in() {
    let cluster = deaf_gates(&Play::new(), 2).await;
    let ann = cluster.client_at("gate-1").await;
    ann.call(LOGIN, &7).await.unwrap();
    let bob = elsewhere(&cluster, &ann).await;
    bob.call(LOGIN, &7).await.unwrap();
    cluster.settle().await;
    assert_eq!((ann.ended(), bob.ended()), (None, None), "nobody told gate-1");
    let node = format!("game-{}", ann.call(WHERE, &()).await.unwrap());
    cluster.kill(&node).await;
    cluster.advance(Duration::from_secs(8)).await;
    assert!(ann.call(ADD, &1).await.is_err(), "the only node left knows better");
    cluster.settle().await;
    assert!(was_kicked(&ann) && bob.ended().is_none());
}

// semantics 1: a lost feed is healed by a check, at the latest after one sweep
#[tokio::test(start_paused = true)]
async fn two_sessions_that_a_broken_feed_left_alive_become_one() {
    for notice in [true, false] {
        let cluster = Play::new().cluster(false).gates(2).nodes(2).start().await;
        let ann = cluster.client_at("gate-1").await;
        ann.call(LOGIN, &7).await.unwrap();
        let bob = elsewhere(&cluster, &ann).await;
        cluster.locator().break_feeds(true);
        cluster.partition("gate-1", "gate-2");
        bob.call(LOGIN, &7).await.unwrap();
        cluster.settle().await;
        assert_eq!((ann.ended(), bob.ended()), (None, None), "nobody told gate-1");
        if notice {
            cluster.locator().break_feeds(false);
            cluster.settle().await;
        } else {
            cluster.advance(Duration::from_secs(20)).await;
        }
        assert!(was_kicked(&ann) && bob.ended().is_none(), "{:?} {:?}", ann.ended(), bob.ended());
    }
}

#[tokio::test(start_paused = true)]
async fn a_locator_that_lost_everything_learns_it_anew() {
    let cluster = Play::new().cluster(false).gates(2).start().await;
    let mut clients = Vec::new();
    for uid in 1..=50 {
        let client = cluster.client().await;
        client.call(LOGIN, &uid).await.unwrap();
        clients.push(client);
    }
    cluster.locator().wipe();
    cluster.settle().await;
    let way = cluster.cluster("game-1");
    for uid in 1..=50 {
        assert!(way.is_online(&Uid::from(uid)).await.unwrap());
    }
    let again = cluster.client_at("gate-1").await;
    again.call(LOGIN, &2).await.unwrap();
    cluster.settle().await;
    assert_eq!(clients.iter().filter(|c| was_kicked(c)).count(), 1);
    assert!(was_kicked(&clients[1]));
}

/// A failover gives an epoch twice: two sessions, one number.
#[tokio::test(start_paused = true)]
async fn two_sessions_of_one_epoch_become_one() {
    let cluster = Play::new().cluster(false).gates(2).start().await;
    let (ann, bob) = (cluster.client_at("gate-1").await, cluster.client_at("gate-2").await);
    cluster.locator().break_feeds(true);
    let first = ann.call(LOGIN, &7).await.unwrap();
    cluster.locator().fail_over(1);
    let second = bob.call(LOGIN, &7).await.unwrap();
    assert_eq!(first, second);
    cluster.locator().break_feeds(false);
    cluster.advance(Duration::from_secs(40)).await;
    let alive: Vec<_> = [&ann, &bob].into_iter().filter(|c| c.ended().is_none()).collect();
    assert_eq!(alive.len(), 1);
    let holder = cluster.cluster("game-1").gate_of(&Uid::from(7)).await.unwrap().unwrap();
    assert_eq!(holder.id, alive[0].gate().into());
    assert_eq!(cluster.cluster("game-1").stat().await.unwrap().users, 1);
}
