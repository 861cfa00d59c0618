//! How often one user may be taken over by clients that cannot be told to stay away.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use due_core::Uid;
use tokio::time::Instant;

/// Takeovers of one user within [`WINDOW`]; after them the user stays where it is for one window.
const MOST: u32 = 5;
const WINDOW: Duration = Duration::from_secs(30);
/// Users that are remembered before those whose window is over are forgotten.
const CROWD: usize = 1024;

/// Two old clients with one login would throw each other out for ever: they reconnect without knowing why.
#[derive(Default)]
pub(crate) struct Budget(Mutex<HashMap<Uid, (Instant, u32)>>);

impl Budget {
    fn all(&self) -> MutexGuard<'_, HashMap<Uid, (Instant, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login has taken the user over. The last one of the budget begins the time in which there are no more.
    pub(crate) fn taken_over(&self, uid: &Uid) {
        let (now, mut all) = (Instant::now(), self.all());
        if all.len() >= CROWD {
            all.retain(|_, (since, _)| now - *since < WINDOW);
        }
        let entry = all.entry(uid.clone()).or_insert((now, 0));
        if now - entry.0 >= WINDOW {
            *entry = (now, 0);
        }
        entry.1 += 1;
        if entry.1 == MOST {
            entry.0 = now;
        }
    }

    /// Must the next login leave the user alone?
    pub(crate) fn is_spent(&self, uid: &Uid) -> bool {
        self.all().get(uid).is_some_and(|(since, n)| *n >= MOST && since.elapsed() < WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn five_takeovers_in_half_a_minute_are_enough_for_as_long_again() {
        let (budget, ann) = (Budget::default(), Uid::from("ann"));
        for _ in 0..5 {
            assert!(!budget.is_spent(&ann));
            budget.taken_over(&ann);
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert!(budget.is_spent(&ann) && !budget.is_spent(&Uid::from("bob")));
        tokio::time::advance(Duration::from_secs(24)).await;
        assert!(budget.is_spent(&ann));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!budget.is_spent(&ann));
        budget.taken_over(&ann);
        assert!(!budget.is_spent(&ann), "it begins anew");
        for n in 0..3_000 {
            budget.taken_over(&Uid::from(n + 1));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(budget.all().len() <= CROWD + 1, "those of long ago are forgotten");
    }
}
