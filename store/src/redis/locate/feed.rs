//! The changes of all subjects, over one subscription that is kept.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use due_core::{
    Result, Uid,
    locate::{Change, Event, Feed, Feeder, Subject},
};
use redis::{PushInfo, PushKind, aio::MultiplexedConnection, cmd};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::cell::{Cell, place};
use crate::redis::{
    fault,
    target::{Target, bytes, is_primary},
};

/// Events that wait for a slow reader.
const QUEUE: usize = 1024;
/// How often the server is asked whether it still has the mark, and so whether it was wiped.
const LOOK: Duration = Duration::from_secs(1);
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// All feeds of one locator. The subscription begins with the first.
pub(super) struct Feeds {
    shared: Arc<Shared>,
    keeper: Mutex<Option<AbortHandle>>,
}

struct Shared {
    target: Arc<Target>,
    channel: String,
    /// A key with a random value: another value means that the server has lost what it had.
    mark: String,
    feeders: Mutex<Vec<Feeder>>,
    /// Which connection is subscribed, or why there is none.
    state: watch::Sender<State>,
}

#[derive(Clone, Debug)]
enum State {
    Dialing,
    Subscribed(u64),
    Down(Arc<str>),
}

impl Feeds {
    pub(super) fn new(target: Arc<Target>, channel: String, mark: String) -> Self {
        let shared =
            Shared { target, channel, mark, feeders: Mutex::default(), state: watch::Sender::new(State::Dialing) };
        Self { shared: Arc::new(shared), keeper: Mutex::default() }
    }

    /// Everything from now on; `Unavailable` if that cannot be had until `by`.
    pub(super) async fn watch(&self, by: Instant) -> Result<Feed> {
        self.begin();
        let mut state = self.shared.state.subscribe();
        let subscribed = state.wait_for(|state| !matches!(state, State::Dialing));
        let why: Arc<str> = match timeout_at(by, subscribed).await.map(|state| state.map(|state| state.clone())) {
            Ok(Ok(State::Subscribed(_))) => {
                let (feeder, feed) = Feed::bounded(QUEUE);
                // From here on a broken subscription is a gap for this feed too.
                self.shared.feeders().push(feeder);
                return Ok(feed);
            }
            Ok(Ok(State::Down(why))) => why,
            _ => "the subscription is still being made".into(),
        };
        Err(fault::down(self.shared.target.url(), &why))
    }

    fn begin(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_none() {
            *keeper = Some(tokio::spawn(keep(self.shared.clone())).abort_handle());
        }
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            keeper.abort();
        }
    }
}

impl Shared {
    fn feeders(&self) -> MutexGuard<'_, Vec<Feeder>> {
        self.feeders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: &Event) {
        self.feeders().retain(|feeder| feeder.send(event.clone()));
    }

    /// In the order of the connection: whatever comes after the subscription comes after the gap.
    fn on_push(&self, serial: u64, info: &PushInfo) {
        match (&info.kind, info.data.as_slice()) {
            (PushKind::Subscribe, _) if serial > 0 => self.tell(&Event::Gap),
            (PushKind::Message, [_, message]) => match bytes(message).and_then(change) {
                Some(change) => self.tell(&Event::Change(change)),
                None => tracing::debug!(channel = self.channel, "a message that is no change was skipped"),
            },
            (PushKind::Disconnection, _) => self.broke(serial),
            _ => {}
        }
    }

    fn broke(&self, serial: u64) {
        self.state.send_if_modified(|state| {
            let is_it = matches!(state, State::Subscribed(at) if *at == serial);
            if is_it {
                *state = State::Dialing;
            }
            is_it
        });
    }
}

