//! A WebSocket connection as a shard polls it.

use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, ready},
};

use due_core::{
    error::Result,
    net::{Conn, Farewell, Framing, Inbound, RequestHead, Scratch, Segments, Verdict},
};

use super::{
    answer,
    frame::{Header, Opcode, Side, mask},
    reader::{Reader, Stop, write_control},
    rules::Rules,
    upgrade::{Deciding, Opening},
};
use crate::tcp::TcpConn;

/// Messages over TCP. Idle and open it owns no heap memory of its own.
pub(crate) struct WsConn {
    tcp: TcpConn,
    side: Side,
    phase: Phase,
    reader: Reader,
    /// Comes before anything is read again.
    next: Option<Box<Next>>,
}

enum Phase {
    Opening(Box<Opening>),
    Deciding(Box<Deciding>),
    Open,
    /// Refused, closed or broken: nothing is read or written any more.
    Ended,
}

enum Next {
    /// Bytes that came with the head.
    Bytes(Vec<u8>),
    /// What stands behind the messages of the last read.
    Stop(Stop),
}

impl WsConn {
    /// The server's end; the client's head is still to come.
    pub(crate) fn server(tcp: TcpConn, rules: Arc<Rules>) -> Self {
        let reader = Reader::new(Side::Server, rules.max_message);
        Self { tcp, side: Side::Server, phase: Phase::Opening(Box::new(Opening::new(rules))), reader, next: None }
    }

    /// The client's end after the upgrade, with what came behind the answer.
    pub(crate) fn client(tcp: TcpConn, max_message: usize, early: Vec<u8>) -> Self {
        let reader = Reader::new(Side::Client, max_message);
        Self { tcp, side: Side::Client, phase: Phase::Open, reader, next: early_bytes(early) }
    }

    fn read_head(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, out: &mut Segments) -> Poll<Result<Inbound>> {
        while let Phase::Opening(opening) = &mut self.phase {
            let space = scratch.space().get_mut(..opening.room()).unwrap_or_default();
            let read = ready!(self.tcp.read(cx, space))?;
            if read.len == 0 {
                self.phase = Phase::Ended;
                return Poll::Ready(Ok(Inbound::End));
            }
            match opening.feed(space.get(..read.len).unwrap_or_default()) {
                Ok(None) => {}
                Ok(Some(deciding)) => {
                    self.phase = Phase::Deciding(Box::new(deciding));
                    return Poll::Ready(Ok(Inbound::Head));
                }
                Err(refusal) => {
                    answer::refuse(refusal.status, refusal.text, out);
                    self.phase = Phase::Ended;
                    return Poll::Ready(Err(refusal.error()));
                }
            }
        }
        Poll::Pending
    }

    fn read_frames(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        out: &mut Segments,
    ) -> Poll<Result<Inbound>> {
        let (filled, more) = match self.next.take().map(|next| *next) {
            Some(Next::Stop(stop)) => return Poll::Ready(self.stop(stop, out)),
            Some(Next::Bytes(bytes)) => (fill(scratch.space(), &bytes), true),
            None => {
                let kept = self.reader.restore(scratch.space());
                let read = ready!(self.tcp.read(cx, scratch.space().get_mut(kept..).unwrap_or_default()))?;
                if read.len == 0 {
                    self.phase = Phase::Ended;
                    return Poll::Ready(Ok(Inbound::End));
                }
                (kept + read.len, read.more)
            }
        };
        let fed = self.reader.feed(scratch, filled, out);
        Poll::Ready(match fed.stop {
            Stop::Hungry => Ok(Inbound::Data { more }),
            stop if fed.frames == 0 => self.stop(stop, out),
            // What came before it is delivered first, however the bytes were cut.
            stop => {
                self.next = Some(Box::new(Next::Stop(stop)));
                Ok(Inbound::Data { more: true })
            }
        })
    }

    fn stop(&mut self, stop: Stop, out: &mut Segments) -> Result<Inbound> {
        match stop {
            Stop::Hungry => return Ok(Inbound::Data { more: true }),
            Stop::Closed(code) => self.say_close(code, out),
            Stop::Broken(violation) => self.say_close(Some(violation.code()), out),
        }
        match stop {
            Stop::Broken(violation) => Err(violation.error()),
            _ => Ok(Inbound::End),
        }
    }

