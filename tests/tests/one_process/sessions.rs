//! Sessions: their number, their limit, their logins and their end.

use crate::wire::{
    self, CID, Client, ECHO_ID, Got, LOGIN, LOGOUT, NEWS, PLACES, Place, WHO, both, connections, counted, start, tcp,
};
use due::{Kind, app::Running, prelude::*};
use tokio::time::Instant;

const FLOOD: Call<u32, u32> = Call::new(30, "flood");
const LEAVE: Notify<bool> = Notify::new(31, "leave");

/// Pushes so many numbers, then answers.
fn flood(me: Session, Msg(n): Msg<u32>) -> Result<u32, Fault> {
    for i in 0..n {
        me.push(NEWS, &format!("{i}-{}", "x".repeat(500)))?;
    }
    Ok(n)
}

/// Pushes a hundred numbers, then closes.
fn leave(me: Session, Msg(forced): Msg<bool>) -> Result<(), Fault> {
    flood(me.clone(), Msg(100))?;
    if forced {
        me.close_now()
    } else {
        me.close()
    }
    Ok(())
}

fn routes() -> Routes {
    wire::routes().route(FLOOD, flood).route(LEAVE, leave)
}

fn id(route: impl due::core::route::Endpoint) -> i32 {
    route.def().id.0
}

async fn pushed(client: &mut Client, n: u32) {
    for i in 0..n {
        let Some(Got::Data { route: 101, seq: 0, body }) = client.next().await else { panic!("no push {i}") };
        assert!(body.starts_with(format!("\"{i}-").as_bytes()), "push {i} out of order");
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 28
async fn connections_are_numbered_from_one_and_never_again() {
    for place in PLACES {
        let running = both(place, "").await;
        for n in 1..=8_u64 {
            let mut client = if n % 2 == 0 { Client::tcp(&running).await } else { Client::ws(&running).await };
            assert_eq!(client.ask(id(CID), 1, b"").await, n.to_string().as_bytes());
        }
        connections(&running, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 29, P24
async fn one_connection_too_many_is_taken_and_closed() {
    let running = tcp(Place::Apart, "?max-connections=3").await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        let mut client = Client::tcp(&running).await;
        client.silence().await;
        inside.push(client);
    }
    for _ in 0..5 {
        Client::tcp(&running).await.closed().await;
    }
    assert_eq!(counted(&running).await.refused, 5);
    assert_eq!(running.cluster().stat().await.unwrap().connections, 3);
    drop(inside.pop());
    connections(&running, 2).await;
    Client::tcp(&running).await.silence().await;
}

#[tokio::test(start_paused = true)]
// conformance 30
async fn who_does_not_log_in_has_to_leave() {
    let drivers = due::drivers();
    let gate = Gate::new("gate").listen("memory://gate?authorize=5s&heartbeat=off");
    let app = App::new(drivers.clone()).shards(Shards::Inline).with(gate).with(Node::new("game").routes(routes()));
    let running: Running = app.start().await.unwrap();
    let url = running.url("gate").unwrap();
    let network = drivers.network.open(url).await.unwrap();
    let begun = Instant::now();
    let mut nobody = Client::on(network.connect(url).await.unwrap());
    let mut told = Client::on(network.connect(url).await.unwrap());
    told.say_hello().await;
    let mut ann = Client::on(network.connect(url).await.unwrap());
    ann.ask(id(LOGIN), 1, b"\"ann\"").await;
    nobody.closed().await;
    assert_eq!(told.next().await, Some(Got::kick(Kind::Unauthorized)));
    told.closed().await;
    assert!((5.0..9.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(600)).await;
    ann.silence().await;
    // Logged out the clock begins anew.
    ann.ask(id(LOGOUT), 2, b"").await;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    ann.silence().await;
    ann.closed().await;
    assert!((5.0..9.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
// conformance 31, 43
async fn a_graceful_end_delivers_everything_first() {
    for place in PLACES {
        let running = start(place, &["tcp://127.0.0.1:0", "ws://127.0.0.1:0"], routes()).await;
        let mut tcp = Client::tcp(&running).await;
        tcp.data(id(LEAVE), 0, b"false").await;
        pushed(&mut tcp, 100).await;
        assert_eq!(tcp.rest().await, []);
        let mut ws = Client::ws(&running).await;
        ws.data(id(LEAVE), 0, b"false").await;
        pushed(&mut ws, 100).await;
        assert_eq!(ws.rest().await, [Got::Closed(1000)]);
        let mut forced = Client::tcp(&running).await;
        forced.data(id(LEAVE), 0, b"true").await;
        assert!(forced.rest().await.len() <= 100);
        connections(&running, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 32, P10
async fn a_user_is_a_name_or_a_number_above_zero() {
    for place in PLACES {
        let running = both(place, "").await;
        let mut client = Client::hello(&running, "tcp").await;
        for (seq, wrong) in [(1, "\"0\""), (2, "\"-1\""), (3, "\"\""), (4, &format!("\"{}\"", "x".repeat(65)))] {
            client.data(id(LOGIN), seq, wrong.as_bytes()).await;
            assert_eq!(client.next().await, Some(Got::failure(2, seq as u32, Kind::BadRequest)), "{wrong}");
        }
        client.data(id(WHO), 5, b"").await;
        assert_eq!(client.next().await, Some(Got::failure(4, 5, Kind::Unauthorized)));
        // Once more is the same login.
        let epoch = client.ask(id(LOGIN), 6, b"\"7\"").await;
        assert_eq!(client.ask(id(LOGIN), 7, b"\"7\"").await, epoch);
        assert_eq!(client.ask(id(WHO), 8, b"").await, b"\"7\"");
        // Another user on the same connection: the first is free.
        client.ask(id(LOGIN), 9, b"\"ann\"").await;
        assert_eq!(client.ask(id(WHO), 10, b"").await, b"\"ann\"");
        let cluster = running.cluster();
        assert!(!cluster.is_online(&7.into()).await.unwrap() && cluster.is_online(&"ann".into()).await.unwrap());
        client.ask(id(LOGOUT), 11, b"").await;
        assert!(!cluster.is_online(&"ann".into()).await.unwrap());
        assert_eq!(cluster.stat().await.unwrap().users, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
// P1, conformance 33
async fn what_a_handler_pushes_comes_in_order_and_before_its_answer() {
    for place in PLACES {
        let running = start(place, &["tcp://127.0.0.1:0", "ws://127.0.0.1:0"], routes()).await;
        for scheme in ["tcp", "ws"] {
            let mut client = Client::hello(&running, scheme).await;
            for round in 1..=5 {
                client.data(id(FLOOD), round, b"200").await;
                pushed(&mut client, 200).await;
                assert_eq!(client.next().await, Some(Got::data(30, round, b"200")));
            }
            client.data(ECHO_ID, 9, b"\"end\"").await;
            assert_eq!(client.next().await, Some(Got::data(ECHO_ID, 9, b"\"end\"")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// semantics: what a gate read is answered before the end
async fn a_client_that_ends_its_side_still_gets_its_answers() {
    for place in PLACES {
        let running = tcp(place, "").await;
        let mut client = Client::tcp(&running).await;
        let mut all = Vec::new();
        (1..=200).for_each(|seq| all.extend(client.data_bytes(ECHO_ID, seq, b"\"x\"")));
        client.raw(&all).await;
        client.finish().await;
        assert_eq!(client.rest().await.len(), 200, "{place:?}");
        connections(&running, 0).await;
    }
}
