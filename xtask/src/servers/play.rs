//! Starts and stops servers.

use std::{fs, path::PathBuf, thread, time::Instant};

use due_servers::{Program, Running, Start, home, stop};

use super::{
    install,
    state::{Known, State},
};
use crate::{command::Outcome, progress::span};

/// One of each, on free ports, all at once. They end with this process, however it ends.
pub(crate) fn all() -> Outcome<Vec<Running>> {
    let begin = Instant::now();
    let servers = thread::scope(|scope| {
        let starting = Program::ALL.map(|program| scope.spawn(move || Start::new(program).run()));
        // All are waited for, and those that started end, when one does not.
        let ended = starting.map(|start| start.join().unwrap_or_else(|_| Err("a start panicked".into())));
        ended.into_iter().collect::<Outcome<Vec<Running>>>()
    });
    let servers = servers.map_err(|why| format!("{why}\n`cargo xtask setup` installs what is missing"))?;
    servers.iter().for_each(|s| eprintln!("{} {}", s.program(), s.address()));
    eprintln!("{} servers are up after {}", servers.len(), span(begin.elapsed()));
    Ok(servers)
}

/// Starts those that do not run, and prints where each is.
pub(super) fn up(programs: &[Program], env: bool, port: impl Fn(Program) -> u16) -> Outcome {
    install(programs)?;
    let mut state = State::load()?;
    for program in programs.iter().copied() {
        if state.up(program).is_none() {
            let known = start(program, port(program))?;
            state.remember(program, known)?;
        }
        let address = state.known(program).map_or("", |known| &known.address);
        match env {
            true => println!("export {}={address}", program.variable()),
            false => println!("{program} {address}"),
        }
    }
    Ok(())
}

fn start(program: Program, port: u16) -> Outcome<Known> {
    let begin = Instant::now();
    let running = Start::new(program).port(port).detached(folder(program)).run()?;
    let process = running.process().ok_or_else(|| format!("{program} ended: {}", running.log()))?;
    eprintln!("{program} is up after {}", span(begin.elapsed()));
    Ok(Known { process, address: running.address() })
}

/// Where its data and its log are.
fn folder(program: Program) -> PathBuf {
    home().join("run").join(program.name())
}

/// Stops those that `up` started and that still run.
pub(super) fn down(programs: &[Program]) -> Outcome {
    let mut state = State::load()?;
    for program in programs.iter().copied() {
        let Some(known) = state.known(program) else { continue };
        stop(known.process).map_err(|why| format!("{program}: {why}"))?;
        state.forget(program)?;
        // Data of hundreds of megabytes, which the next start would not take.
        let _ = fs::remove_dir_all(folder(program));
        eprintln!("{program} is down");
    }
    Ok(())
}

/// One line each.
pub(super) fn status(programs: &[Program]) -> Outcome {
    let state = State::load()?;
    for program in programs.iter().copied() {
        match (state.up(program), state.known(program), program.installed()) {
            (Some(known), ..) => println!("{program} {}", known.address),
            (None, Some(_), _) => println!("{program} ended by itself, see {}", folder(program).join("log").display()),
            (None, None, Ok(())) => println!("{program} is down"),
            (None, None, Err(why)) => println!("{why}"),
        }
    }
    Ok(())
}
