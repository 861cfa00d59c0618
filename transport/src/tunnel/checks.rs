//! What every way to carry a link must do.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    net::TcpListener,
    sync::mpsc,
    task::AbortHandle,
};

use super::{Arrived, Tunnel};

type Tunnels = mpsc::UnboundedReceiver<Tunnel>;

/// Listens at a free port; every connection counts as proven.
pub(crate) async fn listen(open: impl Fn(TcpListener, Arrived) -> AbortHandle) -> (String, Tunnels, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, arrived) = mpsc::unbounded_channel();
    let task = open(
        listener,
        Arc::new(move |tunnel, passes| {
            passes.iter().for_each(|pass| pass.proven());
            tell.send(tunnel).unwrap();
        }),
    );
    (address, arrived, task)
}

async fn pair<F: Future<Output = Tunnel>>(
    open: impl Fn(TcpListener, Arrived) -> AbortHandle,
    dial: impl Fn(String) -> F,
) -> (Tunnel, Tunnel, AbortHandle) {
    let (address, mut arrived, task) = listen(open).await;
    let near = dial(address).await;
    (near, soon(arrived.recv()).await.unwrap(), task)
}

async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), event).await.unwrap()
}

/// Bytes of which none is like its neighbours.
fn bytes(count: usize, seed: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 31 + i / 251 + seed) as u8).collect()
}

pub(crate) async fn bytes_go_both_ways_in_order_and_end<F: Future<Output = Tunnel>>(
    open: impl Fn(TcpListener, Arrived) -> AbortHandle,
    dial: impl Fn(String) -> F,
) {
    let (near, far, task) = pair(open, dial).await;
    // Listening ends; what is up stays.
    task.abort();
    let (there, back) = (bytes(3_000_000, 1), bytes(2_000_000, 2));
    let send = |tunnel: Tunnel, bytes: Vec<u8>| async move {
        let (mut read, mut write) = split(tunnel);
        let mut got = Vec::new();
        let writing = async {
            for piece in bytes.chunks(10_007) {
                write.write_all(piece).await.unwrap();
            }
            write.shutdown().await.unwrap();
        };
        tokio::join!(writing, async { read.read_to_end(&mut got).await.unwrap() });
        got
    };
    let (at_near, at_far) = soon(async { tokio::join!(send(near, there.clone()), send(far, back.clone())) }).await;
    assert!(at_far == there && at_near == back);
}

pub(crate) async fn whoever_is_left_learns_it<F: Future<Output = Tunnel>>(
    open: impl Fn(TcpListener, Arrived) -> AbortHandle + Copy,
    dial: impl Fn(String) -> F + Copy,
) {
    for near_leaves in [true, false] {
        let (near, far, _open) = pair(open, dial).await;
        let (mut leaves, mut stays) = if near_leaves { (near, far) } else { (far, near) };
        leaves.write_all(b"last words").await.unwrap();
        drop(leaves);
        let mut got = Vec::new();
        soon(stays.read_to_end(&mut got)).await.unwrap();
        assert_eq!(got, b"last words");
        // Whoever writes learns it too, after what was under way.
        soon(async { while stays.write_all(&[0; 4096]).await.is_ok() {} }).await;
    }
}
