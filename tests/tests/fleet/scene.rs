//! A fleet that is played on, with two masters.

use std::{
    path::PathBuf,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::timeout;

use crate::{
    bot::{Bots, IN_A_ROOM},
    history::Tale,
    process::{LIMIT, Process},
    world::{Fleet, World, words},
};

const BOTS: i64 = 12;
static MASTER: LazyLock<PathBuf> = LazyLock::new(|| crate::program::build_with("due-master", &["--features", "etcd"]));

/// The command `due`.
pub(crate) static DUE: LazyLock<PathBuf> = LazyLock::new(|| crate::program::build_bin(("due-cli", "due"), &[]));

/// Two gates, two nodes and a mesh, bots that play on them, and two masters.
pub(crate) struct Scene {
    _world: World,
    pub(crate) fleet: Fleet,
    pub(crate) bots: Bots,
    pub(crate) masters: [Process; 2],
    /// What the first master has printed.
    pub(crate) token: String,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        let world = World::on_peers().await;
        let fleet = world.play(2).await;
        let first = master(&world, "master-1").await;
        let token = first_token(&first).await;
        let second = master(&world, "master-2").await;
        let mut bots = Bots::play(BOTS, fleet.doors());
        bots.all_roll(2, || fleet.logs()).await;
        // Rooms open on any node: until each has one to lose.
        while !all_have_rooms(&fleet, &bots) {
            bots.join(IN_A_ROOM);
            bots.all_roll(2, || fleet.logs()).await;
        }
        Self { _world: world, fleet, bots, masters: [first, second], token }
    }

    /// Where the second master listens: any will do.
    pub(crate) fn master(&self) -> String {
        self.masters[1].of_part("master")
    }

    pub(crate) fn logs(&self) -> String {
        let masters = self.masters.iter().map(Process::log).collect::<String>();
        format!("{}\nmasters:\n{masters}", self.fleet.logs())
    }

    pub(crate) async fn all_roll(&self, times: usize) {
        self.bots.all_roll(times, || self.logs()).await;
    }
}

fn all_have_rooms(fleet: &Fleet, bots: &Bots) -> bool {
    let homes = bots.history.read(Tale::homes);
    fleet.nodes.iter().all(|node| homes.values().any(|rolled| rolled.process == node.pid()))
}

/// A master of the fleet as a process of its own.
async fn master(world: &World, id: &str) -> Process {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let audit = crate::program::scratch().join(format!("{id}-{}-{number}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&audit);
    let mut args: Vec<String> = world.args("", id).into_iter().skip(1).collect();
    args.extend(words(&["--listen", "127.0.0.1:0", "--audit", audit.to_str().unwrap()]));
    Process::of(&MASTER, id, &args).ready().await
}

/// The token that the first master of all has printed.
async fn first_token(master: &Process) -> String {
    let found = timeout(LIMIT, async {
        loop {
            if let Some((_, rest)) = master.log().split_once("shown this once: ") {
                return rest.split_whitespace().next().unwrap().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    found.await.expect("a token is printed")
}
