//! Nodes that die, hang and come back.

use std::time::Duration;

use due_core::{Kind, registry::State};
use due_testkit::cluster::{CallError, Ended};

use crate::play::{ADD, HELD, HELD_PLAY, LOGIN, PLAY, Play, STAY, STAY_LATER, WHERE};

fn refused<T>(result: Result<T, CallError>) -> Option<u32> {
    result.err().and_then(|e| e.code())
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_replaced_for_stateless_routes() {
    let cluster = Play::new().cluster(false).gates(2).nodes(3).start().await;
    for _ in 0..6 {
        let ann = cluster.client().await;
        let first = ann.call(WHERE, &()).await.unwrap();
        assert_eq!(ann.call(WHERE, &()).await, Ok(first), "a session stays where it was");
        if cluster.running().len() > 3 {
            cluster.kill(&format!("game-{first}")).await;
        }
        let second = ann.call(WHERE, &()).await.unwrap();
        assert_eq!(ann.call(WHERE, &()).await, Ok(second));
        assert!(cluster.running().contains(&format!("game-{second}")));
    }
}

// proves P2: a request whose node dies is answered once
#[tokio::test(start_paused = true)]
async fn a_request_in_flight_is_answered_once_when_its_node_dies() {
    let play = Play::new();
    let cluster = play.cluster(false).nodes(2).start().await;
    let ann = cluster.client().await;
    let first = ann.call(WHERE, &()).await.unwrap();
    let waiting: Vec<_> = (0..50).map(|n| ann.send(HELD, &n).unwrap()).collect();
    cluster.settle().await;
    cluster.kill(&format!("game-{first}")).await;
    for answer in waiting {
        assert_eq!(refused(answer.await), Some(Kind::OwnerLost.code()), "it may have been handled: never a safe code");
    }
    play.open(100);
    assert_eq!(ann.call(HELD, &7).await, Ok(7), "the other node serves");
    cluster.advance(Duration::from_secs(60)).await;
    assert_eq!((ann.strays(), ann.ended()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn an_old_client_is_closed_when_its_answer_is_lost_and_stays_when_none_is() {
    let cluster = Play::new().cluster(false).nodes(1).start().await;
    let (ann, bob) = (cluster.old_client_at("gate-1").await, cluster.old_client_at("gate-1").await);
    let waiting = ann.send(HELD, &1).unwrap();
    assert_eq!(bob.call(WHERE, &()).await, Ok(1));
    cluster.kill("game-1").await;
    assert_eq!(waiting.await, Err(CallError::Closed(Ended::Closed)));
    cluster.restart("game-1").await;
    cluster.advance(Duration::from_secs(1)).await;
    assert!(bob.call(WHERE, &()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stateful_route_says_that_its_owner_is_lost_until_the_user_is_bound_anew() {
    let play = Play::new();
    let cluster = play.cluster(false).nodes(2).start().await;
    let ann = cluster.client().await;
    ann.call(LOGIN, &7).await.unwrap();
    let owner = ann.call(STAY, &()).await.unwrap();
    assert_eq!(ann.call(PLAY, &()).await, Ok(owner));
    let waiting = ann.send(HELD_PLAY, &1).unwrap();
    cluster.settle().await;
    cluster.kill(&format!("game-{owner}")).await;
    let lost = refused(waiting.await);
    assert_eq!(lost, Some(Kind::OwnerLost.code()));
    for _ in 0..3 {
        assert_eq!(refused(ann.call(PLAY, &()).await), Some(Kind::OwnerLost.code()));
    }
    let other = ann.call(STAY, &()).await.unwrap();
    assert_ne!(other, owner);
    assert_eq!(ann.call(PLAY, &()).await, Ok(other));
    assert_eq!(ann.strays(), 0);
}

// semantics 7: bound users are served in hang, new ones go elsewhere
#[tokio::test(start_paused = true)]
async fn a_hanging_node_serves_its_bound_users_and_gets_no_new_ones() {
    let cluster = Play::new().cluster(false).gates(2).nodes(3).start().await;
    let ann = cluster.client().await;
    ann.call(LOGIN, &7).await.unwrap();
    let owner = ann.call(STAY, &()).await.unwrap();
    cluster.announce(&format!("game-{owner}"), State::Hang).await.unwrap();
    cluster.advance(Duration::from_secs(1)).await;
    for _ in 0..40 {
        let bob = cluster.client().await;
        assert_ne!(bob.call(WHERE, &()).await.unwrap(), owner);
        assert_eq!(ann.call(PLAY, &()).await, Ok(owner));
    }
    let again = cluster.client_at("gate-2").await;
    again.call(LOGIN, &7).await.unwrap();
    assert_eq!(again.call(PLAY, &()).await, Ok(owner), "the user's next connection finds its node too");
    cluster.announce(&format!("game-{owner}"), State::Work).await.unwrap();
    cluster.advance(Duration::from_secs(1)).await;
    let mut seen = false;
    for _ in 0..60 {
        seen |= cluster.client().await.call(WHERE, &()).await == Ok(owner);
    }
    assert!(seen, "a node that works again gets users again");
}

// A gate keeps the way of each client's last message.
#[tokio::test(start_paused = true)]
async fn the_next_message_follows_what_has_changed_since_the_last_one() {
    let play = Play::new();
    let cluster = play.cluster(false).nodes(2).start().await;
    let ann = cluster.client().await;
    ann.call(LOGIN, &7).await.unwrap();
    let first = ann.call(STAY, &()).await.unwrap();
    assert_eq!((ann.call(WHERE, &()).await, ann.call(WHERE, &()).await), (Ok(first), Ok(first)));
    cluster.announce(&format!("game-{first}"), State::Hang).await.unwrap();
    cluster.advance(Duration::from_secs(1)).await;
    let second = ann.call(WHERE, &()).await.unwrap();
    assert_ne!(second, first, "nobody stays with a node that hangs");
    assert_eq!((ann.call(PLAY, &()).await, ann.call(PLAY, &()).await), (Ok(first), Ok(first)), "but for the bound");
    let bound = ann.send(STAY_LATER, &()).unwrap();
    assert_eq!((ann.call(PLAY, &()).await, ann.call(PLAY, &()).await), (Ok(first), Ok(first)), "not yet");
    play.open(1);
    assert_eq!(bound.await, Ok(second));
    assert_eq!(ann.call(PLAY, &()).await, Ok(second), "the user has moved");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_under_its_id_gets_traffic_again() {
    let cluster = Play::new().cluster(false).gates(2).nodes(1).start().await;
    let (ann, bob) = (cluster.client().await, cluster.client().await);
    ann.call(LOGIN, &7).await.unwrap();
    ann.call(STAY, &()).await.unwrap();
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
    for _ in 0..3 {
        cluster.kill("game-1").await;
        assert!(ann.call(ADD, &1).await.is_err());
        cluster.restart("game-1").await;
        cluster.advance(Duration::from_secs(1)).await;
        assert_eq!(ann.call(ADD, &1).await, Ok(2));
        assert_eq!(bob.call(ADD, &1).await, Ok(2));
        // Its user was bound to the life before.
        assert_eq!(refused(ann.call(PLAY, &()).await), Some(Kind::OwnerLost.code()));
        ann.call(STAY, &()).await.unwrap();
        assert!(ann.call(PLAY, &()).await.is_ok());
    }
    assert_eq!((ann.strays(), bob.strays()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn broken_links_come_back_and_each_request_has_one_answer() {
    let play = Play::new();
    let cluster = play.cluster(false).nodes(1).start().await;
    let ann = cluster.client().await;
    play.open(1_000_000);
    let mut answers = Vec::new();
    for round in 0..20_u64 {
        answers.extend((0..50).map(|n| ann.send(HELD, &(round * 50 + n)).unwrap()));
        cluster.advance(Duration::from_micros(cluster.dice().roll(2_000))).await;
        cluster.reset("gate-1", "game-1");
        cluster.advance(Duration::from_millis(cluster.dice().roll(400))).await;
    }
    cluster.advance(Duration::from_secs(2)).await;
    let mut answered = 0;
    for (n, answer) in answers.into_iter().enumerate() {
        match answer.await {
            Ok(got) => {
                answered += 1;
                assert_eq!(got, n as u64);
            }
            Err(CallError::Refused(..)) => {}
            Err(e) => panic!("request {n}: {e}"),
        }
    }
    assert!(answered > 0);
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
    assert_eq!(ann.strays(), 0);
}

#[tokio::test(start_paused = true)]
async fn routes_whose_last_node_has_died_are_unavailable_not_unknown() {
    let cluster = Play::new().cluster(false).nodes(1).start().await;
    let ann = cluster.client().await;
    cluster.kill("game-1").await;
    for _ in 0..20 {
        assert_eq!(refused(ann.call(ADD, &1).await), Some(Kind::Unavailable.code()));
        cluster.advance(Duration::from_secs(1)).await;
    }
    let later = cluster.client().await;
    assert_eq!(refused(later.call(ADD, &1).await), Some(Kind::Unavailable.code()));
}

// semantics 7: a rolling restart of all nodes loses no request
#[tokio::test(start_paused = true)]
async fn nodes_restarted_one_after_the_other_lose_no_request() {
    let play = Play::new();
    let cluster = play.cluster(false).gates(2).nodes(3).start().await;
    let mut clients = Vec::new();
    for _ in 0..30 {
        clients.push(cluster.client().await);
    }
    play.open(1_000_000);
    let playing = futures_util::future::join_all(clients.iter().map(|client| async move {
        for n in 0..2_000 {
            assert_eq!(client.call(HELD, &n).await, Ok(n));
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    }));
    let rolling = async {
        for node in ["game-1", "game-2", "game-3"] {
            cluster.stop(node).await.unwrap();
            cluster.restart(node).await;
            cluster.advance(Duration::from_secs(1)).await;
        }
    };
    tokio::join!(playing, rolling);
    assert!(clients.iter().all(|c| c.strays() == 0));
}

// A node process that stands still answers nothing, and nothing breaks either.
#[tokio::test(start_paused = true)]
async fn a_request_that_its_node_never_answers_ends_at_the_gate() {
    let play = Play::new();
    let cluster = play.cluster(false).nodes(1).start().await;
    let (ann, old) = (cluster.client().await, cluster.old_client_at("gate-1").await);
    assert_eq!((ann.call(ADD, &1).await, old.call(ADD, &1).await), (Ok(2), Ok(2)));
    cluster.stall("game-1");
    let (first, second) = (ann.send(ADD, &1).unwrap(), old.send(ADD, &1).unwrap());
    cluster.advance(Duration::from_secs(33)).await;
    assert!(!first.is_here() && !second.is_here(), "the node's own word has 30 s and some more");
    assert_eq!(refused(first.await), Some(Kind::Timeout.code()));
    assert_eq!(second.await, Err(CallError::Closed(Ended::Closed)));
    cluster.resume("game-1");
    cluster.settle().await;
    assert_eq!((ann.strays(), ann.ended()), (0, None), "the late answer reaches nobody");
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
}
