//! Several servers under the same load, in turns.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::{
    Fallible,
    load::Drive,
    measure::{busy_time, cpu_time, pss},
    report::{Case, Run, Series, Target},
    server::{Role, Server},
    syscalls::{Counted, Counter},
};

/// How long and how often.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Pace {
    /// Repetitions that count; one is a run of every server.
    pub(crate) repetitions: usize,
    /// Measured time of one run.
    pub(crate) measure: Duration,
    /// Load before it that does not count.
    pub(crate) warm_up: Duration,
    /// A repetition in which others used more of the cores than this is taken again.
    pub(crate) foreign: f64,
    /// How many times at most.
    pub(crate) retries: usize,
    /// Count system calls in one more run of every server.
    pub(crate) syscalls: bool,
}

/// Begins a load on a server.
pub(crate) type Begin<'a> = Box<dyn Fn(&Server) -> Fallible<Box<dyn Drive>> + 'a>;

/// A server and the load that it gets.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) server: &'a Server,
    pub(crate) begin: Begin<'a>,
}

/// What a case is called, and what it should reach.
pub(crate) struct Title {
    /// For people.
    pub(crate) text: String,
    /// For programs.
    pub(crate) load: serde_json::Value,
    /// What a message is: `msg`, `delivery`, `visit`.
    pub(crate) unit: &'static str,
    pub(crate) targets: Vec<Target>,
}

/// Runs all entries in turns. Every second repetition goes through them backwards, so that a drift of the machine falls on
/// all alike.
pub(crate) fn run_case(entries: &[Entry<'_>], title: Title, pace: Pace) -> Fallible<Case> {
    let mut series: Vec<Series> = entries.iter().map(|entry| Series::new(entry.name, entry.role)).collect();
    for turn in 0..pace.repetitions {
        let told = |name: &str| progress(&format!("{}: {}/{}: {name}", title.text, turn + 1, pace.repetitions));
        let runs = quiet_repetition(entries, pace, turn % 2 == 1, &told)?;
        series.iter_mut().zip(runs).for_each(|(series, run)| series.runs.push(run));
    }
    if pace.syscalls {
        for (series, entry) in series.iter_mut().zip(entries) {
            progress(&format!("{}: system calls of {}", title.text, entry.name));
            let (counted, messages) = count(entry, pace).map_err(|e| format!("{}: {e}", entry.name))?;
            series.calls_per_message = Some(counted.calls as f64 / messages);
            series.instructions_per_message = counted.instructions.map(|all| all as f64 / messages);
        }
    }
    progress("");
    Ok(Case::new(title, series))
}

/// One run of each, in the order of `entries`; again while others disturb it, the last attempt counts.
fn quiet_repetition(entries: &[Entry<'_>], pace: Pace, backwards: bool, told: &dyn Fn(&str)) -> Fallible<Vec<Run>> {
    let mut attempt = 0;
    loop {
        let runs = repetition(entries, pace, backwards, told)?;
        if attempt == pace.retries || runs.iter().all(|run| run.foreign <= pace.foreign) {
            return Ok(runs);
        }
        attempt += 1;
    }
}

fn repetition(entries: &[Entry<'_>], pace: Pace, backwards: bool, told: &dyn Fn(&str)) -> Fallible<Vec<Run>> {
    let one = |entry: &Entry<'_>| {
        told(entry.name);
        measure(entry, pace).map_err(|e| format!("{}: {e}", entry.name))
    };
    let mut runs = if backwards {
        entries.iter().rev().map(one).collect::<Result<Vec<_>, _>>()?
    } else {
        entries.iter().map(one).collect::<Result<Vec<_>, _>>()?
    };
    if backwards {
        runs.reverse();
    }
    Ok(runs)
}

/// A fresh load, warm-up, measured stretch.
fn measure(entry: &Entry<'_>, pace: Pace) -> Fallible<Run> {
    let mut load = (entry.begin)(entry.server)?;
    load.drive(pace.warm_up)?;
    let before = Clocks::read(entry.server)?;
    let outcome = load.drive(pace.measure)?;
    let spent = Clocks::read(entry.server)?.since(&before);
    let memory = entry.server.pids().map(pss).sum::<Fallible<u64>>()?;
    Ok(Run::new(&outcome, &spent, memory))
}

/// What the server asks of the system in a run, and the messages of it.
fn count(entry: &Entry<'_>, pace: Pace) -> Fallible<(Counted, f64)> {
    let mut load = (entry.begin)(entry.server)?;
    load.drive(pace.warm_up)?;
    let counter = Counter::start(entry.server.pids())?;
    let outcome = load.drive(pace.measure)?;
    Ok((counter.stop()?, outcome.latency.total().max(1) as f64))
}

/// Says on a terminal what goes on, over what it said before.
pub(crate) fn progress(text: &str) {
    let mut out = std::io::stderr().lock();
    if out.is_terminal() {
        // Whoever cannot be told misses nothing else.
        let _ = write!(out, "\r\x1b[2K{text}");
        let _ = out.flush();
    }
}

/// Clocks of the kernel.
pub(crate) struct Clocks {
    at: Instant,
    servers: Vec<Duration>,
    client: Duration,
    busy: Duration,
}

/// Time on cores during a run.
#[derive(Clone, Debug)]
pub(crate) struct Spent {
    /// By each process of the server.
    pub(crate) servers: Vec<Duration>,
    /// Cores in use by anybody but the server and the load generator, 0 and up.
    pub(crate) foreign: f64,
}

impl Clocks {
    pub(crate) fn read(server: &Server) -> Fallible<Self> {
        Ok(Self {
            at: Instant::now(),
            servers: server.pids().map(cpu_time).collect::<Fallible<_>>()?,
            client: cpu_time(std::process::id())?
                + server.helpers().filter_map(|pid| cpu_time(pid).ok()).sum::<Duration>(),
            busy: busy_time()?,
        })
    }

    pub(crate) fn since(&self, before: &Self) -> Spent {
        let servers = self.servers.iter().zip(&before.servers).map(|(now, then)| now.saturating_sub(*then));
        let servers: Vec<Duration> = servers.collect();
        let ours = servers.iter().sum::<Duration>() + self.client.saturating_sub(before.client);
        let foreign = self.busy.saturating_sub(before.busy).saturating_sub(ours);
        Spent { servers, foreign: foreign.as_secs_f64() / (self.at - before.at).as_secs_f64() }
    }
}
