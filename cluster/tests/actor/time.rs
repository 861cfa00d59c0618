//! Timers and background work.

use std::time::Duration;

use due_cluster::{
    Node,
    actor::{Actor, Addr, Cx},
    handler::{Msg, Routes},
};
use due_codec::Json;
use due_core::Call;
use tokio::{sync::oneshot, time::Instant};

use crate::support::World;

/// Keeps what happened and when, in seconds since it began.
struct Diary {
    begun: Instant,
    seen: Vec<(u64, &'static str)>,
}

impl Actor for Diary {
    const KIND: &'static str = "diary";
    type Key = u64;
}

impl Diary {
    fn note(&mut self, what: &'static str) {
        self.seen.push((self.begun.elapsed().as_secs(), what));
    }
}

async fn diary() -> (World, Addr<Diary>) {
    let world = World::new(Node::new("game")).await;
    let addr = world.cluster().spawn(1, Diary { begun: Instant::now(), seen: Vec::new() }).await.unwrap();
    (world, addr)
}

async fn seen(addr: &Addr<Diary>) -> Vec<(u64, &'static str)> {
    addr.with(|diary, _| std::mem::take(&mut diary.seen)).await.unwrap()
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test(start_paused = true)]
async fn timers_run_by_time_then_by_age_until_they_are_cancelled() {
    let (world, addr) = diary().await;
    addr.with(|_, cx| {
        cx.after(secs(3), |diary, _| diary.note("three"));
        cx.after(secs(1), |diary, _| diary.note("one"));
        cx.after(secs(1), |diary, _| diary.note("also one"));
        let never = cx.after(secs(2), |diary, _| diary.note("never"));
        cx.after(secs(1), move |_, cx| cx.cancel(never));
        let again = cx.every(secs(2), |diary, _| diary.note("every two"));
        cx.after(secs(7), move |_, cx| cx.cancel(again));
    })
    .await
    .unwrap();
    tokio::time::sleep(secs(20)).await;
    let want = [(1, "one"), (1, "also one"), (2, "every two"), (3, "three"), (4, "every two"), (6, "every two")];
    assert_eq!(seen(&addr).await, want);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_every_may_cancel_itself() {
    let (world, addr) = diary().await;
    addr.with(|_, cx| {
        let (own, id) = std::sync::mpsc::channel();
        let timer = cx.every(secs(1), move |diary, cx| {
            diary.note("once");
            cx.cancel(id.recv().unwrap());
        });
        own.send(timer).unwrap();
    })
    .await
    .unwrap();
    tokio::time::sleep(secs(5)).await;
    assert_eq!(seen(&addr).await, [(1, "once")]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn timers_wait_for_a_handler_that_holds_the_actor_and_then_run_once() {
    const HOLD: Call<u64, (), Json> = Call::new(1, "hold");
    async fn hold(diary: &mut Diary, Msg(n): Msg<u64>) {
        tokio::time::sleep(secs(n)).await;
        diary.note("held");
    }
    let routes = Routes::new().actor(HOLD, hold);
    let world = World::new(Node::new("game").routes(routes)).await;
    let addr = world.cluster().spawn(1, Diary { begun: Instant::now(), seen: Vec::new() }).await.unwrap();
    addr.with(|_, cx| cx.every(secs(2), |diary, _| diary.note("every two"))).await.unwrap();
    addr.call(HOLD, &5).await.unwrap();
    tokio::time::sleep(secs(3)).await;
    assert_eq!(seen(&addr).await, [(5, "held"), (5, "every two"), (7, "every two")]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn background_work_holds_nobody_and_its_result_comes_back() {
    let (world, addr) = diary().await;
    let (answer, waits) = oneshot::channel::<&'static str>();
    addr.with(|_, cx| cx.background(async { waits.await.unwrap() }, |diary, what, _| diary.note(what))).await.unwrap();
    assert!(seen(&addr).await.is_empty(), "the mailbox goes on");
    answer.send("done").unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(seen(&addr).await, [(0, "done")]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn background_work_that_panics_is_left_out() {
    let (world, addr) = diary().await;
    addr.with(|_, cx| {
        cx.background(async { panic!("as planned") }, |diary, (), _| diary.note("never"));
        cx.background(async {}, |diary, (), _| diary.note("done"));
    })
    .await
    .unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(seen(&addr).await, [(0, "done")]);
    world.stop().await;
}

/// Tells when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.take().map(|told| told.send(()));
    }
}

fn dropped() -> (Dropped, oneshot::Receiver<()>) {
    let (told, waits) = oneshot::channel();
    (Dropped(Some(told)), waits)
}

// proves due-B8: the end of an actor releases all it held
#[tokio::test(start_paused = true)]
async fn an_end_drops_timers_and_background_work() {
    let (world, addr) = diary().await;
    let ((timer, timer_gone), (work, work_gone)) = (dropped(), dropped());
    let set = move |_: &mut Diary, cx: &Cx<Diary>| {
        cx.after(secs(1000), move |_, _| drop(timer));
        let held = async move {
            let _work = work;
            std::future::pending::<()>().await;
        };
        cx.background(held, |_, (), _| ());
        cx.stop();
    };
    addr.with(set).await.unwrap();
    timer_gone.await.unwrap();
    work_gone.await.unwrap();
    addr.ended().await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_has_timers_of_its_own() {
    let (world, addr) = diary().await;
    let (once, again) = (addr.clone(), addr.clone());
    let cluster = world.cluster();
    cluster.after(secs(3), async move { once.with(|diary, _| diary.note("three")).await });
    let every = cluster.every(secs(2), move || {
        let again = again.clone();
        async move { again.with(|diary, _| diary.note("every two")).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(4500)).await;
    every.abort();
    tokio::time::sleep(secs(5)).await;
    assert_eq!(seen(&addr).await, [(2, "every two"), (3, "three"), (4, "every two")]);
    world.stop().await;
}
