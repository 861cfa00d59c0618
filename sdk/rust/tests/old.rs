//! The format of due v2 without hello, in all its widths.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod common;

use std::time::Duration;

use common::{ADD, Got, SAY, Server, TURN};
use due_core::Drivers;
use due_sdk::{Backoff, CallError, Client, Closed};

async fn server(keys: &str) -> Server {
    Server::at(&format!("memory://old?{keys}"), Drivers::memory()).await
}

/// A client that says no hello, and the server's end.
async fn pair(server: &mut Server) -> (Client, common::Remote) {
    let client = server.client().hello(false);
    let (client, remote) = tokio::join!(client.connect(), server.accept());
    (client.unwrap(), remote)
}

#[tokio::test(start_paused = true)]
async fn calls_and_pushes_work_in_every_width_and_order() {
    for order in ["big", "little"] {
        for (route, seq) in [(1, 1), (2, 2), (4, 4), (1, 4), (4, 1)] {
            let mut server = server(&format!("order={order}&route-bytes={route}&seq-bytes={seq}")).await;
            let (client, mut remote) = pair(&mut server).await;
            let (mut turns, first, second) =
                (client.pushes(TURN), client.call(ADD, &(1, 1)), client.call(ADD, &(2, 2)));
            assert_eq!(remote.next().await, Some(Got::Data { route: 1, seq: 1, body: "[1,1]".into() }));
            assert_eq!(remote.data().await.1, 2);
            remote.send(101, 0, "9").await;
            remote.send(1, 2, "4").await;
            remote.send(1, 1, "2").await;
            assert_eq!((first.await.unwrap(), second.await.unwrap()), (2, 4));
            assert_eq!(turns.next().await.unwrap().unwrap(), 9);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_run_around_within_their_width() {
    // conformance 41
    let mut server = server("seq-bytes=1").await;
    let (client, mut remote) = pair(&mut server).await;
    let pending = client.call_timeout(ADD, &(0, 0), Duration::from_secs(600));
    assert_eq!(remote.data().await.1, 1);
    for n in 1..=300u32 {
        let answer = client.call(ADD, &(n, 0));
        let (_, seq, _) = remote.data().await;
        assert_eq!(seq, (n as i32 - 1) % 126 + 2, "1 is in flight");
        remote.send(1, seq, &n.to_string()).await;
        assert_eq!(answer.await.unwrap(), n);
    }
    remote.send(1, 1, "0").await;
    assert_eq!(pending.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_never_meets_another_call() {
    let mut server = server("seq-bytes=1").await;
    let (client, mut remote) = pair(&mut server).await;
    let lost = client.call_timeout(ADD, &(0, 0), Duration::from_millis(100));
    assert!(matches!(lost.await, Err(CallError::Timeout)));
    assert_eq!(remote.data().await.1, 1);
    for n in 0..200u32 {
        let answer = client.call(ADD, &(n, 0));
        let (_, seq, _) = remote.data().await;
        assert_ne!(seq, 1);
        remote.send(1, seq, "7").await;
        assert_eq!(answer.await.unwrap(), 7);
    }
    remote.send(1, 1, "666").await;
    let answer = client.call(ADD, &(1, 1));
    let (_, seq, _) = remote.data().await;
    remote.send(1, seq, "2").await;
    assert_eq!((answer.await.unwrap(), client.stat().late), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn without_numbers_there_are_notifies_and_pushes() {
    let mut server = server("seq-bytes=0").await;
    let (client, remote) = tokio::join!(server.client().connect(), server.accept());
    let (client, mut remote) = (client.unwrap(), remote);
    let e = client.call(ADD, &(1, 1)).await.unwrap_err();
    assert!(matches!(&e, CallError::Unfit(_)) && e.to_string().contains("seq-bytes"), "{e}");
    let mut turns = client.pushes(TURN);
    client.ready().await.unwrap();
    client.notify(SAY, &"a".to_owned()).unwrap();
    assert_eq!(remote.next().await, Some(Got::Data { route: 3, seq: 0, body: "\"a\"".into() }));
    remote.send(101, 0, "3").await;
    assert_eq!(turns.next().await.unwrap().unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_server_with_its_time_in_heartbeats_is_alive() {
    let mut server = server("heartbeat-time=ns").await;
    let (client, mut remote) = pair(&mut server).await;
    for _ in 0..5 {
        assert_eq!(remote.next().await, Some(Got::Heartbeat));
        remote.heartbeat().await;
    }
    drop(remote);
    assert!(matches!(client.closed().await, Closed::Server | Closed::Network { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_old_client_connects_again_too() {
    let mut server = server("").await;
    let builder = server.client().hello(false).reconnect(Backoff::default());
    let (client, remote) = tokio::join!(builder.connect(), server.accept());
    let client = client.unwrap();
    drop(remote);
    let mut remote = server.accept().await;
    client.ready().await.unwrap();
    client.notify(SAY, &"again".to_owned()).unwrap();
    assert_eq!(remote.data().await.2, "\"again\"");
}
