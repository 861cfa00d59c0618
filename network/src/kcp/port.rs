//! The UDP socket of one shard: many datagrams in and out with one system call each way, where the system can.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    task::{Context, Poll, ready},
};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tokio::{io::Interest, net::UdpSocket};

use super::datagrams::{Burst, Datagrams};

/// Bytes of a receive buffer: the system may join datagrams of one peer up to the largest packet there is.
const JOINED: usize = 64 * 1024;
/// The same where it joins none; longer datagrams are cut, and dropped for their length.
const SINGLE: usize = 2048;

pub(crate) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    buffers: Vec<u8>,
    each: usize,
    /// Is the socket bound to all addresses, so that an answer must say which one it comes from?
    any: bool,
    /// Bursts that the socket did not take: at most those of one flush of one session.
    stuck: VecDeque<(SocketAddr, Option<IpAddr>, Vec<u8>, usize)>,
}

impl Port {
    /// Takes a bound socket over, on the runtime that runs now.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        let each = if state.gro_segments() > 1 { JOINED } else { SINGLE };
        let any = socket.local_addr()?.ip().is_unspecified();
        // The pages of a buffer are touched only as far as datagrams fill it.
        Ok(Self { socket, state, buffers: vec![0; each * BATCH_SIZE], each, any, stuck: VecDeque::new() })
    }

    /// Receives one batch and hands each datagram to `take`: from whom, to which of our addresses, its bytes.
    pub(crate) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> Poll<io::Result<()>> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let count = loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            match self.recv(&mut metas) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                result => break result?,
            }
        };
        for (meta, buffer) in metas.iter().take(count).zip(self.buffers.chunks(self.each)) {
            let local = meta.dst_ip.filter(|_| self.any);
            let joined = buffer.get(..meta.len).unwrap_or(buffer);
            joined.chunks(meta.stride.max(1)).for_each(|datagram| take(normal(meta.addr), local, datagram));
        }
        Poll::Ready(Ok(()))
    }

    fn recv(&mut self, metas: &mut [RecvMeta; BATCH_SIZE]) -> io::Result<usize> {
        let mut buffers = self.buffers.chunks_mut(self.each);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        let (socket, state) = (&self.socket, &self.state);
        socket.try_io(Interest::READABLE, || state.recv(socket.into(), &mut slices, metas))
    }

    /// Sends all datagrams to `to`, from our address `from` if it is given. What the socket does not take now is kept,
    /// and false says so: [`Port::poll_unstick`] then tells when to go on.
    pub(crate) fn send(&mut self, to: SocketAddr, from: Option<IpAddr>, datagrams: &Datagrams) -> bool {
        for burst in datagrams.bursts(self.state.max_gso_segments()) {
            if !self.stuck.is_empty() || !self.sent(to, from, burst) {
                self.stuck.push_back((to, from, burst.bytes.to_vec(), burst.each));
            }
        }
        self.stuck.is_empty()
    }

    /// Sends what got stuck; pending, with the waker registered, until the socket has taken all.
    pub(crate) fn poll_unstick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some((to, from, bytes, each)) = self.stuck.pop_front() {
            let burst = Burst { bytes: &bytes, each };
            while !self.sent(to, from, burst) {
                if self.socket.poll_send_ready(cx).is_pending() {
                    self.stuck.push_front((to, from, bytes, each));
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }

    /// False if the socket has no room. A datagram that cannot be sent at all counts as sent: it will be sent again.
    fn sent(&self, to: SocketAddr, from: Option<IpAddr>, burst: Burst<'_>) -> bool {
        // The system may have turned out to be unable to cut a burst up after the burst was made.
        let each = if self.state.max_gso_segments() > 1 { burst.bytes.len() } else { burst.each };
        burst.bytes.chunks(each.max(1)).all(|contents| {
            let transmit =
                Transmit { destination: to, ecn: None, contents, segment_size: Some(burst.each), src_ip: from };
            let result = self.socket.try_io(Interest::WRITABLE, || self.state.send((&self.socket).into(), &transmit));
            !matches!(result, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
        })
    }
}

/// One peer has one address: the flow label of IPv6 is no part of it.
fn normal(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(mut v6) => {
            v6.set_flowinfo(0);
            v6.into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::{
        super::segment::{Cmd, Head},
        *,
    };

    fn port() -> (Port, SocketAddr) {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (Port::new(socket).unwrap(), address)
    }

    #[tokio::test]
    async fn a_burst_arrives_as_the_datagrams_it_was_made_of() {
        let ((mut a, from), (mut b, to)) = (port(), port());
        let mut out = Datagrams::new(100);
        let head = Head { conv: 1, cmd: Cmd::Push, wnd: 1, ts: 0, sn: 0, una: 0 };
        for n in 0..40_u8 {
            out.segment(&Head { sn: n.into(), ..head }, [&[n; 60], &[]]);
        }
        out.segment(&head, [b"short", b""]);
        out.seal();
        if !a.send(to, None, &out) {
            poll_fn(|cx| a.poll_unstick(cx)).await;
        }
        let mut got: Vec<Vec<u8>> = Vec::new();
        while got.len() < 41 {
            poll_fn(|cx| {
                b.poll_recv(cx, |peer, local, datagram| {
                    assert_eq!((peer, local), (from, None));
                    got.push(datagram.to_vec());
                })
            })
            .await
            .unwrap();
        }
        assert_eq!(got, out.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    }
}
