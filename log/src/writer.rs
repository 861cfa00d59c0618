//! The thread of one sink.

use std::{
    any::Any,
    cell::Cell,
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use due_core::{Error, Kind, Result};
use tracing::Level;

use crate::{
    channel::{Channel, Taken},
    hub::Hub,
    record::{Record, Value, thousands},
    sink::Sink,
};

/// The first pause after a call that failed, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The pause after `WouldBlock`.
const BLOCKED: Duration = Duration::from_millis(10);
/// Losses are told at most that often.
const BETWEEN_ACCOUNTS: Duration = Duration::from_secs(1);
/// A sink that has lost nothing for so long keeps up again.
const QUIET: Duration = Duration::from_secs(3);
/// A failure is told at most that often: a sink that works now and then would fill the others.
const BETWEEN_FAILURES: Duration = Duration::from_secs(10);
/// Calls that may fail once the log is closed.
const LAST_TRIES: u32 = 3;

thread_local! {
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// Is this the thread of a sink? What it logs would come back to it.
pub(crate) fn is_writer() -> bool {
    IS_WRITER.get()
}

pub(crate) struct Writer {
    channel: Arc<Channel>,
    hub: Arc<Hub>,
    sink: Box<dyn Sink>,
    batch: VecDeque<Arc<Record>>,
    /// Taken by the sink, and maybe in a buffer of its own.
    unflushed: u64,
    /// Not told yet in the sink itself.
    lost: u64,
    /// Since the others were told that lines are lost.
    lost_in_all: u64,
    told: Option<Instant>,
    last_loss: Option<Instant>,
    /// The next pause, while calls fail.
    pause: Option<Duration>,
    told_failure: Option<Instant>,
    /// The others wait to hear that it works again.
    is_told: bool,
    last_tries: u32,
}

impl Writer {
    /// Starts the thread. Errors: `Internal`, the system gives none.
    pub(crate) fn start(channel: Arc<Channel>, hub: Arc<Hub>, sink: Box<dyn Sink>) -> Result<()> {
        let writer = Self {
            channel,
            hub,
            sink,
            batch: VecDeque::new(),
            unflushed: 0,
            lost: 0,
            lost_in_all: 0,
            told: None,
            last_loss: None,
            pause: None,
            told_failure: None,
            is_told: false,
            last_tries: 0,
        };
        let spawned = thread::Builder::new().name("due-log".to_owned()).spawn(move || writer.run());
        spawned.map(drop).map_err(|e| Error::new(Kind::Internal, "a sink of the log has no thread").because(e))
    }

    fn run(mut self) {
        IS_WRITER.set(true);
        loop {
            let patience = self.patience();
            let taken = self.channel.take(&mut self.batch, patience);
            self.count(&taken);
            let outcome = self.write(taken.all);
            self.hear_trouble();
            let done = match outcome {
                Ok(()) => {
                    self.works();
                    taken.closed && taken.all && self.batch.is_empty()
                }
                Err(e) => self.fails(&e, taken.closed),
            };
            if done {
                return;
            }
        }
    }

    /// How long to wait for records at most: until an account is due, or the time without losses is long enough.
    fn patience(&self) -> Option<Duration> {
        if self.is_behind() {
            return Some(Duration::ZERO);
        }
        let due = |since: Option<Instant>, span: Duration| since.map(|at| span.saturating_sub(at.elapsed()));
        let account = (self.lost > 0).then(|| due(self.told, BETWEEN_ACCOUNTS).unwrap_or_default());
        [account, due(self.last_loss, QUIET)].into_iter().flatten().min()
    }

    /// Has the sink something to do without new records?
    fn is_behind(&self) -> bool {
        self.pause.is_some() || self.unflushed > 0
    }

    /// Puts an account of the losses where they were, and tells the others when there are no more.
    fn count(&mut self, taken: &Taken) {
        if taken.lost > 0 {
            self.lost += taken.lost;
            self.lost_in_all += taken.lost;
            self.last_loss = Some(Instant::now());
        }
        let is_time = self.told.is_none_or(|told| told.elapsed() >= BETWEEN_ACCOUNTS) || taken.closed;
        if self.lost > 0 && taken.all && is_time {
            let lost = std::mem::take(&mut self.lost);
            let text = format!("{} lines were lost here: the sink did not keep up", thousands(lost));
            let record = Record::new(Level::WARN, crate::TARGET, text).with("lost", Value::Uint(lost));
            self.channel.adopt(&record);
            self.batch.push_back(Arc::new(record));
            self.told = Some(Instant::now());
        }
        if self.last_loss.is_some_and(|at| at.elapsed() >= QUIET) && self.channel.recovered() {
            self.last_loss = None;
            let lost = format!("{} lines were lost", thousands(std::mem::take(&mut self.lost_in_all)));
            self.hub.tell(&self.channel, Level::WARN, "a sink of the log keeps up again", Some(&lost));
        }
    }

    fn write(&mut self, all: bool) -> io::Result<()> {
        let (records, bytes) = weight(&self.batch);
        let behind = self.is_behind();
        let outcome = catch_unwind(AssertUnwindSafe(|| match self.batch.is_empty() {
            true if !behind => Ok(()),
            _ => self.sink.write(&mut self.batch),
        }));
        if outcome.is_err() && self.batch.pop_front().is_some() {
            // The one it cannot take, probably: it would panic again.
            self.channel.gave_up();
        }
        let (left, left_bytes) = weight(&self.batch);
        self.channel.freed(bytes.saturating_sub(left_bytes));
        self.unflushed += records.saturating_sub(left);
        outcome.unwrap_or_else(|panic| Err(panicked(&*panic)))?;
        if all && self.batch.is_empty() && self.unflushed > 0 {
            catch_unwind(AssertUnwindSafe(|| self.sink.flush())).unwrap_or_else(|panic| Err(panicked(&*panic)))?;
            self.channel.wrote(std::mem::take(&mut self.unflushed));
        }
        Ok(())
    }

    fn hear_trouble(&mut self) {
        let trouble = catch_unwind(AssertUnwindSafe(|| self.sink.trouble())).unwrap_or_default();
        if let Some(trouble) = trouble {
            self.hub.tell(&self.channel, Level::ERROR, "a sink of the log is in trouble", Some(&trouble));
        }
    }

    fn works(&mut self) {
        self.pause = None;
        if std::mem::take(&mut self.is_told) {
            self.hub.tell(&self.channel, Level::WARN, "a sink of the log works again", None);
        }
    }

    /// Waits before the next try; `true`: there is none.
    fn fails(&mut self, error: &io::Error, closed: bool) -> bool {
        let would_block = error.kind() == io::ErrorKind::WouldBlock;
        let is_time = self.told_failure.is_none_or(|told| told.elapsed() >= BETWEEN_FAILURES);
        if self.pause.is_none() && is_time && !would_block {
            self.told_failure = Some(Instant::now());
            self.is_told = true;
            self.hub.tell(&self.channel, Level::ERROR, "a sink of the log fails; it is tried again", Some(error));
        }
        let pause = if would_block { BLOCKED } else { self.pause.unwrap_or(PAUSES.0) };
        if !would_block {
            self.pause = Some((pause * 2).min(PAUSES.1));
        }
        if closed {
            self.last_tries += 1;
            thread::sleep(PAUSES.0);
            return self.last_tries >= LAST_TRIES;
        }
        self.channel.pause(pause);
        false
    }
}

/// However the thread ends.
impl Drop for Writer {
    fn drop(&mut self) {
        self.channel.over();
    }
}

fn weight(batch: &VecDeque<Arc<Record>>) -> (u64, usize) {
    (batch.len() as u64, batch.iter().map(|record| record.size()).sum())
}

fn panicked(panic: &(dyn Any + Send)) -> io::Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    io::Error::other(format!("it panicked: {}", text.unwrap_or("no text")))
}
