//! Panics in the log.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, PanicHookInfo},
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use tracing::Level;

use crate::{
    capture::text,
    hub::Hub,
    record::{Record, Value},
};

/// Longest text of a panic, in bytes.
const MOST_TEXT: usize = 4 * 1024;
/// Where a panic ends the process at once, its line gets this long.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Panics are logged as long as the log is open, and told as before after that.
///
/// The hook that was there is not called: it writes to standard error by itself, and where that blocks, the thread that
/// panicked would stand still, and with it whoever it serves.
pub(crate) fn log_them(hub: &Arc<Hub>) {
    let hub: Weak<Hub> = Arc::downgrade(hub);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| match hub.upgrade().filter(|hub| hub.is_open()) {
        Some(hub) => {
            hub.note(record(info));
            if cfg!(panic = "abort") {
                hub.flush(LAST_WORD);
            }
        }
        None => before(info),
    }));
}

fn record(info: &PanicHookInfo<'_>) -> Record {
    let message = text(format_args!("{}", info.payload_as_str().unwrap_or("a panic without a text")), MOST_TEXT);
    let name = thread::current().name().unwrap_or("unnamed").to_owned();
    let mut record = Record::new(Level::ERROR, "panic", message).with("thread", Value::Text(name));
    if let Some(place) = info.location() {
        record = record.with("at", Value::Text(place.to_string()));
    }
    // Only if the variables of the standard library ask for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        record = record.with("backtrace", Value::Text(text(format_args!("{backtrace}"), MOST_TEXT)));
    }
    record
}
