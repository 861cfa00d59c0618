//! Throughput and latency of several servers under the same load, in turns.

use std::time::{Duration, Instant};

use crate::{
    Fallible,
    load::{Load, Shape},
    measure::{busy_time, cpu_time},
    report::{Case, Run, Series, Target},
    server::Server,
    syscalls::Counter,
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

/// A server under a name.
pub(crate) type Named<'a> = (&'a str, &'a Server);

/// Runs `shape` against each of `servers`, of which the first is the reference. Every second repetition goes through
/// them backwards, so that a drift of the machine falls on all alike.
pub(crate) fn run_case(servers: &[Named<'_>], shape: Shape, pace: Pace, target: Option<Target>) -> Fallible<Case> {
    let mut series: Vec<Series> = servers.iter().map(|(name, _)| Series::new(name)).collect();
    for turn in 0..pace.repetitions {
        let runs = quiet_repetition(servers, shape, pace, turn % 2 == 1)?;
        series.iter_mut().zip(runs).for_each(|(series, run)| series.runs.push(run));
    }
    if pace.syscalls {
        for (series, (name, server)) in series.iter_mut().zip(servers) {
            let calls = count_calls(server, shape, pace).map_err(|e| format!("{name}: {e}"))?;
            series.calls_per_message = Some(calls);
        }
    }
    Ok(Case::new(shape, target, series))
}

/// One run of each server, in the order of `servers`; again while others disturb it, the last attempt counts.
fn quiet_repetition(servers: &[Named<'_>], shape: Shape, pace: Pace, backwards: bool) -> Fallible<Vec<Run>> {
    let mut attempt = 0;
    loop {
        let runs = repetition(servers, shape, pace, backwards)?;
        if attempt == pace.retries || runs.iter().all(|run| run.foreign <= pace.foreign) {
            return Ok(runs);
        }
        attempt += 1;
    }
}

fn repetition(servers: &[Named<'_>], shape: Shape, pace: Pace, backwards: bool) -> Fallible<Vec<Run>> {
    let one = |(name, server): &Named<'_>| measure(server, shape, pace).map_err(|e| format!("{name}: {e}"));
    let mut runs = if backwards {
        servers.iter().rev().map(one).collect::<Result<Vec<_>, _>>()?
    } else {
        servers.iter().map(one).collect::<Result<Vec<_>, _>>()?
    };
    if backwards {
        runs.reverse();
    }
    Ok(runs)
}

/// Fresh connections, warm-up, measured stretch.
fn measure(server: &Server, shape: Shape, pace: Pace) -> Fallible<Run> {
    let mut load = Load::connect(server.address, shape)?;
    load.drive(pace.warm_up)?;
    let before = Clocks::read(server)?;
    let outcome = load.drive(pace.measure)?;
    let after = Clocks::read(server)?;
    Ok(Run::new(&outcome, after.since(&before)))
}

/// System calls of the server for each message.
fn count_calls(server: &Server, shape: Shape, pace: Pace) -> Fallible<f64> {
    let mut load = Load::connect(server.address, shape)?;
    load.drive(pace.warm_up)?;
    let counter = Counter::start(server.pids())?;
    let outcome = load.drive(pace.measure)?;
    Ok(counter.stop()? as f64 / outcome.latency.total().max(1) as f64)
}

/// Clocks of the kernel.
struct Clocks {
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
    fn read(server: &Server) -> Fallible<Self> {
        Ok(Self {
            at: Instant::now(),
            servers: server.pids().map(cpu_time).collect::<Fallible<_>>()?,
            client: cpu_time(std::process::id())?,
            busy: busy_time()?,
        })
    }

    fn since(&self, before: &Self) -> Spent {
        let servers = self.servers.iter().zip(&before.servers).map(|(now, then)| now.saturating_sub(*then));
        let servers: Vec<Duration> = servers.collect();
        let ours = servers.iter().sum::<Duration>() + self.client.saturating_sub(before.client);
        let foreign = self.busy.saturating_sub(before.busy).saturating_sub(ours);
        Spent { servers, foreign: foreign.as_secs_f64() / (self.at - before.at).as_secs_f64() }
    }
}
