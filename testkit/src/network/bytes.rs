//! What goes over a connection.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use due_core::{Result, net::Framing};

use super::{Bench, Ran, SOON, Server, within};

pub(super) async fn bytes_arrive_whole_and_in_order_both_ways(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 1).await?;
    let (mut client, mut conn) = server.pair(&bench).await?;
    let (before, mut came) = ((client.conn.received(), conn.conn.received()), (0, 0));
    for round in 0..50u8 {
        let (up, down) = (vec![round; 1 + usize::from(round) * 40], vec![!round; 7]);
        client.queue(&up);
        client.queue(b"|");
        conn.queue(&down);
        client.flush().await?;
        conn.flush().await?;
        assert_eq!(conn.bytes(up.len() + 1).await?, [&up[..], b"|"].concat());
        assert_eq!(client.bytes(down.len()).await?, down);
        came = (came.0 + down.len() as u64, came.1 + up.len() as u64 + 1);
    }
    let received = (client.conn.received() - before.0, conn.conn.received() - before.1);
    match conn.conn.framing() {
        Framing::Stream => assert_eq!(received, came, "what was read is counted"),
        Framing::Messages => assert!(received.0 > came.0 && received.1 > came.1, "with what stands around messages"),
    }
    Ok(Ran::Yes)
}

pub(super) async fn a_large_body_arrives_whole(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 1).await?;
    let (mut client, mut conn) = server.pair(&bench).await?;
    let body: Vec<u8> = (0..1_000_000u32).map(|n| (n % 253) as u8).collect();
    for chunk in body.chunks(50_000) {
        conn.queue(chunk);
    }
    let (flushed, read) = tokio::join!(conn.flush(), client.bytes(body.len()));
    flushed?;
    assert!(read? == body);
    Ok(Ran::Yes)
}

pub(super) async fn shared_bodies_arrive_between_copied_ones(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 1).await?;
    let (mut client, mut conn) = server.pair(&bench).await?;
    let shared = Bytes::from(vec![9; 10_000]);
    let mut wanted = Vec::new();
    for n in 0..5u8 {
        conn.queue(&[n; 10]);
        conn.queue_shared(&shared);
        wanted.extend_from_slice(&[n; 10]);
        wanted.extend_from_slice(&shared);
    }
    let (flushed, read) = tokio::join!(conn.flush(), client.bytes(wanted.len()));
    flushed?;
    assert!(read? == wanted);
    Ok(Ran::Yes)
}

/// proves P20: what a peer does not read stays with the writer, and shows.
pub(super) async fn a_reader_that_stops_stops_the_writer(bench: Bench) -> Result<Ran> {
    let mut server = Server::bind(&bench, 1).await?;
    let (mut client, mut conn) = server.pair(&bench).await?;
    let body = vec![5; 64 * 1024];
    let mut queued = 0;
    // A socket may take a turn to say that it is full, and the system buffers some megabytes.
    let mut full = 0;
    while full < 3 {
        conn.queue(&body);
        queued += body.len();
        full = if conn.try_flush().await? { 0 } else { full + 1 };
        assert!(queued < 256 * 1024 * 1024, "a connection without bound");
    }
    let before = conn.conn.taken();
    let (mut read, mut flushed) = (Vec::new(), false);
    while read.len() < queued {
        let more = read.len() + 1;
        client.read(&mut read, more).await?;
        flushed = poll_fn(|cx| Poll::Ready(conn.poll_flush(cx).is_ready())).await;
    }
    assert_eq!(read.len(), queued);
    if !flushed {
        within(SOON, "the last bytes", poll_fn(|cx| conn.poll_flush(cx))).await??;
    }
    assert!(conn.conn.taken() > before, "the slow-client clock sees the reader");
    assert!(conn.conn.taken() as usize >= queued);
    Ok(Ran::Yes)
}
