//! The fleet example as a fleet: real servers, six processes, until Ctrl-C.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use due_servers::{Process, Program, Running, Start};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    command::{Outcome, cargo, program, root, run as run_command},
    servers, tools,
};

/// What runs: role and id, in the order of their start.
const PARTS: [(&str, &str); 6] = [
    ("mesh", "mesh-1"),
    ("node", "node-1"),
    ("node", "node-2"),
    ("node", "node-3"),
    ("gate", "gate-1"),
    ("gate", "gate-2"),
];

/// How long a process may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(100);

/// Installs and builds what is missing, starts everything, and stays until Ctrl-C or until a process dies.
pub(crate) fn run() -> Outcome {
    let on = [Program::Etcd, Program::Nats, Program::Redis];
    tools::ensure(&[&tools::PROTOC])?;
    servers::install(&on)?;
    run_command(cargo().args(["build", "-p", "fleet", "--features", "etcd"]))?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|e| format!("cannot wait for Ctrl-C: {e}"))?;
    let (asked, stop) = mpsc::channel();
    thread::spawn(move || signals.forever().try_for_each(|signal| asked.send(signal)));
    let [etcd, nats, redis] = on.map(|program| Start::new(program).run());
    let backends = [etcd?, nats?, redis?];
    backends.iter().for_each(|server| println!("{:<7} {}", server.program(), server.address()));
    let mut fleet = Vec::new();
    let outcome = play(&mut fleet, &arguments(&backends), &stop);
    eprintln!("stopping");
    let stopped = stop_all(&mut fleet);
    outcome.and(stopped)
}

/// Starts the processes and watches them.
fn play(fleet: &mut Vec<Process>, backends: &[String], stop: &mpsc::Receiver<i32>) -> Outcome {
    let binary = binary();
    for (role, id) in PARTS {
        let mut command = program(&binary);
        command.args([role, "--id", id]).args(backends);
        let process = Process::start(id, &mut command)?;
        fleet.push(process);
        if !ready(fleet, stop)? {
            return Ok(());
        }
    }
    println!("the fleet is up; Ctrl-C stops it");
    watch(fleet, stop)
}

/// Waits until the last one is ready and says where it is; `false`: it was asked to stop meanwhile.
fn ready(fleet: &mut [Process], stop: &mpsc::Receiver<i32>) -> Outcome<bool> {
    let begin = Instant::now();
    loop {
        alive(fleet)?;
        let Some(last) = fleet.last() else { return Ok(true) };
        let output = last.output();
        if output.lines().any(|line| line == "ready") {
            let urls: Vec<&str> = output.lines().filter_map(address).collect();
            println!("{:<7} {}", last.name(), urls.join(" "));
            return Ok(true);
        }
        if begin.elapsed() > READY {
            return Err(format!("{} is not ready; its last output:\n{}", last.name(), last.log()));
        }
        if stop.recv_timeout(LOOK).is_ok() {
            return Ok(false);
        }
    }
}

/// The URL of a line `gate tcp://127.0.0.1:4000`.
fn address(line: &str) -> Option<&str> {
    let (part, url) = line.split_once(' ')?;
    (part == "gate" && url.contains("://")).then_some(url)
}

fn watch(fleet: &mut [Process], stop: &mpsc::Receiver<i32>) -> Outcome {
    while stop.recv_timeout(LOOK).is_err() {
        alive(fleet)?;
    }
    Ok(())
}

/// Names the one that has ended.
fn alive(fleet: &mut [Process]) -> Outcome {
    for process in fleet {
        if let Some(how) = process.ended() {
            return Err(format!("{} ended ({how}); its last output:\n{}", process.name(), process.log()));
        }
    }
    Ok(())
}

/// Asks all at once, in the order of their start backwards; says what became of each.
fn stop_all(fleet: &mut [Process]) -> Outcome {
    let stopped: Vec<Outcome> = thread::scope(|scope| {
        let stopping: Vec<_> = fleet.iter_mut().rev().map(|process| scope.spawn(|| stop_one(process))).collect();
        stopping.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("a stop panicked".into()))).collect()
    });
    stopped.into_iter().collect()
}

fn stop_one(process: &mut Process) -> Outcome {
    process.stop().map_err(|why| format!("{}: {why}", process.name()))?;
    let output = process.output();
    let account = output.lines().rev().find(|line| line.starts_with("stopped ")).unwrap_or("stopped");
    eprintln!("{:<7} {account}", process.name());
    Ok(())
}

/// How the processes find the servers.
fn arguments(servers: &[Running; 3]) -> Vec<String> {
    let [etcd, nats, redis] = servers.each_ref().map(Running::address);
    vec![
        format!("--registry=etcd://{etcd}"),
        format!("--config-source=etcd://{etcd}"),
        format!("--eventbus=nats://{nats}"),
        format!("--locator=redis://{redis}"),
    ]
}

/// What cargo built.
fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let folder: &Path = &target.join("debug");
    folder.join("fleet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_among_other_output() {
        assert_eq!(address("gate ws://127.0.0.1:1"), Some("ws://127.0.0.1:1"));
        assert_eq!(address("2026-01-01 INFO gate ws://127.0.0.1:1"), None);
        assert_eq!(address("ready"), None);
    }
}
