//! A gate and nodes in this process, and clients that speak to them by constants. Clients need no heartbeat.

use std::{collections::VecDeque, future::poll_fn, num::NonZeroUsize, task::Poll};

use due_cluster::{App, Cluster, Fault, Gate, Node, Running, Session, Shards, handler::Msg};
use due_codec::Json;
use due_core::{
    Call, Codec, Drivers, Push, Url,
    net::{Conn, Inbound, Scratch, Segments},
};
use due_protocol::due::{Client, Dialect, Flow, Head, Hello, Received};

pub(crate) type Ask<Q, P> = Call<Q, P, Json>;

pub(crate) const LOGIN: Call<i64, (), Json> = Call::new(900, "login");
pub(crate) const LOGOUT: Call<(), (), Json> = Call::new(901, "logout");

pub(crate) async fn login(me: Session, Msg(uid): Msg<i64>) -> Result<(), Fault> {
    me.bind(uid).await?;
    Ok(())
}

pub(crate) async fn logout(me: Session) -> Result<(), Fault> {
    me.unbind().await?;
    Ok(())
}

/// A gate `memory://gate` and this node, on the caller's runtime.
pub(crate) struct World {
    pub(crate) drivers: Drivers,
    pub(crate) running: Running,
}

impl World {
    pub(crate) async fn new(node: Node) -> Self {
        Self::of(Drivers::memory(), vec![node]).await
    }

    /// The same on four threads, two for the gate and two for the node.
    pub(crate) async fn on_threads(node: Node) -> Self {
        let drivers = Drivers::memory();
        let app = App::new(drivers.clone()).shards(Shards::Count(NonZeroUsize::new(4).unwrap()));
        let gate = Gate::new("gate").listen("memory://gate?heartbeat=off");
        Self { running: app.with(gate).with(node).start().await.unwrap(), drivers }
    }

    pub(crate) async fn of(drivers: Drivers, nodes: Vec<Node>) -> Self {
        let app = App::new(drivers.clone())
            .shards(Shards::Inline)
            .with(Gate::new("gate").listen("memory://gate?heartbeat=off"));
        let running = nodes.into_iter().fold(app, |app, node| app.with(node)).start().await.unwrap();
        Self { drivers, running }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        self.running.cluster()
    }

    /// A client that said hello.
    pub(crate) async fn player(&self) -> Player {
        let url = Url::parse("memory://gate").unwrap();
        let conn = self.drivers.network.open(&url).await.unwrap().connect(&url).await.unwrap();
        let client = Client::new(Dialect::default(), conn.framing());
        let mut player = Player { conn, client, out: Segments::default(), got: VecDeque::new(), seq: 0 };
        let hello = Hello::new(serde_json::Value::Null);
        player.out.append_with(|out| player.client.put_hello(&hello, out)).unwrap();
        player.flush().await;
        player
    }

    /// A client that is logged in.
    pub(crate) async fn user(&self, uid: i64) -> Player {
        let mut player = self.player().await;
        player.call(LOGIN, &uid).await.unwrap();
        player
    }

    pub(crate) async fn stop(self) {
        self.running.stop(std::time::Duration::from_secs(10)).await.unwrap();
    }
}

/// What a client got.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Got {
    Data { route: i32, seq: i32, body: Vec<u8> },
    Failure { seq: i32, code: u32 },
    Kick(u32),
    End,
}

pub(crate) struct Player {
    conn: Box<dyn Conn>,
    client: Client,
    out: Segments,
    got: VecDeque<Got>,
    seq: i32,
}

impl Player {
    /// Asks and waits for the answer; what comes before it stays for [`Player::pushed`]. An error is its code.
    pub(crate) async fn call<Q: 'static, P: 'static>(&mut self, call: Ask<Q, P>, q: &Q) -> Result<P, u32>
    where
        Json: Codec<Q> + Codec<P>,
    {
        let seq = self.ask(call, q).await;
        self.answer::<P>(seq).await
    }

    /// Asks without waiting; gives the seq.
    pub(crate) async fn ask<Q, P>(&mut self, call: Ask<Q, P>, q: &Q) -> i32
    where
        Json: Codec<Q>,
    {
        self.seq += 1;
        self.send(Head { route: call.def().id.0, seq: self.seq }, q).await;
        self.seq
    }

    /// Waits for the answer to a seq.
    pub(crate) async fn answer<P>(&mut self, wanted: i32) -> Result<P, u32>
    where
        Json: Codec<P>,
    {
        let is = |got: &Got| match got {
            Got::Data { seq, .. } | Got::Failure { seq, .. } => *seq == wanted,
            Got::Kick(_) | Got::End => true,
        };
        match self.wait(is).await {
            Got::Data { body, .. } => Ok(Json.decode(&body).unwrap()),
            Got::Failure { code, .. } => Err(code),
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the next push of a route.
    pub(crate) async fn pushed<T>(&mut self, push: Push<T, Json>) -> T
    where
        Json: Codec<T>,
    {
        let is = |got: &Got| matches!(got, Got::Data { route, seq: 0, .. } if *route == push.def().id.0);
        match self.wait(is).await {
            Got::Data { body, .. } => Json.decode(&body).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Has nothing come so far that names one of these seqs?
    pub(crate) fn is_silent_about(&self, seqs: &[i32]) -> bool {
        let names = |got: &Got| matches!(got, Got::Data { seq, .. } | Got::Failure { seq, .. } if seqs.contains(seq));
        !self.got.iter().any(names)
    }

    async fn wait(&mut self, is: impl Fn(&Got) -> bool) -> Got {
        loop {
            if let Some(at) = self.got.iter().position(&is) {
                return self.got.remove(at).unwrap();
            }
            assert!(!self.got.contains(&Got::End), "the connection is over: {:?}", self.got);
            self.read().await;
        }
    }

    async fn send<Q>(&mut self, head: Head, q: &Q)
    where
        Json: Codec<Q>,
    {
        let mut body = Vec::new();
        Json.encode(q, &mut body).unwrap();
        self.out.append_with(|out| self.client.put_request(head, &body, out)).unwrap();
        self.flush().await;
    }

    async fn flush(&mut self) {
        poll_fn(|cx| self.conn.poll_write(cx, &mut self.out)).await.unwrap();
    }

    async fn read(&mut self) {
        let mut scratch = Scratch::new();
        let read = poll_fn(|cx| match self.conn.poll_read(cx, &mut scratch, &mut self.out) {
            Poll::Ready(read) => Poll::Ready(read.unwrap()),
            Poll::Pending => Poll::Pending,
        })
        .await;
        let Inbound::Data { .. } = read else { return self.got.push_back(Got::End) };
        let got = &mut self.got;
        let take = |received: Received<'_>| {
            got.extend(match received {
                Received::Data { head, body } => {
                    Some(Got::Data { route: head.route, seq: head.seq, body: body.to_vec() })
                }
                Received::Failure(failure) => Some(Got::Failure { seq: failure.seq as i32, code: failure.code }),
                Received::Kick(kick) => Some(Got::Kick(kick.code)),
                _ => None,
            });
            Flow::Continue
        };
        self.client.feed(scratch.stream(), take).unwrap();
    }
}
