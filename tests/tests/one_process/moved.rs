//! A user who moves from node to node: messages are handled in the order they were sent, whatever the old node still has
//! to do and whatever carries the links.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
    mpsc,
};

use crate::wire::{self, Client, Got, LOGIN, shards, soon, until};
use due::{Drivers, Kind, Url, app::Running, prelude::*};
use due_core::{
    Epoch, Incarnation, Owner,
    locate::{Claim, Place, Subject},
};
use due_testkit::server::{Ports, Proxy};
use tokio::sync::Semaphore;

/// Binds the user to the node that it reaches, and says which that is.
const SIT: Call<(), usize> = Call::new(40, "sit.here");
/// Handled where the user sits, once that node may work.
const STEP: Notify<u32> = Notify::new(41, "step").stateful();
const ASK: Call<u32, u32> = Call::<u32, u32>::new(42, "ask").stateful();

/// Holds the node's only thread until the test lets it go.
const STOP: Call<(), ()> = Call::<(), ()>::new(43, "stop").stateful();

/// What the two nodes share: which of them may work, and what was begun and handled where.
#[derive(Clone)]
struct Bench {
    permits: [Arc<Semaphore>; 2],
    begun: Arc<AtomicU32>,
    done: Arc<Mutex<Vec<(usize, u32)>>>,
    go: Arc<Mutex<mpsc::Receiver<()>>>,
}

/// A node as its handlers see it.
#[derive(Clone)]
struct Here {
    bench: Bench,
    number: usize,
}

impl Here {
    async fn handle(&self, n: u32) {
        self.bench.begun.fetch_add(1, Ordering::Relaxed);
        self.bench.permits[self.number].acquire().await.unwrap().forget();
        self.bench.done.lock().unwrap().push((self.number, n));
    }
}

async fn sit(me: Session, State(here): State<Here>) -> Result<usize, Fault> {
    me.bind_node().await?;
    Ok(here.number)
}

async fn step(State(here): State<Here>, Msg(n): Msg<u32>) {
    here.handle(n).await;
}

async fn ask(State(here): State<Here>, Msg(n): Msg<u32>) -> u32 {
    here.handle(n).await;
    n
}

fn stop(State(here): State<Here>) {
    here.bench.begun.fetch_add(1, Ordering::Relaxed);
    let _ = here.bench.go.lock().unwrap().recv();
}

/// One gate and two nodes, each a process of its own as far as it can tell, and a user who sits at one of them.
struct Table {
    bench: Bench,
    go: mpsc::Sender<()>,
    drivers: Drivers,
    gate: Running,
    nodes: Vec<Option<Running>>,
    /// What the links to the nodes go through, where they are sockets.
    ways: Vec<Proxy>,
    client: Client,
    seq: i32,
}

impl Table {
    async fn set(scheme: &str) -> Self {
        let (go, waits) = mpsc::channel();
        let permits = [0, 0].map(|n| Arc::new(Semaphore::new(n)));
        let (begun, done, waits) = (Arc::default(), Arc::default(), Arc::new(Mutex::new(waits)));
        let bench = Bench { permits, begun, done, go: waits };
        let drivers = due::drivers();
        let (mut nodes, mut ways) = (Vec::new(), Vec::new());
        for number in 0..2 {
            let (url, way) = address(scheme).await;
            ways.extend(way);
            let routes = Routes::new().route(SIT, sit).route(STEP, step).route(ASK, ask).route(STOP, stop);
            let routes = routes.with_state(Here { bench: bench.clone(), number }).merge(wire::routes());
            nodes.push(Some(part(&drivers, &url, Node::new("game").routes(routes)).await));
        }
        let gate = Gate::new("gate").listen("tcp://127.0.0.1:0").dispatch(Dispatch::RoundRobin);
        let gate = part(&drivers, &address(scheme).await.0, gate).await;
        let client = Client::hello(&gate, "tcp").await;
        let mut table = Self { bench, go, drivers, gate, nodes, ways, client, seq: 0 };
        table.login(17).await;
        table
    }

