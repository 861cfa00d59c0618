//! ws against another implementation, both ways, and what is special to it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::result_large_err, reason = "a test may")]

mod common;

use bytes::Bytes;
use common::{Echo, Peer, accept, noise, url};
use due_core::{
    error::Kind,
    net::{Bound, Farewell, Inbound, Network, Verdict},
};
use due_network::ws::Ws;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_async, accept_hdr_async, client_async,
    tungstenite::{
        self, Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

const AT: &str = "ws://127.0.0.1:0";

/// A client of the other implementation.
async fn oracle(host: &str, path: &str) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
    let stream = TcpStream::connect(host).await.unwrap();
    client_async(format!("ws://{host}{path}"), stream).await.map(|(ws, _)| ws)
}

fn binary(bytes: &[u8]) -> Message {
    Message::Binary(Bytes::copy_from_slice(bytes))
}

/// proves conformance 17
#[tokio::test]
async fn another_client_gets_its_messages_back() {
    let server = Echo::start(&Ws, AT).await;
    let mut client = oracle(server.url.host(), "/any/path?token=1").await.unwrap();
    for len in [1, 125, 126, 127, 65_535, 65_536, 65_600] {
        client.send(binary(&noise(len))).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), binary(&noise(len)), "{len}");
    }
}

#[tokio::test]
async fn many_small_messages_keep_their_order_and_edges() {
    let server = Echo::start(&Ws, AT).await;
    let (mut send, mut receive) = oracle(server.url.host(), "/").await.unwrap().split();
    let messages: Vec<_> = (1..5000usize).map(|i| binary(&noise(i % 300 + 1))).collect();
    let feed = async {
        for message in &messages {
            send.feed(message.clone()).await.unwrap();
        }
        send.flush().await.unwrap();
    };
    let check = async {
        for message in &messages {
            assert_eq!(&receive.next().await.unwrap().unwrap(), message);
        }
    };
    tokio::join!(feed, check);
}

#[tokio::test]
async fn fragments_with_a_ping_between_them_make_one_message() {
    let server = Echo::start(&Ws, AT).await;
    let mut client = oracle(server.url.host(), "/").await.unwrap();
    let part = |body: &'static [u8], opcode, fin| Message::Frame(Frame::message(body, OpCode::Data(opcode), fin));
    client.send(part(b"one ", Data::Binary, false)).await.unwrap();
    client.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"there?")));
    client.send(part(b"", Data::Continue, false)).await.unwrap();
    client.send(part(b"message", Data::Continue, true)).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), binary(b"one message"));
}

/// proves conformance 15
#[tokio::test]
async fn text_and_empty_messages_are_ignored_and_the_connection_stays() {
    let mut server = Echo::start(&Ws, AT).await;
    let mut client = oracle(server.url.host(), "/").await.unwrap();
    let text = |body: &'static [u8], opcode, fin| Message::Frame(Frame::message(body, OpCode::Data(opcode), fin));
    client.send(Message::text("hello")).await.unwrap();
    client.send(binary(b"")).await.unwrap();
    client.send(text(b"long ", Data::Text, false)).await.unwrap();
    client.send(text(b"text", Data::Continue, true)).await.unwrap();
    client.send(text(b"", Data::Binary, false)).await.unwrap();
    client.send(text(b"", Data::Continue, true)).await.unwrap();
    client.send(binary(b"x")).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), binary(b"x"));
    let log = server.until(|log| !log.messages.is_empty()).await;
    assert_eq!((log.messages, log.errors.len()), (vec![b"x".to_vec()], 0));
}

#[tokio::test]
async fn a_close_is_echoed_after_the_messages_before_it() {
    let mut server = Echo::start(&Ws, AT).await;
    for close in [None, Some(CloseFrame { code: CloseCode::Library(4321), reason: "done".into() })] {
        let mut client = oracle(server.url.host(), "/").await.unwrap();
        client.feed(binary(b"last")).await.unwrap();
        client.feed(Message::Close(close.clone())).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), binary(b"last"));
        let Message::Close(echo) = client.next().await.unwrap().unwrap() else { panic!("no close") };
        assert_eq!(echo.map(|c| c.code), close.map(|c| c.code));
        assert!(client.next().await.is_none());
    }
    let log = server.until(|log| log.ends == 2 && log.open == 0).await;
    assert!(log.errors.is_empty());
}

#[tokio::test]
async fn our_goodbye_has_its_code() {
    for (why, code) in [
        (Farewell::Normal, CloseCode::Normal),
        (Farewell::GoingAway, CloseCode::Away),
        (Farewell::Protocol, CloseCode::Protocol),
        (Farewell::Policy, CloseCode::Policy),
    ] {
        let Bound { url, mut listeners } = Ws.bind(&url(AT), 1).await.unwrap();
        let serve = async {
            let mut server = Peer::new(accept(&mut listeners[0]).await);
            assert!(server.conn.opening());
            assert_eq!(server.read().await.unwrap(), Inbound::Head);
            server.conn.admit(Verdict::Accept, &mut server.out);
            assert!(!server.conn.opening());
            server.put(b"bye");
            server.close(why).await;
        };
        let client = async {
            let mut client = oracle(url.host(), "/").await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), binary(b"bye"));
            let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else { panic!("no close") };
            assert_eq!(close.code, code);
            assert!(client.next().await.is_none());
        };
        tokio::join!(serve, client);
    }
}

