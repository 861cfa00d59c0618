//! Measures echo servers against a raw epoll program, in turns on the same machine.
//!
//! `s1` is a ping-pong, `s2` keeps 32 frames in flight on each connection, `s3` sends both through gate, node and back,
//! `idle` weighs silent connections. Figures are given as ratios to the reference (in `s3` to links in memory), worked
//! out inside each repetition; see `README.md` for how to read them.

mod args;
mod client;
mod exchange;
mod frame;
mod histogram;
mod idle;
mod load;
mod measure;
mod reference;
mod report;
mod scenario;
mod server;
mod socket;
mod syscalls;

use std::{
    io::{self, Write},
    net::TcpListener,
    process::ExitCode,
};

use clap::Parser;

use crate::{
    args::{Args, Command, IdleArgs, LoadArgs, ReferenceArgs, SeriesArgs},
    load::{Load, MAX_CONNECTIONS, Shape},
    measure::{Machine, allow_files},
    reference::{Mode, serve},
    report::Report,
    scenario::{Named, run_case},
    server::{Cores, Server, Subject},
};

/// The error of a program that only tells its user.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(e) => {
            let _ = writeln!(io::stderr(), "error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Is everything as was required?
fn run(args: Args) -> Fallible<bool> {
    match args.command {
        Command::Reference(args) => run_reference(args),
        Command::Load(args) => run_load(&args),
        Command::S1(args) => run_series("s1", &args, &args.servers.subjects()?, args.shapes(1)),
        Command::S2(args) => run_series("s2", &args, &args.servers.subjects()?, args.shapes(32)),
        Command::S3(args) => run_series("s3", &args, &args.servers.linked()?, args.linked_shapes()),
        Command::Idle(args) => run_idle(&args),
    }
}

fn run_reference(args: ReferenceArgs) -> Fallible<bool> {
    allow_files(MAX_CONNECTIONS as u64 + 64)?;
    let listener = TcpListener::bind(args.tcp)?;
    let mode = if args.raw { Mode::Bytes } else { Mode::Frames };
    say("ready")?;
    serve(listener, mode)?;
    Ok(true)
}

fn run_load(args: &LoadArgs) -> Fallible<bool> {
    let shape = args.shape();
    let mut load = Load::connect(args.address(), shape)?;
    let outcome = load.drive(args.measure())?;
    let micros = |q| outcome.latency.quantile(q) as f64 / 1e3;
    say(&format!(
        "{:.0} messages/s, p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us",
        outcome.latency.total() as f64 / outcome.elapsed.as_secs_f64(),
        micros(0.5),
        micros(0.99),
        micros(0.999),
    ))?;
    Ok(true)
}

fn run_series(scenario: &str, args: &SeriesArgs, subjects: &[Subject], shapes: Vec<Shape>) -> Fallible<bool> {
    let cores = args.servers.cores()?;
    allow_files(MAX_CONNECTIONS as u64 + 64)?;
    let servers = start_all(subjects, cores)?;
    let named: Vec<Named<'_>> = servers.iter().map(|(name, server)| (name.as_str(), server)).collect();
    let mut cases = Vec::new();
    for shape in shapes {
        // Links are compared with each other.
        let target = (scenario != "s3").then(|| target(shape));
        let case = run_case(&named, shape, args.pace(), target)?;
        say(case.to_string().trim_end())?;
        cases.push(case);
    }
    let met = cases.iter().all(report::Case::is_met);
    let report = Report { cases, pace: Some(args.pace()), ..empty_report(scenario, cores) };
    args.servers.json.as_deref().map_or(Ok(()), |path| report.save(path))?;
    Ok(met || !args.require)
}

fn run_idle(args: &IdleArgs) -> Fallible<bool> {
    let cores = args.servers.cores()?;
    allow_files(MAX_CONNECTIONS as u64 + 64)?;
    let mut idle = Vec::new();
    // One after the other: each starts with fresh memory.
    for subject in args.servers.subjects()? {
        let server = Server::start(&subject, cores)?;
        let figures = idle::measure(&subject.name, &server, args.connections())?;
        say(figures.to_string().trim_end())?;
        idle.push(figures);
    }
    let report = Report { idle, ..empty_report("idle", cores) };
    args.servers.json.as_deref().map_or(Ok(()), |path| report.save(path))?;
    Ok(true)
}

fn start_all(subjects: &[Subject], cores: Option<Cores>) -> Fallible<Vec<(String, Server)>> {
    subjects.iter().map(|subject| Ok((subject.name.clone(), Server::start(subject, cores)?))).collect()
}

fn empty_report(scenario: &str, cores: Option<Cores>) -> Report<'_> {
    Report {
        scenario,
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::here(),
        pace: None,
        pinned: cores.is_some(),
        cases: Vec::new(),
        idle: Vec::new(),
    }
}

/// What a framework should reach against the reference under this load.
fn target(shape: Shape) -> report::Target {
    let (throughput, cpu, p99) = match shape {
        Shape { window: 1, connections: ..=100, .. } => (0.93, Some(1.08), None),
        Shape { window: 1, .. } => (0.93, None, Some(1.2)),
        Shape { coalescing: true, .. } => (0.85, None, None),
        // The generator, not the server, is the limit here; the server's time still tells.
        Shape { coalescing: false, .. } => (0.97, Some(1.1), None),
    };
    report::Target { throughput, cpu, p99 }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
