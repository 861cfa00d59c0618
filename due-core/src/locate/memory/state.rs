//! The ledger with its feeds and faults.

use super::{Change, Error, Event, Feeder, Kind, Result, Retry, ledger::Ledger};

#[derive(Default)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) feeds: Vec<Feeder>,
    pub(super) down: bool,
    /// So many writes happen without an answer.
    pub(super) mute: usize,
    /// Feeds learn of no change, until one gap tells them.
    pub(super) deaf: bool,
}

impl State {
    pub(super) fn refuse(&self) -> Result<()> {
        match self.down {
            true => Err(Error::new(Kind::Unavailable, "the locator is down").retry_as(Retry::Safe)),
            false => Ok(()),
        }
    }

    pub(super) fn answer<T>(&mut self, answer: T) -> Result<T> {
        if self.mute == 0 {
            return Ok(answer);
        }
        self.mute -= 1;
        Err(Error::new(Kind::Timeout, "the locator's answer was lost"))
    }

    pub(super) fn tell(&mut self, change: Change) {
        if !self.deaf {
            self.send(Event::Change(change));
        }
    }

    pub(super) fn send(&mut self, event: Event) {
        self.feeds.retain(|feed| feed.send(event.clone()));
    }
}
