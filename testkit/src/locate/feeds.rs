//! What watchers learn.

use due_core::{
    Result, SessionId,
    locate::{Change, Event, Feed, Place},
};

use super::{Bench, CANNOT, Fault, NONE, Ran, SOON, at_gate, claim, game, slot, take, user, within};

async fn next(feed: &mut Feed) -> Result<Event> {
    within(SOON, "an event", feed.next()).await
}

fn change(place: Place, slot: Option<due_core::locate::Slot>, epoch: due_core::Epoch) -> Event {
    Event::Change(Change { subject: user(), place, slot, epoch })
}

pub(super) async fn every_feed_sees_every_write_in_order(bench: Bench) -> Result<Ran> {
    take(&bench.a, 9).await?;
    let mut feeds = [bench.a.watch().await?, bench.b.watch().await?];
    let first = take(&bench.a, 1).await?.epoch;
    let second = bench.b.take(user(), game(), claim(2, NONE)).await?.epoch;
    let tomb = bench.a.unbind(user(), Place::Gate, SessionId(1), first).await?.unwrap_or_default();
    for feed in &mut feeds {
        assert_eq!(next(feed).await?, change(Place::Gate, Some(slot(1, first)), first));
        assert_eq!(next(feed).await?, change(game(), Some(slot(2, second)), second));
        assert_eq!(next(feed).await?, change(Place::Gate, None, tomb));
    }
    let [gone, mut stays] = feeds;
    drop(gone);
    let third = take(&bench.b, 3).await?.epoch;
    assert_eq!(next(&mut stays).await?, change(Place::Gate, Some(slot(3, third)), third));
    Ok(Ran::Yes)
}

pub(super) async fn what_changes_nothing_is_no_event(bench: Bench) -> Result<Ran> {
    let first = take(&bench.a, 1).await?.epoch;
    let mut feed = bench.b.watch().await?;
    take(&bench.a, 1).await?;
    bench.a.if_absent(user(), Place::Gate, claim(2, NONE)).await?;
    bench.a.unbind(user(), Place::Gate, SessionId(2), first).await?;
    bench.a.reassert(at_gate(1, first)).await?;
    bench.a.check(vec![at_gate(2, first)]).await?;
    let second = take(&bench.a, 3).await?.epoch;
    assert_eq!(next(&mut feed).await?, change(Place::Gate, Some(slot(3, second)), second));
    Ok(Ran::Yes)
}

/// proves P14
pub(super) async fn a_broken_feed_says_so(bench: Bench) -> Result<Ran> {
    let mut feed = bench.b.watch().await?;
    let first = take(&bench.a, 1).await?.epoch;
    // What is still on its way may be lost with the connection.
    assert_eq!(next(&mut feed).await?, change(Place::Gate, Some(slot(1, first)), first));
    if !bench.faults.play(Fault::BreakFeeds(true)).await {
        return Ok(CANNOT);
    }
    take(&bench.a, 2).await?;
    bench.faults.play(Fault::BreakFeeds(false)).await;
    assert_eq!(next(&mut feed).await?, Event::Gap);
    let third = take(&bench.a, 3).await?.epoch;
    assert_eq!(next(&mut feed).await?, change(Place::Gate, Some(slot(3, third)), third));
    Ok(Ran::Yes)
}
