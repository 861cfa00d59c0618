//! One watch: list, tell the full set, wait from there; again after every break.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use due_core::{
    Result,
    config::{Entry, Feed, Watch, feed},
};
use tokio::{sync::watch, time};

use super::{
    client::Pairs,
    source::{Store, is_prefix},
};

/// Pauses after errors, doubled from the first to the last.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(5);
/// Shortest time between two questions: a busy prefix is read in few steps.
const SPACING: Duration = Duration::from_millis(10);

/// Starts a watch with the full set.
pub(super) async fn follow(store: Arc<Store>, prefix: &str, source: watch::Receiver<()>) -> Result<Watch> {
    let (feed, watch) = feed();
    if !is_prefix(prefix) {
        // No key can begin so, now or ever.
        feed.all(BTreeMap::new());
        return Ok(watch.with(feed));
    }
    let path = store.question(prefix);
    let first = store.client.list(&path).await?;
    let prefix = prefix.to_owned();
    let mut follower = Follower { known: BTreeMap::new(), index: first.index, store, prefix, path, feed };
    follower.tell_all(&first);
    tokio::spawn(follower.run(source));
    Ok(watch)
}

struct Follower {
    store: Arc<Store>,
    prefix: String,
    /// What is asked for.
    path: String,
    feed: Feed,
    known: BTreeMap<Arc<str>, Entry>,
    index: u64,
}

impl Follower {
    async fn run(mut self, mut source: watch::Receiver<()>) {
        let unwatched = async {
            while !self.feed.is_unwatched() {
                self.next().await;
            }
        };
        tokio::select! {
            () = unwatched => {}
            // Never sends: it ends with the source.
            _ = source.changed() => {}
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            () = self.feed.unwatched() => return,
            found = self.store.client.wait(&self.path, self.index) => match found {
                Ok(found) if found.index >= self.index => self.tell(found),
                // The server was wiped or restored: what it says now counts.
                Ok(found) => self.tell_all(&found),
                Err(error) => {
                    tracing::debug!(prefix = self.path, %error, "settings cannot be watched; trying again");
                    self.list_again().await;
                }
            },
        }
        time::sleep(SPACING).await;
    }

    async fn list_again(&mut self) {
        let mut pause = FIRST;
        loop {
            tokio::select! {
                biased;
                () = self.feed.unwatched() => return,
                found = self.store.client.list(&self.path) => match found {
                    Ok(found) => return self.tell_all(&found),
                    Err(_) => time::sleep(pause).await,
                },
            }
            pause = (pause * 2).min(LAST);
        }
    }

    fn tell_all(&mut self, found: &Pairs) {
        self.index = found.index;
        self.known = self.store.entries(&found.pairs, &self.prefix);
        self.feed.all(self.known.clone());
    }

    fn tell(&mut self, found: Pairs) {
        self.index = found.index;
        let now = self.store.entries(&found.pairs, &self.prefix);
        let before = std::mem::replace(&mut self.known, now);
        for key in before.keys().filter(|key| !self.known.contains_key(*key)) {
            self.feed.key(key.clone(), None);
        }
        for (key, entry) in self.known.iter().filter(|(key, entry)| before.get(*key) != Some(entry)) {
            self.feed.key(key.clone(), Some(entry.clone()));
        }
    }
}
