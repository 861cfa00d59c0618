//! Sessions attached to actors, when the store or the actor does not play along.

use std::sync::Arc;

use due_cluster::{
    Cluster, Fault, Node, Session,
    actor::{Actor, Addr, Cx},
    handler::{Msg, Next, Outcome, OwnedRequest, Request, Routes, State, from_fn, guard},
};
use due_codec::Json;
use due_core::{
    Call, Drivers, Kind,
    locate::{Locator, memory::Memory},
};
use tokio::sync::Notify;

use crate::support::{LOGIN, World, login};

const ENTER: Call<u64, (), Json> = Call::new(1, "hall.enter").authorized();
const WHERE: Call<(), u64, Json> = Call::new(2, "hall.where");
const AWAIT: Call<u64, bool, Json> = Call::new(3, "hall.await").authorized();
const END: Call<u64, (), Json> = Call::new(4, "hall.end").authorized();
const JOIN: Call<u64, (), Json> = Call::new(5, "join");
const SEAT: Call<(), u64, Json> = Call::new(6, "table.seat");

struct Hall;

impl Actor for Hall {
    const KIND: &'static str = "hall";
    type Key = u64;
}

impl Hall {
    fn enter(&mut self, me: Session, cx: Cx<Hall>) -> Result<(), Fault> {
        me.attach(&cx.addr())?;
        Ok(())
    }

    /// Looks at the store's answer itself.
    async fn enter_and_wait(&mut self, me: Session, cx: Cx<Hall>) -> Result<bool, Fault> {
        Ok(me.attach(&cx.addr())?.await.is_ok())
    }

    fn enter_and_end(&mut self, me: Session, cx: Cx<Hall>) -> Result<(), Fault> {
        me.attach(&cx.addr())?;
        cx.stop();
        Ok(())
    }
}

struct Table;

impl Actor for Table {
    const KIND: &'static str = "table";
    type Key = u64;
}

/// A plain handler attaches too.
async fn join(me: Session, Msg(key): Msg<u64>, cluster: Cluster) -> Result<(), Fault> {
    me.attach(&cluster.actor::<Table>(&key))?.await?;
    Ok(())
}

