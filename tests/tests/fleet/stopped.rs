//! A process that is stopped for a while, as by a debugger or a machine that is moved, and goes on.

use rustix::process::Signal;
use tokio::time::Instant;

use crate::{bot::Bots, history::Tale, world::World};

const BOTS: i64 = 16;

/// proves P8, P15: it handles nothing of what it had before it knows what is still its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_wakes_plays_nothing_that_is_anothers_by_now() {
    let Some(world) = World::on_servers().await else { return };
    let mut fleet = world.play(3).await;
    let bots = Bots::play(BOTS, fleet.doors());
    bots.all_roll(3, || fleet.logs()).await;
    let home = bots.history.read(Tale::homes)[&1].process;
    let (sleeper, stopped) = (fleet.take_node(home), Instant::now());
    sleeper.signal(Signal::STOP);
    let elsewhere = |tale: &Tale| tale.rolls().any(|(e, room, r)| room == 1 && e.sent > stopped && r.process != home);
    let took = bots.history.time("its room opens elsewhere", || fleet.logs(), elsewhere).await;
    sleeper.signal(Signal::CONT);
    bots.all_roll(5, || format!("{}{}", fleet.logs(), sleeper.log())).await;
    // What must be true of every history says the rest: no room is open in two processes.
    bots.end().await.read(|tale| println!("first answer elsewhere {took:?} after the stop; {}", tale.summary()));
}
