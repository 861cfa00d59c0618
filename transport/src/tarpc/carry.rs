//! A link's bytes in calls of tarpc.
//!
//! Calls go one way only, so a link has two connections, both dialed by the same side: over one it pushes what it
//! writes, over the other it pulls what it reads. tarpc would run the calls of a connection concurrently, which changes
//! their order; here each connection runs its calls one after the other, as they came.

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use ::tarpc::{
    RequestName, ServerError,
    client::{self, RpcError},
    context,
    server::{BaseChannel, Channel as _, serve},
};
use bytes::Bytes;
use due_core::{Error, Kind, Result, Url};
use futures_util::{StreamExt, stream::FuturesOrdered};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use tokio_util::codec::Framed;

use super::wire::{Dials, Serves};
use crate::{
    mesh::accept,
    tunnel::{Arrived, CHUNK, Gate, Gated, Pass, Reader, Tunnel, Writer, tunnel},
};

/// Longest message, in bytes: a chunk and what is around it.
const LONGEST: usize = CHUNK + 256;
/// Calls under way on one connection.
const AHEAD: usize = 8;
/// A call that takes longer ends its connection. The heartbeat of the link is much faster.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
enum Ask {
    /// The first call of each connection: which link, and which of its ways. The way there comes first.
    Open { ticket: (u64, u64), way: Way },
    /// The n-th piece of what the dialer writes, from 1.
    Push { number: u64, bytes: Bytes },
    /// Waits for the next piece of what the dialer reads.
    Pull,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Way {
    There,
    Back,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    /// Done; of a push: the bytes are with the link.
    Done,
    /// What was pulled.
    Bytes(Bytes),
    /// The link is gone, or the call makes no sense here.
    Over,
}

impl RequestName for Ask {
    fn name(&self) -> &str {
        match self {
            Self::Open { .. } => "Link.Open",
            Self::Push { .. } => "Link.Push",
            Self::Pull => "Link.Pull",
        }
    }
}

type Client = client::Channel<Ask, Answer>;

/// Begins a link over two connections, which reach `url`.
pub(super) async fn connect(there: TcpStream, back: TcpStream, url: &Url) -> Result<Tunnel> {
    let failed = || Error::new(Kind::Unavailable, "the link was not opened").context("url", url);
    let (there, back) = (client(there), client(back));
    let ticket = rand::random();
    for (client, way) in [(&there, Way::There), (&back, Way::Back)] {
        match client.call(patient(), Ask::Open { ticket, way }).await {
            Ok(Answer::Done) => {}
            Ok(_) => return Err(failed()),
            Err(e) => return Err(failed().because(e)),
        }
    }
    let (tunnel, written, read) = tunnel();
    tokio::spawn(push(there, written));
    tokio::spawn(pull(back, read));
    Ok(tunnel)
}

fn client(stream: TcpStream) -> Client {
    let made = client::new(client::Config::default(), Framed::new(stream, Dials::<_, _, LONGEST>::default()));
    let dispatch = made.dispatch;
    tokio::spawn(async move {
        if let Err(e) = dispatch.await {
            tracing::debug!(error = %e, "a tarpc connection of a link broke");
        }
    });
    made.client
}

fn patient() -> context::Context {
    let mut context = context::current();
    context.deadline = Instant::now() + DEADLINE;
    context
}

/// Pushes what the link writes, a few calls ahead of the answers.
async fn push(client: Client, mut written: Reader) {
    let (mut under_way, mut number) = (FuturesOrdered::new(), 0);
    loop {
        tokio::select! {
            bytes = written.take(CHUNK), if under_way.len() < AHEAD => {
                let Some(bytes) = bytes else { break };
                number += 1;
                let (client, ask) = (client.clone(), Ask::Push { number, bytes });
                under_way.push_back(begun(async move { client.call(patient(), ask).await }).await);
            }
            Some(answer) = under_way.next() => {
                if !matches!(answer, Ok(Answer::Done)) {
                    return;
                }
            }
        }
    }
    // The last words: the connection ends when they have arrived.
    while let Some(Ok(Answer::Done)) = under_way.next().await {}
}

type Begun = Pin<Box<dyn Future<Output = Result<Answer, RpcError>> + Send>>;

/// A call that is in the queue of its connection: those begun later stand behind it.
async fn begun(call: impl Future<Output = Result<Answer, RpcError>> + Send + 'static) -> Begun {
    let mut call: Begun = Box::pin(call);
    match poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
        Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
        Poll::Pending => call,
    }
}

/// Pulls what the link reads: a few calls wait at the other side, so that it may speak without being asked each time.
async fn pull(client: Client, mut read: Writer) {
    let mut asked = FuturesOrdered::new();
    loop {
        while asked.len() < AHEAD {
            let client = client.clone();
            asked.push_back(begun(async move { client.call(patient(), Ask::Pull).await }).await);
        }
        let answer = tokio::select! {
            answer = asked.next() => answer,
            () = read.abandoned() => return,
        };
        match answer {
            Some(Ok(Answer::Bytes(bytes))) if read.put(&bytes).await => {}
            _ => return,
        }
    }
}

/// Accepts links until what it gives is aborted; each is handed to `arrived`. Links that are up stay.
pub(super) fn listen(listener: TcpListener, arrived: Arrived) -> AbortHandle {
    let halves = Arc::new(Halves { waiting: Mutex::default(), arrived });
    let task = tokio::spawn(async move {
        let mut gate = Gate::default();
        loop {
            let stream = accept(&listener).await;
            let stream = gate.admit(stream).await;
            tokio::spawn(run(stream, halves.clone()));
        }
    });
    task.abort_handle()
}

