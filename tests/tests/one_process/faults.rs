//! Faults that the Go framework of the same name has, and ours must not: each test is named after one.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use crate::wire::{
    self, Client, ECHO_ID, Got, LOGIN, NEWS, PLACES, Place, alive, connections, routes, soon, start, until, with,
};
use due::{
    Kind,
    handler::{Outcome, Request},
    prelude::*,
};
use tokio::sync::Semaphore;

const TCP: &str = "tcp://127.0.0.1:0";

fn id(route: impl due::core::route::Endpoint) -> i32 {
    route.def().id.0
}

const PLAIN: Call<(), ()> = Call::new(30, "plain");
const LATER: Call<(), ()> = Call::new(31, "later");
const POOL: Call<(), ()> = Call::new(32, "pool");
const GUARDED: Call<(), ()> = Call::new(33, "guarded");
const BEFORE: Call<(), ()> = Call::new(34, "before");
const AFTER: Call<(), ()> = Call::new(35, "after");
const INSIDE: Call<(), ()> = Call::new(36, "inside");
const DROPPED: Call<(), ()> = Call::new(37, "dropped");
const PROMISED: Call<(), ()> = Call::new(38, "promised");

fn broken() {
    panic!("planned")
}

async fn broken_later() {
    tokio::task::yield_now().await;
    panic!("planned")
}

fn broken_guard(_: &Request<'_>, (): &()) -> Result<(), Fault> {
    panic!("planned")
}

async fn broken_before(_: OwnedRequest, _: Next) -> Outcome {
    panic!("planned")
}

async fn broken_after(rq: OwnedRequest, next: Next) -> Outcome {
    let _ = next.run(rq).await;
    panic!("planned")
}

async fn through(rq: OwnedRequest, next: Next) -> Outcome {
    next.run(rq).await
}

fn dropped(reply: Reply<()>) -> Later<()> {
    reply.later().1
}

fn promised(reply: Reply<()>) -> Later<()> {
    let (reply, later) = reply.later();
    tokio::spawn(async move {
        let _reply = reply;
        tokio::task::yield_now().await;
        panic!("planned")
    });
    later
}

fn breaking() -> Routes {
    routes()
        .route(PLAIN, broken)
        .route(LATER, broken_later)
        .route(POOL, blocking(broken))
        .merge(Routes::new().route(GUARDED, || {}).layer(guard(broken_guard)))
        .merge(Routes::new().route(BEFORE, || {}).layer(from_fn(broken_before)))
        .merge(Routes::new().route(AFTER, || {}).layer(from_fn(broken_after)))
        .merge(Routes::new().route(INSIDE, broken).layer(from_fn(through)))
        .route(DROPPED, dropped)
        .route(PROMISED, promised)
}

