//! S8: what a connection that does nothing costs in memory.

use std::{
    fs,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Fallible,
    contest::progress,
    exchange::{echo, open},
    load::{Content, MAX_CONNECTIONS},
    measure::pss,
    peers::Against,
    report::Idle,
    server::{Role, Server},
    stage::{Common, Contestant, Stage},
    subject::Subject,
};

/// Limit for one reply.
const REPLY_LIMIT: Duration = Duration::from_secs(5);
/// The memory of a server is read until so many readings in a row agree.
const AGREEING: usize = 4;
const BETWEEN_READINGS: Duration = Duration::from_millis(50);
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// The small message, and the large one.
const SMALL: usize = 1024;
const LARGE: usize = 60 * 1024;
/// Readings that differ by less than this share are the same: a collector never rests wholly.
const NOISE: u64 = 1000;

/// Of `idle` and `s8`.
#[derive(clap::Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    common: Common,
    /// Connections, at most 10,000.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=MAX_CONNECTIONS as i64))]
    connections: u32,
    /// due's network only takes this many unless told otherwise.
    #[arg(long, default_value_t = 4900, value_parser = clap::value_parser!(u32).range(1..=MAX_CONNECTIONS as i64))]
    due_connections: u32,
}

/// S8.
pub(crate) fn run(args: &IdleArgs) -> Fallible<bool> {
    let mut stage = Stage::open("s8", &args.common, None)?;
    let mut subjects = Vec::new();
    if args.common.has(Against::Epoll) {
        subjects.push((Subject::reference()?, None));
    }
    subjects.push((Subject::ours("ours, tcp")?, Some(1536.0)));
    subjects.push((Subject::ws("ours, ws")?, Some(2048.0)));
    subjects.extend(args.common.due()?.map(|program| (Subject::due(&program, ""), None)));
    subjects.extend(args.common.others().map(|other| (other, None)));
    // One after the other: each starts with fresh memory.
    for (subject, most) in subjects {
        let count = if subject.role == Role::Peer { args.due_connections } else { args.connections };
        let one = stage.start_one(subject)?;
        progress(&format!("{}: {count} silent connections", one.subject.name));
        let idle = measure(&one, count as usize)?;
        progress("");
        stage.idle(Idle { most, ..idle })?;
    }
    stage.close()
}

/// Opens `count` connections and reads the server's memory: before, when all are open and none has spoken, after each has
/// had one message of 1 KiB echoed, and after a large one.
fn measure(one: &Contestant, count: usize) -> Fallible<Idle> {
    let Contestant { subject, server } = one;
    let [small, large] = [SMALL, LARGE].map(|size| Content::Marked.body(size));
    let dialect = subject.dialect;
    let dial = || -> Fallible<TcpStream> {
        let stream = open(server.address, dialect)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        Ok(stream)
    };
    // The first connections of a server's life bring buffers that all share.
    for body in [&small, &large] {
        echo(&mut dial()?, dialect, body)?;
    }
    let (empty, kernel) = (settled(server)?, socket_memory()?);
    let mut clients = (0..count).map(|_| dial()).collect::<Result<Vec<_>, _>>()?;
    // Connections are accepted in order: when one more is served, those before it are known to the server.
    echo(&mut dial()?, dialect, &small)?;
    let (silent, used) = (settled(server)?, socket_memory()?);
    let mut after = [0; 2];
    for (after, body) in after.iter_mut().zip([&small, &large]) {
        for client in &mut clients {
            echo(client, dialect, body)?;
        }
        *after = settled(server)?;
    }
    let each = |bytes: u64| bytes.saturating_sub(empty) as f64 / count as f64;
    let [spoken, busy] = after.map(each);
    let kernel = used.saturating_sub(kernel) as f64 / count as f64;
    let name = subject.name.clone();
    Ok(Idle { name, connections: count, empty, silent: each(silent), spoken, busy, kernel, most: None })
}

/// The memory of the server once it no longer changes.
pub(crate) fn settled(server: &Server) -> Fallible<u64> {
    let begin = Instant::now();
    let read = || server.pids().map(pss).sum::<Fallible<u64>>();
    let (mut last, mut agreeing) = (read()?, 1);
    while agreeing < AGREEING {
        if begin.elapsed() > SETTLE_LIMIT {
            return Err(format!("the memory of the server still changes after {SETTLE_LIMIT:?}").into());
        }
        thread::sleep(BETWEEN_READINGS);
        let now = read()?;
        agreeing = if now.abs_diff(last) <= last / NOISE { agreeing + 1 } else { 1 };
        last = now;
    }
    Ok(last)
}

/// Bytes that the kernel keeps for sockets and all else, of the whole machine.
fn socket_memory() -> Fallible<u64> {
    let pages =
        socket_pages(&fs::read_to_string("/proc/net/sockstat")?).ok_or("/proc/net/sockstat has another form")?;
    let slab = slab_kilobytes(&fs::read_to_string("/proc/meminfo")?).ok_or("/proc/meminfo has another form")?;
    Ok(pages * 4096 + slab * 1024)
}

/// Pages of buffers: `TCP: inuse 5 orphan 0 tw 0 alloc 9 mem 1`.
fn socket_pages(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    line.split_once(" mem ")?.1.split_whitespace().next()?.parse().ok()
}

/// Memory of the sockets themselves, among other things: `Slab: 1234 kB`.
fn slab_kilobytes(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("Slab:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        let text = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 0 alloc 9 mem 17\nUDP: inuse 1 mem 3\n";
        assert_eq!(socket_pages(text), Some(17));
        assert_eq!(socket_pages("UDP: inuse 1 mem 3"), None);
        assert_eq!(slab_kilobytes("MemFree: 1 kB\nSlab:     1234 kB\n"), Some(1234));
    }
}
