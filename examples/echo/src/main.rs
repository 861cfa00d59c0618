//! Answers each frame with one frame of the same route, seq and body, over every listener at once.
//!
//! Load and compatibility programs are pointed at it.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use due::{core::units, prelude::*};

/// Echoes every frame of every route.
#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// Listen for tcp clients: HOST:PORT, port 0 picks one
    #[arg(long, value_name = "A")]
    tcp: Option<String>,
    /// Listen for WebSocket clients
    #[arg(long, value_name = "A")]
    ws: Option<String>,
    /// Listen for kcp clients
    #[arg(long, value_name = "A")]
    kcp: Option<String>,
    /// Bytes of a route: 1, 2 or 4
    #[arg(long, default_value_t = 2)]
    route_bytes: u8,
    /// Bytes of a sequence number: 0, 1, 2 or 4
    #[arg(long, default_value_t = 2)]
    seq_bytes: u8,
    /// Byte order: big or little
    #[arg(long, default_value = "big")]
    order: String,
    /// A client silent for two of these is closed: off, 10s, 500ms
    #[arg(long, default_value = "10s", value_parser = units::duration)]
    heartbeat: Duration,
    /// Time in the server's heartbeats: off, ms or ns
    #[arg(long, default_value = "off")]
    heartbeat_time: String,
    /// Do ws messages carry a size field: on or off
    #[arg(long, default_value = "on")]
    ws_size: String,
    /// Where the handler runs
    #[arg(long, value_enum, default_value_t = Via::Gate)]
    via: Via,
    /// Largest body in bytes
    #[arg(long, default_value_t = 65_536)]
    max_body: usize,
    #[command(flatten)]
    due: due::Cli,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Via {
    /// On the connection's own shard
    Gate,
    /// On a node of its own shards, over a link: in memory, or between two processes with --roles and --transport
    Node,
}

impl Args {
    fn listeners(&self) -> Vec<String> {
        let query = format!(
            "route-bytes={}&seq-bytes={}&order={}&heartbeat={}&heartbeat-time={}&ws-size={}&max-body={}",
            self.route_bytes,
            self.seq_bytes,
            self.order,
            units::show(self.heartbeat),
            self.heartbeat_time,
            self.ws_size,
            self.max_body
        );
        let named = [("tcp", &self.tcp), ("ws", &self.ws), ("kcp", &self.kcp)];
        named.iter().filter_map(|(scheme, addr)| Some(format!("{scheme}://{}?{query}", addr.as_ref()?))).collect()
    }
}

fn echo(rq: &Request<'_>, answer: &mut Vec<u8>) -> Result<(), Fault> {
    answer.extend_from_slice(rq.body.bytes());
    Ok(())
}

#[tokio::main]
async fn main() -> due::Result<()> {
    let args = Args::parse();
    let listeners = args.listeners();
    let boot = args.due.read()?;
    let _log = due::log::start(&boot.settings().log)?;
    if listeners.is_empty() && boot.settings().roles.is_none() {
        return Err(due::Error::config("nothing to listen on: give --tcp, --ws or --kcp HOST:PORT"));
    }
    let gate = listeners.into_iter().fold(Gate::new("gate"), Gate::listen);
    let mut app = App::new(due::drivers()).with(gate).with(Node::new("echo").routes(Routes::new().raw_fallback(echo)));
    if args.via == Via::Gate {
        app = app.shared_shards();
    }
    let running = app.args(boot).start().await?;
    say(&running);
    due::app::signal().await?;
    running.stop(Duration::from_secs(5)).await
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "whoever started the program waits for these lines")]
fn say(running: &Running) {
    for (_, url) in running.urls() {
        eprintln!("listening on {url}");
    }
    println!("ready");
}
