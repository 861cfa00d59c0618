//! A bad network in user space: datagrams go through this process, and some of them do not.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{Fallible, load::MAX_CONNECTIONS, socket::Poller};

/// Largest datagram that goes through.
const DATAGRAM: usize = 2048;
/// How often the end is looked for.
const TICK: Duration = Duration::from_millis(50);
/// The token of the socket that clients send to.
const FRONT: u64 = u64::MAX;
/// Bytes that may wait at each side: what is lost is lost on purpose.
const BUFFER: usize = 4 << 20;
/// Datagrams of one socket before the next has its turn.
const TURN: usize = 64;

/// A thread between clients and a server; it ends when this is dropped.
pub(crate) struct Shim {
    /// Where clients send to.
    pub(crate) address: SocketAddr,
    told: Arc<Told>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Told {
    stop: AtomicBool,
    passed: AtomicU64,
    lost: AtomicU64,
}

impl Shim {
    /// Passes datagrams to `server` and back, and loses a share of them (0 up to 1) both ways, by chance but the same in
    /// every run.
    pub(crate) fn start(server: SocketAddr, loss: f64) -> Fallible<Self> {
        if !(0.0..1.0).contains(&loss) {
            return Err(format!("a loss of {loss}: want a share from 0 up to 1").into());
        }
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = front.local_addr()?;
        let told = Arc::<Told>::default();
        front.set_nonblocking(true)?;
        enlarge(&front);
        let chance = Chance { state: 0x9e37_79b9_7f4a_7c15, limit: (loss * u64::MAX as f64) as u64 };
        let shared = told.clone();
        let thread = std::thread::spawn(move || {
            // A socket that fails ends the network, and the run with it.
            let _ = Poller::new().and_then(|poller| {
                Relay { server, front, poller, chance, told: shared, back: Vec::new(), known: HashMap::new() }.run()
            });
        });
        Ok(Self { address, told, thread: Some(thread) })
    }

    /// Datagrams that went through, and those that did not.
    #[cfg(test)]
    fn counts(&self) -> (u64, u64) {
        (self.told.passed.load(Ordering::Relaxed), self.told.lost.load(Ordering::Relaxed))
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.told.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Relay {
    server: SocketAddr,
    front: UdpSocket,
    poller: Poller,
    chance: Chance,
    told: Arc<Told>,
    /// A socket to the server for each client, and the client.
    back: Vec<(UdpSocket, SocketAddr)>,
    known: HashMap<SocketAddr, usize>,
}

impl Relay {
    fn run(mut self) -> io::Result<()> {
        self.poller.add(&self.front, FRONT)?;
        let mut buffer = [0; DATAGRAM];
        while !self.told.stop.load(Ordering::Relaxed) {
            let count = self.poller.wait(Some(TICK))?;
            for i in 0..count {
                match self.poller.ready(i).map(|ready| ready.token) {
                    Some(FRONT) => self.read_front(&mut buffer)?,
                    Some(token) => self.read_back(token as usize, &mut buffer),
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn read_front(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..TURN {
            let Ok((n, client)) = self.front.recv_from(buffer) else { return Ok(()) };
            let Some(at) = self.slot(client)? else { continue };
            if let (Some((socket, _)), true) = (self.back.get(at), self.chance.passes(&self.told)) {
                // What the system refuses is lost, as on any network.
                let _ = socket.send(buffer.get(..n).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// The socket of a client; `None` when there are too many.
    fn slot(&mut self, client: SocketAddr) -> io::Result<Option<usize>> {
        if let Some(at) = self.known.get(&client) {
            return Ok(Some(*at));
        }
        if self.back.len() >= MAX_CONNECTIONS {
            return Ok(None);
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(self.server)?;
        socket.set_nonblocking(true)?;
        enlarge(&socket);
        let at = self.back.len();
        self.poller.add(&socket, at as u64)?;
        self.back.push((socket, client));
        self.known.insert(client, at);
        Ok(Some(at))
    }

    fn read_back(&mut self, at: usize, buffer: &mut [u8]) {
        let Some((socket, client)) = self.back.get(at) else { return };
        for _ in 0..TURN {
            let Ok(n) = socket.recv(buffer) else { return };
            if self.chance.passes(&self.told) {
                let _ = self.front.send_to(buffer.get(..n).unwrap_or_default(), client);
            }
        }
    }
}

/// The system may give less.
fn enlarge(socket: &UdpSocket) {
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(socket, BUFFER);
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(socket, BUFFER);
}

/// Numbers that look like chance.
struct Chance {
    state: u64,
    limit: u64,
}

impl Chance {
    fn passes(&mut self, told: &Told) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let passes = self.state >= self.limit;
        let count = if passes { &told.passed } else { &told.lost };
        count.fetch_add(1, Ordering::Relaxed);
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends through a shim to an echo until so many came through; what it counted.
    fn check(loss: f64, wanted: u64) -> (u64, u64) {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let shim = Shim::start(server.local_addr().expect("an address"), loss).expect("a shim");
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        client.connect(shim.address).expect("connected");
        for socket in [&client, &server] {
            socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a limit");
        }
        let (mut back, mut buffer) = (0, [0; 64]);
        while back < wanted {
            client.send(b"datagram").expect("sent");
            let Ok((n, from)) = server.recv_from(&mut buffer) else { continue };
            server.send_to(&buffer[..n], from).expect("sent");
            back += u64::from(client.recv(&mut buffer).is_ok());
        }
        shim.counts()
    }

    #[test]
    fn a_good_network_loses_nothing() {
        assert_eq!(check(0.0, 20).1, 0);
    }

    #[test]
    fn a_bad_one_loses_its_share() {
        let (passed, lost) = check(0.5, 20);
        assert!(lost > 0 && passed >= 40, "{passed} {lost}");
    }

    #[test]
    fn shares_out_of_range_are_refused() {
        assert!(Shim::start(SocketAddr::from(([127, 0, 0, 1], 1)), 1.0).is_err());
    }
}
