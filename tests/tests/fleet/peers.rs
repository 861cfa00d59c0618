//! A fleet with nothing installed: its home dies and comes back with nothing.

use tokio::time::Instant;

use crate::{bot::Bots, history::Tale, world::World};

const BOTS: i64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_home_of_the_peers_dies_and_all_register_again_with_the_next_one() {
    let world = World::on_peers().await;
    // Whoever is first is the home.
    let home = world.start("mesh", "home").await;
    let mut fleet = world.play(2).await;
    let bots = Bots::play(BOTS, fleet.doors());
    bots.all_roll(3, || fleet.logs()).await;
    let before = bots.history.read(Tale::homes);
    home.kill().await;
    bots.all_roll(5, || fleet.logs()).await;
    let _home = world.start("mesh", "home").await;
    let back = Instant::now();
    // A gate that knows nothing finds everybody by the new home: users of the rooms come by it to the rooms as they are.
    fleet.gates = vec![world.start("gate", "gate-3").await];
    bots.go_by(fleet.doors());
    bots.all_roll(3, || fleet.logs()).await;
    let after = bots.history.read(Tale::homes);
    for (room, rolled) in before {
        assert_eq!(rolled.opening, after[&room].opening, "room {room} lives through the death of the home");
    }
    println!("all played by the new home after {:?}", back.elapsed());
    bots.end().await;
}
