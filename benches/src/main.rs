//! Measures this framework against a raw epoll program and against other frameworks, in turns on the same machine.
//!
//! Scenarios are named S1 to S13; see `README.md` for what each does and how to read its figures.

mod all;
mod args;
mod calls;
mod churn;
mod client;
mod contest;
mod dialect;
mod disturb;
mod exchange;
mod extra;
mod fan;
mod frame;
mod gateway;
mod histogram;
mod load;
mod measure;
mod open;
mod peers;
mod plot;
mod reference;
mod report;
mod room;
mod scenario;
mod serve;
mod server;
mod sessions;
mod shim;
mod socket;
mod stage;
mod subject;
mod summary;
mod syscalls;
mod table;
mod verdict;

use std::{
    io::{self, Write},
    net::TcpListener,
    process::ExitCode,
};

use clap::Parser;

use crate::{
    args::{Args, Command, LoadArgs, ReferenceArgs},
    load::{Drive, Load, MAX_CONNECTIONS},
    measure::allow_files,
    reference::Mode,
    scenario::{
        actors, extras, growth, idle, linked, links, lossy, neighbours, open as clocked, published, rooms, series,
        visits,
    },
};

/// Connections that may wait to be accepted by the reference.
const BACKLOG: i32 = 4096;

/// The error of a program that only tells its user.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Fallible<T> = Result<T, Error>;

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
        Command::All(args) => all::run(&args),
        Command::Extras(args) => extras::run(&args),
        Command::Growth(args) => growth::run(&args),
        Command::Neighbours(args) => neighbours::run(&args),
        Command::Reference(args) => run_reference(args),
        Command::Serve(args) => serve::run(*args),
        Command::Load(args) => run_load(&args),
        Command::S1(args) => series::run("s1", &args, 1),
        Command::S2(args) => series::run("s2", &args, 32),
        Command::S3(args) => linked::run(&args),
        Command::S4(args) => published::run(&args),
        Command::S5(args) => clocked::run(&args),
        Command::S6(args) => rooms::run(&args),
        Command::S7(args) => rooms::run_slow(&args),
        Command::S8(args) => idle::run(&args),
        Command::S9(args) => visits::run(&args),
        Command::S10(args) => links::run(&args),
        Command::S11(args) => actors::run(&args),
        Command::S12(args) => lossy::run(&args),
        Command::S13(args) => series::run_ws(&args),
    }
}

fn run_reference(args: ReferenceArgs) -> Fallible<bool> {
    allow_files(MAX_CONNECTIONS as u64 + 64)?;
    let listener = TcpListener::bind(args.tcp)?;
    // The standard library's 128 are too few for a storm.
    rustix::net::listen(&listener, BACKLOG)?;
    say("ready")?;
    match args.node {
        Some(node) => gateway::serve(listener, node)?,
        None if args.wide => reference::serve(listener, Mode::Wide)?,
        None if args.raw => reference::serve(listener, Mode::Bytes)?,
        None => reference::serve(listener, Mode::Frames)?,
    }
    Ok(true)
}

fn run_load(args: &LoadArgs) -> Fallible<bool> {
    allow_files(MAX_CONNECTIONS as u64 + 64)?;
    let mut load = Load::connect(args.address(), args.shape())?;
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

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
