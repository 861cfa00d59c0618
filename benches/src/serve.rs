//! This framework as the server that is measured: echoes of bytes and of JSON, and pushes to rooms.

use std::time::Duration;

use bytes::Bytes;
use due::{
    core::{Notify as CoreNotify, Push as CorePush, units},
    handler::Raw,
    prelude::*,
};

use crate::{
    Fallible,
    extra::ExtraArgs,
    room::{self, Tick, joined},
};

const ECHO: Call<Bytes, Bytes, Raw> = Call::new(1, "bench.echo");
const ECHO_JSON: Call<Message, Message> = Call::new(1, "bench.echo");
const JOIN: Call<Bytes, Bytes, Raw> = Call::new(room::JOIN as i32, "bench.join");
const BLOCK: Call<Bytes, Bytes, Raw> = Call::new(room::BLOCK as i32, "bench.block");
/// How long its handler blocks a thread.
const BLOCKED: Duration = Duration::from_millis(20);
const TICK: CoreNotify<Bytes, Raw> = CoreNotify::new(room::TICK as i32, "bench.tick");
const PUSHED: CorePush<Bytes, Raw> = CorePush::new(room::PUSH as i32, "bench.push");

/// The body of due's published benchmark.
#[derive(serde::Serialize, serde::Deserialize)]
struct Message {
    message: String,
}

/// `serve`.
#[derive(clap::Args)]
pub(crate) struct ServeArgs {
    /// Listen for tcp clients: HOST:PORT.
    #[arg(long, value_name = "ADDRESS")]
    tcp: Option<String>,
    /// Listen for WebSocket clients.
    #[arg(long, value_name = "ADDRESS")]
    ws: Option<String>,
    /// Listen for kcp clients.
    #[arg(long, value_name = "ADDRESS")]
    kcp: Option<String>,
    /// Handlers run on a node with shards of its own, over a link; else on the connection's own shard.
    #[arg(long)]
    apart: bool,
    /// Decode and encode JSON bodies.
    #[arg(long)]
    json: bool,
    /// Four bytes of route and of seq.
    #[arg(long)]
    wide: bool,
    /// A client silent for two of these is closed.
    #[arg(long, default_value = "60s", value_parser = units::duration)]
    heartbeat: Duration,
    #[command(flatten)]
    extra: ExtraArgs,
    #[command(flatten)]
    due: due::Cli,
}

impl ServeArgs {
    fn listeners(&self) -> Vec<String> {
        let width = if self.wide { "&route-bytes=4&seq-bytes=4" } else { "" };
        let (heartbeat, more) = (units::show(self.extra.heartbeat(self.heartbeat)), self.extra.keys());
        let query = format!("heartbeat={heartbeat}&max-body=65536{width}{more}");
        let named = [("tcp", &self.tcp), ("ws", &self.ws), ("kcp", &self.kcp)];
        named.iter().filter_map(|(scheme, at)| Some(format!("{scheme}://{}?{query}", at.as_ref()?))).collect()
    }

    fn routes(&self) -> Routes {
        let rooms = Routes::new().route(JOIN, join).route(TICK, tick).route(BLOCK, blocking(block));
        self.extra.around(match self.json {
            true => rooms.route(ECHO_JSON, echo_json),
            false if self.extra.tells() => rooms.raw(ECHO, echo_and_tell),
            false => rooms.raw(ECHO, echo),
        })
    }
}

/// Serves until a signal comes; says `ready` on standard output when clients may come.
pub(crate) fn run(args: ServeArgs) -> Fallible<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args))?;
    Ok(true)
}

async fn serve(args: ServeArgs) -> Fallible<()> {
    let _log = args.extra.log()?;
    let gate = args.listeners().into_iter().fold(Gate::new("gate"), Gate::listen);
    let node = args.extra.seal(Node::new("bench").routes(args.routes()))?;
    let mut app = App::new(due::drivers()).with(gate).with(node);
    if !args.apart {
        app = app.shared_shards();
    }
    let running = app.args(args.due.read()?).start().await?;
    crate::say("ready")?;
    args.extra.watch(&running, due::app::signal()).await?;
    Ok(running.stop(Duration::from_secs(5)).await?)
}

fn echo(rq: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.extend_from_slice(rq.body.bytes());
    Ok(())
}

fn echo_and_tell(rq: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    tracing::trace!(bytes = rq.body.bytes().len(), "an echo");
    echo(rq, out)
}

async fn echo_json(Msg(message): Msg<Message>) -> Message {
    message
}

async fn join(me: Session, Msg(body): Msg<Bytes>) -> Result<Bytes, Fault> {
    let number = joined(&body).ok_or_else(|| Fault::new(Code::BAD_REQUEST, "want the number of a room"))?;
    me.subscribe(&name(number))?;
    Ok(body)
}

/// All messages of a tick are handed over at once: so each member gets them in one write.
async fn tick(to: Cluster, Msg(body): Msg<Bytes>) -> due::Result<()> {
    let Some(tick) = Tick::read(&body) else { return Ok(()) };
    let bodies: Vec<Bytes> = (0..tick.count).map(|i| tick.push(i).into()).collect();
    let mut all = to.to_channels();
    for room in (0..tick.rooms).map(name) {
        for body in &bodies {
            all.push(&room, PUSHED, body)?;
        }
    }
    all.send().await;
    Ok(())
}

fn block(Msg(body): Msg<Bytes>) -> Bytes {
    std::thread::sleep(BLOCKED);
    body
}

fn name(room: u32) -> String {
    format!("room-{room}")
}
