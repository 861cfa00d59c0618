//! Who listens to which channel of the connection. It gives on what comes without ever waiting.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use due_core::{
    Error, Kind, Result,
    bus::{Ack, Cause, Gap, Raw},
};
use redis::{PushInfo, PushKind, RedisResult, Value, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{fault, line::Line};
use crate::queue::Sender;

/// Channels of one request.
const AT_ONCE: usize = 256;
/// Listeners of one bus.
const MOST: usize = 65_536;

/// What a listener gets.
pub(super) enum Ear {
    /// Each message, and a gap after each break.
    Queue(Sender),
    /// That there was something.
    Bell(Arc<Notify>),
}

#[derive(Default)]
pub(super) struct Hub {
    table: Mutex<Table>,
    /// Held while the server is asked to begin or end: it hears both in one order.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Table {
    channels: HashMap<Arc<str>, Vec<Listener>>,
    listeners: usize,
    last: u64,
    /// What the connection `serial` is subscribed to.
    serial: u64,
    have: HashSet<Arc<str>>,
}

struct Listener {
    id: u64,
    ear: Ear,
    /// It was told that it hears everything from then on.
    live: bool,
}

/// A place at a channel, until it is dropped.
pub(super) struct Seat {
    line: Weak<Line>,
    hub: Arc<Hub>,
    channel: Arc<str>,
    id: u64,
}

impl Hub {
    /// Returns when nothing that is published to the channel from now on passes by unnoticed.
    pub(super) async fn listen(
        self: &Arc<Self>,
        line: &Arc<Line>,
        channel: Arc<str>,
        ear: Ear,
        by: Instant,
    ) -> Result<Seat> {
        let id = self.add(channel.clone(), ear)?;
        let seat = Seat { line: Arc::downgrade(line), hub: self.clone(), channel, id };
        loop {
            let link = line.link(by).await?;
            let asking = timeout_at(by, self.asking.lock()).await.map_err(|_| late())?;
            if self.is_live(&seat.channel, id) {
                return Ok(seat);
            }
            let mut connection = link.connection;
            let asked = timeout_at(by, connection.subscribe(&*seat.channel)).await;
            drop(asking);
            match asked {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.is_io_error() => line.broke(link.serial),
                Ok(Err(error)) => return Err(fault::connecting(line.url(), error)),
                Err(_) => {
                    line.broke(link.serial);
                    return Err(late());
                }
            }
        }
    }

    /// A new connection that has nothing yet.
    pub(super) fn begin(&self, serial: u64) {
        let mut table = self.table();
        table.serial = serial;
        table.have.clear();
    }

    /// Subscribes a new connection to all that is listened to.
    pub(super) async fn subscribe_all(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let _asking = self.asking.lock().await;
        let channels: Vec<Arc<str>> = self.table().channels.keys().cloned().collect();
        for chunk in channels.chunks(AT_ONCE) {
            let names: Vec<&str> = chunk.iter().map(|channel| &**channel).collect();
            connection.subscribe(names).await?;
        }
        Ok(())
    }

    /// In the order of the connection: a gap stands before all that comes after the break.
    pub(super) fn on_push(&self, serial: u64, info: PushInfo) {
        let mut table = self.table();
        if table.serial != serial {
            return;
        }
        let mut data = info.data.into_iter();
        let Some(Value::BulkString(channel)) = data.next() else { return };
        let Ok(channel) = std::str::from_utf8(&channel) else { return };
        match (info.kind, data.next()) {
            (PushKind::Subscribe, _) => table.confirmed(channel),
            (PushKind::Message, Some(Value::BulkString(body))) => table.message(channel, body.into()),
            _ => {}
        }
    }

    /// Ends all subscriptions behind what they have.
    pub(super) fn close(&self) {
        for listener in self.table().channels.drain().flat_map(|(_, listeners)| listeners) {
            if let Ear::Bell(bell) = listener.ear {
                bell.notify_one();
            }
        }
    }

    fn add(&self, channel: Arc<str>, ear: Ear) -> Result<u64> {
        let mut table = self.table();
        if table.listeners >= MOST {
            return Err(Error::new(Kind::Full, format!("a bus has at most {MOST} subscriptions")));
        }
        table.listeners += 1;
        table.last += 1;
        let (id, live) = (table.last, table.have.contains(&channel));
        table.channels.entry(channel).or_default().push(Listener { id, ear, live });
        Ok(id)
    }

    fn is_live(&self, channel: &str, id: u64) -> bool {
        self.table().channels.get(channel).is_some_and(|all| all.iter().any(|l| l.id == id && l.live))
    }

    /// Says whether nobody is left.
    fn remove(&self, channel: &str, id: u64) -> bool {
        let mut table = self.table();
        let Some(listeners) = table.channels.get_mut(channel) else { return false };
        let before = listeners.len();
        listeners.retain(|listener| listener.id != id);
        let (gone, empty) = (before - listeners.len(), listeners.is_empty());
        table.listeners -= gone;
        empty
    }

    /// Takes a channel off that nobody listens to any more; says whether the server must be told.
    fn forget(&self, channel: &str) -> bool {
        let mut table = self.table();
        if table.channels.get(channel).is_some_and(|listeners| !listeners.is_empty()) {
            return false;
        }
        table.channels.remove(channel);
        table.have.remove(channel)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn confirmed(&mut self, channel: &str) {
        let Some((name, _)) = self.channels.get_key_value(channel) else { return };
        let name = name.clone();
        let is_new = self.have.insert(name);
        for listener in self.channels.get_mut(channel).into_iter().flatten() {
            match (&listener.ear, listener.live && is_new) {
                (Ear::Queue(queue), true) => queue.push(Raw::Gap(Gap { cause: Cause::Reconnect, lost: None })),
                (Ear::Bell(bell), _) => bell.notify_one(),
                _ => {}
            }
            listener.live = true;
        }
    }

    fn message(&self, channel: &str, body: Bytes) {
        for listener in self.channels.get(channel).into_iter().flatten() {
            match &listener.ear {
                Ear::Queue(queue) => {
                    queue.push(Raw::Message { body: body.clone(), position: None, ack: Ack::none() });
                }
                Ear::Bell(bell) => bell.notify_one(),
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.hub.remove(&self.channel, self.id) {
            return;
        }
        // Without a runtime the server goes on sending what nobody takes, until the connection ends.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (line, hub, channel) = (self.line.clone(), self.hub.clone(), self.channel.clone());
        runtime.spawn(async move {
            let _asking = hub.asking.lock().await;
            if hub.forget(&channel)
                && let Some(line) = line.upgrade()
                && let Ok(mut link) = line.link(Instant::now()).await
            {
                // A connection that breaks meanwhile is not subscribed any more either.
                let _ = link.connection.unsubscribe(&*channel).await;
            }
        });
    }
}

fn late() -> Error {
    Error::new(Kind::BusDown, "the subscription was not confirmed in time")
}
