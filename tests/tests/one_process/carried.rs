//! A gate and a node apart, as applications of their own that meet over a transport: what a client sees is the same,
//! whatever carries the link. Only the URL differs.

use std::sync::{Arc, Mutex};

use crate::wire::{self, Client, ECHO_ID, FAIL, Got, LOGIN, NEWS, TAKEN, counted, shards, soon, until};
use due::{Drivers, Kind, app::Running, prelude::*};
use tokio::sync::Semaphore;

/// Every transport; the secret lets two processes meet, and memory knows none.
const TRANSPORTS: [&str; 4] = [
    "memory://",
    "link://127.0.0.1:0?secret=0123456789abcdef0123456789abcdef",
    "grpc://127.0.0.1:0?secret=0123456789abcdef0123456789abcdef",
    "tarpc://127.0.0.1:0?secret=0123456789abcdef0123456789abcdef",
];

const HI: Call<u32, u32> = Call::new(30, "hi");
const WORK: Notify<u32> = Notify::new(31, "work");
const DONE: Call<(), Vec<u32>> = Call::new(32, "done");
const PANIC: Call<(), ()> = Call::new(33, "panic");

/// Handlers of `work` wait for a permit; what they were given stands in `done`, and who has left in `left`.
#[derive(Clone)]
struct Bench {
    permits: Arc<Semaphore>,
    done: Arc<Mutex<Vec<u32>>>,
    left: Arc<Mutex<Vec<Uid>>>,
}

impl Bench {
    fn new(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits)), done: Arc::default(), left: Arc::default() }
    }

    fn routes(&self) -> Routes {
        let routes = Routes::new().route(HI, hi).route(WORK, work).route(DONE, done).route(PANIC, panics);
        routes.on(Event::Disconnected, left).with_state(self.clone()).merge(wire::routes())
    }
}

/// Pushes so many, then answers.
fn hi(me: Session, Msg(n): Msg<u32>) -> Result<u32, Fault> {
    for i in 0..n {
        me.push(NEWS, &i.to_string())?;
    }
    Ok(n)
}

async fn work(State(bench): State<Bench>, Msg(n): Msg<u32>) -> Result<(), Fault> {
    bench.permits.acquire().await?.forget();
    bench.done.lock().unwrap().push(n);
    Ok(())
}

fn done(State(bench): State<Bench>) -> Vec<u32> {
    bench.done.lock().unwrap().clone()
}

fn left(State(bench): State<Bench>, me: Session) {
    bench.left.lock().unwrap().extend(me.uid());
}

fn panics() {
    panic!("a bug of the application")
}

/// Two applications that share registry and locator, and a client of the one with the gate.
struct Apart {
    node: Running,
    gate: Running,
    client: Client,
}

impl Apart {
    async fn start(transport: &str, bench: &Bench) -> Self {
        let drivers = due::drivers();
        let node = part(&drivers, transport, Node::new("game").routes(bench.routes())).await;
        let gate = part(&drivers, transport, Gate::new("gate").listen("tcp://127.0.0.1:0")).await;
        let client = Client::hello(&gate, "tcp").await;
        Self { node, gate, client }
    }

    /// The client becomes this user.
    async fn login(&mut self, name: u32) -> Uid {
        self.client.ask(id(LOGIN), 1, format!("\"{name}\"").as_bytes()).await;
        Uid::from(i64::from(name))
    }
}

async fn part(drivers: &Drivers, transport: &str, part: impl due::app::Part) -> Running {
    App::new(drivers.clone()).shards(shards(2)).transport(transport).with(part).start().await.unwrap()
}

fn id(route: impl due::core::route::Endpoint) -> i32 {
    route.def().id.0
}

fn text(len: usize) -> Vec<u8> {
    format!("\"{}\"", "x".repeat(len)).into_bytes()
}

