//! Which messages reach a handler, which are refused, and what the client is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::wire::{
    self, Client, ECHO_ID, FAIL, Got, LOGIN, LOGOUT, MOVE, NOTE, PLACES, Place, SECRET, SIT, TAKEN, WHO, app, both,
    counted, start,
};
use due::{Kind, app::Running, prelude::*};

const NETS: [&str; 2] = ["tcp", "ws"];
const TCP: &str = "tcp://127.0.0.1:0";

fn id(route: impl due::core::route::Endpoint) -> i32 {
    route.def().id.0
}

#[tokio::test(flavor = "multi_thread")]
// B030, B031, B032, B033, B034, conformance 35
async fn refusals_are_told_to_hello_clients_and_met_with_silence_else() {
    for place in PLACES {
        let running = both(place, "").await;
        for net in NETS {
            let mut old = Client::to(running.url(&format!("gate:{net}")).unwrap()).await;
            let mut told = Client::hello(&running, net).await;
            for (route, kind) in [
                (999, Kind::NoRoute),
                (-1, Kind::NoRoute),
                (i32::from(i16::MAX), Kind::NoRoute),
                (i32::from(i16::MIN), Kind::NoRoute),
                (id(SECRET), Kind::Forbidden),
                (id(WHO), Kind::Unauthorized),
                (id(MOVE), Kind::Unauthorized),
            ] {
                old.data(route, 5, b"\"x\"").await;
                old.silence().await;
                told.data(route, 5, b"\"x\"").await;
                assert_eq!(told.next().await, Some(Got::failure(route, 5, kind)), "{net}");
            }
            old.ask(id(LOGIN), 1, format!("\"old-{net}\"").as_bytes()).await;
            old.data(id(MOVE), 6, b"\"x\"").await;
            old.silence().await;
        }
        assert_eq!(counted(&running).await.refusals, 2 * (2 * 7 + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
// B034, conformance 36, 37
async fn after_login_and_binding_the_same_connection_gets_in() {
    for place in PLACES {
        let running = both(place, "").await;
        let mut told = Client::hello(&running, "tcp").await;
        told.ask(id(LOGIN), 1, b"\"ann\"").await;
        assert_eq!(told.ask(id(WHO), 2, b"").await, b"\"ann\"");
        told.data(id(MOVE), 3, b"\"x\"").await;
        assert_eq!(told.next().await, Some(Got::failure(id(MOVE), 3, Kind::NotBound)));
        told.ask(id(SIT), 4, b"").await;
        assert_eq!(told.ask(id(MOVE), 5, b"\"x\"").await, b"\"x\"");
        // The binding to the node stays with the user.
        drop(told);
        wire::connections(&running, 0).await;
        let mut again = Client::tcp(&running).await;
        again.ask(id(LOGIN), 1, b"\"ann\"").await;
        assert_eq!(again.ask(id(MOVE), 2, b"\"y\"").await, b"\"y\"");
        again.ask(id(LOGOUT), 3, b"").await;
        again.data(id(MOVE), 4, b"\"z\"").await;
        again.silence().await;
    }
}

const WHERE: Call<(), u32> = Call::new(40, "where");
const STAY: Call<(), u32> = Call::new(41, "stay");
const HERE: Call<(), u32> = Call::<(), u32>::new(42, "here").stateful();

fn place_of(State(node): State<u32>) -> u32 {
    node
}

async fn stay(State(node): State<u32>, me: Session) -> Result<u32, Fault> {
    me.bind_node().await?;
    Ok(node)
}

/// Three nodes of one name with weights 4, 2 and 1.
async fn three(place: Place, by: Dispatch) -> Running {
    let gate = Gate::new("gate").listen(TCP).dispatch(by);
    let node = |n: u32| {
        let routes = Routes::new().route(WHERE, place_of).route(STAY, stay).route(HERE, place_of).with_state(n);
        Node::new("game").weight([4, 2, 1][n as usize]).routes(routes.merge(wire::routes()))
    };
    let app = App::new(due::drivers()).shards(wire::shards(2)).with(gate).with(node(0)).with(node(1)).with(node(2));
    let app = if place == Place::Shared { app.shared_shards() } else { app };
    app.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
// conformance 37
async fn stateful_messages_go_only_to_the_bound_node() {
    for place in PLACES {
        let running = three(place, Dispatch::RoundRobin).await;
        for user in 0..6 {
            let mut client = Client::tcp(&running).await;
            client.ask(id(LOGIN), 1, format!("\"u{user}\"").as_bytes()).await;
            let home = client.ask(id(STAY), 2, b"").await;
            for seq in 3..40 {
                assert_eq!(client.ask(id(HERE), seq, b"").await, home);
                client.ask(id(WHERE), seq, b"").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 39
async fn dispatch_shares_messages_out_as_it_says() {
    for place in PLACES {
        for by in [Dispatch::Weighted, Dispatch::RoundRobin, Dispatch::Sticky] {
            let running = three(place, by).await;
            let mut client = Client::tcp(&running).await;
            let frames: Vec<u8> = (1..=7000).flat_map(|seq| client.data_bytes(id(WHERE), seq, b"")).collect();
            let mut counts = BTreeMap::<Vec<u8>, u32>::new();
            for chunk in frames.chunks(9 * 70) {
                client.raw(chunk).await;
                for _ in 0..70 {
                    let Some(Got::Data { body, .. }) = client.next().await else { panic!("an answer is missing") };
                    *counts.entry(body).or_default() += 1;
                }
            }
            let counts: Vec<u32> = counts.into_values().collect();
            match by {
                Dispatch::Weighted => assert_eq!(counts, [4000, 2000, 1000]),
                Dispatch::RoundRobin => assert!(counts.len() == 3 && counts.iter().all(|n| n.abs_diff(2333) <= 1)),
                _ => assert_eq!(counts, [7000]),
            }
        }
    }
}

const SLEEP: Call<String, String> = Call::new(50, "sleep");
const WAKE: Call<String, u32> = Call::new(51, "wake");

type Waiting = Arc<Mutex<Vec<(String, Reply<String>)>>>;

fn sleep(State(waiting): State<Waiting>, Msg(name): Msg<String>, reply: Reply<String>) -> Later<String> {
    let (reply, later) = reply.later();
    waiting.lock().unwrap().push((name, reply));
    later
}

/// Answers all that sleep, the last one first.
fn wake(State(waiting): State<Waiting>, _: Msg<String>) -> u32 {
    let mut all = std::mem::take(&mut *waiting.lock().unwrap());
    let n = all.len() as u32;
    while let Some((name, reply)) = all.pop() {
        reply.send(Ok(name));
    }
    n
}

fn later() -> Routes {
    Routes::new().route(SLEEP, sleep).route(WAKE, wake).with_state(Waiting::default()).merge(wire::routes())
}

#[tokio::test(flavor = "multi_thread")]
// conformance 41, 42
async fn answers_out_of_order_carry_their_seq() {
    for place in PLACES {
        let running = start(place, &[TCP], later()).await;
        for hello in [false, true] {
            let mut client = Client::tcp(&running).await;
            if hello {
                client.say_hello().await;
            }
            for (seq, name) in [(1, "\"a\""), (2, "\"b\""), (32767, "\"c\"")] {
                client.data(id(SLEEP), seq, name.as_bytes()).await;
            }
            client.data(id(WAKE), 1, b"\"\"").await;
            let mut got = Vec::new();
            for _ in 0..4 {
                got.push(client.next().await.unwrap());
            }
            let of_sleep: Vec<_> = got.iter().filter(|g| matches!(g, Got::Data { route: 50, .. })).collect();
            let want = [(32767, "\"c\""), (2, "\"b\""), (1, "\"a\"")].map(|(s, n)| Got::data(50, s, n.as_bytes()));
            assert_eq!(of_sleep, want.iter().collect::<Vec<_>>());
            assert!(got.contains(&Got::data(id(WAKE), 1, b"3")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// B039, P2
async fn a_request_id_in_flight_is_not_taken_twice() {
    for place in PLACES {
        let running = start(place, &[TCP], later()).await;
        let mut client = Client::hello(&running, "tcp").await;
        client.data(id(SLEEP), 5, b"\"a\"").await;
        client.data(id(SLEEP), 5, b"\"b\"").await;
        assert_eq!(client.next().await, Some(Got::failure(id(SLEEP), 5, Kind::Duplicate)));
        // The same number on another route is another request.
        assert_eq!(client.ask(ECHO_ID, 5, b"\"x\"").await, b"\"x\"");
        let mut other = Client::tcp(&running).await;
        assert_eq!(other.ask(id(WAKE), 1, b"\"\"").await, b"1");
        assert_eq!(client.next().await, Some(Got::data(id(SLEEP), 5, b"\"a\"")));
        // Answered, the number is free again.
        client.data(id(SLEEP), 5, b"\"c\"").await;
        client.silence().await;
        assert_eq!(other.ask(id(WAKE), 2, b"\"\"").await, b"1");
        assert_eq!(client.next().await, Some(Got::data(id(SLEEP), 5, b"\"c\"")));
    }
}

#[tokio::test(flavor = "multi_thread")]
// P2, conformance 34
async fn seq_decides_for_hello_clients_and_the_route_for_old_ones() {
    for place in PLACES {
        for events in [false, true] {
            let routes = if events { wire::routes().on(Event::Connected, || {}) } else { wire::routes() };
            let running = start(place, &[TCP], routes).await;
            let mut told = Client::hello(&running, "tcp").await;
            // A notify with a number gets one empty answer, and may come again.
            for _ in 0..2 {
                assert_eq!(told.ask(id(NOTE), 3, b"\"x\"").await, b"", "{place:?}, events {events}");
            }
            // A call without a number gets none, nor its fault.
            told.data(ECHO_ID, 0, b"\"x\"").await;
            told.data(id(FAIL), 0, b"").await;
            told.data(id(NOTE), 0, b"\"x\"").await;
            told.silence().await;
            let mut old = Client::tcp(&running).await;
            old.data(id(NOTE), 3, b"\"x\"").await;
            assert_eq!(old.ask(ECHO_ID, 0, b"\"x\"").await, b"\"x\"");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// P2
async fn a_fault_is_told_or_ends_an_old_client_or_becomes_an_answer() {
    for place in PLACES {
        for events in [false, true] {
            let with = |routes: Routes| if events { routes.on(Event::Connected, || {}) } else { routes };
            let running = start(place, &[TCP], with(wire::routes())).await;
            let mut told = Client::hello(&running, "tcp").await;
            told.data(id(FAIL), 5, b"").await;
            assert_eq!(told.next().await, Some(Got::Failure { route: 9, seq: 5, code: TAKEN.number() }));
            told.data(ECHO_ID, 6, b"no json").await;
            assert_eq!(told.next().await, Some(Got::failure(ECHO_ID, 6, Kind::BadRequest)));
            told.silence().await;
            let mut old = Client::tcp(&running).await;
            old.data(id(FAIL), 5, b"").await;
            old.closed().await;
            let running = start(place, &[&format!("{TCP}?on-error=silent")], with(wire::routes())).await;
            let mut old = Client::tcp(&running).await;
            old.data(id(FAIL), 5, b"").await;
            old.silence().await;
            let routes = wire::routes().errors_as(SAY, |fault: &Fault| fault.code().number()).route(SAY, say);
            let running = start(place, &[TCP], with(routes)).await;
            let mut old = Client::tcp(&running).await;
            assert_eq!(old.ask(id(SAY), 5, b"").await, b"1001");
            let mut told = Client::hello(&running, "tcp").await;
            told.data(id(SAY), 5, b"").await;
            assert_eq!(told.next().await, Some(Got::Failure { route: 60, seq: 5, code: 1001 }));
        }
    }
}

const SAY: Call<(), u32> = Call::new(60, "say");

fn say() -> Result<u32, Fault> {
    Err(TAKEN.into())
}

const LONG: Call<usize, String> = Call::new(61, "long");

#[tokio::test(flavor = "multi_thread")]
// P2, conformance 8
async fn an_answer_over_the_limit_is_an_error_not_silence() {
    for place in PLACES {
        let long = |Msg(n): Msg<usize>| "x".repeat(n - 2);
        let running = start(place, &[&format!("{TCP}?max-body=1KiB")], wire::routes().route(LONG, long)).await;
        let mut told = Client::hello(&running, "tcp").await;
        assert_eq!(told.ask(id(LONG), 1, b"1024").await.len(), 1024);
        told.data(id(LONG), 2, b"1025").await;
        let Some(Got::Failure { route: 61, seq: 2, .. }) = told.next().await else { panic!("no error") };
        told.silence().await;
        let mut old = Client::tcp(&running).await;
        old.data(id(LONG), 2, b"1025").await;
        old.closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// P1
async fn labels_of_hello_and_accept_reach_the_handlers() {
    const LABEL: Call<String, Option<String>> = Call::new(62, "label");
    for place in PLACES {
        for events in [false, true] {
            let label = |me: Session, Msg(name): Msg<String>| me.label(&name);
            let gate = Gate::new("gate").listen(TCP).accept(|_| Ok(Admission::new().label("at", "connect"))).on_hello(
                |arrival| {
                    let name = arrival.hello.and_then(|hello| hello["name"].as_str()).ok_or(TAKEN)?;
                    Ok(Admission::new().label("name", name).bind(name))
                },
            );
            let routes = wire::routes().route(LABEL, label);
            let routes = if events { routes.on(Event::Connected, || {}) } else { routes };
            let running = wire::with(place, gate, Node::new("game").routes(routes)).start().await.unwrap();
            let mut client = Client::tcp(&running).await;
            client.hello_with(serde_json::json!({ "name": "ann" })).await;
            assert_eq!(client.next().await, Some(Got::Welcome));
            wire::until("ann is online", || async { running.cluster().is_online(&"ann".into()).await.unwrap() }).await;
            assert_eq!(client.ask(id(WHO), 1, b"").await, b"\"ann\"");
            assert_eq!(client.ask(id(LABEL), 2, b"\"at\"").await, b"\"connect\"");
            assert_eq!(client.ask(id(LABEL), 3, b"\"name\"").await, b"\"ann\"", "{place:?}, events {events}");
            let mut refused = Client::tcp(&running).await;
            refused.hello_with(serde_json::json!({})).await;
            assert_eq!(refused.next().await, Some(Got::Kick(TAKEN.number())));
            refused.closed().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 6
async fn a_route_that_a_listener_cannot_carry_fails_at_start_with_both_names() {
    const WIDE: Call<(), ()> = Call::new(300, "wide.route");
    let app = app(Place::Shared, &["tcp://127.0.0.1:0?route-bytes=1"], wire::routes().route(WIDE, || {}));
    let error = app.start().await.unwrap_err().to_string();
    assert!(error.contains("wide.route") && error.contains("300") && error.contains("tcp://"), "{error}");
}
