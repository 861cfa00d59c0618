//! What tcp and ws do alike.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod common;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use common::{Echo, Peer, accept, networks, noise, url};
use due_core::{
    error::Kind,
    net::{Bound, Farewell, Inbound},
};
use futures_util::FutureExt;
use tokio::{net::TcpStream, sync::Notify};

const MEGABYTE: usize = 1 << 20;

#[tokio::test]
async fn a_message_comes_back_as_it_was() {
    for (network, at) in networks() {
        let mut server = Echo::start(network.as_ref(), at).await;
        let mut client = Peer::connect(network.as_ref(), &server.url).await;
        for message in [&b"a"[..], b"hello", &noise(200), &noise(60_000)] {
            client.send(message).await.unwrap();
            assert_eq!(client.receive(message.len()).await, message, "{at}");
        }
        assert!(client.conn.taken() >= 60_206);
        assert_eq!(client.conn.peer().to_string(), server.url.host());
        client.close(Farewell::Normal).await;
        let log = server.until(|log| log.open == 0).await;
        assert_eq!((log.accepted, log.ends, log.errors.len()), (1, 1, 0), "{at}");
    }
}

#[tokio::test]
async fn a_megabyte_goes_each_way_at_once() {
    for (network, at) in networks() {
        let server = Echo::start(network.as_ref(), at).await;
        let mut client = Peer::connect(network.as_ref(), &server.url).await;
        let sent = noise(MEGABYTE);
        sent.chunks(50_000).for_each(|message| client.put(message));
        assert_eq!(client.receive(sent.len()).await, sent, "{at}");
    }
}

#[tokio::test]
async fn a_full_socket_takes_a_part_and_wakes_for_the_rest() {
    for (network, at) in networks() {
        let Bound { url, mut listeners } = network.bind(&url(at), 1).await.unwrap();
        let (mut client, mut server) = Peer::pair(network.as_ref(), &url, &mut listeners[0]).await;
        let body = Bytes::from(noise(50_000));
        let mut sent = 0;
        // Until the system's buffers are full.
        loop {
            server.put(b"small");
            server.share(&body);
            sent += 5 + body.len();
            tokio::task::yield_now().await;
            if poll_fn(|cx| Poll::Ready(server.conn.poll_write(cx, &mut server.out).is_pending())).await
                && server.out.len() > MEGABYTE
            {
                break;
            }
        }
        let before = server.conn.taken();
        assert!(before > 0 && before < sent as u64, "{at}: {before} of {sent}");
        let (received, flushed) = tokio::join!(client.receive(sent), server.flush());
        flushed.unwrap();
        assert!(server.conn.taken() >= sent as u64);
        for (i, piece) in received.chunks(5 + body.len()).enumerate() {
            assert!(piece[..5] == b"small"[..] && piece[5..] == body[..], "{at}: piece {i}");
        }
    }
}

/// proves conformance 31
#[tokio::test]
async fn a_graceful_close_delivers_everything_to_a_peer_that_was_never_read() {
    for (network, at) in networks() {
        let Bound { url, mut listeners } = network.bind(&url(at), 1).await.unwrap();
        let (mut client, mut server) = Peer::pair(network.as_ref(), &url, &mut listeners[0]).await;
        // Closing a socket with unread bytes resets it and throws away what is under way.
        client.send(&noise(40_000)).await.unwrap();
        let sent = noise(MEGABYTE);
        sent.chunks(50_000).for_each(|message| server.put(message));
        let receive = async {
            let (received, end) = client.drain().await;
            end.unwrap();
            client.close(Farewell::Normal).await;
            received
        };
        let (received, ()) = tokio::join!(receive, server.close(Farewell::Normal));
        assert!(received == sent, "{at}: {} bytes", received.len());
    }
}

#[tokio::test]
async fn a_half_closed_or_reset_peer_ends_the_connection() {
    for (network, at) in networks() {
        let mut server = Echo::start(network.as_ref(), at).await;
        let raw = TcpStream::connect(server.url.host()).await.unwrap();
        drop(raw);
        server.until(|log| log.ends == 1 && log.open == 0).await;
        let raw = TcpStream::connect(server.url.host()).await.unwrap();
        server.until(|log| log.accepted == 2).await;
        raw.set_zero_linger().unwrap();
        drop(raw);
        let log = server.until(|log| log.open == 0).await;
        assert_eq!(log.errors, [Kind::Gone], "{at}");
    }
}

