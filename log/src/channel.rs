//! The way to one sink: a bounded queue whose near end never waits.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Level, level_filters::LevelFilter};

use crate::record::Record;

/// Most records that are handed to a sink at once.
const BATCH: usize = 512;

pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) level: LevelFilter,
    most: usize,
    state: Mutex<State>,
    /// Rung for the writer.
    ready: Condvar,
    /// Rung for those who wait until all is written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Record>>,
    /// Of the queue, and of what the writer has taken and not written.
    bytes: usize,
    /// Not taken in since the writer looked last.
    lost: u64,
    /// From the first lost line until the writer has seen a time without.
    losing: bool,
    closed: bool,
    /// Records that were taken in, and those of them that are written.
    taken_in: u64,
    done: u64,
    lost_in_all: u64,
    /// The writer has come to its end.
    over: bool,
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Taken,
    /// The queue is full: the first of some that are lost.
    FirstLost,
    Lost,
}

/// What a writer got.
pub(crate) struct Taken {
    /// Lost after the last record of the batch.
    pub(crate) lost: u64,
    pub(crate) closed: bool,
    /// There is nothing in the queue any more.
    pub(crate) all: bool,
}

/// How a sink does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkState {
    /// Its name.
    pub name: String,
    /// Lines that it has written.
    pub written: u64,
    /// Lines that found its queue full.
    pub lost: u64,
    /// Bytes that wait for it.
    pub waiting: usize,
}

impl Channel {
    pub(crate) fn new(name: String, level: LevelFilter, most: usize) -> Self {
        let (ready, written) = Default::default();
        Self { name, level, most, state: Mutex::default(), ready, written }
    }

    pub(crate) fn takes(&self, level: Level) -> bool {
        level <= self.level
    }

    /// Takes a record in, or counts it as lost; never waits for the sink.
    pub(crate) fn push(&self, record: &Arc<Record>) -> Pushed {
        let size = record.size();
        let mut state = self.lock();
        if state.over {
            return Pushed::Lost;
        }
        if state.bytes + size > self.most {
            state.lost += 1;
            state.lost_in_all += 1;
            let first = !std::mem::replace(&mut state.losing, true);
            return if first { Pushed::FirstLost } else { Pushed::Lost };
        }
        state.bytes += size;
        state.taken_in += 1;
        state.queue.push_back(record.clone());
        drop(state);
        self.ready.notify_one();
        Pushed::Taken
    }

    /// Moves the oldest records into the batch, if it is empty. Waits until there are some, or something was lost, or the channel is
    /// closed, or so much time has gone by.
    pub(crate) fn take(&self, batch: &mut VecDeque<Arc<Record>>, limit: Option<Duration>) -> Taken {
        let mut state = self.lock();
        if !batch.is_empty() {
            // Nothing newer comes to what is tried again: the account of a loss stays where the loss was.
            return Taken { lost: 0, closed: state.closed, all: false };
        }
        let idle = |state: &mut State| state.queue.is_empty() && state.lost == 0 && !state.closed;
        state = match limit {
            Some(limit) => self.ready.wait_timeout_while(state, limit, idle).unwrap_or_else(PoisonError::into_inner).0,
            None => self.ready.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
        };
        let count = BATCH.min(state.queue.len());
        batch.extend(state.queue.drain(..count));
        let all = state.queue.is_empty();
        // What was lost came after the queue: it is told when the queue is through.
        let lost = if all { std::mem::take(&mut state.lost) } else { 0 };
        Taken { lost, closed: state.closed, all }
    }

    /// Counts a record in that the writer puts into its batch itself.
    pub(crate) fn adopt(&self, record: &Record) {
        let mut state = self.lock();
        state.bytes += record.size();
        state.taken_in += 1;
    }

    /// A line that no sink can take is lost too.
    pub(crate) fn gave_up(&self) {
        self.lock().lost_in_all += 1;
    }

    /// A time without losses is over: the next one is a first one again.
    pub(crate) fn recovered(&self) -> bool {
        let mut state = self.lock();
        state.lost == 0 && std::mem::take(&mut state.losing)
    }

    /// The sink has taken records over, of so many bytes.
    pub(crate) fn freed(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// So many records are where they belong.
    pub(crate) fn wrote(&self, records: u64) {
        self.lock().done += records;
        self.written.notify_all();
    }

    /// Waits so long, or until the channel is closed.
    pub(crate) fn pause(&self, limit: Duration) {
        let state = self.lock();
        drop(self.ready.wait_timeout_while(state, limit, |state| !state.closed));
    }

    /// The writer ends when it has written all.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// The writer has ended.
    pub(crate) fn over(&self) {
        self.lock().over = true;
        self.written.notify_all();
    }

    /// Waits until all that was taken in before is written; `false`: not by then.
    pub(crate) fn flushed(&self, until: Instant) -> bool {
        let state = self.lock();
        let wanted = state.taken_in;
        let limit = until.saturating_duration_since(Instant::now());
        let waited = self.written.wait_timeout_while(state, limit, |state| state.done < wanted && !state.over);
        waited.unwrap_or_else(PoisonError::into_inner).0.done >= wanted
    }

    /// Waits until the writer has ended; `false`: not by then.
    pub(crate) fn ended(&self, until: Instant) -> bool {
        let limit = until.saturating_duration_since(Instant::now());
        let waited = self.written.wait_timeout_while(self.lock(), limit, |state| !state.over);
        waited.unwrap_or_else(PoisonError::into_inner).0.over
    }

    pub(crate) fn state(&self) -> SinkState {
        let state = self.lock();
        SinkState { name: self.name.clone(), written: state.done, lost: state.lost_in_all, waiting: state.bytes }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that may panic is done under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Arc<Record> {
        Arc::new(Record::new(Level::INFO, "t", text))
    }

    #[test] // invariant 5
    fn a_full_queue_loses_the_newest_and_counts_them() {
        let size = record("12345").size();
        let channel = Channel::new("c".into(), LevelFilter::TRACE, size * 3);
        let pushed: Vec<Pushed> = (0..5).map(|_| channel.push(&record("12345"))).collect();
        assert_eq!(pushed, [Pushed::Taken, Pushed::Taken, Pushed::Taken, Pushed::FirstLost, Pushed::Lost]);
        let mut batch = VecDeque::new();
        let taken = channel.take(&mut batch, None);
        assert_eq!((batch.len(), taken.lost, taken.all), (3, 2, true));
        assert_eq!(channel.push(&record("12345")), Pushed::Lost, "what the writer holds counts too");
        channel.freed(size);
        assert_eq!(channel.push(&record("12345")), Pushed::Taken);
        let state = channel.state();
        assert_eq!((state.lost, state.waiting), (3, size * 3));
    }

    #[test]
    fn a_closed_channel_wakes_its_writer_and_takes_nothing_when_that_has_ended() {
        let channel = Channel::new("c".into(), LevelFilter::TRACE, 1 << 20);
        channel.push(&record("a"));
        channel.close();
        let mut batch = VecDeque::new();
        let taken = channel.take(&mut batch, None);
        assert!(taken.closed && taken.all && batch.len() == 1);
        assert!(!channel.flushed(Instant::now()));
        channel.wrote(1);
        assert!(channel.flushed(Instant::now()));
        assert!(!channel.ended(Instant::now()));
        channel.over();
        assert!(channel.ended(Instant::now()));
        assert_eq!(channel.push(&record("b")), Pushed::Lost);
    }
}
