//! What a network does to links.

use due_core::{Kind, Result, transport::Refused};

use super::{Bench, Ran, SOON, Server, dialer, message, pair, refused, server, within};

const CANNOT: Ran = Ran::Skipped("faults cannot be played here");

pub(super) async fn a_cut_holds_back_and_heals_in_order(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let Some(faults) = &bench.faults else { return Ok(CANNOT) };
    let (gate, node) = (dialer().owner.id, server().id);
    near.send(message(1, 0), b"before").map_err(refused)?;
    near.flush().await?;
    faults.cut_both(&gate, &node);
    assert!(far.is_quiet().await);
    near.send(message(1, 1), b"held").map_err(refused)?;
    near.flush().await?;
    assert!(far.is_quiet().await);
    let (waiting, ()) = tokio::join!(far.frames(2), async {
        tokio::task::yield_now().await;
        faults.heal(&gate, &node);
    });
    assert_eq!(waiting?.iter().map(|(h, _)| h.seq).collect::<Vec<_>>(), [0, 1]);
    Ok(Ran::Yes)
}

/// A one-way cut hides the end of a link too.
pub(super) async fn a_cut_is_one_way(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let Some(faults) = &bench.faults else { return Ok(CANNOT) };
    let (gate, node) = (dialer().owner.id, server().id);
    faults.cut(&gate, &node);
    far.send(message(1, 7), b"this way").map_err(refused)?;
    far.flush().await?;
    assert_eq!(near.frames(1).await?, [(message(1, 7), b"this way".to_vec())]);
    drop(near);
    assert!(far.is_quiet().await);
    assert_eq!(far.send(message(1, 8), b"into the dark"), Ok(()));
    faults.heal(&node, &gate);
    assert_eq!(far.recv(64).await?, 0);
    assert_eq!(far.send(message(1, 9), b""), Err(Refused::Gone));
    Ok(Ran::Yes)
}

pub(super) async fn a_stalled_reader_fills_its_link(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let Some(faults) = &bench.faults else { return Ok(CANNOT) };
    faults.stall(&server().id);
    let mut sent = 0;
    while near.send(message(1, sent), &[0; 4096]).is_ok() {
        sent += 1;
        near.flush().await?;
    }
    assert!(far.is_quiet().await && !near.is_ready_now().await);
    far.send(message(1, 0), b"it still writes").map_err(refused)?;
    far.flush().await?;
    near.frames(1).await?;
    faults.resume(&server().id);
    assert_eq!(far.frames(sent as usize).await?.len(), sent as usize);
    within(SOON, "room", near.ready()).await?.map_err(refused)?;
    Ok(Ran::Yes)
}

pub(super) async fn a_reset_ends_both_ends(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let Some(faults) = &bench.faults else { return Ok(CANNOT) };
    near.send(message(1, 1), b"lost").map_err(refused)?;
    near.flush().await?;
    let (ended, ()) = tokio::join!(near.recv(64), async { faults.reset(&server().id, &dialer().owner.id) });
    assert_eq!((ended?, far.recv(64).await?), (0, 0));
    assert_eq!(near.send(message(1, 2), b""), Err(Refused::Gone));
    assert_eq!(far.ready().await, Err(Refused::Gone));
    Ok(Ran::Yes)
}

pub(super) async fn a_refused_connect_is_unavailable(bench: Bench) -> Result<Ran> {
    let mut listening = Server::listen(&bench).await?;
    let Some(faults) = &bench.faults else { return Ok(CANNOT) };
    let url = listening.listening.url.clone();
    faults.refuse(&server().id);
    let refused = bench.transport.connect(&url, dialer(), &server()).await;
    assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Unavailable));
    faults.welcome(&server().id);
    listening.pair(&bench).await?;
    faults.cut(&server().id, &dialer().owner.id);
    let cut = bench.transport.connect(&url, dialer(), &server()).await;
    assert_eq!(cut.err().map(|e| e.kind()), Some(Kind::Unavailable));
    Ok(Ran::Yes)
}
