//! Pipelined echoes without pacing: nothing is lost and every connection keeps its order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod wire;

use due::{Url, prelude::*};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{Client, PLACES, soon, start};

const CONNECTIONS: usize = 50;
const BODY: usize = 1024;
/// Size, header, route and seq with four bytes each.
const FRAME: usize = 4 + 1 + 4 + 4 + BODY;

/// Echoes in all; `DUE_LOAD=1000000` is the whole of the promise.
fn echoes() -> usize {
    std::env::var("DUE_LOAD").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

fn frame(seq: usize) -> [u8; FRAME] {
    let mut frame = [seq as u8; FRAME];
    frame[..4].copy_from_slice(&((FRAME - 4) as u32).to_be_bytes());
    frame[4] = 0;
    frame[5..9].copy_from_slice(&3_i32.to_be_bytes());
    frame[9..13].copy_from_slice(&(seq as u32).to_be_bytes());
    frame
}

/// Writes all its frames as fast as the socket takes them and reads as many back.
async fn pipeline(url: Url, frames: usize) {
    let mut client = Client::to(&url).await;
    let (mut read, mut write) = client.stream().split();
    let send = async {
        let mut batch = Vec::with_capacity(64 * FRAME);
        for seq in 0..frames {
            batch.extend_from_slice(&frame(seq));
            if batch.len() >= 64 * FRAME || seq + 1 == frames {
                write.write_all(&batch).await.unwrap();
                batch.clear();
            }
        }
    };
    let take = async {
        let mut got = [0; FRAME];
        for seq in 0..frames {
            read.read_exact(&mut got).await.unwrap_or_else(|e| panic!("echo {seq} of {frames}: {e}"));
            assert!(got == frame(seq), "echo {seq} is {:?}..", &got[..16]);
        }
    };
    tokio::join!(send, take);
}

fn echo(body: Bytes) -> Bytes {
    body
}

#[tokio::test(flavor = "multi_thread")]
// conformance 65, P1, P2
async fn a_flood_of_echoes_over_fifty_connections_loses_nothing() {
    for place in PLACES {
        let listener = "tcp://127.0.0.1:0?route-bytes=4&seq-bytes=4";
        let running = start(place, &[listener], Routes::new().fallback(echo)).await;
        let each = echoes() / CONNECTIONS;
        let tasks: Vec<_> =
            (0..CONNECTIONS).map(|_| tokio::spawn(pipeline(running.url("gate:tcp").unwrap().clone(), each))).collect();
        for task in tasks {
            // No measure: a limit for a machine that is busy with other things too.
            tokio::time::timeout(Duration::from_secs(600), task).await.expect("the flood ends").unwrap();
        }
        let counted = soon("a look", wire::counted(&running)).await;
        let all = (each * CONNECTIONS) as u64;
        assert_eq!((counted.messages, counted.replies, counted.slow), (all, all, 0), "{place:?}");
    }
}
