//! What goes over a link.

use bytes::Bytes;
use due_core::{
    Result,
    transport::{FrameKind, Head, Trace},
};

use super::{Bench, Ran, message, pair, refused};

const KINDS: [FrameKind; 13] = [
    FrameKind::Open,
    FrameKind::Message,
    FrameKind::Bound,
    FrameKind::Unbound,
    FrameKind::Close,
    FrameKind::Reply,
    FrameKind::Error,
    FrameKind::Credit,
    FrameKind::Order,
    FrameKind::Answer,
    FrameKind::Cancel,
    FrameKind::Ping,
    FrameKind::Barrier,
];

/// A head in which no two fields are alike.
fn full(n: usize) -> Head {
    let kind = KINDS.get(n % KINDS.len()).copied().unwrap_or_default();
    Head {
        kind,
        flags: n as u8,
        route: -(n as i32),
        seq: i32::MAX - n as i32,
        lane: u64::MAX - (n % 3) as u64,
        corr: (n as u64) << 33 | 1,
        ttl_ms: u32::MAX - n as u32,
        trace: Trace { id: u128::MAX / 3 + n as u128, span: u64::MAX / 5 + n as u64 },
    }
}

/// proves P1
pub(super) async fn frames_keep_their_order_heads_and_bodies(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let body = |n: usize| vec![n as u8; n * 37 % 3000];
    for n in 0..200 {
        match n % 2 {
            0 => near.send(full(n), &body(n)).map_err(refused)?,
            _ => near.share(full(n), &Bytes::from(body(n))).map_err(refused)?,
        }
        if n % 7 == 0 {
            near.flush().await?;
        }
        if n % 50 == 49 {
            near.flush().await?;
            for (i, (head, bytes)) in far.frames(50).await?.into_iter().enumerate() {
                let sent = full(n - 49 + i);
                // The way has taken its time from it, at most as much as a case may take.
                assert!((sent.ttl_ms - 60_000..=sent.ttl_ms).contains(&head.ttl_ms), "{}", head.ttl_ms);
                assert_eq!((Head { ttl_ms: sent.ttl_ms, ..head }, bytes), (sent, body(n - 49 + i)));
            }
        }
    }
    assert!(far.is_quiet().await);
    Ok(Ran::Yes)
}

pub(super) async fn both_sides_talk_at_once(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    for n in 0..20 {
        near.send(message(1, n), b"there").map_err(refused)?;
        far.send(message(1, -n), b"back").map_err(refused)?;
        near.flush().await?;
        far.flush().await?;
    }
    let there: Vec<_> = far.frames(20).await?.into_iter().map(|(h, b)| (h.seq, b)).collect();
    let back: Vec<_> = near.frames(20).await?.into_iter().map(|(h, b)| (h.seq, b)).collect();
    assert_eq!(there, (0..20).map(|n| (n, b"there".to_vec())).collect::<Vec<_>>());
    assert_eq!(back, (0..20).map(|n| (-n, b"back".to_vec())).collect::<Vec<_>>());
    Ok(Ran::Yes)
}

pub(super) async fn a_large_frame_arrives_whole(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let large: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    near.send(message(1, 1), b"before").map_err(refused)?;
    near.send(message(1, 2), &large).map_err(refused)?;
    let sending = async {
        near.flush().await?;
        near.ready().await.map_err(refused)?;
        near.send(message(1, 3), b"behind").map_err(refused)?;
        near.flush().await
    };
    let (sent, frames) = tokio::join!(sending, far.frames(3));
    sent?;
    let frames = frames?;
    assert_eq!(frames.iter().map(|(h, b)| (h.seq, b.len())).collect::<Vec<_>>(), [(1, 6), (2, large.len()), (3, 6)]);
    assert!(frames.get(1).is_some_and(|f| f.1 == large));
    Ok(Ran::Yes)
}

pub(super) async fn a_receive_takes_no_more_than_it_is_told(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    for n in 0..40 {
        near.send(message(1, n), &[n as u8; 9]).map_err(refused)?;
    }
    near.flush().await?;
    let mut seen = Vec::new();
    while seen.len() < 40 {
        let count = far.recv(3).await?;
        assert!((1..=3).contains(&count) && far.batch.len() == count, "{count}");
        seen.extend((0..count).filter_map(|i| far.batch.get(i)).map(|(h, b)| (h.seq, b.to_vec())));
    }
    assert_eq!(seen, (0..40).map(|n| (n, vec![n as u8; 9])).collect::<Vec<_>>());
    Ok(Ran::Yes)
}

pub(super) async fn received_frames_are_appended(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    far.batch.push(message(9, 9), b"stays");
    near.send(message(1, 1), b"comes").map_err(refused)?;
    near.flush().await?;
    let batch = &mut far.batch;
    let link = &mut far.link;
    let count =
        super::within(super::SOON, "a frame", std::future::poll_fn(|cx| link.poll_recv(cx, batch, 64))).await??;
    assert_eq!((count, batch.len()), (1, 2));
    assert_eq!(batch.get(0), Some((message(9, 9), &b"stays"[..])));
    assert_eq!(batch.get(1), Some((message(1, 1), &b"comes"[..])));
    Ok(Ran::Yes)
}
