//! What a server may do beside answering: each an argument, so that its cost can be measured.

use std::{collections::VecDeque, io, path::PathBuf, sync::Arc, time::Duration};

use clap::ValueEnum;
use due::{
    core::units,
    crypto::ecc::{EccEncryptor, private_key},
    handler::{Next, Outcome, OwnedRequest, Request, from_fn, guard},
    log::{Guard, LevelFilter, Output, Record, Setup, Sink},
    prelude::*,
};

use crate::Fallible;

/// Of `serve`.
#[derive(clap::Args)]
pub(crate) struct ExtraArgs {
    /// Read all counters of the process this often.
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    counters: Option<Duration>,
    /// Tight limits for clients: silence, memory, slowness.
    #[arg(long)]
    limits: bool,
    /// A check before each handler.
    #[arg(long)]
    guard: bool,
    /// Async middleware around each handler.
    #[arg(long)]
    middleware: bool,
    /// Each handler says what it does, by `tracing`, to a log that throws away what it takes.
    #[arg(long, value_enum)]
    events: Option<Events>,
    /// Bodies are encrypted with this private key, those of answers for its public half.
    #[arg(long, value_name = "FILE")]
    encrypt: Option<PathBuf>,
}

/// What becomes of an event.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Events {
    /// Its level is not logged.
    Off,
    /// It is.
    On,
}

impl ExtraArgs {
    /// More keys for a listener.
    pub(crate) fn keys(&self) -> &'static str {
        match self.limits {
            true => "&max-connections=10050&slow-after=500ms&outbox=64KiB&open-frame=2s",
            false => "",
        }
    }

    /// A client silent for two of these is closed.
    pub(crate) fn heartbeat(&self, usual: Duration) -> Duration {
        if self.limits { Duration::from_secs(2) } else { usual }
    }

    /// Do handlers say what they do?
    pub(crate) fn tells(&self) -> bool {
        self.events.is_some()
    }

    /// Puts checks and middleware before the handlers.
    pub(crate) fn around(&self, mut routes: Routes) -> Routes {
        if self.guard {
            routes = routes.layer(guard(small));
        }
        if self.middleware {
            routes = routes.layer(from_fn(pass));
        }
        routes
    }

    /// The node with encryption.
    pub(crate) fn seal(&self, node: Node) -> Fallible<Node> {
        let Some(path) = &self.encrypt else { return Ok(node) };
        Ok(node.encryptor(Arc::new(pair(&path.display().to_string())?)))
    }

    /// The log; it ends with the guard.
    pub(crate) fn log(&self) -> Fallible<Option<Guard>> {
        let level = match self.events {
            None => return Ok(None),
            Some(Events::Off) => "info",
            Some(Events::On) => "trace",
        };
        let sink = Output::new("nowhere", Nowhere).level(LevelFilter::TRACE);
        Ok(Some(Setup::new().levels(level.parse()?).repeats(0).sink(sink).start()?))
    }

    /// Reads counters until `end`.
    pub(crate) async fn watch(&self, running: &Running, end: impl Future<Output = due::Result<()>>) -> due::Result<()> {
        let Some(period) = self.counters else { return end.await };
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                ended = &mut end => return ended,
                () = tokio::time::sleep(period) => drop(running.snapshot().await),
            }
        }
    }
}

/// Whoever has this key both encrypts and decrypts.
pub(crate) fn pair(key: &str) -> Fallible<EccEncryptor> {
    let key = private_key(key)?;
    Ok(EccEncryptor::new().for_peer(key.public_key())?.with_private(key)?)
}

fn small(rq: &Request<'_>, (): &()) -> Result<(), Fault> {
    if rq.body.bytes().len() > 65_536 { Err(Code::BAD_REQUEST.into()) } else { Ok(()) }
}

async fn pass(rq: OwnedRequest, next: Next) -> Outcome {
    next.run(rq).await
}

/// A sink for what nobody wants to read.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, batch: &mut VecDeque<Arc<Record>>) -> io::Result<()> {
        batch.clear();
        Ok(())
    }
}
