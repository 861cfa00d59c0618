//! What the layer, the writers and the handles share.

use std::{
    fmt::Display,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use due_core::{Result, boot::LogLevels};
use tracing::{Level, level_filters::LevelFilter};
use tracing_log::{AsLog, log};

use crate::{
    channel::{Channel, Pushed},
    levels::{Over, Table, said},
    record::{Record, Value},
    repeats::Repeats,
};

/// What there is at least for telling that the others have not ended.
const LAST_RESORT: Duration = Duration::from_millis(200);

pub(crate) struct Hub {
    pub(crate) channels: Vec<Arc<Channel>>,
    /// To standard error, for what the log has to say about its sinks, if none of them is a console.
    last_resort: Option<Arc<Channel>>,
    repeats: Mutex<Repeats>,
    table: ArcSwap<Table>,
    base: LogLevels,
    cap: LevelFilter,
    over: Mutex<Vec<Over>>,
    bell: Bell,
    open: AtomicBool,
    begin: Instant,
}

impl Hub {
    pub(crate) fn new(
        channels: Vec<Arc<Channel>>,
        last_resort: Option<Arc<Channel>>,
        base: LogLevels,
        repeats: u32,
    ) -> Self {
        let cap = channels.iter().map(|channel| channel.level).max().unwrap_or(LevelFilter::OFF);
        Self {
            channels,
            last_resort,
            repeats: Mutex::new(Repeats::new(repeats)),
            table: ArcSwap::from_pointee(Table::new(&base, &[], cap)),
            base,
            cap,
            over: Mutex::default(),
            bell: Bell::default(),
            open: AtomicBool::new(true),
            begin: Instant::now(),
        }
    }

    /// Since the beginning, by the monotonic clock.
    pub(crate) fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Takes a record of the program: lines with one key are equal. Never waits for a sink.
    pub(crate) fn log(&self, record: Record, key: u64) {
        let record = Arc::new(record);
        let now = self.now();
        let verdict = lock(&self.repeats).see(key, &record, now);
        if let Some(before) = verdict.before {
            self.spread(&Arc::new(before));
        }
        if verdict.write {
            self.spread(&record);
        }
        if verdict.first {
            self.bell.ring();
        }
    }

    /// Gives a record of the log itself to all sinks.
    pub(crate) fn note(&self, record: Record) {
        self.spread(&Arc::new(record));
    }

    fn spread(&self, record: &Arc<Record>) {
        for channel in self.channels.iter().filter(|channel| channel.takes(record.level())) {
            if channel.push(record) == Pushed::FirstLost {
                let what = "a sink of the log does not keep up: lines are lost";
                self.tell(channel, Level::WARN, what, None);
            }
        }
    }

    /// Tells the other sinks, or standard error, about one that is in trouble or out of it.
    pub(crate) fn tell(&self, about: &Channel, level: Level, what: &'static str, detail: Option<&dyn Display>) {
        let mut record = Record::new(level, crate::TARGET, what).with("sink", Value::Text(about.name.clone()));
        if let Some(detail) = detail {
            let text = crate::capture::text(format_args!("{detail}"), 1024);
            record = record.with("detail", Value::Text(text));
        }
        let record = Arc::new(record);
        let others = self.channels.iter().filter(|other| !std::ptr::eq(&***other, about));
        for other in others.filter(|other| other.takes(level)).chain(&self.last_resort) {
            // What they lose of this is counted with the rest.
            let _ = other.push(&record);
        }
    }

    pub(crate) fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    pub(crate) fn over(&self) -> MutexGuard<'_, Vec<Over>> {
        lock(&self.over)
    }

    /// Changes the levels of the run time, and makes it count.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Vec<Over>) -> Result<()>) -> Result<()> {
        {
            let mut over = self.over();
            let mut changed = over.clone();
            change(&mut changed)?;
            *over = changed;
            self.table.store(Arc::new(Table::new(&self.base, &over, self.cap)));
        }
        // Not under the lock: places that log are asked anew, which may take other locks.
        tracing::callsite::rebuild_interest_cache();
        log::set_max_level(LevelFilter::current().as_log());
        self.bell.ring();
        Ok(())
    }

    /// What must happen at its time: accounts of repeated lines, ends of levels. A thread of its own, until the end.
    pub(crate) fn keep(&self) {
        while self.is_open() {
            let now = self.now();
            let accounts = lock(&self.repeats).due(now);
            accounts.into_iter().for_each(|account| self.note(account));
            self.expire(now);
            let next = lock(&self.repeats).next();
            let until = self.over().iter().map(|over| over.until).chain(next).min();
            self.bell.wait(until.map(|until| until.saturating_sub(self.now())));
        }
    }

    fn expire(&self, now: Duration) {
        let expired: Vec<Over> = self.over().iter().filter(|over| over.until <= now).cloned().collect();
        if expired.is_empty() {
            return;
        }
        // Nothing in it fails.
        let _ = self.change(|all| {
            all.retain(|over| over.until > now);
            Ok(())
        });
        for over in expired {
            self.note(said("the time of a level set at run time is over", &over.target));
        }
    }

    /// Waits until all that was logged before is written, at most so long; `false`: a sink has not made it.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        // One that has not made it has used the time up: there is none left for others.
        self.all().all(|channel| channel.flushed(until))
    }

    /// Takes nothing in any more, and waits until all is written, at most so long; `false`: a sink has not made it.
    pub(crate) fn close(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        if self.open.swap(false, Ordering::AcqRel) {
            let accounts = lock(&self.repeats).all();
            accounts.into_iter().for_each(|account| self.note(account));
            self.channels.iter().for_each(|channel| channel.close());
            self.bell.ring();
        }
        let ended = self.channels.iter().all(|channel| channel.ended(until));
        // Last of all: it may have to tell what became of the others.
        self.last_resort.iter().for_each(|channel| channel.close());
        let until = until.max(Instant::now() + LAST_RESORT);
        self.last_resort.iter().all(|channel| channel.ended(until)) && ended
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels.iter().chain(&self.last_resort)
    }
}

/// Wakes the keeper.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    fn ring(&self) {
        *lock(&self.rung) = true;
        self.heard.notify_all();
    }

    fn wait(&self, limit: Option<Duration>) {
        let rung = lock(&self.rung);
        let quiet = |rung: &mut bool| !*rung;
        let mut rung = match limit {
            Some(limit) => self.heard.wait_timeout_while(rung, limit, quiet).unwrap_or_else(PoisonError::into_inner).0,
            None => self.heard.wait_while(rung, quiet).unwrap_or_else(PoisonError::into_inner),
        };
        *rung = false;
    }
}

/// What these locks protect is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