#[tokio::test]
async fn the_head_is_shown_before_the_verdict() {
    let mut server = Echo::checked(&Ws, AT, |head| match head.query.as_str() {
        "token=good" => Verdict::Accept,
        _ => Verdict::Refuse(403, "wrong token".to_owned()),
    })
    .await;
    oracle(server.url.host(), "/play?token=good").await.unwrap();
    let Err(tungstenite::Error::Http(answer)) = oracle(server.url.host(), "/play?token=bad").await else {
        panic!("let in")
    };
    assert_eq!((answer.status().as_u16(), answer.body().as_deref()), (403, Some(&b"wrong token"[..])));
    let Err(e) = Ws.connect(&url(&format!("{}/play?token=bad", server.url))).await else { panic!("let in") };
    assert_eq!(e.kind(), Kind::Forbidden);
    let log = server.until(|log| log.heads.len() == 3).await;
    assert_eq!((log.heads[0].path.as_str(), log.heads[0].query.as_str()), ("/play", "token=good"));
    assert_eq!(log.heads[0].header("host"), Some(server.url.host()));
    assert!(log.errors.is_empty());
}

/// proves conformance 16
#[tokio::test]
async fn only_the_path_upgrades() {
    let server = Echo::start(&Ws, "ws://127.0.0.1:0?path=/ws").await;
    oracle(server.url.host(), "/ws").await.unwrap();
    let Err(tungstenite::Error::Http(answer)) = oracle(server.url.host(), "/other").await else { panic!("let in") };
    assert_eq!(answer.status().as_u16(), 404);
    Peer::connect(&Ws, &server.url).await.send(b"hello").await.unwrap();
}

#[tokio::test]
async fn our_client_talks_to_another_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at =
        url(&format!("ws://{}/a%20path?token=x%26y&max-message=1MiB&origin=http://o", listener.local_addr().unwrap()));
    let serve = async {
        let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            assert_eq!(request.uri().to_string(), "/a%20path?token=x%26y");
            assert_eq!(request.headers()["origin"], "http://o");
            Ok(response)
        };
        let mut server = accept_hdr_async(listener.accept().await.unwrap().0, check).await.unwrap();
        server.send(Message::Ping(Bytes::from_static(b"1"))).await.unwrap();
        while let Some(message) = server.next().await {
            match message.unwrap() {
                message @ Message::Binary(_) => server.send(message).await.unwrap(),
                Message::Pong(body) => assert_eq!(body, "1"),
                Message::Close(close) => assert_eq!(close.unwrap().code, CloseCode::Normal),
                other => panic!("{other:?}"),
            }
        }
    };
    let client = async {
        let mut client = Peer::connect(&Ws, &at).await;
        for len in [1, 125, 126, 65_535, 65_536, 1 << 20] {
            client.put(&noise(len));
            assert_eq!(client.receive(len).await, noise(len), "{len}");
        }
        client.close(Farewell::Normal).await;
    };
    tokio::join!(serve, client);
}

#[tokio::test]
async fn messages_right_behind_the_answer_are_not_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = url(&format!("ws://{}", listener.local_addr().unwrap()));
    let serve = async {
        let mut server = accept_async(listener.accept().await.unwrap().0).await.unwrap();
        server.send(binary(b"first")).await.unwrap();
        server.close(None).await.unwrap();
    };
    let client = async {
        let mut client = Peer::connect(&Ws, &at).await;
        let (received, end) = client.drain().await;
        end.unwrap();
        assert_eq!(received, b"first");
        client.flush().await.unwrap();
    };
    tokio::join!(serve, client);
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_refused() {
    for (answer, kind) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Kind::Forbidden),
        ("HTTP/1.1 503 Busy\r\n\r\n", Kind::Unavailable),
        (
            "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            Kind::Malformed,
        ),
        ("", Kind::Unavailable),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = url(&format!("ws://{}", listener.local_addr().unwrap()));
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            let _ = stream.try_read(&mut [0; 4096]);
            stream.writable().await.unwrap();
            stream.try_write(answer.as_bytes()).unwrap();
        };
        let (connected, ()) = tokio::join!(Ws.connect(&at), serve);
        let Err(e) = connected else { panic!("connected") };
        assert_eq!(e.kind(), kind, "{answer}");
    }
}

#[tokio::test]
async fn a_client_with_paused_time_gives_up_on_a_silent_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = url(&format!("ws://{}?connect-timeout=5s", listener.local_addr().unwrap()));
    tokio::time::pause();
    let Err(e) = Ws.connect(&at).await else { panic!("connected") };
    assert_eq!(e.kind(), Kind::Unavailable);
}