/// Links of which one connection is there and the other not yet.
struct Halves {
    waiting: Mutex<HashMap<(u64, u64), Half>>,
    arrived: Arrived,
}

struct Half {
    tunnel: Tunnel,
    written: Reader,
    pass: Arc<Pass>,
}

/// One connection of a link, on the accepting side.
struct Connection {
    halves: Arc<Halves>,
    pass: Arc<Pass>,
    ticket: Option<(u64, u64)>,
    role: Role,
}

enum Role {
    New,
    /// Brings what the dialer writes: so many pieces came.
    There {
        read: Writer,
        pushed: u64,
    },
    /// Fetches what the acceptor writes.
    Back(Reader),
    /// Something was done by half or in the wrong order: nothing more is done.
    Torn,
}

impl Connection {
    /// Answers one call. Dropped before its end, the connection is torn.
    async fn answer(&mut self, ask: Ask) -> Answer {
        match (std::mem::replace(&mut self.role, Role::Torn), ask) {
            (Role::New, Ask::Open { ticket, way }) if self.pass.enter() => {
                let Some(role) = self.halves.open(ticket, way, &self.pass) else { return Answer::Over };
                (self.ticket, self.role) = (Some(ticket), role);
                Answer::Done
            }
            (Role::There { mut read, pushed }, Ask::Push { number, bytes }) if number == pushed + 1 => {
                if !read.put(&bytes).await {
                    return Answer::Over;
                }
                self.role = Role::There { read, pushed: number };
                Answer::Done
            }
            (Role::Back(mut written), Ask::Pull) => {
                let Some(bytes) = written.take(CHUNK).await else { return Answer::Over };
                self.role = Role::Back(written);
                Answer::Bytes(bytes)
            }
            _ => Answer::Over,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.halves.lock().remove(&ticket);
        }
    }
}

impl Halves {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(u64, u64), Half>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in; the second one of a link completes it. There are no more halves than strangers.
    fn open(&self, ticket: (u64, u64), way: Way, pass: &Arc<Pass>) -> Option<Role> {
        let mut waiting = self.lock();
        match (way, waiting.remove(&ticket)) {
            (Way::There, None) => {
                let (tunnel, written, read) = tunnel();
                waiting.insert(ticket, Half { tunnel, written, pass: pass.clone() });
                Some(Role::There { read, pushed: 0 })
            }
            (Way::Back, Some(half)) => {
                drop(waiting);
                (self.arrived)(half.tunnel, vec![half.pass, pass.clone()]);
                Some(Role::Back(half.written))
            }
            // A ticket twice, or one that nobody has.
            _ => None,
        }
    }
}

/// Answers the calls of a connection, one after the other. Further ones are read meanwhile, or the answers to the ones
/// before would not be written.
async fn run(stream: Gated, halves: Arc<Halves>) {
    let pass = stream.pass().clone();
    let framed = Framed::new(stream, Serves::<Ask, Answer, LONGEST>::default());
    let connection = Arc::new(tokio::sync::Mutex::new(Connection { halves, pass, ticket: None, role: Role::New }));
    let answer = serve(move |_, ask| {
        let connection = connection.clone();
        async move { Ok::<_, ServerError>(connection.lock().await.answer(ask).await) }
    });
    let mut calls = std::pin::pin!(BaseChannel::with_defaults(framed).requests());
    let (mut waiting, mut running) = (VecDeque::new(), None);
    loop {
        if running.is_none() {
            running = waiting.pop_front().map(Box::pin);
        }
        tokio::select! {
            call = calls.next(), if waiting.len() <= AHEAD => match call {
                Some(Ok(call)) => waiting.push_back(call.execute(answer.clone())),
                _ => return,
            },
            () = finished(&mut running) => running = None,
        }
    }
}

async fn finished<F: Future<Output = ()>>(running: &mut Option<Pin<Box<F>>>) {
    match running {
        Some(running) => running.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::checks;

    async fn dial(address: String) -> Tunnel {
        let (there, back) = (TcpStream::connect(&address).await.unwrap(), TcpStream::connect(&address).await.unwrap());
        let url = Url::parse(&format!("tarpc://{address}")).unwrap();
        connect(there, back, &url).await.unwrap()
    }

    #[tokio::test]
    async fn bytes_go_both_ways_in_order_and_end() {
        checks::bytes_go_both_ways_in_order_and_end(listen, dial).await;
    }

    #[tokio::test]
    async fn whoever_is_left_learns_it() {
        checks::whoever_is_left_learns_it(listen, dial).await;
    }

    #[tokio::test]
    async fn a_way_back_without_a_way_there_opens_nothing() {
        let (address, mut arrived, _open) = checks::listen(listen).await;
        let lonely = client(TcpStream::connect(&address).await.unwrap());
        let ask = Ask::Open { ticket: (1, 2), way: Way::Back };
        assert!(matches!(lonely.call(patient(), ask).await, Ok(Answer::Over)));
        let skipping = client(TcpStream::connect(&address).await.unwrap());
        let ask = Ask::Open { ticket: (3, 4), way: Way::There };
        assert!(matches!(skipping.call(patient(), ask).await, Ok(Answer::Done)));
        let ask = Ask::Push { number: 2, bytes: Bytes::from_static(b"out of order") };
        assert!(matches!(skipping.call(patient(), ask).await, Ok(Answer::Over)));
        assert!(arrived.try_recv().is_err());
    }
}
