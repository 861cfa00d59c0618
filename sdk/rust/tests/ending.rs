//! How connections end, and heartbeats.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod common;

use std::time::Duration;

use common::{ADD, Got, Server};
use due_core::{Drivers, Kind, Retry};
use due_sdk::{Backoff, CallError, Client, Closed, Event, EventLoop, State};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn close_lets_calls_in_flight_end_and_takes_no_new_ones() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let answer = client.call(ADD, &(1, 1));
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    remote.data().await;
    common::settle().await;
    assert_eq!(client.state(), State::Leaving);
    let e = client.call(ADD, &(2, 2)).await.unwrap_err();
    assert!(matches!(e, CallError::Gone { reason: Closed::Local, sent: false }) && e.retry() == Retry::Safe);
    remote.send(1, 1, "2").await;
    assert_eq!(answer.await.unwrap(), 2);
    assert_eq!(remote.next().await, None);
    drop(remote);
    closing.await.unwrap();
    assert_eq!((client.closed().await, client.state()), (Closed::Local, State::Closed));
    assert_eq!(client.open().await.unwrap_err().kind(), Kind::Gone);
}

#[tokio::test(start_paused = true)]
async fn close_does_not_wait_for_ever() {
    let mut server = Server::start().await;
    let builder = server.client().heartbeat(Duration::ZERO);
    let (client, _remote) = server.pair_of(builder).await;
    let (start, answer) = (Instant::now(), client.call(ADD, &(1, 1)));
    client.close().await;
    assert!(matches!(answer.await, Err(CallError::Timeout)));
    assert!((7000..7100).contains(&start.elapsed().as_millis()), "5 s for the call, 2 s for the goodbye");
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_the_connection_after_its_calls() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let answer = client.call(ADD, &(1, 1));
    drop(client.clone());
    drop(client);
    remote.data().await;
    remote.send(1, 1, "2").await;
    assert_eq!(answer.await.unwrap(), 2);
    assert_eq!(remote.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_kick_tells_why_and_ends_the_calls() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let answer = client.call(ADD, &(1, 1));
    remote.data().await;
    remote.kick(1002, "cheating").await;
    let kicked = Closed::Kicked { code: 1002, text: "cheating".into() };
    let e = answer.await.unwrap_err();
    assert!(matches!(&e, CallError::Gone { reason, sent: true } if *reason == kicked), "{e}");
    assert_eq!(e.retry(), Retry::Unknown);
    assert_eq!(remote.next().await, None, "the client goes by itself");
    drop(remote);
    assert_eq!(client.closed().await, kicked);
}

#[tokio::test(start_paused = true)]
async fn who_closes_after_a_kick_is_still_told_of_the_kick() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let answer = client.call(ADD, &(1, 1));
    remote.data().await;
    remote.kick(1002, "cheating").await;
    answer.await.unwrap_err();
    // The connection is still being closed.
    client.close().await;
    assert_eq!(client.closed().await, Closed::Kicked { code: 1002, text: "cheating".into() });
}

