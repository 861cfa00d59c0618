//! Watching the source of live settings: what is written there is an event, whoever has written it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use due_core::config::{ConfigSource, Entry, Update, Version, Watch};
use tokio::time::sleep;

use crate::events::{Event, Events};

/// Between two tries to watch a source that does not let itself be watched.
const AGAIN: Duration = Duration::from_secs(1);

/// The versions of all settings for people.
type Versions = BTreeMap<Arc<str>, Version>;

/// Follows the settings of a source for ever.
pub(crate) async fn settings(source: Arc<dyn ConfigSource>, events: Events) {
    let mut known = None;
    loop {
        match source.watch("").await {
            Ok(watch) => follow(watch, &mut known, &events).await,
            Err(e) => tracing::debug!(error = %e, "the source of live settings cannot be watched"),
        }
        sleep(AGAIN).await;
    }
}

async fn follow(mut watch: Watch, known: &mut Option<Versions>, events: &Events) {
    while let Some(update) = watch.next().await {
        match update {
            Update::All(all) => {
                let now: Versions = all.into_iter().filter(is_for_people).map(|(key, e)| (key, e.version)).collect();
                // What stood there when the master came has not happened since.
                if let Some(before) = known.replace(now.clone()) {
                    compare(&before, &now, events);
                }
            }
            Update::Key(key, entry) if !key.starts_with('.') => {
                let known = known.get_or_insert_default();
                match entry {
                    Some(entry) => {
                        if known.insert(key.clone(), entry.version.clone()).as_ref() != Some(&entry.version) {
                            changed(&key, &entry.version, events);
                        }
                    }
                    None => {
                        if known.remove(&key).is_some() {
                            deleted(&key, events);
                        }
                    }
                }
            }
            Update::Key(..) => {}
        }
    }
}

fn is_for_people((key, _): &(Arc<str>, Entry)) -> bool {
    !key.starts_with('.')
}

fn compare(before: &Versions, now: &Versions, events: &Events) {
    for (key, version) in now.iter().filter(|(key, version)| before.get(*key) != Some(*version)) {
        changed(key, version, events);
    }
    for key in before.keys().filter(|key| !now.contains_key(*key)) {
        deleted(key, events);
    }
}

fn changed(key: &str, version: &Version, events: &Events) {
    events.add(Event::new("config.changed", format!("config/{key}"), format!("version {version}")));
}

fn deleted(key: &str, events: &Events) {
    events.add(Event::new("config.deleted", format!("config/{key}"), ""));
}

#[cfg(test)]
mod tests {
    use due_core::config::{Expect, memory::Memory};

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_an_event_and_what_stood_there_or_is_the_fleets_own_is_none() {
        let (memory, events) = (Memory::default(), Events::default());
        let write = async |key: &str, value: &'static str| {
            memory.store(key, value.into(), Expect::Any).await.unwrap();
        };
        write("old", "1").await;
        let watch = memory.watch("").await.unwrap();
        let follows = tokio::spawn({
            let events = events.clone();
            async move { follow(watch, &mut None, &events).await }
        });
        // The first update is there before the writes that follow it.
        tokio::task::yield_now().await;
        write(".master/tokens", "x").await;
        write("game/rules.json", "1").await;
        memory.delete("old", Expect::Any).await.unwrap();
        events.past(1).await;
        follows.abort();
        let seen = events.behind(0, 10, |_| true).events;
        let told: Vec<_> = seen.iter().map(|e| (e.kind.as_str(), e.subject.as_str())).collect();
        assert_eq!(told, [("config.changed", "config/game/rules.json"), ("config.deleted", "config/old")]);
    }
}
