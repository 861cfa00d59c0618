//! A master as a process of its own: `due-master --registry etcd://127.0.0.1:2379 --transport link://127.0.0.1:0`.

use clap::Parser;
use due::{Cli, Url, prelude::App};
use due_master::{Master, audit};

/// The master of a fleet: an API for people
#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// Where the API listens; only on this machine
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7080")]
    listen: String,
    /// Refuse everything that changes something
    #[arg(long)]
    read_only: bool,
    /// The audit log: a file of this master's own, or redis://host:port/0?ns=.. for one that masters share
    #[arg(long, value_name = "FILE|URL", default_value = "due-master-audit.jsonl")]
    audit: String,
    /// How many requests a second a token may make
    #[arg(long, value_name = "N", default_value_t = 50)]
    rate: u32,
    /// What waits for a second person: kick_all=approve,.. of kick_all, broadcast, drain, config, roles, tokens
    #[arg(long, value_name = "ACTION=approve,..", default_value = "")]
    guard: String,
    /// Processes that serve each other registry, locator, event bus and settings: the first one is their home
    #[arg(long, value_name = "HOST:PORT,..")]
    peers: Option<String>,
    #[command(flatten)]
    due: Cli,
}

fn app(args: Args) -> due::Result<App> {
    let master = Master::new().listen(args.listen).read_only(args.read_only).rate(args.rate).guard(args.guard);
    let master = match args.audit.contains("://") {
        true => master.audit(audit::Redis::new(redis(&args.audit)?)),
        false => master.audit(audit::File::new(args.audit)),
    };
    let mut app = App::new(due::drivers()).transport("link://127.0.0.1:0");
    if let Some(peers) = args.peers {
        let url = format!("peer://{peers}");
        app = app.registry(&url).locator(&url).eventbus(&url).config(&url);
    }
    Ok(app.with(master).args(args.due))
}

fn redis(text: &str) -> due::Result<Url> {
    let url = Url::parse(text)?;
    match url.scheme() {
        "redis" => Ok(url),
        other => Err(due::Error::config(format!("--audit {other}://..: give a file, or redis://host:port"))),
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "whoever started the program waits for these lines")]
async fn main() -> due::Result<()> {
    let args = Args::parse();
    let _log = due::log::start(&args.due.read()?.settings().log)?;
    let mut asked = std::pin::pin!(due::app::signal());
    let running = tokio::select! {
        started = app(args)?.start() => started?,
        ended = &mut asked => return ended,
    };
    for (part, url) in running.urls() {
        println!("{part} {url}");
    }
    println!("ready");
    asked.await?;
    let limit = running.stop_limit();
    running.stop(limit).await
}
