//! Processes and servers that die under load.

use std::time::Duration;

use due::Kind;
use due_sdk::CallError;
use due_testkit::server::Server;
use tokio::time::{Instant, timeout};

use crate::{
    bot::{Bots, cheer},
    history::{Op, Tale},
    process::LIMIT,
    world::{World, nodes_listed},
};

const BOTS: i64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_killed_node_are_told_and_play_on_elsewhere() {
    let Some(world) = World::on_servers().await else { return };
    let mut fleet = world.play(3).await;
    let bots = Bots::play(BOTS, fleet.doors());
    bots.all_roll(3, || fleet.logs()).await;
    let home = bots.history.read(Tale::homes)[&1].process;
    let (victim, killed) = (fleet.take_node(home), Instant::now());
    victim.kill().await;
    let back = |tale: &Tale| tale.rolls().any(|(e, room, r)| room == 1 && e.sent > killed && r.process != home);
    let took = bots.history.time("the lost room opens elsewhere", || fleet.logs(), back).await;
    bots.all_roll(3, || fleet.logs()).await;
    bots.end().await.read(|tale| {
        assert!(tale.rolls().all(|(e, _, r)| e.sent < killed || r.process != home), "the dead answer");
        let told = |e: &&crate::history::Entry| e.op == Op::Roll(1) && e.end.is(Kind::OwnerLost);
        assert!(tale.since(killed).any(|e| told(&e)), "nobody was told of the lost owner: {}", tale.summary());
        println!("first rebound answer {took:?} after the kill of a node; {}", tale.summary());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_killed_gate_come_back_by_another() {
    let Some(world) = World::on_servers().await else { return };
    let mut fleet = world.play(2).await;
    let bots = Bots::play(BOTS, fleet.doors());
    bots.all_roll(3, || fleet.logs()).await;
    let before = bots.history.read(Tale::homes);
    fleet.gates.remove(0).kill().await;
    bots.go_by(fleet.doors());
    bots.all_roll(5, || fleet.logs()).await;
    let after = bots.history.read(Tale::homes);
    for (room, rolled) in before {
        assert_eq!(rolled.opening, after[&room].opening, "room {room} lives through the death of a gate");
    }
    bots.end().await;
}

/// Takes a server away under load, and gives it back by `heal`; then a node dies: the fleet still deals with that.
async fn outage(world: &World, nodes: usize, server: &Server, heal: impl AsyncFn(&Server)) {
    let mut fleet = world.play(nodes).await;
    let bots = Bots::play(BOTS, fleet.doors());
    bots.all_roll(3, || fleet.logs()).await;
    let before = bots.history.read(Tale::homes);
    server.kill();
    // Longer than any lease.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        bots.all_roll(3, || fleet.logs()).await;
    }
    let after = bots.history.read(Tale::homes);
    for (room, rolled) in before {
        assert_eq!(rolled.opening, after[&room].opening, "room {room} lives through the outage");
    }
    heal(server).await;
    bots.all_roll(3, || fleet.logs()).await;
    // New work finds the new node, once the fleet is whole again.
    fleet.nodes.push(world.start("node", "node-new").await);
    let home = bots.history.read(Tale::homes)[&1].process;
    fleet.take_node(home).kill().await;
    bots.all_roll(3, || fleet.logs()).await;
    bots.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn play_goes_on_without_the_registry_and_it_is_whole_again_after_a_wipe() {
    let Some(world) = World::on_servers().await else { return };
    let wipe = async |etcd: &Server| {
        etcd.wipe().await;
        let wiped = Instant::now();
        timeout(LIMIT, nodes_listed(etcd, 4)).await.expect("all nodes register again");
        println!("three nodes and a mesh are listed again {:?} after etcd was back, empty", wiped.elapsed());
    };
    outage(&world, 3, &world.servers().etcd, wipe).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn play_goes_on_without_the_bus_and_everybody_hears_again_afterwards() {
    let Some(world) = World::on_servers().await else { return };
    let fleet = world.play(2).await;
    let bots = Bots::play(BOTS, fleet.doors());
    bots.all_roll(3, || fleet.logs()).await;
    let heard_by_all = |text: &'static str| {
        let pids: Vec<u32> = fleet.nodes.iter().map(|n| n.pid()).collect();
        move |tale: &Tale| {
            let heard = |bot: i64, pid: u32| tale.heard.iter().any(|(b, t, p)| *b == bot && t == text && *p == pid);
            (1..=BOTS).all(|bot| pids.iter().all(|pid| heard(bot, *pid)))
        }
    };
    cheer(&fleet.doors()[0], 900, "before").await.unwrap();
    bots.history.until("a cheer reaches all", || fleet.logs(), heard_by_all("before")).await;
    world.servers().nats.kill();
    let refused = cheer(&fleet.doors()[0], 901, "nobody hears this").await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { code, .. } if code == Kind::Unavailable.code()), "{refused}");
    bots.all_roll(5, || fleet.logs()).await;
    world.servers().nats.restart().await;
    // Nobody tells when the clients of the bus are back: cheers are refused or not heard until then.
    let mut hearing = false;
    while !hearing {
        let _ = cheer(&fleet.doors()[1], 902, "after").await;
        hearing = bots.history.read(heard_by_all("after"));
    }
    bots.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn play_goes_on_without_the_locator_and_after_its_restart() {
    let Some(world) = World::on_servers().await else { return };
    outage(&world, 2, &world.servers().redis, async |redis| redis.restart().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn play_goes_on_without_the_locator_and_after_its_loss_of_everything() {
    let Some(world) = World::on_servers().await else { return };
    outage(&world, 2, &world.servers().redis, async |redis| redis.wipe().await).await;
}
