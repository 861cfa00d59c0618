//! The reference: an echo server that is nothing but epoll, one read and one write for each ready connection.
//!
//! It is what the machine can do; every figure of a framework is given as a ratio to it.

use std::{io, net::TcpListener};

use rustix::event::epoll::EventFlags;

use crate::{
    frame::{BadSize, cut},
    socket::{Poller, SCRATCH, Socket},
};

const LISTENER: u64 = u64::MAX;

/// What it does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Cuts frames and encodes each anew.
    Frames,
    /// Writes back what it read, without a look.
    Bytes,
}

/// Serves `listener` on this thread until the system refuses epoll or accept. A connection that breaks the framing or
/// fails is closed; the others go on.
pub(crate) fn serve(listener: TcpListener, mode: Mode) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER)?;
    let mut server = Server { listener, poller, sockets: Vec::new(), free: Vec::new() };
    let mut echo = Echo { mode, scratch: vec![0; SCRATCH], out: Vec::with_capacity(SCRATCH) };
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

struct Server {
    listener: TcpListener,
    poller: Poller,
    /// By token.
    sockets: Vec<Option<Socket>>,
    free: Vec<usize>,
}

impl Server {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            let slot = self.free.pop().unwrap_or_else(|| {
                self.sockets.push(None);
                self.sockets.len() - 1
            });
            match (Socket::new(&self.poller, stream, slot as u64), self.sockets.get_mut(slot)) {
                (Ok(socket), Some(place)) => *place = Some(socket),
                _ => self.free.push(slot),
            }
        }
    }

    fn turn(&mut self, slot: usize, echo: &mut Echo) {
        let Some(place) = self.sockets.get_mut(slot) else { return };
        let Some(socket) = place else { return };
        if echo.turn(socket, &self.poller).is_err() {
            *place = None;
            self.free.push(slot);
        }
    }
}

/// The buffers of the thread.
struct Echo {
    mode: Mode,
    scratch: Vec<u8>,
    out: Vec<u8>,
}

impl Echo {
    /// One turn of one connection. While its peer takes nothing, nothing is read from it.
    fn turn(&mut self, socket: &mut Socket, poller: &Poller) -> io::Result<()> {
        if socket.blocked() && !socket.flush(poller)? {
            return Ok(());
        }
        let Some(n) = socket.read(&mut self.scratch)? else { return Ok(()) };
        let bytes = self.scratch.get(..n).unwrap_or_default();
        if self.mode == Mode::Bytes {
            return socket.write(poller, bytes, EventFlags::OUT);
        }
        self.out.clear();
        let tail = echo_frames(bytes, &mut self.out)
            .map_err(|BadSize(size)| io::Error::new(io::ErrorKind::InvalidData, format!("a frame of size {size}")))?;
        socket.keep(tail);
        if self.out.is_empty() { Ok(()) } else { socket.write(poller, &self.out, EventFlags::OUT) }
    }
}

/// Encodes every whole frame of `bytes` anew and returns the rest.
fn echo_frames<'a>(mut bytes: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], BadSize> {
    while let Some(frame) = cut(bytes)? {
        frame.put(out);
        bytes = bytes.get(frame.len()..).unwrap_or_default();
    }
    Ok(bytes)
}
