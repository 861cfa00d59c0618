//! How many a second: what is counted only grows, and two looks at it make a rate.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A rate is that of at least so long, and at most so long.
const SPAN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Most counters that are remembered.
const MOST: usize = 16 * 1024;

/// What was counted when somebody looked last.
#[derive(Default)]
pub(crate) struct Pace(Mutex<HashMap<String, Looks>>);

/// The last look that is at least a second old, and one that will be.
struct Looks {
    older: Look,
    newer: Look,
}

#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    count: u64,
}

impl Pace {
    /// How many a second came to a counter since the last looks; nothing at the first look, after a minute without one,
    /// or when it has begun anew.
    pub(crate) fn seen(&self, counter: String, count: u64) -> Option<f64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let look = Look { at: Instant::now(), count };
        if all.len() >= MOST {
            all.retain(|_, looks| looks.newer.at.elapsed() < SPAN.1);
        }
        let Some(looks) = all.get_mut(&counter) else {
            if all.len() < MOST {
                all.insert(counter, Looks { older: look, newer: look });
            }
            return None;
        };
        if count < looks.newer.count || looks.newer.at.elapsed() > SPAN.1 {
            *looks = Looks { older: look, newer: look };
        } else if looks.newer.at.elapsed() >= SPAN.0 {
            *looks = Looks { older: looks.newer, newer: look };
        }
        let span = look.at.duration_since(looks.older.at);
        (span >= SPAN.0).then(|| (count - looks.older.count) as f64 / span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_that_of_a_second_or_more_and_ends_with_a_counter() {
        let pace = Pace::default();
        let seen = |count| pace.seen("a".to_owned(), count);
        assert_eq!(seen(100), None);
        advance(Duration::from_millis(500)).await;
        assert_eq!(seen(200), None);
        advance(Duration::from_millis(1500)).await;
        assert_eq!(seen(300), Some(100.0));
        advance(Duration::from_millis(500)).await;
        assert_eq!(seen(350), Some(100.0));
        advance(Duration::from_millis(500)).await;
        assert_eq!(seen(400), Some(100.0));
        assert_eq!(seen(3), None);
        advance(Duration::from_secs(2)).await;
        assert_eq!(seen(5), Some(1.0));
        advance(Duration::from_secs(61)).await;
        assert_eq!(seen(9), None);
    }
}
