//! What a link holds, and what it refuses.

use due_core::{Result, transport::Refused};

use super::{Bench, End, Ran, SOON, message, pair, refused, within};

/// No link holds more than this, whatever lies below it.
const MOST: usize = 64 * 1024 * 1024;

/// Sends until the link is full and says how many frames it took.
async fn fill(end: &mut End, lane: u64, body: &[u8]) -> Result<i32> {
    let mut sent = 0;
    loop {
        match end.send(message(lane, sent), body) {
            Ok(()) => sent += 1,
            Err(Refused::Full) => return Ok(sent),
            Err(gone) => return Err(refused(gone)),
        }
        assert!((sent as usize) * (body.len() + 16) < MOST, "a link without bound");
        end.try_flush().await?;
    }
}

/// proves P19
pub(super) async fn a_full_link_takes_nothing_until_there_is_room(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let body = vec![7; 16 * 1024];
    let sent = fill(&mut near, 1, &body).await?;
    assert!(sent > 0);
    assert_eq!(near.send(message(1, 0), b""), Err(Refused::Full));
    assert!(!near.is_ready_now().await);
    let (mut seen, mut last) = (0, None);
    {
        let mut ready = std::pin::pin!(near.ready());
        loop {
            tokio::select! {
                biased;
                room = &mut ready => break room.map_err(refused)?,
                count = far.recv(8) => {
                    count?;
                    seen += far.batch.len();
                    last = far.batch.len().checked_sub(1).and_then(|i| far.batch.get(i)).map(|(h, _)| h.seq);
                }
            }
        }
    }
    assert_eq!(last, Some(seen as i32 - 1), "in order, none twice");
    near.send(message(1, sent), b"room again").map_err(refused)?;
    near.try_flush().await?;
    let left = sent as usize - seen + 1;
    let (flushed, frames) = tokio::join!(near.flush(), far.frames(left));
    flushed?;
    let order: Vec<_> = frames?.iter().map(|(h, _)| h.seq).collect();
    assert_eq!(order, (seen as i32..=sent).collect::<Vec<_>>());
    Ok(Ran::Yes)
}

pub(super) async fn control_frames_pass_a_full_link_and_are_bounded(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let body = vec![7; 16 * 1024];
    let messages = fill(&mut near, 1, &body).await?;
    let control = fill(&mut near, 0, &[1; 1024]).await?;
    assert!(control > 0, "credit must flow when the link is full");
    let total = (messages + control) as usize;
    let (flushed, frames) = tokio::join!(near.flush(), far.frames(total));
    flushed?;
    let lanes: Vec<_> = frames?.iter().map(|(h, _)| (h.lane, h.seq)).collect();
    let of = |lane| lanes.iter().filter(|(l, _)| *l == lane).map(|(_, seq)| *seq).collect::<Vec<_>>();
    assert_eq!(of(1), (0..messages).collect::<Vec<_>>());
    assert_eq!(of(0), (0..control).collect::<Vec<_>>());
    Ok(Ran::Yes)
}

pub(super) async fn small_frames_are_not_free(bench: Bench) -> Result<Ran> {
    let (_server, mut near, _far) = pair(&bench).await?;
    fill(&mut near, 1, b"").await?;
    Ok(Ran::Yes)
}

/// proves P20
pub(super) async fn links_do_not_disturb_each_other(bench: Bench) -> Result<Ran> {
    let (mut server, mut full, _unread) = pair(&bench).await?;
    let (mut near, mut far) = server.pair(&bench).await?;
    fill(&mut full, 1, &[0; 16 * 1024]).await?;
    for n in 0..100 {
        near.send(message(1, n), b"free").map_err(refused)?;
        near.flush().await?;
        assert_eq!(within(SOON, "a frame", far.frames(1)).await??, [(message(1, n), b"free".to_vec())]);
    }
    Ok(Ran::Yes)
}
