//! The same room on a terminal: what is typed is said, the end of input leaves.

use std::io::{self, Write};

use due::{Error, Kind, Result};
use due_sdk::{CallError, Client};
use tokio::sync::mpsc;

use super::options;
use crate::{CAME, JOIN, LEAVE, LEFT, SAID, SAY};

/// Lines typed ahead of what the network takes.
const AHEAD: usize = 16;

/// Joins the room and stays until the input or the connection ends.
pub(super) async fn run(who: &options::Client) -> Result<()> {
    talk(who, typed(), print).await
}

/// The conversation itself: `lines` are said, what happens is shown by `show`.
pub(super) async fn talk(
    who: &options::Client,
    mut lines: mpsc::Receiver<String>,
    show: impl Fn(String),
) -> Result<()> {
    let (name, client) = (&who.name, Client::builder(&who.url));
    let client = match &who.keys {
        Some(keys) => client.encryptor(keys.encryptor.clone()),
        None => client,
    };
    let client = client.connect().await?;
    // Before joining: nothing that is said from then on is missed.
    let (mut said, mut came, mut left) = (client.pushes(SAID), client.pushes(CAME), client.pushes(LEFT));
    let here = client.call(JOIN, name).await.map_err(failed)?;
    show(format!("here: {}", here.join(", ")));
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(text) => client.notify(SAY, &text).map_err(failed)?,
                None => break,
            },
            Some(Ok(said)) = said.next() => show(format!("{}: {}", said.who, said.text)),
            Some(Ok(who)) = came.next() => if who != name.trim() { show(format!("{who} joined")) },
            Some(Ok(who)) = left.next() => show(format!("{who} left")),
            closed = client.closed() => return Err(closed.into()),
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    // Not all networks tell the server of an end: over kcp it would wait for heartbeats first.
    client.call(LEAVE, &()).await.map_err(failed)?;
    client.close().await;
    Ok(())
}

fn failed(e: CallError) -> Error {
    match e {
        CallError::Refused { text, .. } => Error::new(Kind::Forbidden, text),
        CallError::Gone { reason, .. } => reason.into(),
        CallError::Timeout => Kind::Timeout.into(),
        e => Error::new(Kind::BadRequest, e.to_string()),
    }
}

/// The lines of standard input. A thread of its own reads them, which an open terminal does not keep from ending.
fn typed() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let typed = io::stdin().lines().map_while(Result::ok);
        for line in typed.filter(|line| !line.trim().is_empty()) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn print(line: String) {
    // Whoever closed our output does not read any more.
    let _ = writeln!(io::stdout(), "{line}");
}
