//! The command line.

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, Subcommand};

use crate::{
    all::AllArgs,
    load::Shape,
    scenario::{
        actors::ActorArgs, extras::ExtraArgs, growth::GrowthArgs, idle::IdleArgs, links::LinkArgs, lossy::LossyArgs,
        neighbours::NeighbourArgs, open::OpenArgs, published::PublishedArgs, rooms::RoomArgs, series::SeriesArgs,
        visits::VisitArgs,
    },
    serve::ServeArgs,
    stage::seconds,
};

/// Measures this framework against a raw epoll program and against other frameworks, in turns on the same machine.
#[derive(Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Every scenario in order, and a summary of all targets.
    All(AllArgs),
    /// Ping-pong: one frame in flight on each connection.
    S1(SeriesArgs),
    /// Pipelined: 32 frames in flight on each connection, with a client that coalesces writes and one that does not.
    S2(SeriesArgs),
    /// Gate, node and back: the handler runs on a node, over links in memory and between two processes.
    S3(SeriesArgs),
    /// due's published benchmark: its frames, its JSON, its client, and ours in the same style.
    S4(PublishedArgs),
    /// Frames by a clock, through gate and node: latency from the time a frame should have gone out.
    S5(OpenArgs),
    /// Pushes to the members of rooms.
    S6(RoomArgs),
    /// The same while one member in a hundred does not read.
    S7(RoomArgs),
    /// Memory of connections that do nothing.
    #[command(alias = "idle")]
    S8(IdleArgs),
    /// Connections that come and go, and all at once.
    S9(VisitArgs),
    /// Calls between two servers, over each transport.
    S10(LinkArgs),
    /// Messages between actors of one process.
    S11(ActorArgs),
    /// kcp through a network that loses datagrams.
    S12(LossyArgs),
    /// WebSocket against tcp: S1 and S2 of both.
    S13(SeriesArgs),
    /// What limits, counters, layers, a log and encryption cost a message.
    Extras(ExtraArgs),
    /// What a message costs with more connections, shards and nodes; draws the curves.
    Growth(GrowthArgs),
    /// What clients notice of one that blocks, one that does not read and one that floods.
    Neighbours(NeighbourArgs),
    /// The reference server itself: epoll and nothing else.
    Reference(ReferenceArgs),
    /// This framework as a server: what the scenarios start.
    Serve(Box<ServeArgs>),
    /// Load against a server that already runs.
    Load(LoadArgs),
}

/// `reference`.
#[derive(clap::Args)]
pub(crate) struct ReferenceArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) tcp: SocketAddr,
    /// Write back what was read, without cutting frames.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Four bytes of route and of seq: what the node of a gate reads.
    #[arg(long, conflicts_with = "raw")]
    pub(crate) wide: bool,
    /// Be a gate: send everything to this node, a reference with --wide.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["raw", "wide"])]
    pub(crate) node: Option<SocketAddr>,
}

/// `load`.
#[derive(clap::Args)]
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
    /// Bytes of a body, at most 65,000.
    #[arg(long, default_value_t = 1024)]
    body: usize,
    /// One write for each frame.
    #[arg(long)]
    unbatched: bool,
    /// How long, in seconds, at most 60.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
}

impl LoadArgs {
    /// The server's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.tcp
    }

    /// The load.
    pub(crate) fn shape(&self) -> Shape {
        Shape { coalescing: !self.unbatched, ..Shape::plain(self.connections, self.window, self.body) }
    }

    /// Its length.
    pub(crate) fn measure(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
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
