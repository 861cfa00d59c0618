//! One watch: list, watch on from that list; list again after every break.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use due_core::{
    Result,
    config::{Entry, Feed, check_key},
};
use etcd_client::{KeyValue, WatchResponse};
use tokio::time;

use super::{client::Etcd, entry, list};

/// Waits after a break: the bound doubles from the first to the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

pub(super) struct Follower {
    etcd: Arc<Etcd>,
    prefix: String,
    feed: Feed,
}

type Listed = (BTreeMap<Arc<str>, Entry>, i64);

impl Follower {
    pub(super) fn new(etcd: Arc<Etcd>, prefix: &str, feed: Feed) -> Self {
        Self { etcd, prefix: prefix.to_owned(), feed }
    }

    /// Ends when nobody watches any more.
    pub(super) async fn run(self, first: Listed) {
        tokio::select! {
            () = self.feed.unwatched() => {}
            () = self.follow(first) => {}
        }
    }

    async fn follow(&self, mut listed: Listed) {
        let mut bound = FIRST;
        loop {
            self.feed.all(listed.0);
            let began = time::Instant::now();
            if let Err(error) = self.tell(listed.1).await {
                tracing::debug!(prefix = self.prefix, ?error, "a watch of settings broke; it begins anew");
            }
            if began.elapsed() > LONGEST {
                bound = FIRST;
            }
            listed = self.list(&mut bound).await;
        }
    }

    /// Tells all changes behind a list, until something breaks.
    async fn tell(&self, from: i64) -> Result<()> {
        let (mut changes, now) = self.etcd.watch(&self.etcd.key(&self.prefix), from).await?;
        if now < from {
            // The server was wiped since the list: it would be silent until it has caught up.
            return Ok(());
        }
        loop {
            self.pass_on(&self.etcd.changes(&mut changes).await?);
        }
    }

    fn pass_on(&self, told: &WatchResponse) {
        for kv in told.events().iter().filter_map(|event| event.kv()) {
            let Some(key) = self.etcd.name(kv.key()).filter(|key| check_key(key).is_ok()) else { continue };
            self.feed.key(key.into(), present(kv).then(|| entry(kv.clone())));
        }
    }

    /// Tries until there is a list.
    async fn list(&self, bound: &mut Duration) -> Listed {
        loop {
            time::sleep(jittered(*bound)).await;
            *bound = (*bound * 2).min(LONGEST);
            match list(&self.etcd, &self.prefix).await {
                Ok(listed) => return listed,
                Err(error) => tracing::debug!(prefix = self.prefix, ?error, "settings cannot be listed; trying again"),
            }
        }
    }
}

/// A deletion carries the key without a version.
fn present(kv: &KeyValue) -> bool {
    kv.version() > 0
}

/// Between half of the bound and the bound.
fn jittered(bound: Duration) -> Duration {
    let dice = RandomState::new().build_hasher().finish() % 1000;
    bound / 2 + bound.mul_f64(dice as f64 / 2000.0)
}