    async fn login(&mut self, user: u32) {
        let login = self.next_seq();
        self.client.ask(LOGIN.def().id.0, login, format!("\"{user}\"").as_bytes()).await;
    }

    /// So many handlers have begun.
    async fn begun(&self, count: u32) {
        until("handlers begin", || async { self.bench.begun.load(Ordering::Relaxed) == count }).await;
    }

    fn next_seq(&mut self) -> i32 {
        self.seq += 1;
        self.seq
    }

    /// Sits down at the node whose turn it is, which is never twice the same.
    async fn sit(&mut self) -> usize {
        let seq = self.next_seq();
        let body = self.client.ask(SIT.def().id.0, seq, b"").await;
        String::from_utf8(body).unwrap().parse().unwrap()
    }

    async fn steps(&mut self, numbers: std::ops::RangeInclusive<u32>) {
        for n in numbers {
            self.client.data(STEP.def().id.0, 0, n.to_string().as_bytes()).await;
        }
    }

    /// Twenty requests of others are answered; those that meet a broken link are not.
    async fn others_are_served(&self) {
        let mut other = Client::hello(&self.gate, "tcp").await;
        let (mut answered, mut seq) = (0, 0);
        while answered < 20 {
            seq += 1;
            other.data(wire::ECHO_ID, seq, b"\"still here\"").await;
            match soon("an answer", other.next()).await {
                Some(Got::Data { .. }) => answered += 1,
                Some(Got::Failure { .. }) => tokio::time::sleep(Duration::from_millis(2)).await,
                end => panic!("{end:?}"),
            }
        }
    }

    fn let_work(&self, node: usize) {
        self.bench.permits[node].add_permits(100);
    }

    fn done(&self) -> Vec<(usize, u32)> {
        self.bench.done.lock().unwrap().clone()
    }

    /// The user has steps 1 to 5 at the first node, which may not work yet, and 6 to 10 under way at the second, which may.
    async fn with_a_user_between_two() -> [(Self, usize, usize); 4] {
        let mut all = Vec::new();
        for scheme in ["memory", "link", "grpc", "tarpc"] {
            let mut table = Self::set(scheme).await;
            let first = table.sit().await;
            table.steps(1..=5).await;
            let second = table.sit().await;
            assert_ne!(first, second, "{scheme}");
            table.let_work(second);
            table.steps(6..=10).await;
            for _ in 0..20 {
                wire::alive(&table.gate).await;
            }
            assert_eq!(table.done(), [], "{scheme}: the first node has not begun");
            all.push((table, first, second));
        }
        all.try_into().unwrap_or_else(|_| panic!("four transports"))
    }

    async fn all_in_order(&self, first: usize, second: usize) {
        until("ten steps are done", || async { self.done().len() == 10 }).await;
        let want: Vec<_> = (1..=10).map(|n| (if n <= 5 { first } else { second }, n)).collect();
        assert_eq!(self.done(), want);
    }
}

/// A URL to listen at, and what stands between it and those who dial.
async fn address(scheme: &str) -> (String, Option<Proxy>) {
    if scheme == "memory" {
        return ("memory://".to_owned(), None);
    }
    let port = Ports::free(1).unwrap();
    let way = Proxy::to(format!("127.0.0.1:{}", port.first())).await;
    let (at, secret) = (way.address(), "0123456789abcdef0123456789abcdef");
    (format!("{scheme}://127.0.0.1:{}?secret={secret}&advertise={at}", port.first()), Some(way))
}