fn news(n: u32) -> Option<Got> {
    Some(Got::data(NEWS.def().id.0, 0, format!("\"{n}\"").as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
// P1
async fn bodies_of_any_size_come_back_whole() {
    for transport in TRANSPORTS {
        let mut apart = Apart::start(transport, &Bench::new(0)).await;
        for (seq, len) in [0, 1, 1000, 16_000, 60_000].into_iter().enumerate() {
            let (seq, body) = (seq as i32 + 1, text(len));
            assert!(apart.client.ask(ECHO_ID, seq, &body).await == body, "{transport}: {len}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// P1, P2
async fn requests_of_one_client_are_handled_and_answered_in_their_order() {
    const ALL: u32 = 1000;
    for transport in TRANSPORTS {
        let mut apart = Apart::start(transport, &Bench::new(ALL as usize)).await;
        let client = &mut apart.client;
        let mut bytes = Vec::new();
        for n in 1..=ALL {
            bytes.extend(client.data_bytes(id(WORK), 0, n.to_string().as_bytes()));
            bytes.extend(client.data_bytes(ECHO_ID, n as i32, format!("\"{n}\"").as_bytes()));
        }
        client.raw(&bytes).await;
        for n in 1..=ALL {
            let answer = Got::data(ECHO_ID, n as i32, format!("\"{n}\"").as_bytes());
            assert_eq!(client.next().await, Some(answer), "{transport}");
        }
        let all = serde_json::to_vec(&Vec::from_iter(1..=ALL)).unwrap();
        assert_eq!(client.ask(id(DONE), 7, b"").await, all, "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
// P3
async fn pushes_keep_their_order_and_come_before_the_answer() {
    for transport in TRANSPORTS {
        let mut apart = Apart::start(transport, &Bench::new(0)).await;
        apart.login(17).await;
        apart.client.data(id(HI), 4, b"300").await;
        for n in 0..300 {
            assert_eq!(apart.client.next().await, news(n), "{transport}");
        }
        assert_eq!(apart.client.next().await, Some(Got::data(id(HI), 4, b"300")), "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_reaches_a_user_and_hears_what_became_of_a_push() {
    for transport in TRANSPORTS {
        let mut apart = Apart::start(transport, &Bench::new(0)).await;
        let user = apart.login(17).await;
        for (n, from) in [&apart.node, &apart.gate].into_iter().enumerate() {
            let to = To::Users(&[user.clone(), Uid::from(404)]);
            let sent = soon("a push", from.cluster().push(to, NEWS, &n.to_string())).await.unwrap();
            assert_eq!((sent.queued, sent.offline, sent.full, sent.unknown), (1, 1, 0, 0), "{transport}");
            assert_eq!(apart.client.next().await, news(n as u32), "{transport}");
        }
        let said = soon("a call", apart.gate.cluster().call(wire::ECHO, &"from afar".to_owned())).await;
        assert_eq!(said.unwrap(), "from afar", "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_in_a_handler_reaches_its_caller_and_nobody_else() {
    for transport in TRANSPORTS {
        let mut apart = Apart::start(transport, &Bench::new(0)).await;
        let client = &mut apart.client;
        client.data(id(FAIL), 3, b"").await;
        let own = Got::Failure { route: id(FAIL), seq: 3, code: TAKEN.number() };
        assert_eq!(client.next().await, Some(own), "{transport}");
        client.data(id(PANIC), 4, b"").await;
        assert_eq!(client.next().await, Some(Got::failure(id(PANIC), 4, Kind::Internal)), "{transport}");
        client.data(9999, 5, b"").await;
        assert_eq!(client.next().await, Some(Got::failure(9999, 5, Kind::NoRoute)), "{transport}");
        client.silence().await;
        let error = soon("a call", apart.gate.cluster().call(FAIL, &())).await.unwrap_err();
        assert_eq!((error.code().number(), error.text()), (TAKEN.number(), "this name is taken"), "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_hears_of_an_end_and_can_end_a_connection() {
    for transport in TRANSPORTS {
        let bench = Bench::new(0);
        let mut apart = Apart::start(transport, &bench).await;
        let user = apart.login(17).await;
        let ended = soon("the order", apart.node.cluster().disconnect(&user, false)).await;
        assert!(ended.unwrap(), "{transport}");
        apart.client.closed().await;
        let mut next = Client::hello(&apart.gate, "tcp").await;
        next.ask(id(LOGIN), 1, b"\"18\"").await;
        drop(next);
        until("both ends are heard of", || async { *bench.left.lock().unwrap() == [user.clone(), Uid::from(18)] })
            .await;
        assert!(!apart.node.cluster().is_online(&user).await.unwrap(), "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
// P1, P2, P19, P20
async fn a_slow_handler_pauses_its_client_alone_and_loses_nothing() {
    const ALL: u32 = 8_000;
    for transport in TRANSPORTS {
        let bench = Bench::new(0);
        let Apart { node: _node, gate, mut client } = Apart::start(transport, &bench).await;
        let frames: Vec<u8> =
            (0..ALL).flat_map(|n| client.data_bytes(id(WORK), 0, format!("{n:1000}").as_bytes())).collect();
        let written = tokio::spawn(async move {
            client.raw(&frames).await;
            client
        });
        until("the client is paused", || async { counted(&gate).await.pauses > 0 }).await;
        for _ in 0..20 {
            wire::alive(&gate).await;
        }
        let counted = counted(&gate).await;
        assert!(counted.messages <= 257 + 20, "{transport}: the lane holds 256: {counted:?}");
        bench.permits.add_permits(ALL as usize);
        let mut client = soon("all is taken", written).await.unwrap();
        let all = serde_json::to_vec(&Vec::from_iter(0..ALL)).unwrap();
        assert_eq!(client.ask(id(DONE), 7, b"").await, all, "{transport}");
    }
}
