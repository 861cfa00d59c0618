//! Two ends of a link over sockets, as shards poll them.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "each test uses a part of it")]

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use due_core::{
    Drivers, Incarnation, Owner, Result, Url,
    transport::{Acceptor, Batch, Dialer, FrameKind, Head, Link, LinkState, Listening, Part, Transport},
};
use due_testkit::server::Proxy;
use tokio::{sync::mpsc, time::timeout};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Longer than anything here takes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn owner(id: &str, incarnation: u64) -> Owner {
    Owner { id: id.into(), incarnation: Incarnation(incarnation) }
}

pub(crate) fn gate() -> Dialer {
    Dialer { owner: owner("gate-1", 7), shard: 2 }
}

pub(crate) fn node() -> Owner {
    owner("node-1", 9)
}

pub(crate) fn url(query: &str) -> Url {
    url_of("link", query)
}

pub(crate) fn url_of(scheme: &str, query: &str) -> Url {
    Url::parse(&format!("{scheme}://127.0.0.1:0?secret={SECRET}{query}")).unwrap()
}

/// The transport of the URL's scheme, with its keys.
pub(crate) async fn open(url: &Url) -> Arc<dyn Transport> {
    let mut drivers = Drivers::memory();
    due_transport::install(&mut drivers);
    drivers.transport.open(url).await.unwrap()
}

pub(crate) fn head(seq: i32) -> Head {
    Head { kind: FrameKind::Message, lane: 1, seq, ..Head::default() }
}

struct Tell(mpsc::UnboundedSender<(Dialer, End)>);

impl Acceptor for Tell {
    fn accept(&self, from: Dialer, link: Box<dyn Link>) {
        let _ = self.0.send((from, End::new(link)));
    }
}

/// A listening node.
pub(crate) struct Node {
    pub(crate) listening: Listening,
    pub(crate) accepted: mpsc::UnboundedReceiver<(Dialer, End)>,
}

impl Node {
    pub(crate) async fn at(url: &Url, own: Owner) -> Self {
        let (tell, accepted) = mpsc::unbounded_channel();
        let listening = open(url).await.listen(url, own, Arc::new(Tell(tell))).await.unwrap();
        Self { listening, accepted }
    }

    pub(crate) fn address(&self) -> String {
        self.listening.url.host().to_owned()
    }

    pub(crate) async fn next(&mut self) -> End {
        timeout(SOON, self.accepted.recv()).await.unwrap().unwrap().1
    }
}

pub(crate) async fn dial(query: &str, address: &str) -> Result<End> {
    dial_with(&url(query), address).await
}

/// Dials `address` by the scheme and with the keys of `url`.
pub(crate) async fn dial_with(url: &Url, address: &str) -> Result<End> {
    Ok(End::new(open(url).await.connect(&url.with_host(address).only(&[]), gate(), &node()).await?))
}

/// A node, the way to it, and a link over it.
pub(crate) struct Bench {
    pub(crate) node: Node,
    pub(crate) proxy: Proxy,
    pub(crate) near: End,
    pub(crate) far: End,
}

impl Bench {
    pub(crate) async fn new(query: &str) -> Self {
        Self::over(&url(query)).await
    }

    /// A link by the scheme and with the keys of `url`.
    pub(crate) async fn over(url: &Url) -> Self {
        let mut node = Node::at(url, node()).await;
        let proxy = Proxy::to(node.address()).await;
        let near = dial_with(url, proxy.address()).await.unwrap();
        let far = node.next().await;
        Self { node, proxy, near, far }
    }
}

/// One end, and what came out of it.
pub(crate) struct End {
    pub(crate) link: Box<dyn Link>,
    pub(crate) batch: Batch,
    pub(crate) seqs: Vec<i32>,
}

impl End {
    pub(crate) fn new(link: Box<dyn Link>) -> Self {
        Self { link, batch: Batch::default(), seqs: Vec::new() }
    }

    pub(crate) fn send(&mut self, seq: i32, body: &[u8]) {
        self.link.send(head(seq), Part::Copy(body)).unwrap();
    }

    /// One turn: writes, and receives what is there. `None` at the end.
    pub(crate) fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Option<usize>> {
        let _ = self.link.poll_flush(cx);
        self.batch.clear();
        match self.link.poll_recv(cx, &mut self.batch, 64) {
            Poll::Ready(Ok(0)) => Poll::Ready(None),
            Poll::Ready(Ok(n)) => {
                self.seqs.extend((0..n).filter_map(|i| self.batch.get(i)).map(|(head, _)| head.seq));
                Poll::Ready(Some(n))
            }
            Poll::Ready(Err(e)) => panic!("{e:?}"),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Turns until `done`, which is asked after each of them.
    pub(crate) async fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let turns = poll_fn(|cx| {
            loop {
                let turn = self.poll(cx);
                if done(self) {
                    return Poll::Ready(true);
                }
                match turn {
                    Poll::Ready(Some(_)) => {}
                    Poll::Ready(None) => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        assert!(timeout(SOON, turns).await.unwrap_or_else(|_| panic!("{what}: not in time")), "{what}: the link ended");
    }

    pub(crate) async fn received(&mut self, count: usize) {
        self.until("frames", |end| end.seqs.len() >= count).await;
    }

    /// Turns for ever.
    pub(crate) async fn live(&mut self) {
        poll_fn(|cx| {
            loop {
                match self.poll(cx) {
                    Poll::Ready(Some(_)) => {}
                    Poll::Ready(None) | Poll::Pending => return Poll::<()>::Pending,
                }
            }
        })
        .await;
    }

    /// Waits for the end of the link.
    pub(crate) async fn over(&mut self) {
        let over = poll_fn(|cx| {
            loop {
                match self.poll(cx) {
                    Poll::Ready(Some(_)) => {}
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        timeout(SOON, over).await.unwrap();
        assert_eq!(self.link.state(), LinkState::Over);
    }

    pub(crate) fn is_down(&self) -> bool {
        matches!(self.link.state(), LinkState::Down(_))
    }
}

/// Both ends take turns until `done`.
pub(crate) async fn both(near: &mut End, far: &mut End, what: &str, mut done: impl FnMut(&End, &End) -> bool) {
    let turns = poll_fn(|cx| {
        loop {
            let moved = [near.poll(cx), far.poll(cx)].iter().any(|turn| matches!(turn, Poll::Ready(Some(_))));
            if done(near, far) {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
    });
    timeout(SOON, turns).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}