#[tokio::test(start_paused = true)]
async fn a_second_login_elsewhere_is_not_fought() {
    let mut server = Server::start().await;
    let builder = server.client().reconnect(Backoff::default());
    let (client, mut remote) = server.pair_of(builder).await;
    remote.kick(Kind::Relogin.code(), "logged in elsewhere").await;
    remote.close().await;
    let reason = client.closed().await;
    assert!(matches!(&reason, Closed::Kicked { code: 26, .. }) && !reason.may_return(), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_is_refused_fails_the_open_with_its_code() {
    let mut server = Server::start().await;
    let client = server.client().build().unwrap();
    let script = async {
        let mut remote = server.accept().await;
        assert!(matches!(remote.next().await, Some(Got::Hello(_))));
        remote.kick(Kind::Unauthorized.code(), "a bad token").await;
        assert_eq!(remote.next().await, None);
    };
    let (opened, ()) = tokio::join!(client.open(), script);
    let e = opened.unwrap_err();
    assert!(e.kind() == Kind::Unauthorized && e.text().contains("a bad token"), "{e}");
    assert_eq!(client.state(), State::Unopened);
    let (opened, _remote) = tokio::join!(client.open(), server.greet());
    opened.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_old_server_that_ignores_the_hello_is_named() {
    let mut server = Server::start().await;
    let builder = server.client();
    let (opened, _remote) = tokio::join!(builder.connect(), server.accept());
    let e = opened.unwrap_err();
    assert!(e.kind() == Kind::Unavailable && e.text().contains("hello=off"), "{e}");
}

#[tokio::test(start_paused = true)]
async fn nobody_there_and_wrong_settings_are_errors_of_connect() {
    let builder = || Client::builder("memory://nobody").drivers(Drivers::memory());
    assert_eq!(builder().connect().await.unwrap_err().kind(), Kind::Unavailable);
    let e = builder().timeout(Duration::ZERO).connect().await.unwrap_err();
    assert!(e.kind() == Kind::Config && e.text().contains("timeout"), "{e}");
    for url in ["no url", "memory://a?heartbeat=x", "memory://a?route-bytes=3", "gopher://a", "memory://a?buffer=0"] {
        let e = Client::connect(url).await.unwrap_err();
        assert_eq!(e.kind(), Kind::Config, "{url}: {e}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_or_breaks_the_format_is_told_apart() {
    let mut server = Server::start().await;
    let (client, remote) = server.pair().await;
    remote.close().await;
    assert_eq!(client.closed().await, Closed::Server);

    let (client, mut remote) = server.pair().await;
    remote.bytes(b"\0\0\0\x01\x07").await;
    assert_eq!(remote.next().await, None);
    drop(remote);
    assert!(matches!(client.closed().await, Closed::Protocol { .. }));

    let (client, mut remote) = server.pair().await;
    remote.bytes(b"\x7f\xff\xff\xff").await;
    assert_eq!(remote.next().await, None);
    drop(remote);
    assert!(matches!(client.closed().await, Closed::Protocol { .. }), "a length over the limit");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_out_and_any_byte_keeps_the_connection() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let start = Instant::now();
    for n in 1..=20u64 {
        assert_eq!(remote.next().await, Some(Got::Heartbeat));
        let beat = start.elapsed().as_millis() as u64;
        assert!((n * 10_000..n * 10_000 + 20 * n).contains(&beat), "{n}: {beat}");
        if n % 2 == 0 {
            remote.heartbeat().await;
        } else {
            remote.send(101, 0, "1").await;
        }
    }
    assert_eq!(client.state(), State::Connected);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left_after_two_intervals() {
    let mut server = Server::start().await;
    let builder = server.client().heartbeat(Duration::from_secs(3));
    let (client, mut remote) = server.pair_of(builder).await;
    let (start, answer) = (Instant::now(), client.call_timeout(ADD, &(1, 1), Duration::from_secs(60)));
    assert_eq!(client.closed().await, Closed::Silent);
    assert!((6000..6020).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(matches!(answer.await, Err(CallError::Gone { reason: Closed::Silent, sent: true })));
    assert_eq!((remote.data().await.0, remote.next().await), (1, Some(Got::Heartbeat)));
    assert_eq!(remote.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn without_heartbeats_silence_is_fine() {
    let mut server = Server::start().await;
    let builder = server.client().heartbeat(Duration::ZERO);
    let (client, mut remote) = server.pair_of(builder).await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    let answer = client.call(ADD, &(1, 1));
    assert_eq!(remote.next().await, Some(Got::Data { route: 1, seq: 1, body: "[1,1]".into() }));
    remote.send(1, 1, "2").await;
    assert_eq!(answer.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_goaway_answers_still_come_and_new_calls_do_not_go() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let (mut events, answer) = (client.events(), client.call(ADD, &(1, 1)));
    remote.data().await;
    remote.goaway(1500).await;
    assert_eq!(events.next().await, Some(Event::Connected));
    let away = Event::GoAway { reason: 28, retry_after: Duration::from_millis(1500) };
    assert_eq!(events.next().await, Some(away));
    let e = client.call(ADD, &(2, 2)).await.unwrap_err();
    assert!(matches!(e, CallError::Gone { reason: Closed::GoAway { .. }, sent: false }), "{e}");
    remote.send(1, 1, "2").await;
    assert_eq!(answer.await.unwrap(), 2);
    assert_eq!(remote.next().await, None);
    drop(remote);
    assert!(matches!(client.closed().await, Closed::GoAway { reason: 28, .. }));
}

#[test]
fn a_runtime_that_stops_closes_its_clients() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (client, event_loop, answer, _remote) = first.block_on(async {
        let mut server = Server::start().await;
        let event_loop = EventLoop::start().unwrap();
        let builder = server.client().on(&event_loop);
        let (client, remote) = server.pair_of(builder).await;
        let answer = client.call(ADD, &(1, 1));
        (client, event_loop, answer, remote)
    });
    drop(first);
    runtime().block_on(async {
        assert!(matches!(answer.await, Err(CallError::Gone { reason: Closed::Local, .. })));
        assert_eq!(client.closed().await, Closed::Local);
        let e = Client::builder("tcp://127.0.0.1:1").on(&event_loop).build().unwrap_err();
        assert_eq!(e.kind(), Kind::Unavailable);
    });
    let e = Client::builder("tcp://127.0.0.1:1").build().unwrap_err();
    assert!(e.kind() == Kind::Config && e.text().contains("runtime"), "{e}");
}
