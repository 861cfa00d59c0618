//! Where the clients of one event loop and its task meet.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use due_core::{Error, Kind, Result};
use slab::Slab;

use crate::{Closed, line::Line, sync::locked};

/// One client as the event loop and its handles see it. As a waker it asks for a turn.
pub(crate) struct Peer {
    slot: usize,
    hub: Arc<Hub>,
    queued: AtomicBool,
    line: Mutex<Line>,
}

impl Peer {
    pub(crate) fn line(&self) -> MutexGuard<'_, Line> {
        locked(&self.line)
    }

    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// Asks the event loop for a turn.
    pub(crate) fn queue(&self) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.hub.push(self.slot);
        }
    }

    /// The turn begins: what happens from now on asks for another.
    pub(crate) fn begin_turn(&self) {
        self.queued.store(false, Ordering::Release);
    }
}

impl Wake for Peer {
    fn wake(self: Arc<Self>) {
        self.queue();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue();
    }
}

#[derive(Default)]
pub(crate) struct Hub(Mutex<State>);

#[derive(Default)]
struct State {
    peers: Slab<Arc<Peer>>,
    ready: Vec<usize>,
    task: Option<Waker>,
    released: bool,
    stopped: bool,
}

impl Hub {
    /// Takes a client in.
    pub(crate) fn add(self: &Arc<Self>, line: Line) -> Result<Arc<Peer>> {
        let mut state = locked(&self.0);
        if state.stopped {
            return Err(Error::new(Kind::Unavailable, "the runtime of this event loop has stopped: start another"));
        }
        let entry = state.peers.vacant_entry();
        let (hub, queued) = (self.clone(), AtomicBool::new(false));
        let peer = Arc::new(Peer { slot: entry.key(), hub, queued, line: Mutex::new(line) });
        entry.insert(peer.clone());
        Ok(peer)
    }

    fn push(&self, slot: usize) {
        let mut state = locked(&self.0);
        state.ready.push(slot);
        let task = state.task.take();
        drop(state);
        wake(task);
    }

    /// Moves the clients that asked for a turn to `batch`. `false`: there is nothing to do, and never will be.
    pub(crate) fn take(&self, cx: &Context<'_>, batch: &mut Vec<Arc<Peer>>) -> bool {
        let mut state = locked(&self.0);
        let State { peers, ready, task, released, .. } = &mut *state;
        if *released && peers.is_empty() {
            return false;
        }
        if task.as_ref().is_none_or(|t| !t.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        batch.extend(ready.drain(..).filter_map(|slot| peers.get(slot).cloned()));
        true
    }

    pub(crate) fn peer(&self, slot: usize) -> Option<Arc<Peer>> {
        locked(&self.0).peers.get(slot).cloned()
    }

    /// Lets a client go. Its slot may be another's already: a waker of the one before queues it twice, and then the second
    /// of its last two turns comes after its end.
    pub(crate) fn remove(&self, peer: &Arc<Peer>) {
        let mut state = locked(&self.0);
        let own = state.peers.get(peer.slot).is_some_and(|p| Arc::ptr_eq(p, peer));
        let removed = if own { state.peers.try_remove(peer.slot) } else { None };
        let task = if state.released && state.peers.is_empty() { state.task.take() } else { None };
        drop(state);
        drop(removed);
        wake(task);
    }

    /// No handle of the event loop is left: it ends with its last client.
    pub(crate) fn release(&self) {
        let mut state = locked(&self.0);
        state.released = true;
        let task = state.task.take();
        drop(state);
        wake(task);
    }

    /// The task is gone: all clients are closed.
    pub(crate) fn stop(&self) {
        let mut state = locked(&self.0);
        state.stopped = true;
        let peers = std::mem::take(&mut state.peers);
        drop(state);
        for (_, peer) in peers {
            peer.line().end(Closed::Local);
        }
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::settings::Settings;

    fn client(hub: &Arc<Hub>) -> Arc<Peer> {
        let set = Settings::of("tcp://127.0.0.1:1").unwrap_or_else(|e| panic!("{e}"));
        hub.add(Line::new(Arc::new(set), Value::Null)).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn a_client_that_ended_twice_does_not_take_its_successor_along() {
        let hub = Arc::new(Hub::default());
        let first = client(&hub);
        hub.remove(&first);
        let second = client(&hub);
        assert_eq!(first.slot(), second.slot());
        hub.remove(&first);
        assert!(hub.peer(second.slot()).is_some());
        hub.remove(&second);
        assert!(hub.peer(second.slot()).is_none());
    }
}
