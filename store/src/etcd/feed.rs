//! The changes of all records, by a watch that goes on after every break.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use due_core::{
    Result,
    locate::{Change, Event, Feed, Feeder},
};
use etcd_client::{KeyValue, WatchStream};
use tokio::time;

use super::{client::Etcd, locator::RECORDS, record::Kept};

/// Events that wait for a slow reader.
const WAITING: usize = 4096;

/// Waits after a break: the bound doubles from the first to the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Returns when the server has confirmed the watch.
pub(super) async fn start(etcd: Arc<Etcd>) -> Result<Feed> {
    let stream = watch(&etcd).await?;
    let (feeder, feed) = Feed::bounded(WAITING);
    tokio::spawn(async move {
        tokio::select! {
            () = feeder.closed() => {}
            () = follow(&etcd, &feeder, stream) => {}
        }
    });
    Ok(feed)
}

/// From now on: what was before is the business of whoever looks.
async fn watch(etcd: &Etcd) -> Result<WatchStream> {
    Ok(etcd.watch(&etcd.key(RECORDS), 0).await?.0)
}

async fn follow(etcd: &Etcd, feeder: &Feeder, mut stream: WatchStream) {
    loop {
        let error = tell(etcd, feeder, &mut stream).await;
        tracing::debug!(?error, "the feed of bindings broke; it begins anew behind a gap");
        stream = again(etcd).await;
        feeder.send(Event::Gap);
    }
}

/// Tells changes until something breaks.
async fn tell(etcd: &Etcd, feeder: &Feeder, stream: &mut WatchStream) -> due_core::Error {
    loop {
        match etcd.changes(stream).await {
            Ok(told) => {
                for change in told.events().iter().filter_map(|event| change(etcd, event.kv()?)) {
                    feeder.send(Event::Change(change));
                }
            }
            Err(e) => return e,
        }
    }
}

/// The write behind an event. A record that was forgotten changes nothing, one that cannot be read is nobody's.
fn change(etcd: &Etcd, kv: &KeyValue) -> Option<Change> {
    let kept = Kept::read(kv.value(), None)?;
    let named = etcd.name(kv.key())?.strip_prefix(RECORDS)? == kept.subject.store_key();
    let cell = kept.cell(&kept.changed).filter(|_| named)?;
    Some(Change { slot: cell.slot(), epoch: cell.epoch(), place: kept.changed.clone(), subject: kept.subject.clone() })
}

async fn again(etcd: &Etcd) -> WatchStream {
    let mut bound = FIRST;
    loop {
        time::sleep(jittered(bound)).await;
        bound = (bound * 2).min(LONGEST);
        match watch(etcd).await {
            Ok(stream) => return stream,
            Err(error) => tracing::debug!(?error, "bindings cannot be watched; trying again"),
        }
    }
}

/// Between half of the bound and the bound.
fn jittered(bound: Duration) -> Duration {
    let dice = RandomState::new().build_hasher().finish() % 1000;
    bound / 2 + bound.mul_f64(dice as f64 / 2000.0)
}
