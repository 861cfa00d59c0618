//! Calls, answers and notifies.
#![allow(clippy::unwrap_used, reason = "tests may")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{ADD, Got, SAY, SHOUT, Server, settle};
use due_core::{Call, Code, Retry};
use due_sdk::{CallError, Closed, Raw, State};

#[tokio::test(start_paused = true)]
async fn a_call_gets_its_answer() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let answer = client.call(ADD, &(2, 3));
    assert_eq!(remote.data().await, (1, 1, "[2,3]".to_owned()));
    remote.send(1, 1, "5").await;
    assert_eq!(answer.await.unwrap(), 5);
    assert_eq!(client.state(), State::Connected);
}

#[tokio::test(start_paused = true)]
async fn answers_out_of_order_find_their_calls() {
    // conformance 42
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let answers: Vec<_> = (0..10u32).map(|n| client.call(ADD, &(n, 0))).collect();
    let mut seqs = Vec::new();
    for n in 0..10 {
        let (route, seq, body) = remote.data().await;
        assert_eq!((route, body), (1, format!("[{n},0]")), "sent in the order of the calls");
        seqs.push(seq);
    }
    assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
    for n in (0..10).rev() {
        remote.send(1, seqs[n], &(n * 10).to_string()).await;
    }
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap() as usize, n * 10);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_number_on_another_route_is_no_answer() {
    // conformance 40
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let answer = client.call(ADD, &(1, 1));
    remote.data().await;
    remote.send(2, 1, "7").await;
    remote.send(1, 0, "8").await;
    remote.send(1, 1, "2").await;
    assert_eq!(answer.await.unwrap(), 2);
    assert_eq!((client.stat().late, client.stat().unclaimed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_dropped() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let slow = client.call_timeout(ADD, &(1, 1), Duration::from_millis(300));
    assert!(matches!(slow.await, Err(CallError::Timeout)));
    assert_eq!(remote.data().await.1, 1);
    let next = client.call(ADD, &(2, 2));
    let (_, seq, _) = remote.data().await;
    remote.send(1, 1, "2").await;
    remote.send(1, seq, "4").await;
    assert_eq!((seq, next.await.unwrap(), client.stat().late), (2, 4, 1));
}

#[tokio::test(start_paused = true)]
async fn each_call_has_its_own_limit() {
    let mut server = Server::start().await;
    let builder = server.client().timeout(Duration::from_secs(3)).heartbeat(Duration::ZERO);
    let (client, _remote) = server.pair_of(builder).await;
    let start = tokio::time::Instant::now();
    let (usual, short) = (client.call(ADD, &(1, 1)), client.call_timeout(ADD, &(1, 1), Duration::from_millis(500)));
    assert!(matches!(short.await, Err(CallError::Timeout)));
    assert!((500..520).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(matches!(usual.await, Err(CallError::Timeout)));
    assert!((3000..3020).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_error_frame_is_a_refusal() {
    const TAKEN: Code = Code::new(1001, "taken");
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let answer = client.call(ADD, &(1, 1));
    remote.data().await;
    remote.fail(1, 1, 1001, "this name is taken").await;
    let e = answer.await.unwrap_err();
    assert_eq!(e.to_string(), "refused: this name is taken (1001)");
    assert!(e.is(TAKEN) && e.retry() == Retry::Never);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_decode_is_a_codec_error() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let answer = client.call(ADD, &(1, 1));
    remote.data().await;
    remote.send(1, 1, "{").await;
    assert!(matches!(answer.await, Err(CallError::Codec(_))));
}

#[tokio::test(start_paused = true)]
async fn a_notify_has_no_number_and_keeps_its_place() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    client.notify(SAY, &"a".to_owned()).unwrap();
    let answer = client.call(ADD, &(1, 1));
    client.notify(SAY, &"b".to_owned()).unwrap();
    drop(answer);
    let got = [remote.data().await, remote.data().await, remote.data().await];
    assert_eq!(got, [(3, 0, "\"a\"".into()), (1, 1, "[1,1]".into()), (3, 0, "\"b\"".into())]);
}

#[tokio::test(start_paused = true)]
async fn what_the_format_cannot_carry_names_the_setting() {
    const WIDE: Call<Bytes, Bytes, Raw> = Call::new(70_000, "wide");
    const ANY: Call<Bytes, Bytes, Raw> = Call::new(7, "any");
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let e = client.call(WIDE, &Bytes::new()).await.unwrap_err();
    assert!(e.to_string().contains("70000") && e.to_string().contains("route-bytes"), "{e}");
    let e = client.call(ANY, &Bytes::from(vec![0; 65_537])).await.unwrap_err();
    assert!(e.to_string().contains("65537"), "{e}");
    let echoed = client.call(ANY, &Bytes::from_static(b"x"));
    assert_eq!(remote.data().await, (7, 3, "x".into()), "nothing of the refused ones went out");
    remote.send(7, 3, "x").await;
    assert_eq!(echoed.await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_refuses_and_ready_waits_for_room() {
    let mut server = Server::at("memory://server?buffer=1000", due_core::Drivers::memory()).await;
    let builder = server.client().outbox(10_000).heartbeat(Duration::ZERO);
    let (client, mut remote) = server.pair_of(builder).await;
    let text = "x".repeat(900);
    let mut sent = 0;
    let full = loop {
        match client.notify(SAY, &text) {
            Ok(()) => sent += 1,
            Err(e) => break e,
        }
        assert!(sent < 100);
    };
    assert!(matches!(full, CallError::Full) && full.to_string().contains("Client::ready"), "{full}");
    let waiter = client.clone();
    let ready = tokio::spawn(async move { waiter.ready().await });
    settle().await;
    assert!(!ready.is_finished(), "nobody reads yet");
    for _ in 0..sent {
        assert_eq!(remote.data().await.2.len(), 902);
    }
    ready.await.unwrap().unwrap();
    client.notify(SAY, &text).unwrap();
}

#[tokio::test(start_paused = true)]
async fn too_many_calls_in_flight_are_refused_until_one_ends() {
    let mut server = Server::start().await;
    let builder = server.client().in_flight(2);
    let (client, mut remote) = server.pair_of(builder).await;
    let (first, second) = (client.call(ADD, &(1, 1)), client.call(ADD, &(2, 2)));
    assert!(matches!(client.call(ADD, &(3, 3)).await, Err(CallError::Full)));
    let waiter = client.clone();
    let ready = tokio::spawn(async move { waiter.ready().await });
    settle().await;
    assert!(!ready.is_finished());
    remote.send(1, 2, "4").await;
    assert_eq!(second.await.unwrap(), 4);
    ready.await.unwrap().unwrap();
    let third = client.call(ADD, &(3, 3));
    remote.send(1, 3, "6").await;
    remote.send(1, 1, "2").await;
    assert_eq!((first.await.unwrap(), third.await.unwrap()), (2, 6));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_open_says_so() {
    let server = Server::start().await;
    let client = server.client().build().unwrap();
    let e = client.call(ADD, &(1, 1)).await.unwrap_err();
    assert!(matches!(e, CallError::Gone { reason: Closed::Unopened, sent: false }), "{e}");
    assert_eq!((client.state(), client.ready().await), (State::Unopened, Err(Closed::Unopened)));
}

#[tokio::test(start_paused = true)]
async fn the_payload_travels_with_the_hello() {
    let mut server = Server::start().await;
    let client = server.client().payload("token").build().unwrap();
    let script = async {
        let mut remote = server.accept().await;
        assert_eq!(remote.next().await, Some(Got::Hello("token".into())));
        remote.send(101, 0, "1").await;
        remote.welcome().await;
        remote
    };
    let (opened, _remote) = tokio::join!(client.open(), script);
    opened.unwrap();
    assert_eq!(client.stat().unclaimed, 1, "a push may come before the welcome");
    client.open().await.unwrap();
}

#[tokio::test]
async fn handles_on_many_threads_share_one_client() {
    let mut server = Server::start().await;
    let (client, mut remote) = server.pair().await;
    let threads: Vec<_> = (0..4u32)
        .map(|n| {
            let client = client.clone();
            std::thread::spawn(move || (0..100).map(|i| client.call(ADD, &(n, i))).collect::<Vec<_>>())
        })
        .collect();
    for _ in 0..400 {
        let (route, seq, body) = remote.data().await;
        let (a, b): (u32, u32) = serde_json::from_str(&body).unwrap();
        remote.send(route, seq, &(a * 1000 + b).to_string()).await;
    }
    for (n, thread) in threads.into_iter().enumerate() {
        for (i, answer) in thread.join().unwrap().into_iter().enumerate() {
            assert_eq!(answer.await.unwrap() as usize, n * 1000 + i);
        }
    }
    drop(client.call(SHOUT, &"x".to_owned()));
}
