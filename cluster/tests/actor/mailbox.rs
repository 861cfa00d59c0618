//! Order, limits, deadlines.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use due_cluster::{
    Fault, Node, Session,
    actor::{Actor, Addr, Cx},
    handler::{Later, Msg, Reply, Routes, State},
};
use due_codec::Json;
use due_core::{Call, Code, Kind, Notify, Retry};
use tokio::{sync::Notify as Signal, time::Instant};

use crate::support::{LOGIN, Player, World, login};

const JOIN: Call<u64, (), Json> = Call::new(1, "join").authorized();
const HOLD: Call<(), (), Json> = Call::new(2, "hold");
const SAY: Call<u32, u32, Json> = Call::new(3, "say");
const TEXT: Notify<String, Json> = Notify::new(4, "text");
const SELF: Call<(), (), Json> = Call::new(5, "self");
const LATER: Call<u32, u32, Json> = Call::new(6, "later");
const OTHER: Call<u32, u32, Json> = Call::new(7, "other");

/// Says what it was told; takes only so much at a time.
struct Desk {
    said: Vec<u32>,
    owes: Vec<Reply<u32>>,
}

impl Actor for Desk {
    const KIND: &'static str = "desk";
    type Key = u64;
    const MAILBOX: usize = 4;
    const MAILBOX_BYTES: usize = 1000;
}

type Gate = Arc<Signal>;

impl Desk {
    fn join(&mut self, me: Session, cx: Cx<Desk>) -> Result<(), Fault> {
        me.attach(&cx.addr())?;
        Ok(())
    }

    async fn hold(&mut self, State(gate): State<Gate>) {
        gate.notified().await;
    }

    fn say(&mut self, Msg(n): Msg<u32>) -> u32 {
        self.said.push(n);
        n
    }

    fn text(&mut self, Msg(_): Msg<String>) {}

    async fn ask_self(&mut self, cx: Cx<Desk>) -> Result<(), Fault> {
        cx.addr().call(SAY, &1).await.map(drop)
    }

    fn later(&mut self, reply: Reply<u32>) -> Later<u32> {
        let (reply, later) = reply.later();
        self.owes.push(reply);
        later
    }
}

async fn world(gate: &Gate) -> World {
    World::new(node(gate)).await
}

fn node(gate: &Gate) -> Node {
    let routes = Routes::new()
        .route(LOGIN, login)
        .route(OTHER, |Msg(n): Msg<u32>| n)
        .actor_by(JOIN, |desk| *desk, Desk::join)
        .actor(HOLD, Desk::hold)
        .actor(SAY, Desk::say)
        .actor(TEXT, Desk::text)
        .actor(SELF, Desk::ask_self)
        .actor(LATER, Desk::later)
        .with_state(gate.clone());
    Node::new("game").routes(routes).actors(|_: u64, _| async { Ok(desk()) })
}

fn desk() -> Desk {
    Desk { said: Vec::new(), owes: Vec::new() }
}

/// Lets all tasks run as far as they go.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_session_are_handled_in_order() {
    let world = world(&Gate::default()).await;
    let mut ann = world.user(1).await;
    ann.call(JOIN, &1).await.unwrap();
    let mut asked = Vec::new();
    for n in 0..50 {
        asked.push((n, ann.ask(SAY, &n).await));
    }
    for (n, seq) in asked {
        assert_eq!(ann.answer::<u32>(seq).await, Ok(n));
    }
    let said = world.cluster().actor::<Desk>(&1).with(|desk, _| desk.said.clone()).await.unwrap();
    assert!(said.is_sorted() && said.len() == 50, "{said:?}");
    world.stop().await;
}

