//! A non-blocking TCP socket on a level-triggered epoll set, with what is left over of reading and writing.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::event::{
    Timespec,
    epoll::{self, CreateFlags, EventData, EventFlags},
};

/// Bytes that one `recv` may bring, for all sockets of a thread together.
pub(crate) const SCRATCH: usize = 256 * 1024;
/// Sockets that one `epoll_wait` may name.
const EVENTS: usize = 1024;

/// What a socket is ready for.
pub(crate) struct Ready {
    /// The number it was added with.
    pub(crate) token: u64,
    /// Room to write.
    pub(crate) writable: bool,
}

/// An epoll set.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS) })
    }

    /// Watches `source` for reading under `token`.
    pub(crate) fn add(&self, source: &impl std::os::fd::AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Waits for at most `limit` (forever when `None`); how many sockets are ready.
    pub(crate) fn wait(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        let limit = limit.map(|d| Timespec { tv_sec: d.as_secs() as i64, tv_nsec: d.subsec_nanos().into() });
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(n) => Ok(n),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }

    /// The `i`th ready socket of the last wait.
    pub(crate) fn ready(&self, i: usize) -> Option<Ready> {
        // The system's struct is packed: copies, not references.
        let epoll::Event { flags, data } = *self.events.get(i)?;
        Some(Ready { token: data.u64(), writable: flags.contains(EventFlags::OUT) })
    }
}

/// One connection.
pub(crate) struct Socket {
    stream: TcpStream,
    token: u64,
    /// The beginning of a frame whose end has not come.
    tail: Vec<u8>,
    /// Bytes that the system did not take.
    rest: Vec<u8>,
}

impl Socket {
    /// Takes `stream` over, without delay of small segments, and watches it under `token`.
    pub(crate) fn new(poller: &Poller, stream: TcpStream, token: u64) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        poller.add(&stream, token)?;
        Ok(Self { stream, token, tail: Vec::new(), rest: Vec::new() })
    }

    /// Reads once; `scratch` then begins with the kept tail and what came, and their length is returned. `None`: nothing
    /// has come. The end of the stream is the error `UnexpectedEof`.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        let kept = self.tail.len();
        let (front, room) = scratch.split_at_mut_checked(kept).ok_or(io::Error::from(io::ErrorKind::OutOfMemory))?;
        front.copy_from_slice(&self.tail);
        match self.stream.read(room) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.tail.clear();
                Ok(Some(kept + n))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Keeps the beginning of a frame for the next read.
    pub(crate) fn keep(&mut self, tail: &[u8]) {
        self.tail.extend_from_slice(tail);
    }

    /// Writes `out` once; what the system does not take is kept and `interest` is watched until it is gone.
    pub(crate) fn write(&mut self, poller: &Poller, out: &[u8], interest: EventFlags) -> io::Result<()> {
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(out);
            return Ok(());
        }
        let n = accepted(self.stream.write(out))?;
        if let Some(rest @ [_, ..]) = out.get(n..) {
            self.rest.extend_from_slice(rest);
            self.watch(poller, interest)?;
        }
        Ok(())
    }

    /// Writes what was kept; `true` when nothing is left and reading alone is watched again.
    pub(crate) fn flush(&mut self, poller: &Poller) -> io::Result<bool> {
        if self.rest.is_empty() {
            return Ok(true);
        }
        let n = accepted(self.stream.write(&self.rest))?;
        self.rest.drain(..n);
        if self.rest.is_empty() {
            self.watch(poller, EventFlags::IN)?;
        }
        Ok(self.rest.is_empty())
    }

    /// Bytes that the system did not take.
    pub(crate) fn waiting(&self) -> usize {
        self.rest.len()
    }

    fn watch(&self, poller: &Poller, interest: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&poller.epoll, &self.stream, EventData::new_u64(self.token), interest)?)
    }
}

fn accepted(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
