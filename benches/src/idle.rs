//! What a connection that does nothing costs in memory.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Fallible,
    exchange::{echo, message},
    load::dial,
    measure::pss,
    report::Idle,
    server::Server,
};

/// Limit for one reply.
const REPLY_LIMIT: Duration = Duration::from_secs(5);
/// The memory of a server is read until so many readings in a row agree.
const AGREEING: usize = 4;
const BETWEEN_READINGS: Duration = Duration::from_millis(50);
const SETTLE_LIMIT: Duration = Duration::from_secs(10);

/// Opens `count` connections and reads the server's memory: before, when all are open and none has spoken, and after
/// each has had one message of 1 KiB echoed.
pub(crate) fn measure(name: &str, server: &Server, count: usize) -> Fallible<Idle> {
    let frame = message();
    // The first connection of a server's life brings buffers that all share.
    echo(&mut open(server)?, &frame)?;
    let empty = settled(server)?;
    let mut clients = (0..count).map(|_| open(server)).collect::<Result<Vec<_>, _>>()?;
    // Connections are accepted in order: when one more is served, those before it are known to the server.
    let mut last = open(server)?;
    echo(&mut last, &frame)?;
    let silent = settled(server)?;
    for client in &mut clients {
        echo(client, &frame)?;
    }
    let spoken = settled(server)?;
    let each = |bytes: u64| bytes.saturating_sub(empty) as f64 / (count + 1) as f64;
    Ok(Idle { name: name.into(), connections: count, empty, silent: each(silent), spoken: each(spoken) })
}

fn open(server: &Server) -> Fallible<TcpStream> {
    let stream = dial(server.address)?;
    stream.set_read_timeout(Some(REPLY_LIMIT))?;
    Ok(stream)
}

/// The memory of the server once it no longer changes.
fn settled(server: &Server) -> Fallible<u64> {
    let begin = Instant::now();
    let (mut last, mut agreeing) = (server.pids().map(pss).sum::<Fallible<u64>>()?, 1);
    while agreeing < AGREEING {
        if begin.elapsed() > SETTLE_LIMIT {
            return Err(format!("the memory of the server still changes after {SETTLE_LIMIT:?}").into());
        }
        thread::sleep(BETWEEN_READINGS);
        let now = server.pids().map(pss).sum::<Fallible<u64>>()?;
        agreeing = if now == last { agreeing + 1 } else { 1 };
        last = now;
    }
    Ok(last)
}