// A session that waits for an actor holds only itself.
#[tokio::test(start_paused = true)]
async fn an_actor_that_is_held_holds_its_own_callers_only() {
    let gate = Gate::default();
    let world = world(&gate).await;
    let (mut ann, mut bob) = (world.user(1).await, world.user(2).await);
    ann.call(JOIN, &1).await.unwrap();
    bob.call(JOIN, &2).await.unwrap();
    let held = ann.ask(HOLD, &()).await;
    let behind = ann.ask(SAY, &7).await;
    assert_eq!(bob.call(SAY, &1).await, Ok(1));
    assert_eq!(bob.call(OTHER, &2).await, Ok(2));
    gate.notify_one();
    assert_eq!(ann.answer::<()>(held).await, Ok(()));
    assert_eq!(ann.answer::<u32>(behind).await, Ok(7));
    world.stop().await;
}

// proves P21
#[tokio::test(start_paused = true)]
async fn a_full_mailbox_refuses_and_nobody_else_notices() {
    let gate = Gate::default();
    let world = world(&gate).await;
    let mut players = Vec::new();
    for uid in 1..=6 {
        let mut player = world.user(uid).await;
        player.call(JOIN, &1).await.unwrap();
        players.push(player);
    }
    let mut asked = vec![players[0].ask(HOLD, &()).await];
    settle().await;
    for (n, player) in players.iter_mut().enumerate().skip(1) {
        asked.push(player.ask(SAY, &(n as u32)).await);
        settle().await;
    }
    assert_eq!(players[5].answer::<u32>(asked[5]).await, Err(Kind::Overloaded.code()));
    let other = world.cluster().actor::<Desk>(&2);
    assert_eq!(other.call(SAY, &9).await.unwrap(), 9);
    let refused = world.cluster().actor::<Desk>(&1).with(|_, _| ()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.retry()), (Kind::Overloaded, Retry::Safe));
    gate.notify_one();
    assert_eq!(players[0].answer::<()>(asked[0]).await, Ok(()));
    for n in 1..5 {
        assert_eq!(players[n].answer::<u32>(asked[n]).await, Ok(n as u32));
    }
    assert_eq!(players[5].call(SAY, &5).await, Ok(5));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_is_bounded_in_bytes_and_takes_one_large_message() {
    let gate = Gate::default();
    let world = world(&gate).await;
    let desk = world.cluster().actor::<Desk>(&1);
    let held = tokio::spawn(desk.call(HOLD, &()));
    settle().await;
    let text = |n| "x".repeat(n);
    desk.tell(TEXT, &text(5000)).unwrap();
    assert_eq!(desk.tell(TEXT, &text(10)).unwrap_err().kind(), Kind::Overloaded);
    gate.notify_one();
    held.await.unwrap().unwrap();
    desk.with(|_, _| ()).await.unwrap();
    desk.tell(TEXT, &text(900)).unwrap();
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_is_not_handled_later() {
    let gate = Gate::default();
    let world = world(&gate).await;
    let desk = world.cluster().actor::<Desk>(&1);
    let held = tokio::spawn(desk.call(HOLD, &()));
    settle().await;
    let begun = Instant::now();
    let hasty = desk.within(Duration::from_secs(2));
    assert_eq!(hasty.call(SAY, &1).await.unwrap_err().code(), Code::TIMEOUT);
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert_eq!(hasty.with(|desk, _| desk.said.push(2)).await.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(desk.call(SAY, &3).await.unwrap_err().code(), Code::TIMEOUT);
    assert_eq!(begun.elapsed().as_secs(), 34, "30 s is the node's own deadline");
    gate.notify_one();
    let _ = held.await;
    assert!(desk.with(|desk, _| desk.said.is_empty()).await.unwrap());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_too_long_is_told_and_its_message_is_dropped() {
    let gate = Gate::default();
    let world = world(&gate).await;
    let mut ann = world.user(1).await;
    ann.call(JOIN, &1).await.unwrap();
    let desk = world.cluster().actor::<Desk>(&1);
    let held = tokio::spawn(desk.within(Duration::from_secs(100)).call(HOLD, &()));
    settle().await;
    assert_eq!(ann.call(SAY, &1).await, Err(Kind::Timeout.code()));
    gate.notify_one();
    held.await.unwrap().unwrap();
    assert!(desk.with(|desk, _| desk.said.is_empty()).await.unwrap());
    assert_eq!(ann.call(SAY, &2).await, Ok(2));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_would_wait_for_itself_is_told() {
    let world = world(&Gate::default()).await;
    let desk = world.cluster().actor::<Desk>(&1);
    assert_eq!(desk.call(SELF, &()).await.unwrap_err().code(), Kind::WouldDeadlock.into());
    assert_eq!(desk.call(SAY, &1).await.unwrap(), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_route_that_the_kind_does_not_serve_is_told() {
    let world = world(&Gate::default()).await;
    let desk: Addr<Desk> = world.cluster().actor(&1);
    assert_eq!(desk.call(OTHER, &1).await.unwrap_err().code(), Kind::NoRoute.into());
    world.stop().await;
}

// proves due-B6: an answer goes to the session that asked, or nowhere
#[tokio::test(start_paused = true)]
async fn an_answer_never_reaches_another_session() {
    let gate = Gate::default();
    let world = world(&gate).await;
    let mut ann = world.user(1).await;
    ann.call(JOIN, &1).await.unwrap();
    let late = ann.ask(LATER, &1).await;
    let held = ann.ask(HOLD, &()).await;
    settle().await;
    drop(ann);
    let mut bob = world.user(2).await;
    settle().await;
    gate.notify_one();
    settle().await;
    let desk = world.cluster().actor::<Desk>(&1);
    desk.with(|desk, _| desk.owes.drain(..).for_each(|reply| reply.send(Ok(666)))).await.unwrap();
    settle().await;
    assert_eq!(bob.call(OTHER, &1).await, Ok(1));
    assert!(bob.is_silent_about(&[late, held]));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_after_its_handler() {
    let world = world(&Gate::default()).await;
    let mut ann = world.user(1).await;
    ann.call(JOIN, &1).await.unwrap();
    let late = ann.ask(LATER, &1).await;
    assert_eq!(ann.call(SAY, &2).await, Ok(2), "the session goes on");
    let desk = world.cluster().actor::<Desk>(&1);
    desk.with(|desk, _| desk.owes.drain(..).for_each(|reply| reply.send(Ok(3)))).await.unwrap();
    assert_eq!(ann.answer::<u32>(late).await, Ok(3));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_when_session_and_actor_live_on_different_threads() {
    let world = World::on_threads(node(&Gate::default())).await;
    let mut players = Vec::new();
    for uid in 1..=4 {
        let mut player = world.user(uid).await;
        player.call(JOIN, &(uid as u64)).await.unwrap();
        players.push(player);
    }
    let play = |mut player: Player| async move {
        let mut asked = Vec::new();
        for n in 0..300 {
            asked.push((n, player.ask(SAY, &n).await));
        }
        for (n, seq) in asked {
            assert_eq!(player.answer::<u32>(seq).await, Ok(n));
        }
    };
    let playing: Vec<_> = players.into_iter().map(|player| tokio::spawn(play(player))).collect();
    for player in playing {
        player.await.unwrap();
    }
    for key in 1..=4 {
        let said = world.cluster().actor::<Desk>(&key).with(|desk, _| desk.said.clone()).await.unwrap();
        assert!(said.iter().copied().eq(0..300), "{said:?}");
    }
    world.stop().await;
}

// The memory of what was said belongs to one task at a time: no lock, no race, whoever calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_many_threads_meet_one_at_a_time() {
    let seen = Arc::new(Mutex::new(0));
    let world = World::on_threads(node(&Gate::default())).await;
    let callers = (0..8).map(|_| {
        let (desk, seen) = (world.cluster().actor::<Desk>(&1), seen.clone());
        tokio::spawn(async move {
            for n in 0..50 {
                match desk.call(SAY, &n).await {
                    Ok(_) => *seen.lock().unwrap() += 1,
                    Err(fault) => assert_eq!(fault.code(), Kind::Overloaded.into()),
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let said = world.cluster().actor::<Desk>(&1).with(|desk, _| desk.said.len()).await.unwrap();
    assert_eq!(said, *seen.lock().unwrap());
    world.stop().await;
}
