//! One connection through the proxy: two pipes, each with the faults of its direction.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
};

/// Bytes of one read.
const CHUNK: usize = 16 * 1024;

/// Reads under way in a pipe; more wait in the sockets.
const CHUNKS: usize = 64;

/// What the way does to bytes, in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Nothing passes.
    pub(super) silent: bool,
    /// How long each byte travels.
    pub(super) delay: Duration,
}

/// Carries bytes both ways until both ends are done or one breaks.
pub(super) async fn join(client: TcpStream, server: TcpStream, faults: [watch::Receiver<Faults>; 2]) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let [there, back] = faults;
    // An error of one direction ends both: half a connection is not what a network leaves.
    let _ = tokio::try_join!(pipe(from_client, to_server, there), pipe(from_server, to_client, back));
}

async fn pipe(from: OwnedReadHalf, to: OwnedWriteHalf, faults: watch::Receiver<Faults>) -> io::Result<()> {
    let (send, receive) = mpsc::channel(CHUNKS);
    tokio::try_join!(read(from, send, faults.clone()), write(to, receive, faults)).map(|_| ())
}

/// A chunk and when it arrives. An empty one is the end.
type Chunk = (Instant, Arc<[u8]>);

async fn read(mut from: OwnedReadHalf, to: mpsc::Sender<Chunk>, faults: watch::Receiver<Faults>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        let arrives = Instant::now() + faults.borrow().delay;
        let chunk = buffer.get(..length).unwrap_or_default().into();
        if to.send((arrives, chunk)).await.is_err() || length == 0 {
            return Ok(());
        }
    }
}

async fn write(
    mut to: OwnedWriteHalf,
    mut from: mpsc::Receiver<Chunk>,
    faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    while let Some((arrives, chunk)) = from.recv().await {
        tokio::time::sleep_until(arrives.into()).await;
        // Gone is who gave the order: the way is open then.
        let _ = faults.clone().wait_for(|f| !f.silent).await;
        if chunk.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&chunk).await?;
    }
    Ok(())
}
