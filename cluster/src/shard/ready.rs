//! The ready list: which parts of a shard have something to do.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// What can be woken in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Token {
    /// A client connection: gate and slot.
    Conn(u8, u32),
    /// A listener: gate and number.
    Listener(u8, u8),
    /// A link by slot.
    Link(u32),
    /// A handler that waits: node and slot.
    Task(u8, u32),
    /// The inbox has commands.
    Inbox,
    /// A timer is due.
    Timer,
}

#[derive(Default)]
struct Queue {
    tokens: Vec<Token>,
    driver: Option<Waker>,
}

/// Tokens in the order they were woken. The driver is woken once for any number of them.
#[derive(Default)]
pub(crate) struct Ready {
    queue: Mutex<Queue>,
}

impl Ready {
    fn push(&self, token: Token) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.tokens.push(token);
        // The driver takes its waker out of the way while it runs, so this costs one wake a turn.
        let driver = queue.driver.take();
        drop(queue);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Swaps the list with an empty one at the start of a turn.
    pub(crate) fn take(&self, into: &mut Vec<Token>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut queue.tokens, into);
    }

    /// Ends a turn: `true` if nothing came meanwhile and the driver may sleep until `waker` is woken.
    pub(crate) fn park(&self, waker: &Waker) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.tokens.is_empty() {
            return false;
        }
        match &mut queue.driver {
            Some(old) if old.will_wake(waker) => {}
            slot => *slot = Some(waker.clone()),
        }
        true
    }

    /// A waker that puts `token` on the list, at most once until [`Mark::clear`].
    pub(crate) fn waker(self: &Arc<Self>, token: Token) -> (Waker, Mark) {
        let mark = Arc::new(TokenWaker { token, queued: AtomicBool::new(false), ready: self.clone() });
        (mark.clone().into(), Mark(mark))
    }
}

struct TokenWaker {
    token: Token,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TokenWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self.token);
        }
    }
}

/// The driver's side of a waker.
#[derive(Clone)]
pub(crate) struct Mark(Arc<TokenWaker>);

impl Mark {
    /// Lets the waker queue its token again; call it before polling what the token stands for.
    pub(crate) fn clear(&self) {
        self.0.queued.store(false, Ordering::Release);
    }

    /// Puts the token on the list by hand.
    pub(crate) fn wake(&self) {
        self.0.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_queued_once_until_cleared() {
        let ready = Arc::new(Ready::default());
        let (waker, mark) = ready.waker(Token::Conn(0, 7));
        waker.wake_by_ref();
        waker.wake_by_ref();
        let mut got = Vec::new();
        ready.take(&mut got);
        assert_eq!(got, [Token::Conn(0, 7)]);
        mark.clear();
        waker.wake();
        assert!(!ready.park(Waker::noop()));
    }
}
