//! A node that is cut off from everybody: users whom no gate speaks for, and whom the store cannot be asked about, may be
//! another node's by now. After a while nothing is done in their names (`semantics`: wake rule, its last sentence).

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// So long what was true may be taken for true.
const LIMIT: Duration = Duration::from_secs(15);

/// Does the store say how a node's bindings stand?
#[derive(Default)]
pub(crate) struct Contact {
    failing: Mutex<Option<Instant>>,
    lost: AtomicBool,
}

impl Contact {
    /// The store was asked about all bindings, and answered.
    pub(crate) fn answered(&self, node: &str) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if self.lost.swap(false, Ordering::AcqRel) {
            tracing::info!(node, "the locator answers again: actors without a gate's word go on");
        }
    }

    /// It did not answer.
    pub(crate) fn failed(&self, node: &str) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *failing.get_or_insert_with(Instant::now);
        if since.elapsed() >= LIMIT && !self.lost.swap(true, Ordering::AcqRel) {
            tracing::warn!(node, "the locator has not answered for 15 s: actors that no gate reaches are suspended");
        }
    }

    /// Was the last answer none?
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Has it been silent for so long that who has no gate's word is suspended?
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn contact_is_lost_after_a_while_of_failures_and_back_with_one_answer() {
        let contact = Contact::default();
        contact.failed("game");
        tokio::time::advance(LIMIT - Duration::from_millis(1)).await;
        contact.failed("game");
        assert!(contact.is_failing() && !contact.is_lost());
        tokio::time::advance(Duration::from_millis(1)).await;
        contact.failed("game");
        assert!(contact.is_lost());
        contact.answered("game");
        assert!(!contact.is_failing() && !contact.is_lost());
        contact.failed("game");
        assert!(!contact.is_lost(), "it counts anew");
    }
}
