//! What a client and its connection have in common.

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use due_core::{RouteDef, RouteId, net::Framing};
use due_protocol::due::{Client, Dialect, Head, Hello, Received};
use futures_util::task::AtomicWaker;
use tokio::sync::{Notify, oneshot};

use super::answer::{CallError, Ended, Outcome};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dialect: Dialect,
    framing: Framing,
    state: Mutex<State>,
    /// Something arrived, or the connection is over.
    news: Notify,
    /// The connection's task.
    pub(super) waker: AtomicWaker,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Encoded, not yet taken by the connection.
    pub(super) out: Vec<u8>,
    pub(super) welcomed: bool,
    pub(super) silent: bool,
    seq: i32,
    waiting: HashMap<(i32, i32), VecDeque<oneshot::Sender<Outcome>>>,
    pushes: HashMap<i32, VecDeque<Vec<u8>>>,
    farewell: Option<Ended>,
    ended: Option<Ended>,
    strays: u64,
    notices: Vec<(u32, String)>,
}

impl State {
    pub(super) fn push_of(&mut self, route: RouteId) -> Option<Vec<u8>> {
        self.pushes.get_mut(&route.0)?.pop_front()
    }

    fn settle(&mut self, key: (i32, i32), outcome: Outcome) {
        let waiting = self.waiting.get_mut(&key).and_then(VecDeque::pop_front);
        match waiting {
            Some(waiting) => drop(waiting.send(outcome)),
            None => self.strays += 1,
        }
    }

    fn is_awaited(&self, key: (i32, i32)) -> bool {
        self.waiting.get(&key).is_some_and(|all| !all.is_empty())
    }
}

impl Shared {
    pub(super) fn new(dialect: Dialect, framing: Framing) -> Self {
        let (state, news, waker) = (Mutex::default(), Notify::new(), AtomicWaker::new());
        Self { dialect, framing, state, news, waker }
    }

    pub(super) fn protocol(&self) -> Client {
        Client::new(self.dialect, self.framing)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put_hello(&self, hello: &Hello) -> due_core::Result<()> {
        self.protocol().put_hello(hello, &mut self.state().out)
    }

    pub(super) fn put_request(&self, route: RouteDef, body: &[u8]) -> Result<oneshot::Receiver<Outcome>, CallError> {
        let mut state = self.open()?;
        let last = last_seq(self.dialect.settings().seq_bytes);
        state.seq = if state.seq >= last { last.min(1) } else { state.seq + 1 };
        let key = (route.id.0, state.seq);
        self.put(&mut state, key, body)?;
        let (tx, rx) = oneshot::channel();
        state.waiting.entry(key).or_default().push_back(tx);
        drop(state);
        self.waker.wake();
        Ok(rx)
    }

    pub(super) fn put_notify(&self, route: RouteDef, body: &[u8]) -> Result<(), CallError> {
        let mut state = self.open()?;
        self.put(&mut state, (route.id.0, 0), body)?;
        drop(state);
        self.waker.wake();
        Ok(())
    }

    fn put(&self, state: &mut State, numbers: (i32, i32), body: &[u8]) -> Result<(), CallError> {
        let head = Head { route: numbers.0, seq: numbers.1 };
        let put = self.protocol().put_request(head, body, &mut state.out);
        put.map_err(|e| CallError::Codec(e.to_string()))
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, CallError> {
        let state = self.state();
        match &state.ended {
            Some(ended) => Err(CallError::Closed(ended.clone())),
            None => Ok(state),
        }
    }

    /// Takes in what the server sent.
    pub(super) fn take(&self, received: Received<'_>) {
        let mut state = self.state();
        match received {
            Received::Data { head, body } => {
                let key = (head.route, head.seq);
                if head.seq != 0 || state.is_awaited(key) {
                    state.settle(key, Ok(body.to_vec()));
                } else {
                    state.pushes.entry(head.route).or_default().push_back(body.to_vec());
                }
            }
            Received::Failure(f) if f.seq == 0 => state.notices.push((f.code, f.text.to_owned())),
            Received::Failure(f) => {
                state.settle((f.route, f.seq as i32), Err(CallError::Refused(f.code, f.text.to_owned())));
            }
            Received::Welcome(_) => state.welcomed = true,
            Received::Kick(kick) => state.farewell = Some(Ended::Kicked(kick.code, kick.text.to_owned())),
            Received::GoAway(away) => {
                let stay_off = Duration::from_millis(away.retry_ms.into());
                state.farewell.get_or_insert(Ended::GoneAway(away.reason, stay_off));
            }
            Received::Heartbeat { .. } => {}
        }
        drop(state);
        self.news.notify_waiters();
    }

    /// The connection is over: who waits learns it.
    pub(super) fn end(&self, how: Ended) {
        let mut state = self.state();
        let how = state.farewell.take().unwrap_or(how);
        state.ended.get_or_insert(how.clone());
        for waiting in state.waiting.drain().flat_map(|(_, all)| all) {
            let _ = waiting.send(Err(CallError::Closed(how.clone())));
        }
        drop(state);
        self.news.notify_waiters();
    }

    /// Waits until `look` finds something; what it can find after the end is still found.
    pub(super) async fn until<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, CallError> {
        let found = async {
            loop {
                let mut news = pin!(self.news.notified());
                news.as_mut().enable();
                {
                    let mut state = self.state();
                    if let Some(found) = look(&mut state) {
                        return Ok(found);
                    }
                    if let Some(ended) = &state.ended {
                        return Err(CallError::Closed(ended.clone()));
                    }
                }
                news.await;
            }
        };
        tokio::time::timeout(limit, found).await.unwrap_or(Err(CallError::Timeout))
    }

    pub(super) async fn end_within(&self, limit: Duration) -> Option<Ended> {
        self.until(limit, |state| state.ended.clone()).await.ok()
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.state().ended.clone()
    }

    pub(super) fn all_of(&self, route: RouteId) -> Vec<Vec<u8>> {
        self.state().pushes.remove(&route.0).map(Vec::from).unwrap_or_default()
    }

    pub(super) fn read(&self, on: bool) {
        self.state().silent = !on;
        self.waker.wake();
    }

    pub(super) fn strays(&self) -> u64 {
        self.state().strays
    }

    pub(super) fn notices(&self) -> Vec<(u32, String)> {
        self.state().notices.clone()
    }
}

/// The last number before they begin anew; 0 where the dialect carries none.
fn last_seq(bytes: u8) -> i32 {
    match bytes {
        0 => 0,
        1 => i8::MAX.into(),
        2 => i16::MAX.into(),
        _ => i32::MAX,
    }
}