#[tokio::test]
async fn a_closed_listener_gives_out_what_was_queued_and_frees_the_address() {
    for (network, at) in networks() {
        for options in ["", "?reuseport=on"] {
            let Bound { url, mut listeners } = network.bind(&url(&format!("{at}{options}")), 1).await.unwrap();
            let mut queued = Vec::new();
            for _ in 0..20 {
                queued.push(TcpStream::connect(url.host()).await.unwrap());
            }
            listeners[0].close();
            for _ in 0..20 {
                accept(&mut listeners[0]).await;
            }
            // The acceptor has seen the end of the queue when the address refuses.
            while TcpStream::connect(url.host()).await.is_ok() {
                tokio::task::yield_now().await;
                let _ = poll_fn(|cx| Poll::Ready(listeners[0].poll_accept(cx).is_ready())).await;
            }
            assert!(poll_fn(|cx| Poll::Ready(listeners[0].poll_accept(cx).is_pending())).await);
            network.bind(&url, 1).await.unwrap();
        }
    }
}

#[tokio::test]
async fn dropping_the_listeners_frees_the_address_at_once() {
    for (network, at) in networks() {
        let Bound { mut url, .. } = network.bind(&url(at), 3).await.unwrap();
        for _ in 0..10 {
            let bound = network.bind(&url, 3).await.unwrap();
            assert_eq!(bound.url, url);
            url = bound.url;
        }
    }
}

#[tokio::test]
async fn a_busy_address_is_named() {
    for (network, at) in networks() {
        let bound = network.bind(&url(at), 1).await.unwrap();
        let Err(e) = network.bind(&bound.url, 1).await else { panic!("bound twice") };
        assert_eq!(e.kind(), Kind::Config);
        assert!(e.to_string().contains(bound.url.host()) && e.to_string().contains("another process"), "{e}");
    }
}

#[tokio::test]
async fn clients_are_dealt_in_turn() {
    for (network, at) in networks() {
        let Bound { url, mut listeners } = network.bind(&url(at), 3).await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..9 {
            clients.push(TcpStream::connect(url.host()).await.unwrap());
        }
        for listener in &mut listeners {
            for _ in 0..3 {
                accept(listener).await;
            }
        }
    }
}

