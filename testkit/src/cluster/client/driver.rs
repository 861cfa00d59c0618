//! The task of a connection: writes what is to be sent, takes in what arrives, sends heartbeats.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use due_core::net::{Conn, Inbound, Scratch, Segments};
use due_protocol::due::{Client, Flow};
use tokio::time::{Interval, MissedTickBehavior};

use super::{answer::Ended, shared::Shared};

pub(super) struct Driver {
    conn: Box<dyn Conn>,
    protocol: Client,
    scratch: Scratch,
    out: Segments,
    shared: Arc<Shared>,
    beat: Option<Interval>,
}

impl Driver {
    pub(super) fn new(conn: Box<dyn Conn>, shared: Arc<Shared>, beat: Duration) -> Self {
        let beat = (!beat.is_zero()).then(|| {
            let mut beat = tokio::time::interval(beat);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat.reset();
            beat
        });
        Self { conn, protocol: shared.protocol(), scratch: Scratch::new(), out: Segments::default(), shared, beat }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        loop {
            if let Poll::Ready(Err(e)) = self.conn.poll_write(cx, &mut self.out) {
                return Err(Ended::Broke(e.to_string()));
            }
            let mut state = self.shared.state();
            if !self.out.is_empty() || state.out.is_empty() {
                return Ok(());
            }
            self.out.append(&state.out);
            state.out.clear();
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        while !self.shared.state().silent {
            match self.conn.poll_read(cx, &mut self.scratch, &mut self.out) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(Inbound::Data { .. })) => self.feed()?,
                Poll::Ready(Ok(Inbound::Head)) => {}
                Poll::Ready(Ok(Inbound::End)) => return Err(Ended::Closed),
                Poll::Ready(Err(e)) => return Err(Ended::Broke(e.to_string())),
            }
        }
        Ok(())
    }

    fn feed(&mut self) -> Result<(), Ended> {
        let shared = &self.shared;
        let fed = self.protocol.feed(self.scratch.stream(), |received| {
            shared.take(received);
            Flow::Continue
        });
        fed.map(drop).map_err(|e| Ended::Broke(e.to_string()))
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        driver.shared.waker.register(cx.waker());
        while driver.beat.as_mut().is_some_and(|beat| beat.poll_tick(cx).is_ready()) {
            driver.protocol.put_heartbeat(&mut driver.shared.state().out);
        }
        // What came before the end is read even when nothing can be written any more.
        let written = driver.write(cx);
        let read = driver.read(cx);
        match read.and(written) {
            Ok(()) => Poll::Pending,
            Err(how) => {
                driver.shared.end(how);
                Poll::Ready(())
            }
        }
    }
}
