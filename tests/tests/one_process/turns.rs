//! tokio's cooperative budget: a turn of a shard serves every socket that is ready, however many there are, because its
//! reads and writes are free of the budget; handlers are not, so one that never waits gives way to the others.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use crate::wire::{self, Client, ECHO_ID, Got, PLACES, Place, routes, shards, until};
use due::{
    app::Running,
    prelude::*,
    protocol::{Dialect, Framing, Head},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::coop::consume_budget;

const TCP: &str = "tcp://127.0.0.1:0";
const HOLD: Call<(), ()> = Call::new(30, "hold");
const SPIN: Call<(), ()> = Call::new(31, "spin");
const STOP: Call<(), ()> = Call::new(32, "stop");

/// Far more than tokio lets one task do before it must wait: 128 reads and writes.
const CONNECTIONS: usize = 2000;
/// The system tells of 1,024 sockets at a time, so it takes three turns; a few more are the client's, the timers' and those
/// that look. With the budget it would take thirty.
const TURNS: u64 = 12;

/// Holds the shard until it is opened.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar, AtomicBool)>);

impl Door {
    fn pass(&self) {
        let (open, opened, reached) = &*self.0;
        reached.store(true, Ordering::Relaxed);
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

fn frame() -> Vec<u8> {
    let mut out = Vec::new();
    Dialect::default().put_data(Head { route: ECHO_ID, seq: 1 }, b"\"hello\"", Framing::Stream, &mut out).unwrap();
    out
}

async fn turns(running: &Running) -> u64 {
    running.snapshot().await.shards.iter().map(|shard| shard.turns).sum()
}

#[tokio::test(flavor = "multi_thread")]
// P19, P20: the last of the sockets that are ready waits for no other turn
async fn a_turn_serves_every_socket_that_is_ready() {
    allow_files();
    let door = Door::default();
    let hold = Routes::new().route(HOLD, |State(door): State<Door>| door.pass()).with_state(door.clone());
    let gate = Gate::new("gate").listen(TCP);
    let app = wire::with(Place::Shared, gate, Node::new("game").routes(hold.merge(routes())));
    let running = app.shards(shards(1)).start().await.unwrap();
    let (frame, address) = (frame(), running.url("gate:tcp").unwrap().host().to_owned());
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let exchange = |clients: &mut Vec<TcpStream>, between: &dyn Fn()| {
        clients.iter_mut().for_each(|client| client.write_all(&frame).unwrap());
        between();
        let mut reply = vec![0; frame.len()];
        for client in clients {
            client.read_exact(&mut reply).unwrap();
            assert_eq!(reply, frame);
        }
    };
    exchange(&mut clients, &|| {});
    let mut holder = Client::tcp(&running).await;
    let before = turns(&running).await;
    holder.data(30, 1, b"").await;
    until("the shard is held", || async { door.0.2.load(Ordering::Relaxed) }).await;
    // All of them are ready when the shard looks again.
    exchange(&mut clients, &|| door.open());
    let taken = turns(&running).await - before;
    assert!(taken <= TURNS, "{taken} turns for {CONNECTIONS} sockets, at most {TURNS}");
}

/// Always ready for more, never waits for anything.
async fn spin(State((rounds, stop)): State<(Arc<AtomicU32>, Arc<AtomicBool>)>) {
    while !stop.load(Ordering::Relaxed) {
        rounds.fetch_add(1, Ordering::Relaxed);
        consume_budget().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// P20: were handlers free of the budget too, this one would hold its shard for ever
async fn a_handler_that_never_waits_gives_way_to_other_clients() {
    for place in PLACES {
        let (rounds, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let spins = Routes::new()
            .route(SPIN, spin)
            .route(STOP, move || stopped.store(true, Ordering::Relaxed))
            .with_state((rounds.clone(), stop));
        let gate = Gate::new("gate").listen(TCP);
        let app = wire::with(place, gate, Node::new("game").routes(spins.merge(routes())));
        let running = app.shards(shards(1)).start().await.unwrap();
        let mut spinner = Client::tcp(&running).await;
        spinner.data(31, 1, b"").await;
        until("the handler spins", || async { rounds.load(Ordering::Relaxed) > 1000 }).await;
        let mut other = Client::tcp(&running).await;
        assert_eq!(other.ask(ECHO_ID, 1, b"\"me too\"").await, b"\"me too\"", "{place:?}");
        assert_eq!(other.ask(32, 2, b"").await, b"", "{place:?}");
        assert_eq!(spinner.next().await, Some(Got::data(31, 1, b"")), "{place:?}");
    }
}
