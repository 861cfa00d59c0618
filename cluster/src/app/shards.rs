//! How many shards there are and what runs on them.

use std::{num::NonZeroUsize, sync::Arc, thread::JoinHandle};

use due_core::{Error, Result};
use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};

use crate::shard::{
    driver::{Driver, Setup, Shard},
    inbox::Inbox,
    ready::{Ready, Token},
    watchdog::Pulse,
};

/// Where an application's shards run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shards {
    /// As many threads as there are cores. Gates take half of them (rounded up), nodes the rest, each at least one; one
    /// role alone takes all.
    #[default]
    PerCore,
    /// So many threads, dealt in the same way; at least one for each role.
    Count(NonZeroUsize),
    /// On the runtime that starts the application, without threads: for embedding and for tests with paused time.
    Inline,
}

/// What runs where: shard numbers of each role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) gates: Vec<u16>,
    pub(crate) nodes: Vec<u16>,
    pub(crate) count: u16,
}

impl Layout {
    /// `shared`: gate and node on the same shards. `serial`: nodes need one shard only, and for themselves.
    pub(crate) fn new(shards: Shards, roles: (bool, bool), shared: bool, serial: bool) -> Self {
        let total = match shards {
            Shards::PerCore => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            Shards::Count(n) => n.get(),
            Shards::Inline => 1,
        }
        .min(usize::from(u16::MAX / 2)) as u16;
        let shared = shared && !serial;
        let (gates, nodes) = match roles {
            (true, true) if shared => {
                return Self { gates: (0..total).collect(), nodes: (0..total).collect(), count: total };
            }
            (true, true) => (total.div_ceil(2), (total / 2).max(1)),
            (true, false) => (total, 0),
            (false, true) => (0, total),
            (false, false) => (0, 0),
        };
        let nodes = if serial { nodes.min(1) } else { nodes };
        Self { gates: (0..gates).collect(), nodes: (gates..gates + nodes).collect(), count: gates + nodes }
    }
}

/// The outside of a shard that is not running yet.
pub(crate) struct Seat {
    pub(crate) ready: Arc<Ready>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) pulse: Arc<Pulse>,
}

impl Seat {
    pub(crate) fn new(number: u16) -> Self {
        let ready = Arc::new(Ready::default());
        let (_, mark) = ready.waker(Token::Inbox);
        Self { inbox: Arc::new(Inbox::new(mark)), ready, pulse: Pulse::new(number) }
    }
}

/// A shard that runs; its end can be waited for.
pub(crate) struct RunningShard {
    pub(crate) inbox: Arc<Inbox>,
    ended: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
    /// Ends the driver of an inline shard between two of its turns.
    abort: Option<AbortHandle>,
}

impl RunningShard {
    /// Starts a thread with a runtime of its own for the shard, or puts it on the caller's.
    pub(crate) fn start(setup: Setup, inline: bool) -> Result<Self> {
        let inbox = setup.inbox.clone();
        let (tx, ended) = oneshot::channel();
        let drive = async move {
            Driver(Box::new(Shard::new(setup))).await;
            let _ = tx.send(());
        };
        if inline {
            let abort = Handle::current().spawn(drive).abort_handle();
            return Ok(Self { inbox, ended: Some(ended), thread: None, abort: Some(abort) });
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::new(due_core::Kind::Internal, "a shard's runtime cannot be made").because(e))?;
        let thread = std::thread::Builder::new()
            .name("due-shard".to_owned())
            .spawn(move || runtime.block_on(drive))
            .map_err(|e| Error::new(due_core::Kind::Internal, "a shard's thread cannot be started").because(e))?;
        Ok(Self { inbox, ended: Some(ended), thread: Some(thread), abort: None })
    }

    /// Tells the shard to end.
    pub(crate) fn stop(&self) {
        self.inbox.run(|shard| shard.stopped = true);
    }

    /// Ends it at once: what it has not sent is lost. A shard with a thread of its own ends after its turn.
    pub(crate) fn kill(&self) {
        match &self.abort {
            Some(abort) => {
                abort.abort();
                self.inbox.close();
            }
            None => self.stop(),
        }
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.await;
        }
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for RunningShard {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(n: usize, roles: (bool, bool), shared: bool, serial: bool) -> (Vec<u16>, Vec<u16>) {
        let shards = Shards::Count(NonZeroUsize::new(n).unwrap());
        let layout = Layout::new(shards, roles, shared, serial);
        (layout.gates, layout.nodes)
    }

    #[test]
    fn shards_are_dealt_half_and_half_with_one_each_at_least() {
        assert_eq!(layout(1, (true, true), false, false), (vec![0], vec![1]));
        assert_eq!(layout(2, (true, true), false, false), (vec![0], vec![1]));
        assert_eq!(layout(5, (true, true), false, false), (vec![0, 1, 2], vec![3, 4]));
        assert_eq!(layout(2, (true, true), true, false), (vec![0, 1], vec![0, 1]));
        assert_eq!(layout(4, (true, true), true, true), (vec![0, 1], vec![2]));
        assert_eq!(layout(3, (true, false), false, false), (vec![0, 1, 2], vec![]));
        assert_eq!(layout(3, (false, true), false, true), (vec![], vec![0]));
    }
}
