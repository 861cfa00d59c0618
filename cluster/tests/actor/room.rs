//! A room with seats and turns, over gate and node.

use std::time::Duration;

use due_cluster::{
    Fault, Node, Session,
    actor::{Actor, Cx, TimerId},
    handler::{Event, Msg, Routes},
};
use due_codec::Json;
use due_core::{Call, Code, Kind, Push, Uid};
use tokio::time::Instant;

use crate::support::{LOGIN, LOGOUT, World, login, logout};

const ENTER: Call<u64, usize, Json> = Call::new(1, "room.enter").authorized();
const PLAY: Call<u8, (), Json> = Call::new(2, "room.play").stateful();
const WHERE: Call<(), u64, Json> = Call::new(3, "room.where");
const LEAVE: Call<(), (), Json> = Call::new(4, "room.leave");
const CLOSE: Call<(), (), Json> = Call::new(5, "room.close");
const TURN: Push<(usize, Option<u8>), Json> = Push::new(101, "room.turn");
const LEFT: Push<i64, Json> = Push::new(102, "room.left");
const NOT_YOUR_TURN: Code = Code::new(1001, "not your turn");

#[derive(Default)]
struct Room {
    seats: Vec<(Uid, Session)>,
    turn: usize,
    clock: Option<TimerId>,
}

impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;
}

impl Room {
    fn sit(&mut self, uid: Uid, me: Session, cx: Cx<Room>) -> Result<usize, Fault> {
        me.attach(&cx.addr())?;
        self.seats.push((uid, me));
        if self.seats.len() == 2 {
            self.next(None, &cx);
        }
        Ok(self.seats.len() - 1)
    }

    async fn play(&mut self, cx: Cx<Room>, uid: Uid, Msg(card): Msg<u8>) -> Result<(), Fault> {
        if self.seats[self.turn].0 != uid {
            return Err(NOT_YOUR_TURN.into());
        }
        self.next(Some(card), &cx);
        Ok(())
    }

    fn next(&mut self, last: Option<u8>, cx: &Cx<Room>) {
        self.turn = (self.turn + 1) % self.seats.len();
        for (_, session) in &self.seats {
            let _ = session.push(TURN, &(self.turn, last));
        }
        if let Some(clock) = self.clock.take() {
            cx.cancel(clock);
        }
        self.clock = Some(cx.after(Duration::from_secs(15), |room, cx| room.next(None, cx)));
    }

    async fn leave(&mut self, me: Session, uid: Uid) -> Result<(), Fault> {
        self.seats.retain(|(seat, _)| *seat != uid);
        me.detach::<Room>().await?;
        Ok(())
    }

    fn left(&mut self, uid: Uid) {
        self.seats.retain(|(seat, _)| *seat != uid);
        for (_, session) in &self.seats {
            let Uid::Int(uid) = uid else { continue };
            let _ = session.push(LEFT, &uid);
        }
    }
}

async fn world() -> World {
    let routes = Routes::new()
        .route(LOGIN, login)
        .route(LOGOUT, logout)
        .actor_by(ENTER, |room| *room, Room::sit)
        .actor(PLAY, Room::play)
        .actor(WHERE, |_: &mut Room, cx: Cx<Room>| *cx.key())
        .actor(LEAVE, Room::leave)
        .actor(CLOSE, |_: &mut Room, cx: Cx<Room>| cx.stop())
        .actor_on(Event::Disconnected, Room::left);
    World::new(Node::new("game").actors(|_: u64, _| async { Ok(Room::default()) }).routes(routes)).await
}