#[tokio::test]
async fn a_shard_that_does_not_accept_leaves_the_clients_to_the_others() {
    for (network, at) in networks() {
        let Bound { url, mut listeners } = network.bind(&url(at), 2).await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..300 {
            clients.push(TcpStream::connect(url.host()).await.unwrap());
        }
        // The first shard's queue holds 128 of them.
        for _ in 0..172 {
            accept(&mut listeners[1]).await;
        }
        drop(listeners.remove(1));
        for _ in 0..128 {
            accept(&mut listeners[0]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn shards_on_threads_of_their_own_serve_what_they_are_dealt() {
    for (network, at) in networks() {
        for options in ["", "?reuseport=on"] {
            let Bound { url, listeners } = network.bind(&url(&format!("{at}{options}")), 2).await.unwrap();
            let (stop, stopped) = tokio::sync::watch::channel(());
            let shards: Vec<_> =
                listeners.into_iter().map(|listener| common::thread(listener, stopped.clone())).collect();
            let mut clients = Vec::new();
            for _ in 0..20 {
                let mut client = Peer::connect(network.as_ref(), &url).await;
                client.send(b"hello").await.unwrap();
                clients.push(client);
            }
            for client in &mut clients {
                assert_eq!(client.receive(5).await, b"hello", "{at}{options}");
            }
            drop(stop);
            shards.into_iter().for_each(|shard| shard.join().unwrap());
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn with_reuseport_each_shard_accepts_for_itself() {
    for (network, at) in networks() {
        let Bound { url, mut listeners } = network.bind(&url(&format!("{at}?reuseport=on")), 2).await.unwrap();
        let mut clients = Vec::new();
        let mut counts = [0; 2];
        for _ in 0..64 {
            clients.push(TcpStream::connect(url.host()).await.unwrap());
            let (shard, _conn) = poll_fn(|cx| {
                for (shard, listener) in listeners.iter_mut().enumerate() {
                    if let Poll::Ready(conn) = listener.poll_accept(cx) {
                        return Poll::Ready((shard, conn.unwrap()));
                    }
                }
                Poll::Pending
            })
            .await;
            counts[shard] += 1;
        }
        assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
    }
}

/// The system resets what is queued at a socket that is closed while another shares its address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn closing_one_of_two_reuseport_listeners_loses_no_queued_client() {
    for (network, at) in networks() {
        let Bound { url, mut listeners } = network.bind(&url(&format!("{at}?reuseport=on")), 2).await.unwrap();
        let mut queued = Vec::new();
        for _ in 0..40 {
            queued.push(TcpStream::connect(url.host()).await.unwrap());
        }
        let mut stays = listeners.pop().unwrap();
        let mut goes = listeners.pop().unwrap();
        goes.close();
        let mut counts = [0; 2];
        let mut conns = Vec::new();
        for i in 0..40 {
            let next = poll_fn(|cx| {
                for (of, listener) in [&mut goes, &mut stays].into_iter().enumerate() {
                    if let Poll::Ready(conn) = listener.poll_accept(cx) {
                        return Poll::Ready((of, conn.unwrap()));
                    }
                }
                Poll::Pending
            });
            // A limit against hanging, not a measure.
            let next = tokio::time::timeout(std::time::Duration::from_secs(60), next).await;
            let (of, conn) = next.unwrap_or_else(|_| panic!("{at}: client {i} of 40 is lost"));
            counts[of] += 1;
            conns.push(conn);
        }
        assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}: both had clients in their queues");
        assert!(poll_fn(|cx| Poll::Ready(goes.poll_accept(cx).is_pending())).await);
        // Whoever comes now comes to the one that stays.
        for _ in 0..20 {
            queued.push(TcpStream::connect(url.host()).await.unwrap());
            conns.push(accept(&mut stays).await);
        }
        assert!(queued.iter().all(|client| client.take_error().unwrap().is_none()), "{at}: a client was reset");
    }
}

#[tokio::test]
async fn a_wrong_url_says_what_is_wrong() {
    for (network, at) in networks() {
        for (text, word) in [
            (format!("{at}?backlogs=1"), "backlogs"),
            (format!("{at}?backlog=many"), "many"),
            (format!("{at}?nodelay=off"), "nodelay"),
            (at.replace("127.0.0.1:0", "127.0.0.1"), "127.0.0.1"),
            (at.replace("127.0.0.1:0", "127.0.0.1:1,127.0.0.1:2"), "one host"),
            (at.replace("127.0.0.1", "192.0.2.1"), "192.0.2.1"),
        ] {
            let Err(e) = network.bind(&url(&text), 1).await else { panic!("{text} was bound") };
            assert_eq!(e.kind(), Kind::Config, "{text}");
            assert!(format!("{e:?}").contains(word), "{e:?}");
        }
        network.bind(&url(&format!("{at}?nodelay&backlog=10")), 1).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    for (network, at) in networks() {
        let bound = network.bind(&url(at), 1).await.unwrap();
        let url = bound.url.clone();
        drop(bound);
        let Err(e) = network.connect(&url).await else { panic!("connected") };
        assert_eq!(e.kind(), Kind::Unavailable, "{at}");
    }
}

/// proves B10 of due, conformance 29
#[tokio::test]
async fn churn_leaves_no_connection_behind() {
    for (network, at) in networks() {
        let mut server = Echo::start(network.as_ref(), at).await;
        for _ in 0..100 {
            let mut raw = Vec::new();
            for _ in 0..20 {
                raw.push(TcpStream::connect(server.url.host()).await.unwrap());
            }
            for stream in raw {
                stream.set_zero_linger().unwrap();
            }
        }
        let log = server.until(|log| log.accepted == 2000 && log.open == 0).await;
        assert_eq!(log.errors.len() + log.ends, 2000, "{at}");
        let mut client = Peer::connect(network.as_ref(), &server.url).await;
        client.send(b"still here").await.unwrap();
        assert_eq!(client.receive(10).await, b"still here");
    }
}

#[tokio::test]
async fn a_read_without_more_has_left_its_waker() {
    for (network, at) in networks() {
        let Bound { url, mut listeners } = network.bind(&url(at), 1).await.unwrap();
        let (mut client, mut server) = Peer::pair(network.as_ref(), &url, &mut listeners[0]).await;
        client.send(b"first").await.unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        loop {
            match server.poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => woken.0.notified().await,
                Poll::Ready(inbound) if inbound.as_ref().unwrap() == &(Inbound::Data { more: false }) => break,
                Poll::Ready(_) => {}
            }
        }
        let _ = woken.0.notified().now_or_never();
        client.send(b"second").await.unwrap();
        woken.0.notified().await;
        assert_eq!(server.receive(6).await, b"second", "{at}");
    }
}

#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}
