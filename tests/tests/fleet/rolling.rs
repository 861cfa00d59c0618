//! A rolling restart under load: each process is replaced, and clients lose nothing that was promised to them.

use std::time::Duration;

use due::Kind;
use due_sdk::{CallError, Client};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::{
    bot::{Bots, TIMEOUT},
    game::{ENTER, Enter, LOGIN, ROLL},
    history::{End, Op, Tale},
    process::Process,
    world::{Fleet, World},
};

const BOTS: i64 = 16;
/// What a process has to stop, and what it may take beyond that to tell those that do not answer.
const DRAIN: Duration = Duration::from_secs(10 + 10);

/// Asks it to stop; its account.
async fn stop(process: Process) -> String {
    let asked = Instant::now();
    process.signal(Signal::TERM);
    let name = process.name().to_owned();
    let (status, lines, log) = process.finish().await;
    assert!(status.success(), "{name}: {lines:?}\n{log}");
    assert!(asked.elapsed() < DRAIN, "{name} took {:?}", asked.elapsed());
    lines.join(", ")
}

async fn replace_gates(world: &World, fleet: &mut Fleet, bots: &Bots) {
    for n in 0..2 {
        fleet.gates.push(world.start("gate", &format!("gate-{}", n + 3)).await);
        let old = fleet.gates.remove(0);
        bots.go_by(fleet.doors());
        println!("gate: {}", stop(old).await);
        bots.all_roll(3, || fleet.logs()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_are_replaced_and_hello_clients_lose_nothing() {
    let Some(world) = World::on_servers().await else { return };
    let mut fleet = world.play(2).await;
    let bots = Bots::play(BOTS, fleet.doors());
    bots.all_roll(3, || fleet.logs()).await;
    replace_gates(&world, &mut fleet, &bots).await;
    bots.end().await.read(|tale| {
        let lost = |e: &&crate::history::Entry| !e.end.is_good() && !matches!(e.end, End::Gone { sent: false });
        let lost: Vec<_> = tale.entries.iter().filter(lost).collect();
        assert!(lost.is_empty(), "requests that left and were not answered: {lost:?}");
        assert!(tale.closed.len() as i64 > BOTS, "the bots have changed gates: {}", tale.summary());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_meshes_are_replaced_and_users_are_told() {
    let Some(world) = World::on_servers().await else { return };
    let mut fleet = world.play(2).await;
    let bots = Bots::play(BOTS, fleet.doors());
    bots.all_roll(3, || fleet.logs()).await;
    fleet.meshes.push(world.start("mesh", "mesh-2").await);
    println!("mesh: {}", stop(fleet.meshes.remove(0)).await);
    bots.all_roll(3, || fleet.logs()).await;
    for n in 0..2 {
        fleet.nodes.push(world.start("node", &format!("node-{}", n + 3)).await);
        println!("node: {}", stop(fleet.nodes.remove(0)).await);
        bots.all_roll(3, || fleet.logs()).await;
    }
    bots.end().await.read(|tale| {
        println!("{}", tale.summary());
        // Logins go to whichever node takes work: they never notice.
        let login = |e: &&crate::history::Entry| e.op == Op::Login && !e.end.is_good();
        let lost: Vec<_> = tale.entries.iter().filter(login).collect();
        assert!(lost.is_empty(), "logins that failed: {lost:?}");
        let told = [Kind::OwnerLost, Kind::Moved, Kind::NotBound, Kind::Draining, Kind::Unavailable];
        let untold = |e: &&crate::history::Entry| !e.end.is_good() && !told.iter().any(|kind| e.end.is(*kind));
        let untold: Vec<_> = tale.entries.iter().filter(untold).collect();
        assert!(untold.is_empty(), "neither served nor told why not: {untold:?}");
    });
}

/// An old client that rolls without a pause until its connection ends; how many answers it got.
async fn old_client(door: String, uid: i64, room: u64) -> u64 {
    let client = Client::builder(&format!("{door}?hello=off")).timeout(TIMEOUT).connect().await.unwrap();
    client.call(LOGIN, &uid).await.unwrap();
    client.call(ENTER, &Enter { room }).await.unwrap();
    let mut answers = 0;
    loop {
        match client.call(ROLL, &()).await {
            Ok(rolled) => {
                answers += 1;
                assert_eq!(rolled.count, answers, "each roll of the room is answered to its one user");
            }
            Err(CallError::Gone { .. }) => return answers,
            Err(e) => panic!("old client {uid}: {e}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_client_gets_an_answer_to_all_that_was_read_of_it() {
    let Some(world) = World::on_servers().await else { return };
    let mut fleet = world.play(1).await;
    let door = fleet.gates[0].tcp();
    let playing: Vec<_> = (1..=4).map(|n| tokio::spawn(old_client(door.clone(), 100 + n, 100 + n as u64))).collect();
    let bots = Bots::play(4, vec![fleet.gates[1].tcp()]);
    bots.all_roll(3, || fleet.logs()).await;
    println!("gate: {}", stop(fleet.gates.remove(0)).await);
    for (n, playing) in (1..=4).zip(playing) {
        let answers = playing.await.unwrap();
        // The next one to roll in that room is told how many rolls there were before.
        let next = Client::builder(&fleet.gates[0].tcp()).timeout(TIMEOUT).connect().await.unwrap();
        next.call(LOGIN, &(200 + n)).await.unwrap();
        next.call(ENTER, &Enter { room: 100 + n as u64 }).await.unwrap();
        let rolled = next.call(ROLL, &()).await.unwrap();
        assert_eq!(rolled.count, answers + 1, "old client {n}: rolls that were handled and not answered");
        assert!(answers > 0);
    }
    bots.end().await.read(Tale::check);
}
