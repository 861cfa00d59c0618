//! One watch: list, replace, wait from that list; again after every break. Never on from an old cursor.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::{self, Instant};

use super::{Backoff, Core, RELIST, call};
use crate::{
    error::{Result, Retry},
    registry::{Feed, Freshness, Instance, InstanceKind, Listing, RegistryStore, View, Watch},
};

/// Shortest time between two lists: a registry in which everybody moves at once is read in few steps.
const SPACING: Duration = Duration::from_millis(20);

pub(super) async fn start<R: RegistryStore>(core: Arc<Core<R>>, kind: InstanceKind) -> Result<Watch> {
    let began = Instant::now();
    let first = call(core.store.list(&Instance::prefix(kind))).await;
    let view = match &first {
        Ok(listing) => view_of(listing, kind),
        Err(e) if e.retry() == Retry::Never => return first.map(|_| Watch::fed(View::unknown(began)).1),
        Err(e) => {
            tracing::warn!(%kind, error = ?e, "the registry gives no list; nobody is known yet");
            View::unknown(began)
        }
    };
    let (feed, watch) = Watch::fed(view);
    let backoff = core.backoff();
    let follower = Follower { core, kind, prefix: Instance::prefix(kind), feed, backoff, listed: began };
    tokio::spawn(follower.run(first.ok().map(|l| l.cursor)));
    Ok(watch)
}

struct Follower<R> {
    core: Arc<Core<R>>,
    kind: InstanceKind,
    prefix: String,
    feed: Feed,
    backoff: Backoff,
    /// When the last good list was asked for.
    listed: Instant,
}

impl<R: RegistryStore> Follower<R> {
    async fn run(mut self, cursor: Option<u64>) {
        let feed = self.feed.clone();
        tokio::select! {
            () = feed.closed() => {}
            () = self.follow(cursor) => {}
        }
    }

    async fn follow(&mut self, mut cursor: Option<u64>) {
        loop {
            match cursor {
                Some(at) => self.wait(at).await,
                None => time::sleep(self.backoff.wait()).await,
            }
            cursor = self.list().await;
        }
    }

    /// Until something may have changed. A wait that broke says nothing about the members: the list that follows does.
    async fn wait(&mut self, cursor: u64) {
        let broke = time::timeout(RELIST, self.core.store.wait(&self.prefix, cursor)).await.is_ok_and(|w| w.is_err());
        if broke {
            time::sleep(self.backoff.wait().min(RELIST)).await;
        } else {
            self.backoff.reset();
        }
        time::sleep_until(self.listed + SPACING).await;
    }

    async fn list(&mut self) -> Option<u64> {
        let asked = Instant::now();
        match call(self.core.store.list(&self.prefix)).await {
            Ok(listing) => {
                self.listed = asked;
                self.feed.show(view_of(&listing, self.kind));
                Some(listing.cursor)
            }
            Err(e) => {
                if self.feed.stale(self.listed) {
                    tracing::warn!(kind = %self.kind, error = ?e, "the registry gives no list; the last one stays");
                } else {
                    tracing::debug!(kind = %self.kind, error = ?e, "the registry still gives no list");
                }
                None
            }
        }
    }
}

/// Entries that cannot be read, or sit under another's key, are passed over and counted; of two entries with one id the
/// one created last counts.
fn view_of(listing: &Listing, kind: InstanceKind) -> View {
    let mut members: BTreeMap<_, (u64, Instance)> = BTreeMap::new();
    for entry in &listing.entries {
        let Some(instance) = read(&entry.bytes, &entry.key, kind) else { continue };
        let newer = members.get(&instance.id).is_none_or(|(created, _)| *created < entry.created);
        if newer {
            members.insert(instance.id.clone(), (entry.created, instance));
        }
    }
    let members: Arc<[Instance]> = members.into_values().map(|(_, instance)| instance).collect();
    View { skipped: listing.entries.len() - members.len(), members, fresh: Freshness::Live }
}

fn read(bytes: &[u8], key: &str, kind: InstanceKind) -> Option<Instance> {
    let instance: Instance = serde_json::from_slice(bytes).ok()?;
    (instance.kind == kind && instance.key() == key && instance.check().is_ok()).then_some(instance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Entry;

    fn entry(key: &str, bytes: Vec<u8>, created: u64) -> Entry {
        Entry { key: key.to_owned(), bytes: bytes.into(), created }
    }

    fn json(id: &str, endpoint: &str) -> Vec<u8> {
        let endpoints = vec![endpoint.to_owned()];
        serde_json::to_vec(&Instance { endpoints, ..Instance::new(InstanceKind::Node, id, "game") }).unwrap()
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_and_counted() {
        let entries = vec![
            entry("node/a", b"{not json".to_vec(), 1),     // B120
            entry("node/b", json("b", "link://h:0"), 2),   // B121
            entry("node/c", json("c", "link://old:1"), 3), // B122
            entry("node/c", json("c", "link://new:1"), 4),
            entry("node/d-admin", json("d", "link://cousin:1"), 5), // B123
            entry("node/e", json("e", "link://e:1"), 6),
        ];
        let view = view_of(&Listing { entries, cursor: 9 }, InstanceKind::Node);
        let seen: Vec<_> = view.members.iter().map(|m| (&*m.id.0, &*m.endpoints[0])).collect();
        assert_eq!(seen, [("c", "link://new:1"), ("e", "link://e:1")]);
        assert_eq!(view.skipped, 4);
    }
}
