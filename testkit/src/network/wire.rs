//! A connection with what a shard does around it.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use due_core::{
    Error, Kind, Result, Url,
    net::{Conn, Farewell, Framing, Inbound, Listener, Scratch, Segments, Verdict},
};

use super::{Bench, within};

pub(super) const SOON: Duration = Duration::from_secs(8);

/// A bound address with its shards.
pub(super) struct Server {
    pub(super) url: Url,
    pub(super) listeners: Vec<Box<dyn Listener>>,
}

impl Server {
    pub(super) async fn bind(bench: &Bench, shards: usize) -> Result<Self> {
        let bound = bench.network.bind(&bench.url, shards).await?;
        assert_eq!(bound.listeners.len(), shards);
        Ok(Self { url: bound.url, listeners: bound.listeners })
    }

    /// The next client on any shard, admitted, and which shard took it.
    pub(super) async fn accept(&mut self) -> Result<(usize, Wire)> {
        let (shard, conn) = within(SOON, "a client", poll_fn(|cx| self.poll_accept(cx))).await??;
        let mut wire = Wire::new(conn);
        within(SOON, "the request head", poll_fn(|cx| self.turn(cx, |cx| wire.poll_open(cx)))).await??;
        Ok((shard, wire))
    }

    /// A client and the server's end of it.
    pub(super) async fn pair(&mut self, bench: &Bench) -> Result<(Wire, Wire)> {
        let url = self.url.clone();
        let (client, server) = tokio::join!(within(SOON, "a connection", bench.network.connect(&url)), self.accept());
        Ok((Wire::new(client??), server?.1))
    }

    /// Polls `work` and, as a shard does, the listeners beside it: they may drive what their connections share.
    pub(super) fn turn<T>(&mut self, cx: &mut Context<'_>, work: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let done = work(cx);
        for listener in &mut self.listeners {
            let _ = listener.poll_flush(cx);
        }
        done
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<(usize, Box<dyn Conn>)>> {
        for (shard, listener) in self.listeners.iter_mut().enumerate() {
            if let Poll::Ready(conn) = listener.poll_accept(cx) {
                return Poll::Ready(conn.map(|c| (shard, c)));
            }
        }
        Poll::Pending
    }
}

/// One end of a connection.
pub(super) struct Wire {
    pub(super) conn: Box<dyn Conn>,
    out: Segments,
    scratch: Scratch,
}

impl Wire {
    pub(super) fn new(conn: Box<dyn Conn>) -> Self {
        Self { conn, out: Segments::default(), scratch: Scratch::new() }
    }

    /// Queues a message; a stream has no bounds, so it is just its bytes there.
    pub(super) fn queue(&mut self, body: &[u8]) {
        let conn = &mut self.conn;
        self.out.append_with(|out| {
            if conn.framing() == Framing::Messages {
                conn.begin(body.len(), out);
            }
            let from = out.len();
            out.extend_from_slice(body);
            if conn.framing() == Framing::Messages {
                conn.end(from, out);
            }
        });
    }

    /// Queues a shared body. A client that masks what it sends must copy it.
    pub(super) fn queue_shared(&mut self, body: &bytes::Bytes) {
        let conn = &mut self.conn;
        if conn.framing() == Framing::Messages {
            self.out.append_with(|out| conn.begin(body.len(), out));
        }
        self.out.share(body);
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.conn.poll_write(cx, &mut self.out)
    }

    /// Writes what the connection takes now and says whether that was all.
    pub(super) async fn try_flush(&mut self) -> Result<bool> {
        poll_fn(|cx| match self.poll_flush(cx) {
            Poll::Ready(done) => Poll::Ready(done.map(|()| true)),
            Poll::Pending => Poll::Ready(Ok(false)),
        })
        .await
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        within(SOON, "a flush", poll_fn(|cx| self.poll_flush(cx))).await?
    }

    /// Appends what comes to `into` until it has `count` bytes or the peer ends.
    pub(super) async fn read(&mut self, into: &mut Vec<u8>, count: usize) -> Result<()> {
        while into.len() < count {
            if !within(SOON, "bytes", poll_fn(|cx| self.poll_read(cx, into))).await?? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Exactly `count` bytes.
    pub(super) async fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(&mut bytes, count).await?;
        assert_eq!(bytes.len(), count);
        Ok(bytes)
    }

    /// Reads to the end; an error is an end too.
    pub(super) async fn rest(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Ok(true) = within(SOON, "the end", poll_fn(|cx| self.poll_read(cx, &mut bytes))).await? {}
        Ok(bytes)
    }

    /// `false` at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<Result<bool>> {
        loop {
            self.scratch.clear();
            match self.conn.poll_read(cx, &mut self.scratch, &mut self.out) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Ready(Ok(Inbound::End)) => return Poll::Ready(Ok(false)),
                Poll::Ready(Ok(Inbound::Head)) => continue,
                Poll::Ready(Ok(Inbound::Data { .. })) => {}
            }
            match self.conn.framing() {
                Framing::Stream => into.extend_from_slice(self.scratch.stream()),
                Framing::Messages => self.scratch.messages().for_each(|m| into.extend_from_slice(m)),
            }
            return Poll::Ready(Ok(true));
        }
    }

    /// Reads the request head, where there is one, and lets the client in.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.conn.opening() {
            match self.conn.poll_read(cx, &mut self.scratch, &mut self.out) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Ready(Ok(Inbound::Head)) => self.conn.admit(Verdict::Accept, &mut self.out),
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(Error::new(Kind::Malformed, "data before the verdict"))),
            }
        }
        self.poll_flush(cx)
    }

    /// Says goodbye, flushes and shuts down.
    pub(super) async fn shut_down(&mut self) -> Result<()> {
        self.conn.finish(Farewell::Normal, &mut self.out);
        self.flush().await?;
        within(SOON, "the shutdown", poll_fn(|cx| self.conn.poll_shutdown(cx))).await
    }
}
