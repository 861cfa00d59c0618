//! The command line.

use std::{env, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Parser, Subcommand};

use crate::{
    Fallible,
    load::{MAX_CONNECTIONS, Shape},
    measure::cores,
    scenario::Pace,
    server::{Cores, Subject},
};

/// Measures echo servers against a raw epoll program, in turns on the same machine.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The reference server itself: epoll and nothing else.
    Reference(ReferenceArgs),
    /// Load against a server that already runs.
    Load(LoadArgs),
    /// Ping-pong: one frame in flight on each connection.
    S1(SeriesArgs),
    /// Pipelined: 32 frames in flight on each connection, with a client that coalesces writes and one that does not.
    S2(SeriesArgs),
    /// Gate, node and back: the handler runs on a node, over links in memory and between two processes.
    S3(SeriesArgs),
    /// Memory of connections that do nothing.
    Idle(IdleArgs),
}

/// `reference`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReferenceArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) tcp: SocketAddr,
    /// Write back what was read, without cutting frames.
    #[arg(long)]
    pub(crate) raw: bool,
}

/// `load`.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// The server.
    #[arg(long, value_name = "ADDRESS")]
    tcp: SocketAddr,
    /// Connections, at most 10,000.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Frames in flight on each connection, at most 4,096.
    #[arg(long, default_value_t = 1)]
    window: usize,
    /// Bytes of a body, at most 65,536.
    #[arg(long, default_value_t = 1024)]
    body: usize,
    /// One write for each frame.
    #[arg(long)]
    unbatched: bool,
    /// How long, in seconds, at most 60.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
}

/// Which servers.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The echo example; by default the one beside this program.
    #[arg(long, value_name = "PROGRAM")]
    echo: Option<PathBuf>,
    /// Leave the echo example out.
    #[arg(long, conflicts_with = "echo")]
    no_echo: bool,
    /// A further server: it echoes at {tcp} and prints `ready`. May be given several times.
    #[arg(long, value_name = "NAME=COMMAND", action = ArgAction::Append, value_parser = Subject::parse)]
    peer: Vec<Subject>,
    /// Pin nothing: servers and load share all cores.
    #[arg(long)]
    free: bool,
    /// Write all figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// `s1` and `s2`.
#[derive(Debug, clap::Args)]
pub(crate) struct SeriesArgs {
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 100])]
    connections: Vec<usize>,
    /// Bytes of a body.
    #[arg(long, value_delimiter = ',', default_values_t = [128, 1024])]
    bodies: Vec<usize>,
    /// Repetitions of each case.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    repetitions: u16,
    /// Measured time of one run, in seconds, at most 60.
    #[arg(long, default_value_t = 1.5, value_parser = seconds)]
    seconds: f64,
    /// Load before it that does not count, in seconds.
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    warm_up: f64,
    /// Take a repetition again when others used more cores than this.
    #[arg(long, default_value_t = 0.1)]
    foreign: f64,
    /// How many times at most.
    #[arg(long, default_value_t = 2)]
    retries: usize,
    /// Count the servers' system calls too, in one more run each; needs `perf`.
    #[arg(long)]
    syscalls: bool,
    /// Leave with 2 when a target is missed.
    #[arg(long)]
    pub(crate) require: bool,
}

/// `idle`.
#[derive(Debug, clap::Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    /// Connections, at most 10,000.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=MAX_CONNECTIONS as i64))]
    connections: u32,
}

impl LoadArgs {
    /// The server's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.tcp
    }

    /// The load.
    pub(crate) fn shape(&self) -> Shape {
        let Self { connections, window, body, .. } = *self;
        Shape { connections, window, body, coalescing: !self.unbatched }
    }

    /// Its length.
    pub(crate) fn measure(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

impl ServerArgs {
    /// The reference, the echo example, the peers.
    pub(crate) fn subjects(&self) -> Fallible<Vec<Subject>> {
        let mut subjects = vec![Subject::reference()?];
        if !self.no_echo {
            subjects.push(Subject::echo(&self.program()?));
        }
        subjects.extend(self.peer.iter().cloned());
        Ok(subjects)
    }

    /// The echo example with its handler on a node, links in memory first, then each kind between two processes; the
    /// peers.
    pub(crate) fn linked(&self) -> Fallible<Vec<Subject>> {
        let mut subjects = Vec::new();
        if !self.no_echo {
            let echo = self.program()?;
            subjects.push(Subject::memory(&echo));
            subjects.extend(["link", "grpc", "tarpc"].map(|scheme| Subject::split(&echo, scheme)));
        }
        subjects.extend(self.peer.iter().cloned());
        Ok(subjects)
    }

    fn program(&self) -> Fallible<PathBuf> {
        let beside = env::current_exe()?.with_file_name("echo");
        let echo = self.echo.clone().unwrap_or(beside);
        if !echo.is_file() {
            return Err(format!("no {}: run `cargo build --release -p echo`", echo.display()).into());
        }
        Ok(echo)
    }

    /// The first core for servers and the second for the load; `None` when free or alone.
    pub(crate) fn cores(&self) -> Fallible<Option<Cores>> {
        match *cores()? {
            [server, client, ..] if !self.free => Ok(Some(Cores { server, client })),
            _ => Ok(None),
        }
    }
}

impl SeriesArgs {
    /// Every combination; a ping-pong has nothing to coalesce.
    pub(crate) fn shapes(&self, window: usize) -> Vec<Shape> {
        let clients: &[bool] = if window == 1 { &[true] } else { &[true, false] };
        let mut shapes = Vec::new();
        for &coalescing in clients {
            for &body in &self.bodies {
                shapes.extend(self.connections.iter().map(|&connections| Shape {
                    connections,
                    window,
                    body,
                    coalescing,
                }));
            }
        }
        shapes
    }

    /// Ping-pong and a coalescing client with 32 frames in flight.
    pub(crate) fn linked_shapes(&self) -> Vec<Shape> {
        let pipelined = self.shapes(32).into_iter().filter(|shape| shape.coalescing);
        self.shapes(1).into_iter().chain(pipelined).collect()
    }

    /// How long and how often.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            repetitions: self.repetitions.into(),
            measure: Duration::from_secs_f64(self.seconds),
            warm_up: Duration::from_secs_f64(self.warm_up),
            foreign: self.foreign,
            retries: self.retries,
            syscalls: self.syscalls,
        }
    }
}

impl IdleArgs {
    /// How many.
    pub(crate) fn connections(&self) -> usize {
        self.connections as usize
    }
}

/// More than nothing, at most a minute.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 60.0 => Ok(value),
        _ => Err("want seconds above 0, at most 60".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn pipelined_cases_have_both_clients() {
        let args = Args::parse_from(["due-benches", "s2", "--connections", "50,100", "--bodies", "128"]);
        let Command::S2(args) = args.command else { panic!("another command") };
        let shapes: Vec<_> = args.shapes(32).iter().map(|s| (s.connections, s.body, s.coalescing)).collect();
        assert_eq!(shapes, [(50, 128, true), (100, 128, true), (50, 128, false), (100, 128, false)]);
        assert_eq!(args.shapes(1).len(), 2);
    }
}