/// Subscribes for as long as somebody may watch.
async fn keep(shared: Arc<Shared>) {
    let mut pause = PAUSE.0;
    for serial in 0.. {
        match subscribe(&shared, serial).await {
            Ok((connection, mark)) => {
                pause = PAUSE.0;
                shared.state.send_replace(State::Subscribed(serial));
                follow(&shared, connection, serial, mark).await;
                shared.broke(serial);
            }
            Err(error) => {
                tracing::debug!(url = %shared.target.url(), error = ?error, "the feed of the locator is away");
                shared.state.send_replace(State::Down(format!("{error:?}").into()));
                sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

/// The subscribed connection, and the mark that the server has now.
async fn subscribe(shared: &Arc<Shared>, serial: u64) -> Result<(MultiplexedConnection, Vec<u8>)> {
    let weak = Arc::downgrade(shared);
    let push = move |info: PushInfo| {
        if let Some(shared) = weak.upgrade() {
            shared.on_push(serial, &info);
        }
    };
    let mut connection = shared.target.dial(Arc::new(push)).await?;
    let confirmed = async {
        connection.subscribe(shared.channel.as_str()).await?;
        mark(&mut connection, &shared.mark).await
    };
    match timeout(LOOK, confirmed).await {
        Ok(Ok(mark)) => Ok((connection, mark)),
        Ok(Err(error)) => Err(fault::connecting(shared.target.url(), error)),
        Err(_) => Err(fault::down(shared.target.url(), "the subscription is not confirmed")),
    }
}

/// Returns when the subscription is broken; a wiped server is a gap.
async fn follow(shared: &Shared, mut connection: MultiplexedConnection, serial: u64, mut known: Vec<u8>) {
    let mut state = shared.state.subscribe();
    loop {
        tokio::select! {
            _ = state.wait_for(|state| !matches!(state, State::Subscribed(at) if *at == serial)) => return,
            () = sleep(LOOK) => {}
        }
        let Ok(Ok(Some(mark))) = timeout(LOOK, look(&mut connection, &shared.mark)).await else { return };
        if mark != known {
            shared.tell(&Event::Gap);
            known = mark;
        }
    }
}

/// The mark, if it is still the primary.
async fn look(connection: &mut MultiplexedConnection, key: &str) -> redis::RedisResult<Option<Vec<u8>>> {
    match is_primary(connection).await? {
        true => mark(connection, key).await.map(Some),
        false => Ok(None),
    }
}

/// The mark, made now if there is none.
async fn mark(connection: &mut MultiplexedConnection, key: &str) -> redis::RedisResult<Vec<u8>> {
    if let Some(mark) = get(connection, key).await? {
        return Ok(mark);
    }
    let new = format!("{:032x}", rand::random::<u128>());
    connection.send_packed_command(cmd("SET").arg(key).arg(new).arg("NX")).await?;
    Ok(get(connection, key).await?.unwrap_or_default())
}

async fn get(connection: &mut MultiplexedConnection, key: &str) -> redis::RedisResult<Option<Vec<u8>>> {
    let answer = connection.send_packed_command(cmd("GET").arg(key)).await?;
    Ok(bytes(&answer).map(<[u8]>::to_vec))
}

/// Reads `<subject>\n<length of place>\n<place><cell>`.
fn change(message: &[u8]) -> Option<Change> {
    let (key, rest) = split(message)?;
    let (length, rest) = split(rest)?;
    let (field, cell) = rest.split_at_checked(std::str::from_utf8(length).ok()?.parse().ok()?)?;
    let (subject, cell) = (subject(std::str::from_utf8(key).ok()?)?, Cell::parse(cell)?);
    Some(Change { subject, place: place(field)?, slot: cell.slot().cloned(), epoch: cell.epoch() })
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|b| *b == b'\n')?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// Reads what [`Subject::store_key`] wrote.
fn subject(key: &str) -> Option<Subject> {
    let text = |part: &str| String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    match key.split_at_checked(2)? {
        ("u:", user) => match user.split_at_checked(1)? {
            ("i", number) => Some(Uid::Int(number.parse().ok()?).into()),
            ("s", name) => Some(Uid::from(text(name)?).into()),
            _ => None,
        },
        ("a:", actor) => actor.split_once(':').and_then(|(kind, key)| Some(Subject::actor(text(kind)?, text(key)?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use due_core::{Epoch, locate::Place};

    #[test]
    fn subjects_read_back() {
        for wanted in [
            Uid::from(7).into(),
            Uid::from("7").into(),
            Uid::from("a}\n:b").into(),
            Subject::actor("room", "a:b"),
            Subject::actor("\u{3ff}", "\0"),
        ] {
            assert_eq!(subject(&wanted.store_key()), Some(wanted));
        }
    }

    #[test]
    fn a_change_reads_back_and_nothing_else_does() {
        let message = b"u:i7\n5\nngameu00000000000000090000000000000001";
        let expected = Change { subject: Uid::from(7).into(), place: Place::node("game"), slot: None, epoch: Epoch(9) };
        assert_eq!(change(message), Some(expected));
        for cut in 0..message.len() {
            assert_eq!(change(&message[..cut]), None, "{cut}");
        }
        for odd in ["", "\n\n", "u:i7\n99999999999999999999\nng", "u:x7\n1\ngu00000000000000090000000000000001"] {
            assert_eq!(change(odd.as_bytes()), None, "{odd:?}");
        }
    }
}
