//! Nobody waits for a client that does not read, or for a handler that does not end; and nothing that was sent is lost.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use crate::wire::{self, Client, ECHO_ID, Got, LOGIN, NEWS, PLACES, counted, soon, start, until};
use due::{Kind, app::Running, prelude::*};
use tokio::{io::AsyncWriteExt, sync::Semaphore};

const TCP: &str = "tcp://127.0.0.1:0";
const KIB: usize = 1024;
/// What sockets, the outbox and the network may hold for one client: far below what the tests send.
const HELD: usize = 40 * KIB * KIB;

fn login_id() -> i32 {
    LOGIN.def().id.0
}

/// A user that is connected and never reads again.
async fn sleeper(running: &Running, name: &str) -> Client {
    let mut client = Client::tcp(running).await;
    client.ask(login_id(), 1, format!("\"{name}\"").as_bytes()).await;
    client
}

/// Clients that play on until they are told to stop, and say how often they were answered.
fn players(running: &Running, n: usize, stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<u64>> {
    let play = |url: due::Url, stop: Arc<AtomicBool>| async move {
        let mut client = Client::to(&url).await;
        let mut rounds = 0;
        while !stop.load(Ordering::Relaxed) {
            client.silence().await;
            rounds += 1;
        }
        rounds
    };
    (0..n).map(|_| tokio::spawn(play(running.url("gate:tcp").unwrap().clone(), stop.clone()))).collect()
}

async fn played(players: Vec<tokio::task::JoinHandle<u64>>, stop: &AtomicBool) {
    stop.store(true, Ordering::Relaxed);
    for player in players {
        assert!(soon("a player ends", player).await.unwrap() > 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-B4, P19, P20, conformance 63
async fn due_b4_a_client_that_does_not_read_is_closed_and_delays_nobody() {
    for place in PLACES {
        let running = start(place, &[&format!("{TCP}?slow-after=1s")], wire::routes()).await;
        let mut slow = sleeper(&running, "slow").await;
        let stop = Arc::default();
        let players = players(&running, 6, &stop);
        let (cluster, text) = (running.cluster(), "x".repeat(4900));
        let mut all = Sent::default();
        let mut pushed = 0;
        while all.offline == 0 {
            let sent = soon("a push", cluster.push(To::User("slow".into()), NEWS, &text)).await.unwrap();
            (all.queued, all.full, all.offline) =
                (all.queued + sent.queued, all.full + sent.full, all.offline + sent.offline);
            pushed += 1;
        }
        assert_eq!((all.queued + all.full + all.offline, all.unknown), (pushed, 0));
        assert!(all.full > 0 && all.queued * 4900 < HELD, "{all:?}");
        played(players, &stop).await;
        until("the slow client is gone", || async { counted(&running).await.slow == 1 }).await;
        // What it gets when it reads at last is whole and in order, then the end.
        let got = slow.rest().await;
        assert!(got.len() <= all.queued && got.iter().all(|g| matches!(g, Got::Data { route: 101, .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 63, P20
async fn a_stuck_client_can_be_thrown_out_at_once() {
    for place in PLACES {
        let running = start(place, &[&format!("{TCP}?slow-after=1h&heartbeat=off")], wire::routes()).await;
        let _slow = sleeper(&running, "slow").await;
        let (cluster, text) = (running.cluster(), "x".repeat(4900));
        while soon("a push", cluster.push(To::User("slow".into()), NEWS, &text)).await.unwrap().full == 0 {}
        assert!(soon("the order", cluster.disconnect(&"slow".into(), true)).await.unwrap());
        wire::connections(&running, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// P19
async fn a_client_that_only_asks_is_not_read_while_its_answers_wait() {
    for place in PLACES {
        let running = start(place, &[&format!("{TCP}?slow-after=1h&heartbeat=off")], wire::routes()).await;
        let mut client = Client::tcp(&running).await;
        let body = format!("\"{}\"", "x".repeat(16 * KIB)).into_bytes();
        let frame = client.data_bytes(ECHO_ID, 1, &body);
        let total = 2 * HELD / frame.len();
        let mut sent = 0;
        let mut begun = 0;
        // It stands still when the gate has paused it and reads nothing more from one look to the next.
        let stuck = soon("the gate stops reading", async {
            let mut before = u64::MAX;
            loop {
                let now = counted(&running).await;
                if now.pauses > 0 && now.bytes_in == before {
                    return;
                }
                before = now.bytes_in;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let stream = client.stream();
        let write = async {
            while sent < total {
                while begun < frame.len() {
                    begun += stream.write(&frame[begun..]).await.unwrap();
                }
                (sent, begun) = (sent + 1, 0);
            }
        };
        tokio::select! {
            () = write => panic!("{place:?}: all of {total} requests were taken and none of their answers read"),
            () = stuck => {}
        }
        let read = counted(&running).await;
        assert!(read.bytes_in as usize <= HELD, "{read:?}");
        // Others are served meanwhile, and once it reads, it gets all of its answers.
        wire::alive(&running).await;
        let rest = frame[begun..].to_vec();
        if begun > 0 {
            sent += 1;
            let answers = client.after(sent - 1, ECHO_ID, &body).await;
            assert_eq!(answers, sent - 1);
            client.raw(&rest).await;
            assert_eq!(client.after(1, ECHO_ID, &body).await, 1);
        } else {
            assert_eq!(client.after(sent, ECHO_ID, &body).await, sent);
        }
        client.silence().await;
    }
}

impl Client {
    /// Reads so many answers of a route, all with this body.
    async fn after(&mut self, n: usize, route: i32, body: &[u8]) -> usize {
        for i in 0..n {
            let Some(Got::Data { route: r, body: b, .. }) = self.next().await else { panic!("answer {i} of {n}") };
            assert!(r == route && b == body);
        }
        n
    }
}

const WORK: Notify<u32> = Notify::new(30, "work");
const DONE: Call<(), u32> = Call::new(31, "done");

/// Handlers of `work` wait for a permit; what they were given stands in `done`.
#[derive(Clone)]
struct Bench {
    permits: Arc<Semaphore>,
    done: Arc<Mutex<Vec<u32>>>,
}

impl Bench {
    fn closed() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)), done: Arc::default() }
    }

    fn open(&self) {
        self.permits.add_permits(1_000_000);
    }

    fn routes(&self) -> Routes {
        let routes = Routes::new().route(WORK, work).route(DONE, done).with_state(self.clone());
        routes.merge(wire::routes())
    }
}

async fn work(State(bench): State<Bench>, Msg(n): Msg<u32>) -> Result<(), Fault> {
    bench.permits.acquire().await?.forget();
    tokio::task::yield_now().await;
    bench.done.lock().unwrap().push(n);
    Ok(())
}

fn done(State(bench): State<Bench>) -> u32 {
    bench.done.lock().unwrap().len() as u32
}

#[tokio::test(flavor = "multi_thread")]
// P1, P2, P19, P20
async fn a_slow_handler_pauses_its_client_and_loses_nothing() {
    const ALL: u32 = 20_000;
    for place in PLACES {
        let bench = Bench::closed();
        let running = start(place, &[TCP, "ws://127.0.0.1:0"], bench.routes()).await;
        let mut client = Client::tcp(&running).await;
        let frames: Vec<u8> = (0..ALL).flat_map(|n| client.data_bytes(30, 0, format!("{n:1000}").as_bytes())).collect();
        let written = tokio::spawn(async move {
            client.raw(&frames).await;
            client
        });
        until("the client is paused", || async { counted(&running).await.pauses > 0 }).await;
        for _ in 0..20 {
            wire::alive(&running).await;
        }
        let counted = counted(&running).await;
        let others = 20;
        assert!(counted.messages <= 257 + others, "{place:?}: the lane holds 256: {counted:?}");
        bench.open();
        let mut client = soon("all is taken", written).await.unwrap();
        client.data(31, 7, b"").await;
        assert_eq!(client.next().await, Some(Got::data(31, 7, ALL.to_string().as_bytes())), "{place:?}");
        assert!(bench.done.lock().unwrap().iter().copied().eq(0..ALL));
    }
}

/// The application on this very runtime, whose time the test holds.
async fn inline(bench: &Bench, keys: &str) -> (Running, Client) {
    let drivers = due::drivers();
    let gate = Gate::new("gate").listen(format!("memory://gate{keys}"));
    let node = Node::new("game").routes(bench.routes());
    let running = App::new(drivers.clone()).shards(Shards::Inline).with(gate).with(node).start().await.unwrap();
    let url = running.url("gate").unwrap();
    let conn = drivers.network.open(url).await.unwrap().connect(url).await.unwrap();
    (running, Client::on(conn))
}

/// A lane's window and some more.
async fn fill(client: &mut Client, first_seq: i32) {
    let frames: Vec<u8> =
        (0..400).flat_map(|n| client.data_bytes(30, if first_seq == 0 { 0 } else { first_seq + n }, b"1")).collect();
    client.raw(&frames).await;
}

#[tokio::test(start_paused = true)]
// P19, conformance 26
async fn a_client_that_is_not_read_is_not_called_silent() {
    let bench = Bench::closed();
    let (running, mut client) = inline(&bench, "?heartbeat=2s").await;
    fill(&mut client, 0).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    bench.open();
    client.data(31, 7, b"").await;
    assert_eq!(client.next().await, Some(Got::data(31, 7, b"400")));
    assert_eq!(counted(&running).await.silent, 0);
}

#[tokio::test(start_paused = true)]
// P21
async fn ten_seconds_without_credit_end_an_old_client_and_are_told_to_others() {
    let bench = Bench::closed();
    let (_old, mut client) = inline(&bench, "?heartbeat=off").await;
    fill(&mut client, 0).await;
    client.closed().await;
    let bench = Bench::closed();
    let (_told, mut client) = inline(&bench, "?heartbeat=off").await;
    client.say_hello().await;
    fill(&mut client, 1).await;
    for seq in 1..=256 {
        assert_eq!(client.next().await, Some(Got::failure(30, seq, Kind::Timeout)));
    }
    bench.open();
    let mut answers = 0;
    loop {
        match client.next().await {
            Some(Got::Data { route: 30, seq, .. }) if seq > 256 => answers += 1,
            Some(Got::Failure { route: 30, seq, code }) if seq > 256 && code == Kind::Overloaded.code() => answers += 1,
            other => panic!("{other:?}"),
        }
        if answers == 400 - 256 {
            break;
        }
    }
    // Its lane has credit again when the handlers have ended.
    for seq in 1000.. {
        client.data(ECHO_ID, seq, b"\"again\"").await;
        match client.next().await {
            Some(Got::Data { .. }) => break,
            overloaded => assert_eq!(overloaded, Some(Got::failure(ECHO_ID, seq as u32, Kind::Overloaded))),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// P20
async fn the_end_of_a_client_that_is_not_read_is_noticed() {
    for place in PLACES {
        let bench = Bench::closed();
        let running = start(place, &[&format!("{TCP}?heartbeat=off")], bench.routes()).await;
        let mut client = Client::hello(&running, "tcp").await;
        fill(&mut client, 1).await;
        until("the client is paused", || async { counted(&running).await.pauses > 0 }).await;
        client.reset();
        wire::connections(&running, 0).await;
        assert_eq!(counted(&running).await.broken, 1);
        assert!(bench.done.lock().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
// P2, P20
async fn a_client_that_is_not_read_and_has_sent_its_last_gets_its_answers() {
    for place in PLACES {
        let bench = Bench::closed();
        let running = start(place, &[&format!("{TCP}?heartbeat=off")], bench.routes()).await;
        let mut client = Client::hello(&running, "tcp").await;
        fill(&mut client, 1).await;
        until("the client is paused", || async { counted(&running).await.pauses > 0 }).await;
        client.finish().await;
        // Some looks at all clients: an end in order is none of a connection.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(counted(&running).await.broken, 0);
        bench.open();
        for seq in 1..=400 {
            assert_eq!(client.next().await, Some(Got::data(30, seq, b"")), "{place:?}");
        }
        client.closed().await;
    }
}

const SCORE: Push<u32> = Push::new(102, "score").latest();
const SPARK: Push<String> = Push::new(103, "spark").droppable();

#[tokio::test(flavor = "multi_thread")]
// P19
async fn a_full_outbox_keeps_the_latest_and_drops_what_may_be_dropped() {
    for place in PLACES {
        let running = start(place, &[&format!("{TCP}?slow-after=1h&heartbeat=off")], wire::routes()).await;
        let mut slow = sleeper(&running, "slow").await;
        let (cluster, text) = (running.cluster(), "x".repeat(4900));
        let to = || To::User("slow".into());
        while cluster.push(to(), NEWS, &text).await.unwrap().full == 0 {}
        for n in 0..1000 {
            assert_eq!(cluster.push(to(), SCORE, &n).await.unwrap().queued, 1);
        }
        assert_eq!(cluster.push(to(), SPARK, &text).await.unwrap().full, 1);
        // Now it reads: all that was queued, and of the scores the last.
        loop {
            match slow.next().await {
                Some(Got::Data { route: 101, .. }) => {}
                Some(Got::Data { route: 102, body, .. }) => break assert_eq!(body, b"999"),
                other => panic!("{other:?}"),
            }
        }
        slow.silence().await;
    }
}
