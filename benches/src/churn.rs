//! A load of visits: connect, one exchange, gone.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    Fallible,
    client::{Client, Wire},
    histogram::Histogram,
    load::{Drive, Outcome, Patience, STALL, Shape, TICK, dial},
    socket::{Poller, Socket},
};

/// Visitors that come and go, so many at once. Their connections end with a reset: ports are free again at once.
pub(crate) struct Churn {
    to: SocketAddr,
    shape: Shape,
    wire: Wire,
    visits: Vec<Visit>,
}

struct Visit {
    client: Client,
    /// Before it connected.
    began: u64,
}

impl Churn {
    /// Nobody comes yet; `shape.connections` will be there at once.
    pub(crate) fn new(to: SocketAddr, shape: Shape) -> Fallible<Self> {
        shape.check()?;
        Ok(Self { to, shape, wire: Wire::new(Poller::new()?, shape), visits: Vec::new() })
    }

    fn visit(&mut self, token: usize) -> Fallible<Visit> {
        let began = self.wire.now();
        let mut stream = dial(self.to)?;
        self.shape.dialect.greet(&mut stream)?;
        let mut client = Client::new(Socket::new(&self.wire.poller, stream, token as u64)?, 1);
        client.fill(&mut self.wire)?;
        Ok(Visit { client, began })
    }

    /// A visitor that got its answer goes, and another comes.
    fn turn(&mut self, token: usize, writable: bool, latency: &mut Histogram) -> Fallible<()> {
        let Some(visit) = self.visits.get_mut(token) else { return Ok(()) };
        if visit.client.take(writable, &mut self.wire, &mut Histogram::new())? == 0 {
            return Ok(());
        }
        latency.record(self.wire.now().saturating_sub(visit.began));
        let next = self.visit(token)?;
        if let Some(place) = self.visits.get_mut(token) {
            *place = next;
        }
        Ok(())
    }
}

impl Drive for Churn {
    fn drive(&mut self, time: Duration) -> Fallible<Outcome> {
        let begin = Instant::now();
        let mut outcome = Outcome { elapsed: time, latency: Histogram::new() };
        while self.visits.len() < self.shape.connections {
            let visit = self.visit(self.visits.len())?;
            self.visits.push(visit);
        }
        let mut patience = Patience::new(begin);
        loop {
            let count = self.wire.poller.wait(Some(TICK))?;
            let ready: Vec<_> = (0..count).filter_map(|i| self.wire.poller.ready(i)).collect();
            let came = !ready.is_empty();
            for ready in ready {
                self.turn(ready.token as usize, ready.writable, &mut outcome.latency)?;
            }
            let now = patience.look(came)?;
            if now - begin >= time {
                outcome.elapsed = now - begin;
                return Ok(outcome);
            }
        }
    }
}

/// Everybody at once: how long until each of `shape.connections` has connected and has been answered.
pub(crate) fn storm(to: SocketAddr, shape: Shape) -> Fallible<Duration> {
    let begin = Instant::now();
    let mut all = Churn::new(to, shape)?;
    while all.visits.len() < shape.connections {
        let visit = all.visit(all.visits.len())?;
        all.visits.push(visit);
    }
    let (mut answered, mut latency) = (0, Histogram::new());
    while answered < shape.connections {
        let count = all.wire.poller.wait(Some(STALL))?;
        if count == 0 {
            return Err(format!("{answered} of {} were answered", shape.connections).into());
        }
        for i in 0..count {
            let Some(ready) = all.wire.poller.ready(i) else { continue };
            let Some(visit) = all.visits.get_mut(ready.token as usize) else { continue };
            answered += visit.client.take(ready.writable, &mut all.wire, &mut latency)?;
        }
    }
    Ok(begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::tests::reference;

    #[test]
    fn visitors_come_and_go() {
        let mut churn = Churn::new(reference(), Shape::plain(5, 1, 128)).expect("a load");
        let mut visits = 0;
        while visits < 100 {
            visits += churn.drive(Duration::from_millis(20)).expect("answers").latency.total();
        }
    }

    #[test]
    fn a_storm_ends_when_all_are_answered() {
        assert!(storm(reference(), Shape::plain(200, 1, 128)).is_ok());
    }
}