#[tokio::test(start_paused = true)]
async fn players_sit_play_and_hear_of_each_turn() {
    let world = world().await;
    let (mut ann, mut bob) = (world.user(1).await, world.user(2).await);
    assert_eq!(ann.call(ENTER, &7).await, Ok(0));
    assert_eq!(bob.call(ENTER, &7).await, Ok(1));
    for player in [&mut ann, &mut bob] {
        assert_eq!(player.pushed(TURN).await, (1, None));
    }
    assert_eq!(ann.call(PLAY, &3).await, Err(NOT_YOUR_TURN.number()));
    assert_eq!(bob.call(PLAY, &4).await, Ok(()));
    assert_eq!((ann.pushed(TURN).await, bob.pushed(TURN).await), ((0, Some(4)), (0, Some(4))));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_clock_plays_for_a_player_who_does_not() {
    let world = world().await;
    let (mut ann, mut bob) = (world.user(1).await, world.user(2).await);
    ann.call(ENTER, &7).await.unwrap();
    bob.call(ENTER, &7).await.unwrap();
    let begun = Instant::now();
    assert_eq!(ann.pushed(TURN).await, (1, None));
    assert_eq!(ann.pushed(TURN).await, (0, None));
    assert_eq!((Instant::now() - begun).as_secs(), 15);
    // A turn that is played begins the clock anew.
    tokio::time::sleep(Duration::from_secs(10)).await;
    ann.call(PLAY, &1).await.unwrap();
    assert_eq!(ann.pushed(TURN).await, (1, Some(1)));
    let begun = Instant::now();
    assert_eq!(ann.pushed(TURN).await, (0, None));
    assert_eq!((Instant::now() - begun).as_secs(), 15);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_key_is_a_room_of_its_own_and_a_user_is_in_one() {
    let world = world().await;
    let (mut ann, mut bob) = (world.user(1).await, world.user(2).await);
    assert_eq!(ann.call(ENTER, &7).await, Ok(0));
    assert_eq!(bob.call(ENTER, &8).await, Ok(0));
    assert_eq!((ann.call(WHERE, &()).await, bob.call(WHERE, &()).await), (Ok(7), Ok(8)));
    assert_eq!(ann.call(ENTER, &8).await, Ok(1));
    assert_eq!(ann.call(WHERE, &()).await, Ok(8));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn routes_of_a_kind_are_closed_to_whoever_is_not_attached() {
    let world = world().await;
    let mut ann = world.player().await;
    assert_eq!(ann.call(ENTER, &7).await, Err(Kind::Unauthorized.code()));
    assert_eq!(ann.call(WHERE, &()).await, Err(Kind::Unauthorized.code()));
    ann.call(LOGIN, &1).await.unwrap();
    assert_eq!(ann.call(PLAY, &1).await, Err(Kind::NotBound.code()));
    ann.call(ENTER, &7).await.unwrap();
    assert_eq!(ann.call(WHERE, &()).await, Ok(7));
    assert_eq!(ann.call(LEAVE, &()).await, Ok(()));
    assert_eq!(ann.call(WHERE, &()).await, Err(Kind::NotBound.code()));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_comes_back_is_still_in_the_room() {
    let world = world().await;
    let mut ann = world.user(1).await;
    ann.call(ENTER, &7).await.unwrap();
    drop(ann);
    let mut ann = world.user(1).await;
    assert_eq!(ann.call(WHERE, &()).await, Ok(7));
    world.stop().await;
}

// proves that nobody acts in another user's name: due-B6
#[tokio::test(start_paused = true)]
async fn another_user_on_the_same_connection_is_not_in_the_room_of_the_first() {
    let world = world().await;
    world.user(2).await.call(ENTER, &8).await.unwrap();
    let mut player = world.user(1).await;
    player.call(ENTER, &7).await.unwrap();
    player.call(LOGOUT, &()).await.unwrap();
    player.call(LOGIN, &2).await.unwrap();
    assert_eq!(player.call(WHERE, &()).await, Ok(8));
    player.call(LOGIN, &3).await.unwrap();
    assert_eq!(player.call(WHERE, &()).await, Err(Kind::NotBound.code()));
    player.call(LOGIN, &1).await.unwrap();
    assert_eq!(player.call(WHERE, &()).await, Ok(7));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_room_hears_of_a_player_who_drops() {
    let world = world().await;
    let (mut ann, mut bob) = (world.user(1).await, world.user(2).await);
    ann.call(ENTER, &7).await.unwrap();
    bob.call(ENTER, &7).await.unwrap();
    drop(bob);
    assert_eq!(ann.pushed(LEFT).await, 2);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_room_that_ends_lets_its_players_go_and_may_be_opened_again() {
    let world = world().await;
    let mut ann = world.user(1).await;
    ann.call(ENTER, &7).await.unwrap();
    let first = world.cluster().actor::<Room>(&7);
    assert_eq!(ann.call(CLOSE, &()).await, Ok(()));
    first.ended().await;
    assert_eq!(ann.call(WHERE, &()).await, Err(Kind::NotBound.code()));
    assert!(!first.is_alive());
    let slots = world.cluster().nodes_of(&1.into()).await.unwrap();
    assert!(slots.is_empty(), "{slots:?}");
    assert_eq!(ann.call(ENTER, &7).await, Ok(0), "a new room has no seats taken");
    assert_eq!(ann.call(WHERE, &()).await, Ok(7));
    world.stop().await;
}
