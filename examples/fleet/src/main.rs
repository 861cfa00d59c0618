//! One program, many processes: gates for the clients, nodes that host rooms, a mesh that rolls dice for them.
//!
//! ```text
//! cargo run -p fleet                                        all in one process
//! cargo run -p fleet -- gate --peers 127.0.0.1:7100         three processes, nothing installed
//! cargo run -p fleet -- node --peers 127.0.0.1:7100
//! cargo run -p fleet -- mesh --peers 127.0.0.1:7100
//! cargo run -p fleet -- node --registry etcd://127.0.0.1:2379 --locator redis://127.0.0.1:6379 ..
//! ```

mod game;

use clap::{Parser, ValueEnum};
use due::{Cli, app::Drained, prelude::*};

/// A fleet of processes from one program.
#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// What this process is; without it everything runs in this one
    #[arg(value_enum)]
    role: Option<Role>,
    /// Processes that serve each other registry, locator, event bus and settings: the first one is their home
    #[arg(long, value_name = "HOST:PORT,..")]
    peers: Option<String>,
    /// Listen for tcp clients (gates only); port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    tcp: String,
    /// Listen for WebSocket clients (gates only)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    ws: String,
    #[command(flatten)]
    due: Cli,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Takes clients
    Gate,
    /// Hosts rooms
    Node,
    /// Serves the others' calls
    Mesh,
}

fn app(args: Args) -> App {
    let mut app = App::new(due::drivers());
    if matches!(args.role, None | Some(Role::Gate)) {
        let listen = |scheme, at| format!("{scheme}://{at}");
        app = app.with(Gate::new("gate").listen(listen("tcp", args.tcp)).listen(listen("ws", args.ws)));
    }
    if matches!(args.role, None | Some(Role::Node)) {
        let rules = game::rules();
        app = app.with(game::node(&rules)).setting(game::RULES, &rules).schema(game::RULES, game::LOOKS);
    }
    if matches!(args.role, None | Some(Role::Mesh)) {
        app = app.with(game::mesh());
    }
    if args.role.is_some() {
        app = app.transport("link://127.0.0.1:0");
    }
    if let Some(peers) = args.peers {
        let url = format!("peer://{peers}");
        app = app.registry(&url).locator(&url).eventbus(&url).config(&url);
    }
    app.args(args.due)
}

#[tokio::main]
async fn main() -> due::Result<()> {
    let args = Args::parse();
    let _log = due::log::start(&args.due.read()?.settings().log)?;
    let mut asked = std::pin::pin!(due::app::signal());
    let running = tokio::select! {
        started = app(args).start() => started?,
        ended = &mut asked => return ended,
    };
    say(&running);
    asked.await?;
    let limit = running.stop_limit();
    tell(&running.drain(limit).await)
}

#[expect(clippy::print_stdout, reason = "whoever started the program waits for these lines")]
fn say(running: &Running) {
    for (part, url) in running.urls() {
        println!("{part} {url}");
    }
    println!("ready");
}

/// The account of the stop; what had not ended in time is an error.
#[expect(clippy::print_stdout, reason = "whoever started the program waits for this line")]
fn tell(drained: &Drained) -> due::Result<()> {
    let Drained { sessions, moved, finished, cut, dropped, released, .. } = drained;
    println!(
        "stopped sessions={sessions} moved={moved} finished={finished} cut={cut} dropped={dropped} released={released}"
    );
    drained.left.iter().for_each(|what| println!("held {what}"));
    drained.unreached.iter().for_each(|what| println!("unreached {what}"));
    match drained.left.is_empty() {
        true => Ok(()),
        false => Err(due::Error::new(due::Kind::Timeout, "stopped at the deadline, with work that had not ended")),
    }
}