async fn world() -> (World, Memory) {
    let locator = Memory::default();
    let mut drivers = Drivers::memory();
    let store = locator.clone();
    drivers.locator.add("memory", move |_| {
        let store: Arc<dyn Locator> = Arc::new(store.clone());
        async move { Ok(store) }
    });
    let routes = Routes::new()
        .route(LOGIN, login)
        .route(JOIN, join)
        .actor_by(ENTER, |hall| *hall, Hall::enter)
        .actor_by(AWAIT, |hall| *hall, Hall::enter_and_wait)
        .actor_by(END, |hall| *hall, Hall::enter_and_end)
        .actor(WHERE, |_: &mut Hall, cx: Cx<Hall>| *cx.key())
        .actor(SEAT, |_: &mut Table, cx: Cx<Table>| *cx.key());
    let node = Node::new("game").routes(routes);
    let node = node.actors(|_: u64, _| async { Ok(Hall) }).actors(|_: u64, _| async { Ok(Table) });
    (World::of(drivers, vec![node]).await, locator)
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_the_store_refuses_fails_the_answer_and_is_undone() {
    let (world, store) = world().await;
    let (mut ann, mut bob) = (world.user(1).await, world.user(2).await);
    assert_eq!(ann.call(AWAIT, &7).await, Ok(true));
    store.faults().unavailable(true);
    // The hall is open: only the session's slot needs the store. The same again needs nothing.
    assert_eq!(ann.call(ENTER, &7).await, Ok(()));
    assert_eq!(bob.call(ENTER, &7).await, Err(Kind::Unavailable.code()));
    assert_eq!(bob.call(AWAIT, &7).await, Ok(false), "who looks at the end answers as it likes");
    store.faults().unavailable(false);
    assert_eq!(bob.call(WHERE, &()).await, Err(Kind::NotBound.code()));
    assert_eq!(bob.call(ENTER, &7).await, Ok(()), "a failure is told once");
    assert_eq!(bob.call(WHERE, &()).await, Ok(7));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_without_a_place_in_the_store_is_not_opened() {
    let (world, store) = world().await;
    let hall: Addr<Hall> = world.cluster().actor(&7);
    store.faults().unavailable(true);
    assert_eq!(hall.with(|_, _| ()).await.unwrap_err().kind(), Kind::Unavailable);
    store.faults().unavailable(false);
    hall.with(|_, _| ()).await.unwrap();
    // The answer to the claim is lost: it may have happened, and our own slot is no other's.
    hall.kill();
    hall.ended().await;
    store.faults().lose_answers(1);
    assert_eq!(hall.with(|_, _| ()).await.unwrap_err().kind(), Kind::Timeout);
    hall.with(|_, _| ()).await.unwrap();
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn attaching_to_an_actor_that_ends_meanwhile_leaves_nothing_behind() {
    let (world, _) = world().await;
    let mut ann = world.user(1).await;
    let hall: Addr<Hall> = world.cluster().actor(&7);
    let _ = ann.call(END, &7).await;
    hall.ended().await;
    assert!(world.cluster().nodes_of(&1.into()).await.unwrap().is_empty());
    assert_eq!(ann.call(WHERE, &()).await, Err(Kind::NotBound.code()));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_is_attached_to_one_actor_of_each_kind() {
    let (world, _) = world().await;
    let mut ann = world.user(1).await;
    ann.call(ENTER, &7).await.unwrap();
    ann.call(JOIN, &1).await.unwrap();
    assert_eq!((ann.call(WHERE, &()).await, ann.call(SEAT, &()).await), (Ok(7), Ok(1)));
    let slots: Vec<_> = world.cluster().nodes_of(&1.into()).await.unwrap().into_keys().collect();
    assert_eq!(slots, ["game/hall".into(), "game/table".into()]);
    let table: Addr<Table> = world.cluster().actor(&1);
    table.stop();
    table.ended().await;
    assert_eq!((ann.call(WHERE, &()).await, ann.call(SEAT, &()).await), (Ok(7), Err(Kind::NotBound.code())));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_releases_its_users_and_not_those_that_went_elsewhere() {
    let (world, _) = world().await;
    let (mut ann, mut bob) = (world.user(1).await, world.user(2).await);
    ann.call(ENTER, &7).await.unwrap();
    bob.call(ENTER, &7).await.unwrap();
    ann.call(ENTER, &8).await.unwrap();
    let hall: Addr<Hall> = world.cluster().actor(&7);
    hall.kill();
    hall.ended().await;
    assert_eq!(ann.call(WHERE, &()).await, Ok(8));
    assert_eq!(bob.call(WHERE, &()).await, Err(Kind::NotBound.code()));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn layers_stand_around_the_routes_of_actors() {
    const OPEN: Call<u64, u64, Json> = Call::new(1, "open").authorized();
    async fn twice(rq: OwnedRequest, next: Next) -> Outcome {
        let _ = next.run(rq).await?;
        Err(Fault::of(Kind::Moved))
    }
    fn seven(rq: &Request<'_>, _: &()) -> Result<(), Fault> {
        if rq.body.bytes() == b"7" { Ok(()) } else { Err(Fault::of(Kind::Forbidden)) }
    }
    let key = |_: &mut Hall, cx: Cx<Hall>| *cx.key();
    let routes = |layered: fn(Routes) -> Routes| {
        let routes = layered(Routes::new().actor_by(OPEN, |hall| *hall, key)).route(LOGIN, login);
        Node::new("game").routes(routes).actors(|_: u64, _| async { Ok(Hall) })
    };
    let world = World::new(routes(|routes| routes.layer(guard(seven)))).await;
    let mut ann = world.user(1).await;
    assert_eq!(ann.call(OPEN, &7).await, Ok(7));
    assert_eq!(ann.call(OPEN, &8).await, Err(Kind::Forbidden.code()));
    assert!(!world.cluster().actor::<Hall>(&8).is_alive());
    world.stop().await;
    let world = World::new(routes(|routes| routes.layer(from_fn(twice)))).await;
    let mut ann = world.user(1).await;
    assert_eq!(ann.call(OPEN, &8).await, Err(Kind::Moved.code()));
    assert!(world.cluster().actor::<Hall>(&8).is_alive());
    world.stop().await;
}

// What waits in the mailbox of an actor that ends did not happen; asked again, the key opens a new one.
#[tokio::test(start_paused = true)]
async fn what_waits_for_an_actor_that_ends_may_be_sent_again() {
    const HOLD: Call<(), (), Json> = Call::new(1, "hold");
    const COUNT: Call<(), u32, Json> = Call::new(2, "count");
    struct Slow(u32);
    impl Actor for Slow {
        const KIND: &'static str = "slow";
        type Key = u64;
    }
    async fn hold(_: &mut Slow, State(gate): State<Arc<Notify>>) {
        gate.notified().await;
    }
    fn count(slow: &mut Slow) -> u32 {
        slow.0 += 1;
        slow.0
    }
    let gate = Arc::new(Notify::new());
    let routes = Routes::new().actor(HOLD, hold).actor(COUNT, count).with_state(gate.clone());
    let world = World::new(Node::new("game").routes(routes).actors(|_: u64, _| async { Ok(Slow(0)) })).await;
    let slow: Addr<Slow> = world.cluster().actor(&1);
    let held = tokio::spawn(slow.call(HOLD, &()));
    let waits = tokio::spawn(slow.call(COUNT, &()));
    tokio::task::yield_now().await;
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    slow.kill();
    let later = tokio::spawn(world.cluster().actor::<Slow>(&1).call(COUNT, &()));
    gate.notify_one();
    held.await.unwrap().unwrap();
    assert_eq!(waits.await.unwrap().unwrap_err().code(), Kind::Unavailable.into());
    assert_eq!(later.await.unwrap().unwrap(), 1);
    world.stop().await;
}