#[tokio::test(flavor = "multi_thread")]
// due-A3, P22
async fn due_a3_panic_in_middleware_or_handler_costs_one_request() {
    for place in PLACES {
        let running = start(place, &[TCP], breaking()).await;
        let mut told = Client::hello(&running, "tcp").await;
        for route in id(PLAIN)..=id(PROMISED) {
            told.data(route, 5, b"").await;
            assert_eq!(told.next().await, Some(Got::failure(route, 5, Kind::Internal)), "{place:?}");
            told.silence().await;
            let mut old = Client::tcp(&running).await;
            old.data(route, 5, b"").await;
            old.closed().await;
        }
        alive(&running).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-A3, P22
async fn due_a3_panic_in_a_hook_or_an_event_costs_one_connection_at_most() {
    for place in PLACES {
        let calls = Arc::new(AtomicU64::new(0));
        let seen = calls.clone();
        let gate =
            Gate::new("gate")
                .listen(TCP)
                .accept(move |_| {
                    if seen.fetch_add(1, Ordering::Relaxed) == 0 { panic!("planned") } else { Ok(Admission::new()) }
                })
                .on_hello(|_| panic!("planned"));
        let events =
            routes().on(Event::Connected, broken).on(Event::Bound, broken_later).on(Event::Disconnected, broken);
        let running = with(place, gate, Node::new("game").routes(events)).start().await.unwrap();
        Client::tcp(&running).await.closed().await;
        let mut told = Client::tcp(&running).await;
        told.hello_with(serde_json::Value::Null).await;
        assert_eq!(told.next().await, Some(Got::kick(Kind::Internal)));
        told.closed().await;
        let mut client = Client::tcp(&running).await;
        client.ask(id(LOGIN), 1, b"\"ann\"").await;
        client.silence().await;
        drop((told, client));
        connections(&running, 0).await;
        alive(&running).await;
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Reply<String>>>>);

const KEEP: Call<String, String> = Call::new(40, "keep");
const GIVE: Call<(), u32> = Call::new(41, "give");
const STUCK: Call<String, String> = Call::new(42, "stuck");

fn keep(State(kept): State<Kept>, reply: Reply<String>) -> Later<String> {
    let (reply, later) = reply.later();
    kept.0.lock().unwrap().push(reply);
    later
}

fn give(State(kept): State<Kept>) -> u32 {
    let all = std::mem::take(&mut *kept.0.lock().unwrap());
    let n = all.len() as u32;
    all.into_iter().for_each(|reply| reply.send(Ok("late".into())));
    n
}

async fn stuck(Msg(_): Msg<String>) -> String {
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread")]
// due-B5, conformance 64, P2
async fn due_b5_late_reply_changes_nothing_for_later_calls() {
    for place in PLACES {
        let late = Routes::new().route(KEEP, keep).route(GIVE, give).route(STUCK, stuck).with_state(Kept::default());
        let routes = late.merge(routes()).deadline(STUCK, Duration::from_millis(50));
        let running = start(place, &[TCP], routes).await;
        let mut client = Client::hello(&running, "tcp").await;
        for round in 1..=20 {
            client.data(id(STUCK), 5, b"\"x\"").await;
            let timeout = Got::failure(id(STUCK), 5, Kind::Timeout);
            assert_eq!(client.next().await, Some(timeout), "{place:?} {round}");
            // One who asks and leaves: its answer comes when somebody else has its place, and goes nowhere.
            let mut former = Client::tcp(&running).await;
            former.data(id(KEEP), 5, b"\"x\"").await;
            former.silence().await;
            former.reset();
            connections(&running, 1).await;
            let mut next = Client::tcp(&running).await;
            next.silence().await;
            assert_eq!(client.ask(id(GIVE), 6, b"").await, b"1");
            next.silence().await;
            assert_eq!(client.ask(ECHO_ID, 5, b"\"next\"").await, b"\"next\"");
            drop(next);
            connections(&running, 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-A7
async fn due_a7_stopping_under_traffic_ends_cleanly() {
    for place in PLACES {
        let events = Arc::new(AtomicI64::new(0));
        let (up, down) = (events.clone(), events.clone());
        let counted = routes()
            .on(Event::Connected, move || {
                up.fetch_add(1, Ordering::Relaxed);
            })
            .on(Event::Disconnected, move || {
                down.fetch_sub(1, Ordering::Relaxed);
            });
        let running = start(place, &[TCP, "ws://127.0.0.1:0"], counted).await;
        let begun = Arc::new(Semaphore::new(0));
        let mut tasks = Vec::new();
        for n in 0..40 {
            let url = running.url(["gate:tcp", "gate:ws"][n % 2]).unwrap().clone();
            let begun = begun.clone();
            tasks.push(tokio::spawn(async move {
                let mut client = Client::to(&url).await;
                if n % 4 < 2 {
                    client.say_hello().await;
                }
                begun.add_permits(1);
                for seq in 1.. {
                    client.data(ECHO_ID, seq % 30_000 + 1, b"\"x\"").await;
                    match client.next().await {
                        Some(Got::Data { seq: got, .. }) => assert_eq!(got, seq % 30_000 + 1),
                        _ => break,
                    }
                }
            }));
        }
        drop(soon("all play", begun.acquire_many(40)).await.unwrap());
        soon("the stop", running.stop(Duration::from_secs(20))).await.unwrap();
        for task in tasks {
            soon("a client ends", task).await.unwrap();
        }
        assert_eq!(events.load(Ordering::Relaxed), 0, "{place:?}: who came has left");
    }
}

/// Connections of the churn; `DUE_CHURN=19200` plays as many as the fault was first seen with.
fn churn() -> usize {
    std::env::var("DUE_CHURN").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000)
}

#[tokio::test(flavor = "multi_thread")]
// due-B10, conformance 29, B002
async fn due_b10_churn_leaves_no_ghost_and_an_exact_count() {
    for place in PLACES {
        let events = Arc::new((AtomicI64::new(0), AtomicI64::new(0)));
        let (up, down) = (events.clone(), events.clone());
        let counted = routes()
            .on(Event::Connected, move || {
                up.0.fetch_add(1, Ordering::Relaxed);
            })
            .on(Event::Disconnected, move || {
                down.1.fetch_add(1, Ordering::Relaxed);
            });
        let running = start(place, &["tcp://127.0.0.1:0?max-connections=100"], counted).await;
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let url = running.url("gate").unwrap().clone();
                tokio::spawn(async move {
                    for n in 0..churn() / 16 {
                        let mut client = Client::to(&url).await;
                        match (task + n) % 4 {
                            0 => client.raw(&[0, 0, 0, 1, 0x80]).await,
                            1 => client.data(id(LOGIN), 1, format!("\"u{}\"", n % 7).as_bytes()).await,
                            2 => drop(client.data_bytes(ECHO_ID, 1, b"\"x\"")),
                            _ => {}
                        }
                        client.reset();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        connections(&running, 0).await;
        let cluster = running.cluster();
        until("no ghosts", || async {
            let stat = cluster.stat().await.unwrap();
            let left: u64 = running.snapshot().await.sessions.values().sum();
            (stat.connections, stat.users, left) == (0, 0, 0)
        })
        .await;
        assert_eq!(events.0.load(Ordering::Relaxed), events.1.load(Ordering::Relaxed));
        let gate = wire::counted(&running).await;
        assert_eq!(gate.accepted, gate.closed);
        // None of the hundred places is lost.
        let mut inside = Vec::new();
        for _ in 0..100 {
            let mut client = Client::tcp(&running).await;
            client.silence().await;
            inside.push(client);
        }
        Client::tcp(&running).await.closed().await;
    }
}

const HOLD: Call<(), ()> = Call::new(50, "hold");

#[tokio::test(flavor = "multi_thread")]
// due-B6, due-B18, P6, P10
async fn due_b18_a_stale_handle_reaches_nobody() {
    for place in PLACES {
        let held = Arc::new(Mutex::new(Vec::<Session>::new()));
        let hold = held.clone();
        let running =
            start(place, &[TCP], routes().route(HOLD, move |me: Session| hold.lock().unwrap().push(me))).await;
        let cluster = running.cluster();
        for round in 0..30 {
            let mut former = Client::tcp(&running).await;
            former.ask(id(HOLD), 1, b"").await;
            drop(former);
            connections(&running, 0).await;
            // The next one takes the same place.
            let mut next = Client::tcp(&running).await;
            next.silence().await;
            let stale: Vec<Session> = held.lock().unwrap().clone();
            until("the node knows", || async { stale.iter().all(Session::is_closed) }).await;
            for me in &stale {
                assert_eq!(me.push(NEWS, &"not for you".into()).unwrap_err().kind(), Kind::Gone);
                assert_eq!(me.bind("thief").await.unwrap_err().kind(), Kind::Gone);
                assert!(me.subscribe("room").is_err());
                me.close();
                me.close_now();
            }
            let sent = cluster.push(To::Sessions(&stale), NEWS, &"not for you".into()).await.unwrap();
            assert_eq!((sent.queued, sent.offline), (0, round + 1));
            next.silence().await;
            drop(next);
            connections(&running, 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-B18, P6
async fn due_b18_isolation_holds_while_clients_come_and_go() {
    for place in PLACES {
        let running = start(place, &[TCP, "ws://127.0.0.1:0"], routes()).await;
        let cluster = running.cluster().clone();
        let stop = Arc::new(AtomicU64::new(0));
        let ended = stop.clone();
        let pusher = tokio::spawn(async move {
            while ended.load(Ordering::Relaxed) == 0 {
                for n in 0..40 {
                    let user = format!("user-{n}");
                    cluster.push(To::User(user.as_str().into()), NEWS, &user).await.unwrap();
                }
                tokio::task::yield_now().await;
            }
        });
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let url = running.url(["gate:tcp", "gate:ws"][n % 2]).unwrap().clone();
                tokio::spawn(async move {
                    let own = format!("\"user-{n}\"");
                    for round in 0..15 {
                        let mut client = Client::to(&url).await;
                        client.data(id(LOGIN), 1, own.as_bytes()).await;
                        // An answer, then pushes; in the last rounds whatever comes before the end.
                        for _ in 0..4 {
                            match client.next().await {
                                Some(Got::Data { route: 101, body, .. }) => assert_eq!(body, own.as_bytes()),
                                Some(Got::Data { route: 2, .. }) => {}
                                other => panic!("{other:?}"),
                            }
                        }
                        if round % 2 == 0 {
                            client.reset();
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            soon("a client ends", task).await.unwrap();
        }
        stop.store(1, Ordering::Relaxed);
        soon("the pusher ends", pusher).await.unwrap();
        connections(&running, 0).await;
    }
}

const TAG: Call<String, usize> = Call::new(51, "tag");

fn tag(me: Session, Msg(name): Msg<String>) -> Result<usize, Fault> {
    me.put(name.len());
    me.put(name.clone());
    me.put(7_u8);
    me.subscribe(&name)?;
    Ok(me.get::<String>().map_or(0, |s| s.len()) + usize::from(me.take::<u8>().unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
// due-A9
async fn due_a9_data_of_a_session_and_its_channels_do_not_meet() {
    for place in PLACES {
        let running = start(place, &[TCP], routes().route(TAG, tag)).await;
        for name in ["uid", "7", "cid", "room"] {
            let mut client = Client::tcp(&running).await;
            assert_eq!(
                client.ask(id(TAG), 1, format!("\"{name}\"").as_bytes()).await,
                (name.len() + 7).to_string().as_bytes()
            );
            drop(client);
            connections(&running, 0).await;
            let sent = running.cluster().push(To::Channel(name), NEWS, &"x".into()).await.unwrap();
            assert_eq!(sent, Sent::default());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-B12
async fn due_b12_a_client_of_ipv6_has_its_own_address() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return println!("this machine has no IPv6");
    }
    let running = start(Place::Apart, &["tcp://[::1]:0"], routes()).await;
    let mut client = Client::tcp(&running).await;
    client.ask(id(LOGIN), 1, b"\"ann\"").await;
    assert_eq!(running.cluster().ip(&"ann".into()).await.unwrap(), std::net::Ipv6Addr::LOCALHOST);
}

const TICK: Topic<u32> = Topic::new(1, "tick");
const SLOW: Call<u32, u32> = Call::new(52, "slow");

#[derive(Clone)]
struct Serial {
    inside: Arc<AtomicI64>,
    most: Arc<AtomicI64>,
    ticks: Arc<AtomicU64>,
    permits: Arc<Semaphore>,
}

impl Serial {
    async fn one_at_a_time(&self, wait: bool) {
        let now = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        if wait {
            self.permits.acquire().await.unwrap().forget();
        }
        tokio::task::yield_now().await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn slow(State(serial): State<Serial>, Msg(n): Msg<u32>) -> u32 {
    serial.one_at_a_time(true).await;
    n
}

async fn tick(State(serial): State<Serial>, Msg(_): Msg<u32>) {
    serial.one_at_a_time(false).await;
    serial.ticks.fetch_add(1, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
// the single logic thread of old, but without its faults: one slow handler does not stop the process
async fn a_serial_node_runs_one_handler_at_a_time_events_of_the_bus_included() {
    for place in PLACES {
        let serial = Serial {
            inside: Arc::default(),
            most: Arc::default(),
            ticks: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
        };
        let routes = Routes::new().route(SLOW, slow).topic(TICK, tick).with_state(serial.clone()).merge(routes());
        let node = Node::new("game").order(Order::Node).routes(routes);
        let running = with(place, Gate::new("gate").listen(TCP), node).start().await.unwrap();
        let mut clients = Vec::new();
        for n in 0..4 {
            let mut client = Client::tcp(&running).await;
            for seq in 1..=5 {
                client.data(id(SLOW), seq, format!("{n}").as_bytes()).await;
            }
            clients.push(client);
        }
        until("the first handler waits", || async { serial.inside.load(Ordering::SeqCst) > 0 }).await;
        for n in 0..5 {
            running.cluster().publish(TICK, &n).await.unwrap();
        }
        // Heartbeats of others are answered by the gate while the node is busy.
        let mut other = Client::tcp(&running).await;
        other.raw(&[0, 0, 0, 1, 0x80]).await;
        assert!(matches!(other.next().await, Some(Got::Heartbeat(_))));
        serial.permits.add_permits(1000);
        for (n, client) in clients.iter_mut().enumerate() {
            for seq in 1..=5 {
                assert_eq!(client.next().await, Some(Got::data(id(SLOW), seq, n.to_string().as_bytes())));
            }
        }
        until("all events were handled", || async { serial.ticks.load(Ordering::SeqCst) == 5 }).await;
        assert_eq!(serial.most.load(Ordering::SeqCst), 1, "{place:?}: handlers at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-B5, conformance 64, P2
async fn due_b5_a_reply_that_is_kept_has_a_deadline_too() {
    for place in PLACES {
        let limit = Duration::from_millis(100);
        let late = Routes::new().route(KEEP, keep).route(GIVE, give).route(STUCK, stuck).with_state(Kept::default());
        let routes = late.merge(routes()).deadline(KEEP, limit).deadline(STUCK, limit);
        let running = start(place, &[TCP], routes).await;
        let mut client = Client::hello(&running, "tcp").await;
        for round in 1..=20 {
            for route in [id(STUCK), id(KEEP)] {
                client.data(route, 5, b"\"x\"").await;
                let timeout = Got::failure(route, 5, Kind::Timeout);
                assert_eq!(client.next().await, Some(timeout), "{place:?} {round}");
            }
            // The answer of the last call comes now, and goes nowhere.
            assert_eq!(client.ask(id(GIVE), 6, b"").await, b"1");
            assert_eq!(client.ask(ECHO_ID, 5, b"\"next\"").await, b"\"next\"");
        }
    }
}
