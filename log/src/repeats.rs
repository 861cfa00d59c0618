//! Equal lines are written a few times a second; the rest is counted.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::record::Record;

/// How long equal lines are counted together, from the first one on.
const WINDOW: Duration = Duration::from_secs(1);
/// Most different lines that are watched at once. When there are more, the further ones are written as they come.
const MOST: usize = 1024;

/// When the table is full, it is looked through at most that often.
const BETWEEN_SWEEPS: Duration = Duration::from_millis(100);

/// Who was seen within the window. It knows no clock: time comes in since any beginning.
pub(crate) struct Repeats {
    most: u32,
    seen: HashMap<u64, Seen>,
    next_sweep: Duration,
}

struct Seen {
    since: Duration,
    written: u32,
    counted: u64,
    /// The last one that was counted.
    last: Option<Arc<Record>>,
}

/// What is to be done about a line.
pub(crate) struct Verdict {
    /// Is it to be written?
    pub(crate) write: bool,
    /// To be written before it: an account of those before.
    pub(crate) before: Option<Record>,
    /// It is the first one that was counted: there is something due one window later.
    pub(crate) first: bool,
}

impl Repeats {
    /// So many equal lines in a window; 0 for all.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, seen: HashMap::new(), next_sweep: Duration::ZERO }
    }

    /// Takes note of a line; lines with one key are equal.
    pub(crate) fn see(&mut self, key: u64, record: &Arc<Record>, now: Duration) -> Verdict {
        let written = Verdict { write: true, before: None, first: false };
        if self.most == 0 {
            return written;
        }
        if let Some(seen) = self.seen.get_mut(&key) {
            if now.saturating_sub(seen.since) >= WINDOW {
                let before = seen.account();
                *seen = Seen::new(now);
                return Verdict { before, ..written };
            }
            if seen.written < self.most {
                seen.written += 1;
                return written;
            }
            seen.counted += 1;
            seen.last = Some(record.clone());
            return Verdict { write: false, before: None, first: seen.counted == 1 };
        }
        if self.seen.len() == MOST && now >= self.next_sweep {
            self.next_sweep = now + BETWEEN_SWEEPS;
            self.seen.retain(|_, seen| seen.counted > 0 || now.saturating_sub(seen.since) < WINDOW);
        }
        if self.seen.len() < MOST {
            self.seen.insert(key, Seen::new(now));
        }
        written
    }

    /// The accounts of windows that are over.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<Record> {
        self.accounts(|seen| now.saturating_sub(seen.since) >= WINDOW)
    }

    /// The accounts of all windows: the end has come.
    pub(crate) fn all(&mut self) -> Vec<Record> {
        self.accounts(|_| true)
    }

    /// When the next account is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.seen.values().filter(|seen| seen.counted > 0).map(|seen| seen.since + WINDOW).min()
    }

    fn accounts(&mut self, over: impl Fn(&Seen) -> bool) -> Vec<Record> {
        let mut accounts = Vec::new();
        self.seen.retain(|_, seen| {
            let over = over(seen);
            accounts.extend(over.then(|| seen.account()).flatten().map(|account| (seen.since, account)));
            !over
        });
        // In the order in which the lines began.
        accounts.sort_by_key(|(since, _)| *since);
        accounts.into_iter().map(|(_, account)| account).collect()
    }
}

impl Seen {
    fn new(since: Duration) -> Self {
        Self { since, written: 1, counted: 0, last: None }
    }

    fn account(&self) -> Option<Record> {
        self.last.as_deref().map(|last| Record { repeated: self.counted, ..last.clone() })
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn record() -> Arc<Record> {
        Arc::new(Record::new(Level::WARN, "game", "again"))
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_rest_of_a_second_is_counted_and_told_at_its_end() {
        let mut repeats = Repeats::new(2);
        let written: Vec<bool> = (0..5).map(|n| repeats.see(1, &record(), n * MS).write).collect();
        assert_eq!(written, [true, true, false, false, false]);
        assert_eq!(repeats.next(), Some(1000 * MS));
        assert!(repeats.due(999 * MS).is_empty());
        let told: Vec<u64> = repeats.due(1000 * MS).iter().map(Record::repeated).collect();
        assert_eq!((told, repeats.next()), (vec![3], None));
        assert!(repeats.see(1, &record(), 1001 * MS).write);
    }

    #[test]
    fn the_account_comes_before_the_next_line() {
        let mut repeats = Repeats::new(1);
        repeats.see(1, &record(), Duration::ZERO);
        assert!(repeats.see(1, &record(), MS).first);
        assert!(!repeats.see(1, &record(), MS).first);
        let next = repeats.see(1, &record(), 1500 * MS);
        assert!(next.write && next.before.is_some_and(|before| before.repeated() == 2));
        assert!(repeats.all().is_empty(), "told twice");
    }

    #[test]
    fn different_lines_do_not_count_together() {
        let mut repeats = Repeats::new(1);
        assert!(repeats.see(1, &record(), Duration::ZERO).write && repeats.see(2, &record(), Duration::ZERO).write);
        assert!(Repeats::new(0).see(1, &record(), Duration::ZERO).write);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_what_is_over() {
        let mut repeats = Repeats::new(1);
        for key in 0..MOST as u64 * 2 {
            assert!(repeats.see(key, &record(), Duration::ZERO).write, "{key}");
        }
        assert_eq!(repeats.seen.len(), MOST);
        assert!(repeats.see(u64::MAX, &record(), Duration::ZERO).write);
        assert!(repeats.see(u64::MAX, &record(), Duration::ZERO).write, "there was no place for it");
        repeats.see(u64::MAX, &record(), 2000 * MS);
        assert_eq!(repeats.seen.len(), 1);
    }
}