    fn say_close(&mut self, code: Option<u16>, out: &mut Segments) {
        let code = code.map(u16::to_be_bytes);
        write_control(self.side, Opcode::Close, code.as_ref().map_or(&[], |c| c), out);
        self.phase = Phase::Ended;
    }
}

impl Conn for WsConn {
    fn rests(&self) -> bool {
        true
    }

    fn framing(&self) -> Framing {
        Framing::Messages
    }

    fn peer(&self) -> SocketAddr {
        self.tcp.peer()
    }

    fn head(&self) -> Option<&RequestHead> {
        match &self.phase {
            Phase::Deciding(deciding) => Some(&deciding.head),
            _ => None,
        }
    }

    fn opening(&self) -> bool {
        matches!(self.phase, Phase::Opening(_) | Phase::Deciding(_))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, out: &mut Segments) -> Poll<Result<Inbound>> {
        scratch.clear();
        match &mut self.phase {
            Phase::Opening(_) => self.read_head(cx, scratch, out),
            Phase::Deciding(deciding) => {
                deciding.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Phase::Open => self.read_frames(cx, scratch, out),
            Phase::Ended => Poll::Ready(Ok(Inbound::End)),
        }
    }

    fn admit(&mut self, verdict: Verdict, out: &mut Segments) {
        let Phase::Deciding(deciding) = &mut self.phase else { return };
        let (early, waker) = (std::mem::take(&mut deciding.early), deciding.waker.take());
        self.phase = match verdict {
            Verdict::Accept => {
                answer::switch(&deciding.accept, out);
                self.next = early_bytes(early);
                Phase::Open
            }
            Verdict::Refuse(status, text) => {
                answer::refuse(status, &text, out);
                Phase::Ended
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn begin(&mut self, len: usize, out: &mut Vec<u8>) {
        let key = (self.side == Side::Client).then(rand::random::<[u8; 4]>);
        Header::write(Opcode::Binary, len, key, out);
    }

    fn end(&mut self, from: usize, out: &mut Vec<u8>) {
        if self.side == Side::Server {
            return;
        }
        // `begin` wrote the key last.
        if let Some((head, body)) = out.split_at_mut_checked(from)
            && let Some(key) = head.last_chunk()
        {
            mask(body, *key);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Segments) -> Poll<Result<()>> {
        self.tcp.poll_write(cx, out)
    }

    fn is_broken(&mut self) -> bool {
        self.tcp.is_broken()
    }

    fn taken(&self) -> u64 {
        self.tcp.taken()
    }

    fn received(&self) -> u64 {
        self.tcp.received()
    }

    fn finish(&mut self, why: Farewell, out: &mut Segments) {
        match self.phase {
            Phase::Open => self.say_close(Some(close_code(why)), out),
            Phase::Opening(_) if why != Farewell::GoingAway => {
                answer::refuse(408, "the request head did not come in time", out)
            }
            Phase::Opening(_) | Phase::Deciding(_) => answer::refuse(503, "no new connections at the moment", out),
            Phase::Ended => {}
        }
        self.phase = Phase::Ended;
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.tcp.poll_shutdown(cx)
    }
}

fn early_bytes(early: Vec<u8>) -> Option<Box<Next>> {
    (!early.is_empty()).then(|| Box::new(Next::Bytes(early)))
}

/// Copies as much as fits; what comes with a head is shorter than the scratch.
fn fill(space: &mut [u8], bytes: &[u8]) -> usize {
    let len = space.len().min(bytes.len());
    for (to, from) in space.iter_mut().zip(bytes) {
        *to = *from;
    }
    len
}

fn close_code(why: Farewell) -> u16 {
    match why {
        Farewell::Normal => 1000,
        Farewell::GoingAway => 1001,
        Farewell::Protocol => 1002,
        Farewell::Policy => 1008,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle connection has at most 2 KB; what the runtime keeps for its socket and the caller for its session come on top.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<TcpConn>() <= 96, "{}", size_of::<TcpConn>());
        assert!(size_of::<WsConn>() <= 192, "{}", size_of::<WsConn>());
    }
}
