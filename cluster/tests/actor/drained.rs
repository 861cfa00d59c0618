//! A node that is emptied while its process goes on.

use std::{sync::Arc, time::Duration};

use due_cluster::{
    Fault, Node, Session,
    actor::{Actor, Cx},
    admin::{About, Ask as Question, DrainView, Draining, Mode, Phase, StartDrain},
    handler::Routes,
};
use due_codec::Json;
use due_core::{
    Call, Drivers, Kind, Uid,
    registry::{Instance, InstanceKind},
};
use tokio::{sync::Notify, time::Instant};

use crate::support::{LOGIN, World, login};

const SIT: Call<u64, (), Json> = Call::new(1, "hall.sit").authorized();
const WHERE: Call<(), u64, Json> = Call::new(2, "hall.where");
const STAY: Call<(), (), Json> = Call::new(3, "stay").authorized();
const BUILD: Call<u64, (), Json> = Call::new(4, "hall.build").authorized();

/// How long the drains of these tests may take.
const DEADLINE: u64 = 60;

struct Hall(Arc<Notify>);

impl Actor for Hall {
    const KIND: &'static str = "hall";
    type Key = u64;
}

impl Hall {
    fn sit(&mut self, me: Session, cx: Cx<Hall>) -> Result<(), Fault> {
        me.attach(&cx.addr())?;
        Ok(())
    }

    /// Takes until somebody says that it is enough.
    async fn build(&mut self) -> Result<(), Fault> {
        self.0.notified().await;
        Ok(())
    }
}

async fn stay(me: Session) -> Result<(), Fault> {
    me.bind_node().await?;
    Ok(())
}

/// A node with halls, and what ends their building.
async fn world() -> (World, Arc<Notify>) {
    let enough = Arc::<Notify>::default();
    let routes = Routes::new()
        .route(LOGIN, login)
        .route(STAY, stay)
        .actor_by(SIT, |hall| *hall, Hall::sit)
        .actor_by(BUILD, |hall| *hall, Hall::build)
        .actor(WHERE, |_: &mut Hall, cx: Cx<Hall>| *cx.key());
    let theirs = enough.clone();
    let open = move |_: u64, _| {
        let hall = Hall(theirs.clone());
        async move { Ok(hall) }
    };
    let node = Node::new("game").deadline(Duration::from_secs(3600)).actors(open).routes(routes);
    (World::of(Drivers::memory(), vec![node]).await, enough)
}

/// The one node.
async fn node(world: &World) -> Instance {
    let mut watch = world.cluster().registry().watch(InstanceKind::Node).await.unwrap();
    watch.until(|view| !view.members.is_empty()).await.members[0].clone()
}

async fn ask<T: serde::de::DeserializeOwned>(world: &World, question: Question) -> due_core::Result<T> {
    let until = Instant::now() + Duration::from_secs(5);
    world.cluster().admin().ask(&node(world).await, &question, until).await
}

/// How the drain stands once it is as it should be; its account balances each time.
async fn until(world: &World, wanted: impl Fn(&DrainView) -> bool) -> DrainView {
    for _ in 0..10_000 {
        let view = ask::<Draining>(world, Question::Drained).await.unwrap().unwrap();
        assert_eq!(view.began_with + view.came, view.moved + view.finished + view.cut + view.bound, "{view:?}");
        if wanted(&view) {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never stood so: {:?}", ask::<Draining>(world, Question::Drained).await)
}

async fn empty(world: &World) -> DrainView {
    let how = StartDrain { mode: Mode::GoAway, deadline_secs: DEADLINE };
    ask::<Draining>(world, Question::Drain(how)).await.unwrap().unwrap()
}

// semantics 7: users without a hand-over are released at the deadline, and the account says so
#[tokio::test(start_paused = true)]
async fn a_node_that_is_emptied_ends_its_actors_and_lets_its_users_go_at_the_end() {
    let (world, _) = world().await;
    let (mut ann, mut bob, mut eve) = (world.user(1).await, world.user(2).await, world.user(3).await);
    for sitting in [&mut ann, &mut bob] {
        sitting.call(SIT, &7).await.unwrap();
        assert_eq!(sitting.call(WHERE, &()).await, Ok(7));
    }
    eve.call(STAY, &()).await.unwrap();
    let begun = empty(&world).await;
    assert_eq!((begun.phase, begun.began_with, begun.bound), (Phase::Telling, 4, 4), "a hall and three users");
    assert_eq!(begun.holders, ["1", "2", "3", "hall/7"]);
    assert_eq!(ann.call(WHERE, &()).await, Ok(7), "gates elsewhere may not know yet: it serves on");

    let waiting = until(&world, |view| view.bound == 1).await;
    assert_eq!((waiting.phase, waiting.finished, &*waiting.holders), (Phase::Waiting, 3, &["3".to_owned()][..]));
    assert_eq!(ann.call(WHERE, &()).await, Err(Kind::NotBound.code()), "told, and not left to wait");
    assert!(ann.call(SIT, &7).await.is_err(), "no hall opens here now");

    let over = until(&world, |view| view.phase == Phase::Empty).await;
    assert_eq!((over.cut, over.left_secs, over.holders.len()), (1, 0, 0), "{over:?}");
    assert!(world.cluster().nodes_of(&Uid::from(3)).await.unwrap().is_empty(), "the store has let her go too");

    ask::<About>(&world, Question::CancelDrain).await.unwrap();
    ann.call(SIT, &7).await.unwrap();
    assert_eq!(ann.call(WHERE, &()).await, Ok(7), "it takes work again");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_does_not_end_in_time_is_named_and_stays() {
    let (world, enough) = world().await;
    let mut ann = world.user(1).await;
    let building = ann.ask(BUILD, &7).await;
    empty(&world).await;
    let late = until(&world, |view| view.phase == Phase::Overdue).await;
    assert_eq!((late.bound, late.cut, &*late.holders), (1, 0, &["hall/7".to_owned()][..]));
    enough.notify_one();
    assert_eq!(ann.answer::<()>(building).await, Ok(()), "what it had begun is done and answered");
    let over = until(&world, |view| view.phase == Phase::Empty).await;
    assert_eq!((over.finished, over.cut), (1, 0));
    world.stop().await;
}
