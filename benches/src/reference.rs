//! The reference: a server that is nothing but epoll, one read and one write for each ready connection. It echoes, and
//! sends to rooms in a flat loop.
//!
//! It is what the machine can do; every figure of a framework is given as a ratio to it.

use std::{io, net::TcpListener};

use rustix::event::epoll::EventFlags;

use crate::{
    frame::{BadSize, Width, cut},
    room::{JOIN, PUSH, TICK, Tick, joined},
    socket::{Poller, SCRATCH, Socket},
};

pub(crate) const LISTENER: u64 = u64::MAX;
/// What may wait for a member that does not read; more is not sent to it.
const MAX_WAITING: usize = 1024 * 1024;

/// What it does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Cuts frames and encodes each anew.
    Frames,
    /// The same with wide frames.
    Wide,
    /// Writes back what it read, without a look.
    Bytes,
}

/// Serves `listener` on this thread until the system refuses epoll or accept. A connection that breaks the framing or
/// fails is closed; the others go on.
pub(crate) fn serve(listener: TcpListener, mode: Mode) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER)?;
    let mut server = Server { listener, poller, sockets: Slots::default(), rooms: Vec::new() };
    let mut echo = Echo { mode, scratch: vec![0; SCRATCH], out: Vec::with_capacity(SCRATCH), orders: Vec::new() };
    loop {
        let count = server.poller.wait(None)?;
        for i in 0..count {
            match server.poller.ready(i) {
                Some(ready) if ready.token == LISTENER => server.accept()?,
                Some(ready) => server.turn(ready.token as usize, &mut echo),
                None => {}
            }
        }
    }
}

/// Sockets by token.
#[derive(Default)]
pub(crate) struct Slots {
    all: Vec<Option<Socket>>,
    free: Vec<usize>,
}

impl Slots {
    /// Accepts whoever waits, and says in which slots they are.
    pub(crate) fn accept(&mut self, listener: &TcpListener, poller: &Poller) -> io::Result<Vec<usize>> {
        let mut taken = Vec::new();
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(taken),
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            let slot = self.free.pop().unwrap_or_else(|| {
                self.all.push(None);
                self.all.len() - 1
            });
            match (Socket::new(poller, stream, slot as u64), self.all.get_mut(slot)) {
                (Ok(socket), Some(place)) => {
                    *place = Some(socket);
                    taken.push(slot);
                }
                _ => self.free.push(slot),
            }
        }
    }

    /// The socket there.
    pub(crate) fn at(&mut self, slot: usize) -> Option<&mut Socket> {
        self.all.get_mut(slot)?.as_mut()
    }

    /// Closes it.
    pub(crate) fn close(&mut self, slot: usize) {
        if self.all.get_mut(slot).is_some_and(|place| place.take().is_some()) {
            self.free.push(slot);
        }
    }
}

struct Server {
    listener: TcpListener,
    poller: Poller,
    sockets: Slots,
    /// Members of each room, by slot.
    rooms: Vec<Vec<usize>>,
}

impl Server {
    fn accept(&mut self) -> io::Result<()> {
        self.sockets.accept(&self.listener, &self.poller).map(drop)
    }

    fn turn(&mut self, slot: usize, echo: &mut Echo) {
        let Some(socket) = self.sockets.at(slot) else { return };
        if echo.turn(socket, &self.poller).is_err() {
            self.close(slot);
        }
        for order in echo.orders.drain(..) {
            match order {
                Order::Join(room) => self.join(slot, room as usize),
                Order::Tick(tick) => self.send(tick),
            }
        }
    }

    fn join(&mut self, slot: usize, room: usize) {
        if self.rooms.len() <= room {
            self.rooms.resize(room + 1, Vec::new());
        }
        if let Some(room) = self.rooms.get_mut(room) {
            room.push(slot);
        }
    }

    /// All messages of the tick to each member in one write: the flat loop.
    fn send(&mut self, tick: Tick) {
        let mut out = Vec::new();
        (0..tick.count).for_each(|i| Width::Two.put(PUSH, 0, &tick.push(i), &mut out));
        let mut failed = Vec::new();
        for &slot in self.rooms.iter().take(tick.rooms as usize).flatten() {
            let Some(socket) = self.sockets.at(slot) else { continue };
            let both = EventFlags::IN.union(EventFlags::OUT);
            if socket.waiting() <= MAX_WAITING && socket.write(&self.poller, &out, both).is_err() {
                failed.push(slot);
            }
        }
        failed.into_iter().for_each(|slot| self.close(slot));
    }

    /// Whoever gets the slot next is in no room.
    fn close(&mut self, slot: usize) {
        self.sockets.close(slot);
        self.rooms.iter_mut().for_each(|room| room.retain(|member| *member != slot));
    }
}

/// What a connection asks of all.
enum Order {
    Join(u32),
    Tick(Tick),
}

/// The buffers of the thread.
struct Echo {
    mode: Mode,
    scratch: Vec<u8>,
    out: Vec<u8>,
    orders: Vec<Order>,
}

impl Echo {
    /// One turn of one connection. While its peer takes nothing, nothing is read from it.
    fn turn(&mut self, socket: &mut Socket, poller: &Poller) -> io::Result<()> {
        if socket.waiting() > 0 && !socket.flush(poller)? {
            return Ok(());
        }
        let Some(n) = socket.read(&mut self.scratch)? else { return Ok(()) };
        let bytes = self.scratch.get(..n).unwrap_or_default();
        let width = match self.mode {
            Mode::Bytes => return socket.write(poller, bytes, EventFlags::OUT),
            Mode::Frames => Width::Two,
            Mode::Wide => Width::Four,
        };
        self.out.clear();
        let tail = echo_frames(bytes, width, &mut self.out, &mut self.orders).map_err(bad_size)?;
        socket.keep(tail);
        if self.out.is_empty() { Ok(()) } else { socket.write(poller, &self.out, EventFlags::OUT) }
    }
}

/// The error of a connection that breaks the framing.
pub(crate) fn bad_size(BadSize(size): BadSize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of size {size}"))
}

/// Encodes every whole frame of `bytes` anew and returns the rest. Orders are kept for later.
fn echo_frames<'a>(
    mut bytes: &'a [u8],
    width: Width,
    out: &mut Vec<u8>,
    orders: &mut Vec<Order>,
) -> Result<&'a [u8], BadSize> {
    while let Some(frame) = cut(bytes, width)? {
        bytes = bytes.get(frame.len(width)..).unwrap_or_default();
        match (width, frame.route) {
            (Width::Two, TICK) => {
                orders.extend(Tick::read(frame.body).map(Order::Tick));
                continue;
            }
            (Width::Two, JOIN) => orders.extend(joined(frame.body).map(Order::Join)),
            _ => {}
        }
        width.put(frame.route, frame.seq, frame.body, out);
    }
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{net::SocketAddr, thread};

    use super::*;

    /// It runs as long as the test.
    pub(crate) fn reference() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || drop(serve(listener, Mode::Frames)));
        address
    }
}
