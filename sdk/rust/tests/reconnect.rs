//! Connecting again.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod common;

use std::time::Duration;

use common::{ADD, Got, Server, TURN};
use due_core::Kind;
use due_sdk::{Backoff, CallError, Client, Closed, Event, State};
use tokio::time::Instant;

async fn next(events: &mut due_sdk::Events) -> Event {
    events.next().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_replaced_and_streams_go_on() {
    let mut server = Server::start().await;
    let builder = server.client().reconnect(Backoff::default()).payload("first");
    let (client, mut remote) = server.pair_of(builder).await;
    let (mut turns, mut events, answer) = (client.pushes(TURN), client.events(), client.call(ADD, &(1, 1)));
    remote.data().await;
    drop(remote);
    assert!(matches!(answer.await, Err(CallError::Gone { sent: true, .. })));
    client.set_payload("second");
    let waiting = client.call(ADD, &(1, 1)).await.unwrap_err();
    assert!(matches!(waiting, CallError::Gone { sent: false, .. }));
    let mut remote = server.accept().await;
    assert_eq!(client.state(), State::Reconnecting);
    assert_eq!(remote.next().await, Some(Got::Hello("second".into())));
    remote.welcome().await;
    client.ready().await.unwrap();
    assert_eq!(next(&mut events).await, Event::Connected);
    assert!(matches!(next(&mut events).await, Event::Disconnected(Closed::Server | Closed::Network { .. })));
    assert_eq!(next(&mut events).await, Event::Reconnected);
    remote.send(101, 0, "4").await;
    assert_eq!(turns.next().await.unwrap().unwrap(), 4);
    let answer = client.call(ADD, &(1, 1));
    assert_eq!(remote.data().await.1, 1, "a new connection counts anew");
    remote.send(1, 1, "2").await;
    assert_eq!((answer.await.unwrap(), client.stat().reconnects), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn waits_grow_while_nobody_answers_and_shrink_after_a_good_connection() {
    let mut server = Server::start().await;
    let builder = server.client().reconnect(Backoff::default());
    let (client, remote) = server.pair_of(builder).await;
    let mut lost = Instant::now();
    let mut waits = Vec::new();
    drop(remote);
    for _ in 0..10 {
        // Takes the connection and says nothing: the hello fails at once.
        drop(server.accept().await);
        waits.push(lost.elapsed().as_millis());
        lost = Instant::now();
    }
    let whole = [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000];
    for (wait, whole) in waits.iter().zip(whole) {
        assert!((whole / 2..whole + 20).contains(wait), "{waits:?}");
    }
    let remote = server.greet().await;
    client.ready().await.unwrap();
    let hold = tokio::time::sleep(Duration::from_secs(10));
    hold.await;
    drop(remote);
    lost = Instant::now();
    server.greet().await;
    assert!((100..220).contains(&lost.elapsed().as_millis()), "{:?}", lost.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_and_drops_connections_meets_growing_waits() {
    let mut server = Server::start().await;
    let builder = server.client().reconnect(Backoff::default());
    let (_client, mut remote) = server.pair_of(builder).await;
    for whole in [200, 400, 800, 1600] {
        drop(remote);
        let lost = Instant::now();
        remote = server.greet().await;
        assert!((whole / 2..whole + 20).contains(&lost.elapsed().as_millis()), "{whole}: {:?}", lost.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn while_nobody_listens_it_goes_on_trying() {
    let mut server = Server::start().await;
    let builder = server.client().reconnect(Backoff::default());
    let (client, remote) = server.pair_of(builder).await;
    let (url, drivers) = (server.url.to_string(), server.drivers.clone());
    server.stop();
    drop((server, remote));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(client.state(), State::Reconnecting);
    let mut server = Server::at(&url, drivers).await;
    let _remote = server.greet().await;
    client.ready().await.unwrap();
    assert_eq!(client.stat().reconnects, 1);
}

#[tokio::test(start_paused = true)]
async fn goaway_is_honoured_with_its_delay() {
    let mut server = Server::start().await;
    let builder = server.client().reconnect(Backoff::default());
    let (client, mut remote) = server.pair_of(builder).await;
    let answer = client.call(ADD, &(1, 1));
    remote.data().await;
    remote.goaway(3000).await;
    remote.send(1, 1, "2").await;
    assert_eq!(answer.await.unwrap(), 2);
    assert_eq!(remote.next().await, None, "the client leaves when its answers are there");
    drop(remote);
    let left = Instant::now();
    let _remote = server.greet().await;
    assert!((3000..3220).contains(&left.elapsed().as_millis()), "{:?}", left.elapsed());
    client.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_replaced() {
    let mut server = Server::start().await;
    let builder = server.client().reconnect(Backoff::default());
    let (client, _silent) = server.pair_of(builder).await;
    let _remote = server.greet().await;
    client.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_does_not_return_where_it_is_not_wanted() {
    for code in [Kind::Relogin.code(), Kind::Forbidden.code(), 1001] {
        let mut server = Server::start().await;
        let builder = server.client().reconnect(Backoff::default());
        let (client, mut remote) = server.pair_of(builder).await;
        drop(remote);
        remote = server.accept().await;
        assert!(matches!(remote.next().await, Some(Got::Hello(_))));
        remote.kick(code, "no").await;
        remote.close().await;
        assert_eq!(client.closed().await, Closed::Kicked { code, text: "no".into() });
        assert!(matches!(client.ready().await, Err(Closed::Kicked { .. })));
    }
    let mut server = Server::start().await;
    let builder = server.client().reconnect(Backoff::default());
    let (client, mut remote) = server.pair_of(builder).await;
    remote.kick(Kind::Overloaded.code(), "later").await;
    remote.close().await;
    let _remote = server.greet().await;
    client.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_and_the_last_handle_end_the_attempts() {
    let mut server = Server::start().await;
    let builder = server.client().reconnect(Backoff::default());
    let (client, remote) = server.pair_of(builder.clone()).await;
    let mut events = client.events();
    drop(remote);
    assert_eq!(next(&mut events).await, Event::Connected);
    assert!(matches!(next(&mut events).await, Event::Disconnected(_)));
    client.close().await;
    assert_eq!((events.next().await, client.closed().await), (None, Closed::Local));
    drop((client, events));

    let (client, remote) = server.pair_of(builder).await;
    drop((client, remote));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let silence = tokio::time::timeout(Duration::from_secs(60), server.accept()).await;
    assert!(silence.is_err(), "nobody comes");
}

#[tokio::test(start_paused = true)]
async fn the_first_connection_is_not_retried() {
    let server = Server::start().await;
    let (url, drivers) = (server.url.to_string(), server.drivers.clone());
    drop(server);
    let start = Instant::now();
    let builder = Client::builder(&url).drivers(drivers).reconnect(Backoff::default());
    assert_eq!(builder.connect().await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
