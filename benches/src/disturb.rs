//! Clients that behave badly beside a load that is measured.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    Fallible,
    dialect::Dialect,
    load::{Content, Drive, Outcome, dial},
    room::BLOCK,
};

/// Bad manners.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    /// Calls a handler that blocks, and again when it has answered.
    Blocking,
    /// Asks so many times a second, or as fast as the server takes it, and reads nothing.
    Slow(Option<f64>),
    /// Sends so many frames a second, or as many as the server takes.
    Flooding(Option<f64>),
}

/// Bytes of a frame's body.
const SMALL: usize = 128;
const LARGE: usize = 16 * 1024;
/// Frames of one write of a flood.
const BURST: u64 = 400;

/// A load and the clients that disturb it. They end with it.
pub(crate) struct Beside<D> {
    load: D,
    _clients: Clients,
}

impl<D> Beside<D> {
    /// So many clients of a kind.
    pub(crate) fn new(load: D, to: SocketAddr, manner: Manner, count: usize) -> Fallible<Self> {
        Ok(Self { load, _clients: Clients::start(to, manner, count)? })
    }
}

impl<D: Drive> Drive for Beside<D> {
    fn drive(&mut self, time: Duration) -> Fallible<Outcome> {
        self.load.drive(time)
    }
}

/// Threads, one for each connection, and one more for each that is read.
struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What ends them.
#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// A connection that ends with all others.
    fn connect(&self, to: SocketAddr) -> Fallible<TcpStream> {
        let stream = dial(to)?;
        stream.set_nodelay(true)?;
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that the server has closed are known no more.
        streams.retain(|stream| stream.peer_addr().is_ok());
        streams.push(stream.try_clone()?);
        Ok(stream)
    }
}

impl Clients {
    fn start(to: SocketAddr, manner: Manner, count: usize) -> Fallible<Self> {
        let shared = Arc::<Shared>::default();
        let mut clients = Self { shared: shared.clone(), threads: Vec::new() };
        for _ in 0..count {
            // The first connection is here when the load begins.
            let (first, shared) = (shared.connect(to)?, shared.clone());
            clients.threads.push(thread::spawn(move || behave(first, to, manner, &shared)));
        }
        Ok(clients)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for stream in self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Goes on until all is over; a connection that the server ends is followed by another.
fn behave(first: TcpStream, to: SocketAddr, manner: Manner, shared: &Shared) {
    let mut stream = Some(first);
    while !shared.is_over() {
        let next = stream.take().map_or_else(|| shared.connect(to), Ok);
        let ended = next.and_then(|mut stream| match manner {
            Manner::Blocking => call(&mut stream, shared),
            Manner::Slow(rate) => write_only(&mut stream, rate, shared),
            Manner::Flooding(rate) => flood(&mut stream, rate, shared),
        });
        // Whoever is refused at once does not come back at once.
        if ended.is_err() && !shared.is_over() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn call(stream: &mut TcpStream, shared: &Shared) -> Fallible<()> {
    let mut frame = Vec::new();
    Dialect::Due.put_on(BLOCK, 1, &[0; 8], &mut frame);
    let mut reply = vec![0; frame.len()];
    while !shared.is_over() {
        stream.write_all(&frame)?;
        stream.read_exact(&mut reply)?;
    }
    Ok(())
}

fn write_only(stream: &mut TcpStream, rate: Option<f64>, shared: &Shared) -> Fallible<()> {
    let mut frame = Vec::new();
    Dialect::Due.put(0, &Content::Marked.body(LARGE), &mut frame);
    send_on(stream, &frame, rate, shared)
}

/// Answers are read by a thread of its own and thrown away: only what it sends should count.
fn flood(stream: &mut TcpStream, rate: Option<f64>, shared: &Shared) -> Fallible<()> {
    let mut frames = Vec::new();
    let body = Content::Marked.body(SMALL);
    (0..BURST).for_each(|number| Dialect::Due.put(number, &body, &mut frames));
    let mut answers = stream.try_clone()?;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut scratch = vec![0; 256 * 1024];
            loop {
                match answers.read(&mut scratch) {
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        });
        let sent = send_on(stream, &frames, rate.map(|rate| rate / BURST as f64), shared);
        let _ = stream.shutdown(Shutdown::Both);
        sent
    })
}

/// Sends it again and again, at most so many times a second.
fn send_on(stream: &mut TcpStream, bytes: &[u8], rate: Option<f64>, shared: &Shared) -> Fallible<()> {
    let begin = Instant::now();
    let mut sent = 0_u32;
    while !shared.is_over() {
        stream.write_all(bytes)?;
        sent += 1;
        let Some(rate) = rate else { continue };
        let due = Duration::from_secs_f64(f64::from(sent) / rate);
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::{
        load::{Load, Shape},
        reference::tests::reference,
    };

    #[test]
    fn they_end_with_the_load_that_they_disturb() {
        let all = [
            Manner::Blocking,
            Manner::Slow(Some(1_000.0)),
            Manner::Slow(None),
            Manner::Flooding(Some(10_000.0)),
            Manner::Flooding(None),
        ];
        for manner in all {
            let address = reference();
            let load = Load::connect(address, Shape::plain(2, 1, 128)).expect("connected");
            let mut both = Beside::new(load, address, manner, 3).expect("connected too");
            let outcome = both.drive(Duration::from_millis(30)).expect("replies");
            assert!(outcome.latency.total() > 0, "{manner:?}");
        }
    }

    #[test]
    fn who_is_closed_comes_again() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let clients = Clients::start(address, Manner::Blocking, 1).expect("connected");
        for _ in 0..3 {
            drop(listener.accept().expect("a client"));
        }
        drop(clients);
    }
}
