//! The same over real sockets.
#![allow(clippy::unwrap_used, reason = "tests may")]
#![cfg(all(feature = "tcp", feature = "ws", feature = "kcp"))]

mod common;

use bytes::Bytes;
use common::{ADD, Got, SHOUT, Server};
use due_core::{Call, Drivers, Kind};
use due_sdk::{Client, Closed, Raw};
use futures_util::future::join_all;

fn drivers() -> Drivers {
    let mut drivers = Drivers::memory();
    due_network::install(&mut drivers);
    drivers
}

const URLS: [&str; 5] = [
    "tcp://127.0.0.1:0?route-bytes=4",
    "ws://127.0.0.1:0",
    "ws://127.0.0.1:0?ws-size=off&order=little",
    "kcp://127.0.0.1:0",
    "tcp://127.0.0.1:0?seq-bytes=1",
];

#[tokio::test]
async fn calls_are_answered_over_every_network() {
    const ANY: Call<Bytes, Bytes, Raw> = Call::new(9, "any");
    for url in URLS {
        let server = Server::at(url, drivers()).await;
        let at = server.url.to_string();
        let echo = tokio::spawn(server.echo());
        let client = Client::connect(&at).await.unwrap();
        let texts: Vec<_> = (0..100).map(|n| format!("{n}")).collect();
        let answers = join_all(texts.iter().map(|text| client.call(SHOUT, text))).await;
        assert_eq!(answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(), texts, "{url}");
        let large = Bytes::from("y".repeat(60_000));
        assert_eq!(client.call(ANY, &large).await.unwrap(), large, "{url}");
        client.close().await;
        echo.abort();
    }
}

#[tokio::test]
async fn a_server_that_closes_is_noticed_where_the_network_tells() {
    for url in URLS.into_iter().filter(|url| !url.starts_with("kcp")) {
        let mut server = Server::at(url, drivers()).await;
        let (client, mut remote) = server.pair().await;
        let answer = client.call(ADD, &(1, 2));
        let (route, seq, _) = remote.data().await;
        remote.send(route, seq, "3").await;
        assert_eq!(answer.await.unwrap(), 3);
        remote.close().await;
        assert_eq!(client.closed().await, Closed::Server, "{url}");
    }
}

#[tokio::test]
async fn a_client_that_closes_is_noticed_where_the_network_tells() {
    for url in URLS.into_iter().filter(|url| !url.starts_with("kcp")) {
        let mut server = Server::at(url, drivers()).await;
        let (client, mut remote) = server.pair().await;
        client.notify(common::SAY, &"bye".to_owned()).unwrap();
        drop(client);
        assert_eq!(remote.next().await, Some(Got::Data { route: 3, seq: 0, body: "\"bye\"".into() }), "{url}");
        assert_eq!(remote.next().await, None, "{url}");
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    for scheme in ["tcp", "ws", "kcp"] {
        let e = Client::connect(&format!("{scheme}://127.0.0.1:1?timeout=300ms")).await.unwrap_err();
        assert_eq!(e.kind(), Kind::Unavailable, "{scheme}: {e}");
    }
    let e = Client::connect("tcp://127.0.0.1:1?hartbeat=3s").await.unwrap_err();
    assert!(e.kind() == Kind::Config && e.to_string().contains("hartbeat"), "{e}");
}
