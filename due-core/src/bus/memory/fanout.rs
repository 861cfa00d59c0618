//! A subscriber that gets everything: a place in the log.

use std::sync::Arc;

use async_trait::async_trait;

use super::topic::{Log, Place, Topic};
use crate::bus::{Ack, Begin, Cause, Gap, Raw, Source};

pub(super) struct Reader {
    topic: Arc<Topic>,
    place: Place,
    /// Reconnects that it was told of.
    reconnects: u64,
    /// Why the next missing entries are missing.
    cause: Cause,
    /// The place it asked for was never there.
    unknown: bool,
}

impl Reader {
    pub(super) fn open(topic: Arc<Topic>, from: &Begin) -> Self {
        let log = topic.log();
        let begin = log.begin(from);
        let place = begin.unwrap_or_else(|first| first);
        let cause = if matches!(from, Begin::After(_)) { Cause::Trimmed } else { Cause::Overflow };
        let reconnects = log.reconnects.0;
        drop(log);
        Self { topic, place, reconnects, cause, unknown: begin.is_err() }
    }

    /// What comes next, if there is anything; `Some(None)` at the end.
    fn step(&mut self, log: &Log) -> Option<Option<Raw>> {
        if std::mem::take(&mut self.unknown) {
            return Some(Some(Raw::Gap(Gap { cause: Cause::Trimmed, lost: None })));
        }
        loop {
            let (reconnects, at) = log.reconnects;
            if self.reconnects < reconnects && self.place.offset >= at {
                self.reconnects = reconnects;
                return Some(Some(Raw::Gap(Gap { cause: Cause::Reconnect, lost: None })));
            }
            match log.at(self.place) {
                Err((first, lost)) => {
                    self.place = first;
                    if lost > 0 {
                        return Some(Some(Raw::Gap(Gap { cause: self.cause, lost: Some(lost) })));
                    }
                }
                Ok(Some(entry)) => {
                    self.place = entry.next();
                    self.cause = Cause::Overflow;
                    if !entry.hidden {
                        return Some(Some(Raw::Message {
                            body: entry.body.clone(),
                            position: Some(entry.place.position()),
                            ack: Ack::none(),
                        }));
                    }
                }
                Ok(None) => return log.closed.then_some(None),
            }
        }
    }
}

#[async_trait]
impl Source for Reader {
    async fn next(&mut self) -> Option<Raw> {
        let topic = self.topic.clone();
        loop {
            let news = topic.news.notified();
            if let Some(next) = self.step(&topic.log()) {
                return next;
            }
            news.await;
        }
    }
}
