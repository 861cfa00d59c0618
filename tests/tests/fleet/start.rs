//! How a process starts, what it says when it cannot, and how it stops.

use std::process::ExitStatus;

use due_sdk::Client;
use due_testkit::server::{Program, Server};
use rustix::process::Signal;

use crate::{
    game::LOGIN,
    process::Process,
    program::free_port,
    world::{World, words},
};

/// Runs a process that is to end by itself.
async fn run(args: &[&str]) -> (ExitStatus, Vec<String>, String) {
    Process::spawn("alone", &words(args)).finish().await
}

#[tokio::test]
async fn help_says_what_there_is() {
    let (status, lines, _) = run(&["--help"]).await;
    let text = lines.join("\n");
    assert!(status.success());
    for word in ["gate", "node", "mesh", "--peers", "--registry", "--locator", "--eventbus", "--transport", "--drain"] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
}

#[tokio::test]
async fn a_wrong_setting_is_named_with_its_fix() {
    for (args, says) in [
        (&["node", "--registry", "etc://127.0.0.1:1"][..], &["etc", "etcd"][..]),
        (&["node", "--registry", "127.0.0.1:2379"], &["--registry", "://"]),
        (&["node", "--locator", "redis://127.0.0.1:1?tiemout=1s"], &["tiemout", "timeout"]),
        (&["node", "--peers", "127.0.0.1"], &["peer://127.0.0.1", "PORT"]),
        (&["node", "--drain", "soon"], &["drain", "soon"]),
        (&["gate", "--tcp", "127.0.0.1:notaport"], &["notaport"]),
        (&["node", "--set", "node.game.wieght=2"], &["wieght", "weight"]),
    ] {
        let (status, lines, log) = run(args).await;
        assert_eq!(status.code(), Some(1), "{args:?}: {lines:?}\n{log}");
        for word in says {
            assert!(log.contains(word), "{args:?}: {word} is missing in:\n{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_alone_serves_and_stops_when_asked() {
    let alone = Process::spawn("alone", &words(&["--drain", "5s"])).ready().await;
    let client = Client::connect(&alone.tcp()).await.unwrap();
    assert_eq!(client.call(LOGIN, &7).await.unwrap(), alone.pid().to_string());
    alone.signal(Signal::TERM);
    let (status, lines, log) = alone.finish().await;
    assert!(status.success(), "{log}");
    assert_eq!(lines, ["stopped sessions=1 moved=1 finished=0 cut=0 dropped=0 released=0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_missing_at_the_start_are_waited_for() {
    let Some(etcd) = Server::start(Program::Etcd).await else { return };
    let Some(redis) = Server::start(Program::Redis).await else { return };
    etcd.kill();
    redis.kill();
    let registry = format!("--registry=etcd://{}?ttl=3s", etcd.address());
    let locator = format!("--locator=redis://{}", redis.address());
    let args = |role: &str| words(&[role, &registry, &locator, "--shards", "1", "--id", role]);
    let starting = ["mesh", "node", "gate"].map(|role| Process::spawn(role, &args(role)));
    redis.restart().await;
    etcd.restart().await;
    let mut all = Vec::new();
    for process in starting {
        all.push(process.ready().await);
    }
    let client = Client::connect(&all[2].tcp()).await.unwrap();
    // The gate may have found its node a moment after it was ready.
    while client.call(LOGIN, &7).await.is_err() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_of_one_id_is_told_who_has_it() {
    let Some(world) = World::on_servers().await else { return };
    for role in ["node", "gate"] {
        let first = world.start(role, "the-one").await;
        let (status, _, log) = Process::spawn("second", &world.args(role, "the-one")).finish().await;
        assert_eq!(status.code(), Some(1), "{log}");
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let named = [format!("pid={}", first.pid()), format!("host={}", host.trim()), "already running".to_owned()];
        assert!(named.iter().all(|what| log.contains(what)), "{named:?} in:\n{log}");
        // Its place is free at once when it is dead, lease or not.
        first.kill().await;
        world.start(role, "the-one").await.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stops_says_what_it_could_not_reach() {
    let Some(world) = World::on_servers().await else { return };
    let node = world.start("node", "node-1").await;
    world.servers().etcd.kill();
    node.signal(Signal::TERM);
    let (status, lines, log) = node.finish().await;
    assert!(status.success(), "{log}");
    let told = lines.iter().any(|l| l.starts_with("unreached the registry, which lists node/node-1"));
    assert!(told, "{lines:?}\n{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_free_port_is_needed_for_each_listener() {
    let at = format!("127.0.0.1:{}", free_port());
    let first = Process::spawn("first", &words(&["--tcp", &at])).ready().await;
    let (status, _, log) = run(&["--tcp", &at]).await;
    assert_eq!(status.code(), Some(1));
    assert!(log.contains(&at), "{log}");
    drop(first);
}
