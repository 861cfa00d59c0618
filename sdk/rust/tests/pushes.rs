//! What the server sends unasked.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod common;

use common::{PLACE, Server, TURN, taken};
use due_core::RouteId;
use due_sdk::{Event, RawPush};
use futures_util::StreamExt;

#[tokio::test(start_paused = true)]
async fn pushes_come_in_order_to_every_stream_of_their_route() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let (mut one, mut two) = (client.pushes(TURN), client.pushes(TURN));
    for n in 1..=3 {
        remote.send(101, 0, &n.to_string()).await;
    }
    for n in 1..=3 {
        assert_eq!((one.next().await.unwrap().unwrap(), two.next().await.unwrap().unwrap()), (n, n));
    }
    drop(two);
    remote.send(101, 0, "x").await;
    remote.send(101, 0, "5").await;
    assert!(one.next().await.unwrap().is_err(), "a body that is no number");
    assert_eq!(StreamExt::next(&mut one).await.unwrap().unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reads_gives_way_and_is_counted() {
    let mut server = Server::start().await;
    let builder = server.client().push_queue(4);
    let (client, mut remote) = server.pair_of(builder).await;
    let (mut turns, mut places) = (client.pushes(TURN), client.pushes(PLACE));
    for n in 0..10 {
        remote.send(101, 0, &n.to_string()).await;
        remote.send(102, 0, &n.to_string()).await;
    }
    taken(&client, &mut remote).await;
    assert_eq!((turns.lost(), places.lost()), (6, 0));
    for n in 6..10 {
        assert_eq!(turns.next().await.unwrap().unwrap(), n);
    }
    assert_eq!(places.next().await.unwrap().unwrap(), 9, "of a latest push only the newest waits");
}

#[tokio::test(start_paused = true)]
async fn routes_without_a_stream_can_be_had_raw() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    remote.send(300, 0, "early").await;
    taken(&client, &mut remote).await;
    let (mut rest, mut turns) = (client.unclaimed(), client.pushes(TURN));
    remote.send(101, 0, "1").await;
    remote.send(300, 0, "body").await;
    assert_eq!(rest.next().await, Some(RawPush { route: RouteId(300), body: "body".into() }));
    assert_eq!(turns.next().await.unwrap().unwrap(), 1);
    drop(turns);
    remote.send(101, 0, "2").await;
    assert_eq!(rest.next().await, Some(RawPush { route: RouteId(101), body: "2".into() }));
    assert_eq!((rest.lost(), client.stat().unclaimed), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn streams_end_with_the_client_and_keep_what_came_before() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let (mut turns, mut rest, mut events) = (client.pushes(TURN), client.unclaimed(), client.events());
    remote.send(101, 0, "1").await;
    remote.close().await;
    let reason = client.closed().await;
    assert_eq!(turns.next().await.unwrap().unwrap(), 1);
    assert!(turns.next().await.is_none() && rest.next().await.is_none());
    assert_eq!(events.next().await, Some(Event::Connected));
    assert_eq!(events.next().await, Some(Event::Disconnected(reason)));
    assert_eq!(events.next().await, None);
    assert!(client.pushes(TURN).next().await.is_none() && client.events().next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_taken_before_open_misses_nothing() {
    let mut server = Server::start().await;
    let client = server.client().build().unwrap();
    let (mut turns, mut events) = (client.pushes(TURN), client.events());
    let script = async {
        let mut remote = server.greet().await;
        remote.send(101, 0, "7").await;
        remote
    };
    let (opened, _remote) = tokio::join!(client.open(), script);
    opened.unwrap();
    assert_eq!(turns.next().await.unwrap().unwrap(), 7);
    assert_eq!(events.next().await, Some(Event::Connected));
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_no_call_is_an_event() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let mut events = client.events();
    assert_eq!(events.next().await, Some(Event::Connected));
    remote.fail(3, 0, 25, "2 messages lost").await;
    assert_eq!(events.next().await, Some(Event::Fault { route: 3, code: 25, text: "2 messages lost".into() }));
    assert_eq!(events.lost(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_the_connection_open_like_a_handle() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let mut turns = client.pushes(TURN);
    drop(client);
    remote.send(101, 0, "1").await;
    assert_eq!(turns.next().await.unwrap().unwrap(), 1);
    drop(turns);
    assert_eq!(remote.next().await, None);
}