async fn part(drivers: &Drivers, transport: &str, part: impl due::app::Part) -> Running {
    App::new(drivers.clone()).shards(shards(1)).transport(transport).with(part).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
// P2: order holds across nodes
async fn the_new_node_begins_when_the_old_one_has_finished() {
    for (table, first, second) in Table::with_a_user_between_two().await {
        table.let_work(first);
        table.all_in_order(first, second).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// P2: a connection that breaks and comes back lets nothing pass
async fn a_cut_of_the_old_nodes_link_does_not_let_the_new_one_begin() {
    for (table, first, second) in Table::with_a_user_between_two().await {
        table.ways.iter().for_each(Proxy::close_all);
        table.others_are_served().await;
        assert_eq!(table.done(), []);
        table.let_work(first);
        table.all_in_order(first, second).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// P6: nobody waits for the dead
async fn the_old_nodes_death_ends_the_wait() {
    for (mut table, first, second) in Table::with_a_user_between_two().await {
        table.nodes[first].take().unwrap().kill().await;
        until("the new node has its steps", || async { table.done().len() == 5 }).await;
        assert_eq!(table.done(), Vec::from_iter((6..=10).map(|n| (second, n))));
        let seq = table.next_seq();
        table.client.data(ASK.def().id.0, seq, b"11").await;
        let answer = soon("the answer", async {
            loop {
                match table.client.next().await {
                    // What the dead node had is told as lost.
                    Some(Got::Failure { route: 0, code, .. }) if code == Kind::Lost.code() => {}
                    other => break other,
                }
            }
        });
        assert_eq!(answer.await, Some(Got::data(ASK.def().id.0, seq, b"11")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_waits_for_the_one_it_left() {
    for (mut table, first, second) in Table::with_a_user_between_two().await {
        table.let_work(first);
        table.all_in_order(first, second).await;
        assert_eq!(table.sit().await, first);
        let seq = table.next_seq();
        assert_eq!(table.client.ask(ASK.def().id.0, seq, b"11").await, b"11");
        assert_eq!(table.done().last(), Some(&(first, 11)));
    }
}

#[tokio::test(flavor = "multi_thread")]
// P8: the wake rule
async fn a_node_that_was_stopped_does_not_handle_what_is_anothers_by_now() {
    let mut table = Table::set("memory").await;
    let node = table.sit().await;
    let sent = wire::counted(&table.gate).await.messages;
    for n in 1..=4 {
        let seq = table.next_seq();
        table.client.data(ASK.def().id.0, seq, n.to_string().as_bytes()).await;
    }
    table.begun(1).await;
    until("the others wait behind it", || async { wire::counted(&table.gate).await.messages == sent + 4 }).await;
    // Somebody else holds the node's thread.
    let other = Client::hello(&table.gate, "tcp").await;
    let user = std::mem::replace(&mut table.client, other);
    table.login(18).await;
    while table.sit().await != node {}
    let seq = table.next_seq();
    table.client.data(STOP.def().id.0, seq, b"").await;
    table.begun(2).await;
    take_away(&table.drivers, 17).await;
    // As long as nobody hears of a process, it may be given up: the subject of this test is a real time.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    // Before the thread goes on: what was begun ends in its first turn, and whose the others are is asked after that.
    table.let_work(node);
    table.go.send(()).unwrap();
    table.client = user;
    let mut ends = Vec::new();
    for _ in 1..=4 {
        ends.push(table.client.next().await.unwrap());
    }
    let (first, others) = ends.split_first().unwrap();
    assert!(matches!(first, Got::Data { body, .. } if body == b"1"), "it had begun: {first:?}");
    let refused = |got: &Got| matches!(got, Got::Failure { code, .. } if *code == Kind::NotOwner.code());
    assert!(others.iter().all(refused), "{others:?}");
    assert_eq!(table.done(), [(node, 1)]);
}

/// The user is bound to another node, as by a gate that has given this one up.
async fn take_away(drivers: &Drivers, user: i64) {
    let locator = drivers.locator.open(&Url::parse("memory://").unwrap()).await.unwrap();
    let owner = Owner { id: "another".into(), incarnation: Incarnation(1) };
    let claim = Claim { owner, session: SessionId::random(), floor: Epoch(0) };
    locator.take(Subject::from(Uid::from(user)), Place::node("game"), claim).await.unwrap();
}
