//! What a network does to links.

use std::sync::atomic::AtomicU8;

use due_core::{Kind, Result, transport::Refused};

use super::{Bench, Ran, SOON, Server, dialer, message, pair, refused, server, suite, within};

const CANNOT: Ran = Ran::Skipped(suite::CANNOT);

pub(super) async fn a_cut_holds_back_and_heals_in_order(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let Some(faults) = &bench.faults else { return Ok(CANNOT) };
    let (gate, node) = (dialer().owner.id, server().id);
    near.send(message(1, 0), b"before").map_err(refused)?;
    near.flush().await?;
    far.frames(1).await?;
    faults.cut(&gate, &node);
    faults.cut(&node, &gate);
    for n in 1..3 {
        near.send(message(1, n), b"held").map_err(refused)?;
        near.flush().await?;
        assert!(far.is_quiet().await);
    }
    let (waiting, ()) = tokio::join!(far.frames(2), async {
        tokio::task::yield_now().await;
        faults.heal(&gate, &node);
    });
    assert_eq!(waiting?.iter().map(|(h, _)| h.seq).collect::<Vec<_>>(), [1, 2]);
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
        near.try_flush().await?;
    }
    assert!(far.is_quiet().await && !near.is_ready_now().await);
    far.send(message(1, 0), b"it still writes").map_err(refused)?;
    far.flush().await?;
    near.frames(1).await?;
    faults.resume(&server().id);
    let (flushed, frames) = tokio::join!(near.flush(), far.frames(sent as usize));
    flushed?;
    assert_eq!(frames?.iter().map(|(head, _)| head.seq).collect::<Vec<_>>(), (0..sent).collect::<Vec<_>>());
    within(SOON, "room", near.ready()).await?.map_err(refused)?;
    Ok(Ran::Yes)
}

pub(super) async fn a_reset_ends_both_ends(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let Some(faults) = &bench.faults else { return Ok(CANNOT) };
    if faults.come_back() {
        return Ok(Ran::Skipped("links come back here"));
    }
    near.send(message(1, 1), b"lost").map_err(refused)?;
    near.flush().await?;
    let (ended, ()) = tokio::join!(near.recv(64), async { faults.reset(&server().id, &dialer().owner.id) });
    assert_eq!((ended?, far.recv(64).await?), (0, 0));
    assert_eq!(near.send(message(1, 2), b""), Err(Refused::Gone));
    assert_eq!(far.ready().await, Err(Refused::Gone));
    Ok(Ran::Yes)
}

pub(super) async fn a_link_that_comes_back_loses_and_repeats_nothing(bench: Bench) -> Result<Ran> {
    let (_server, mut near, mut far) = pair(&bench).await?;
    let Some(faults) = bench.faults.as_ref().filter(|faults| faults.come_back()) else {
        return Ok(Ran::Skipped("links do not come back here"));
    };
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for round in 0..5 {
        for n in 0..10 {
            near.send(message(1, round * 10 + n), b"there").map_err(refused)?;
            far.send(message(1, round * 10 + n), b"back").map_err(refused)?;
        }
        near.try_flush().await?;
        far.try_flush().await?;
        faults.reset(&server().id, &dialer().owner.id);
        let have_all = AtomicU8::new(0);
        let (one, other) = tokio::join!(far.frames_of_two(10, &have_all), near.frames_of_two(10, &have_all));
        there.extend(one?.iter().map(|(head, _)| head.seq));
        back.extend(other?.iter().map(|(head, _)| head.seq));
    }
    assert_eq!(there, (0..50).collect::<Vec<_>>());
    assert_eq!(back, there);
    assert!(near.is_quiet().await && far.is_quiet().await);
    Ok(Ran::Yes)
}

pub(super) async fn a_refused_connect_is_unavailable(bench: Bench) -> Result<Ran> {
    let mut listening = Server::listen(&bench).await?;
    let Some(faults) = &bench.faults else { return Ok(CANNOT) };
    let url = listening.way.clone();
    faults.refuse(&server().id);
    let refused = bench.transport.connect(&url, dialer(), &server()).await;
    assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Unavailable));
    faults.welcome(&server().id);
    listening.pair(&bench).await?;
    faults.cut(&server().id, &dialer().owner.id);
    let cut = within(SOON, "the refusal", bench.transport.connect(&url, dialer(), &server())).await?;
    assert_eq!(cut.err().map(|e| e.kind()), Some(Kind::Unavailable));
    Ok(Ran::Yes)
}
