//! The reference of a gate: epoll and nothing else. Whatever clients send in a turn goes to the node in one write, and what
//! the node sends back goes to each client in one.
//!
//! On the link a client's frame stands in a wide frame whose route is the client's slot and whose seq is its generation.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
};

use rustix::event::epoll::EventFlags;

use crate::{
    frame::{Width, cut},
    reference::{LISTENER, Slots, bad_size},
    socket::{Poller, SCRATCH, Socket},
};

const LINK: u64 = LISTENER - 1;
const BOTH: EventFlags = EventFlags::IN.union(EventFlags::OUT);

/// Serves `listener` on this thread, with the node behind it at `node`, until the system or the link fails.
pub(crate) fn serve(listener: TcpListener, node: SocketAddr) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER)?;
    let link = Socket::new(&poller, TcpStream::connect(node)?, LINK)?;
    let mut gate = Gate {
        clients: Slots::default(),
        lanes: Vec::new(),
        dirty: Vec::new(),
        to_node: Vec::with_capacity(SCRATCH),
        scratch: vec![0; SCRATCH],
        poller,
        link,
    };
    loop {
        let count = gate.poller.wait(None)?;
        for i in 0..count {
            match gate.poller.ready(i) {
                Some(ready) if ready.token == LISTENER => gate.accept(&listener)?,
                Some(ready) if ready.token == LINK => gate.read_node()?,
                Some(ready) => gate.read_client(ready.token as usize),
                None => {}
            }
        }
        gate.flush()?;
    }
}

struct Gate {
    clients: Slots,
    /// By slot.
    lanes: Vec<Lane>,
    /// Slots with something to write.
    dirty: Vec<usize>,
    to_node: Vec<u8>,
    scratch: Vec<u8>,
    poller: Poller,
    link: Socket,
}

/// What belongs to the connection in a slot.
#[derive(Default)]
struct Lane {
    generation: u32,
    out: Vec<u8>,
}

impl Gate {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        for slot in self.clients.accept(listener, &self.poller)? {
            if self.lanes.len() <= slot {
                self.lanes.resize_with(slot + 1, Lane::default);
            }
        }
        Ok(())
    }

    fn read_client(&mut self, slot: usize) {
        if self.forward(slot).is_err() {
            self.clients.close(slot);
            if let Some(lane) = self.lanes.get_mut(slot) {
                lane.generation = lane.generation.wrapping_add(1);
                lane.out.clear();
            }
        }
    }

    /// Puts every whole frame of a client into the link's buffer.
    fn forward(&mut self, slot: usize) -> io::Result<()> {
        let (Some(socket), Some(lane)) = (self.clients.at(slot), self.lanes.get(slot)) else { return Ok(()) };
        if socket.waiting() > 0 && !socket.flush(&self.poller)? {
            return Ok(());
        }
        let Some(n) = socket.read(&mut self.scratch)? else { return Ok(()) };
        let mut bytes = self.scratch.get(..n).unwrap_or_default();
        while let Some(frame) = cut(bytes, Width::Two).map_err(bad_size)? {
            let (whole, rest) = bytes.split_at_checked(frame.len(Width::Two)).unwrap_or((bytes, &[]));
            Width::Four.put(slot as u32, lane.generation, whole, &mut self.to_node);
            bytes = rest;
        }
        socket.keep(bytes);
        Ok(())
    }

    /// Puts every whole frame of the node into the buffer of its client.
    fn read_node(&mut self) -> io::Result<()> {
        if self.link.waiting() > 0 {
            self.link.flush(&self.poller)?;
        }
        let Some(n) = self.link.read(&mut self.scratch)? else { return Ok(()) };
        let mut bytes = self.scratch.get(..n).unwrap_or_default();
        while let Some(frame) = cut(bytes, Width::Four).map_err(bad_size)? {
            bytes = bytes.get(frame.len(Width::Four)..).unwrap_or_default();
            let slot = frame.route as usize;
            let Some(lane) = self.lanes.get_mut(slot).filter(|lane| lane.generation == frame.seq) else { continue };
            if lane.out.is_empty() {
                self.dirty.push(slot);
            }
            lane.out.extend_from_slice(frame.body);
        }
        self.link.keep(bytes);
        Ok(())
    }

    /// The end of a turn: one write for the node, one for each client.
    fn flush(&mut self) -> io::Result<()> {
        if !self.to_node.is_empty() {
            self.link.write(&self.poller, &self.to_node, BOTH)?;
            self.to_node.clear();
        }
        for slot in self.dirty.drain(..) {
            let (Some(socket), Some(lane)) = (self.clients.at(slot), self.lanes.get_mut(slot)) else { continue };
            // A client that fails here is found out when it is read.
            let _ = socket.write(&self.poller, &lane.out, BOTH);
            lane.out.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;
    use crate::{
        dialect::Dialect,
        load::{Content, Drive, Load, Shape},
        reference::{self, Mode},
    };

    fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    #[test]
    fn a_gate_and_a_node_echo_to_the_right_clients() {
        let ((node, at_node), (gate, at_gate)) = (listen(), listen());
        thread::spawn(move || drop(reference::serve(node, Mode::Wide)));
        thread::spawn(move || drop(serve(gate, at_node)));
        let shape = Shape {
            connections: 7,
            window: 16,
            body: 900,
            coalescing: true,
            dialect: Dialect::Due,
            content: Content::Marked,
        };
        // The second load gets the slots of the first.
        for _ in 0..2 {
            let mut load = Load::connect(at_gate, shape).expect("connected");
            let mut replies = 0;
            while replies < 5_000 {
                replies += load.drive(Duration::from_millis(20)).expect("right replies").latency.total();
            }
        }
    }
}
