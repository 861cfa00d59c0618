//! What happens when the store misbehaves.

use due_core::{
    Epoch, Kind, Result, Retry, SessionId,
    locate::{Claim, Event, Locator, Place, Verdict},
};
use std::sync::Arc;

use super::{Bench, CANNOT, Fault, NONE, Ran, SOON, at_gate, claim, slot, take, user, within, won};

/// proves P7: the caller's floor carries the epoch over a wipe.
pub(super) async fn epochs_do_not_fall_over_a_wipe(bench: Bench) -> Result<Ran> {
    let mut seen = NONE;
    for n in 1..6 {
        seen = bench.a.take(user(), Place::Gate, claim(n, seen)).await?.epoch;
    }
    if !bench.faults.play(Fault::Wipe).await {
        return Ok(CANNOT);
    }
    let after = bench.b.take(user(), Place::Gate, claim(7, seen)).await?;
    assert!(after.epoch > seen);
    Ok(Ran::Yes)
}

pub(super) async fn epochs_do_not_fall_over_a_wipe_without_a_floor(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().rises_alone {
        return Ok(Ran::Skipped("without a clock only the floor carries the epoch over a wipe"));
    }
    let before = take(&bench.a, 1).await?;
    if !bench.faults.play(Fault::Wipe).await {
        return Ok(CANNOT);
    }
    assert!(take(&bench.b, 2).await?.epoch > before.epoch);
    Ok(Ran::Yes)
}

pub(super) async fn a_wiped_store_is_filled_by_its_owners(bench: Bench) -> Result<Ran> {
    let mut feed = bench.b.watch().await?;
    let taken = take(&bench.a, 1).await?;
    if !bench.faults.play(Fault::Wipe).await {
        return Ok(CANNOT);
    }
    within(SOON, "the change", feed.next()).await?;
    assert_eq!(within(SOON, "the gap", feed.next()).await?, Event::Gap);
    let own = at_gate(1, taken.epoch);
    assert_eq!(bench.a.check(vec![own.clone()]).await?, [Verdict::Missing]);
    assert_eq!(bench.a.reassert(own.clone()).await?, Verdict::Current);
    assert_eq!(bench.b.check(vec![own]).await?, [Verdict::Current]);
    assert_eq!(bench.b.locate(user()).await?.gate, Some(slot(1, taken.epoch)));
    Ok(Ran::Yes)
}

/// proves P8
pub(super) async fn after_a_failover_the_later_login_wins(bench: Bench) -> Result<Ran> {
    let first = take(&bench.a, 1).await?;
    let second = take(&bench.b, 2).await?;
    if !bench.faults.play(Fault::FailOver(1)).await {
        return Ok(CANNOT);
    }
    let (old, new) = (at_gate(1, first.epoch), at_gate(2, second.epoch));
    assert_eq!(bench.a.check(vec![old.clone(), new.clone()]).await?, [Verdict::Current, Verdict::Missing]);
    assert_eq!(bench.b.reassert(new).await?, Verdict::Current);
    assert_eq!(bench.a.check(vec![old.clone()]).await?, [Verdict::Fenced(second.epoch)]);
    assert_eq!(bench.a.reassert(old).await?, Verdict::Fenced(second.epoch));
    Ok(Ran::Yes)
}

/// Two sessions with one epoch: the smaller session id takes anew, the other is fenced by that.
pub(super) async fn a_tie_after_a_failover_is_told_and_ends(bench: Bench) -> Result<Ran> {
    let lost = take(&bench.a, 1).await?;
    if !bench.faults.play(Fault::FailOver(1)).await {
        return Ok(CANNOT);
    }
    let given = bench.b.reassert(at_gate(2, lost.epoch)).await?;
    assert_eq!(given, Verdict::Current);
    let (mine, theirs) = (at_gate(1, lost.epoch), at_gate(2, lost.epoch));
    assert_eq!(bench.a.reassert(mine.clone()).await?, Verdict::Tie(theirs.slot.clone()));
    let anew = bench.a.take(user(), Place::Gate, claim(1, lost.epoch)).await?;
    assert!(anew.epoch > lost.epoch);
    assert_eq!(anew.previous, Some(theirs.slot.clone()), "so that it is kicked");
    assert_eq!(bench.b.check(vec![theirs]).await?, [Verdict::Fenced(anew.epoch)]);
    Ok(Ran::Yes)
}

pub(super) async fn a_lost_answer_is_had_by_asking_again(bench: Bench) -> Result<Ran> {
    let first = take(&bench.a, 1).await?;
    if !bench.faults.play(Fault::LoseAnswers(1)).await {
        return Ok(CANNOT);
    }
    let unheard = take(&bench.b, 2).await;
    assert_eq!(unheard.err().map(|e| e.retry()), Some(Retry::Unknown));
    let taken = take(&bench.b, 2).await?;
    assert_eq!(taken.previous, Some(slot(1, first.epoch)), "the kick must not be forgotten");
    assert_eq!(bench.a.locate(user()).await?.last, taken.epoch, "one epoch for one login");

    bench.faults.play(Fault::LoseAnswers(1)).await;
    let rebind = || bench.b.if_epoch(user(), Place::Gate, taken.epoch, claim(3, NONE));
    assert!(rebind().await.is_err());
    let rebound = won(rebind().await?)?;

    bench.faults.play(Fault::LoseAnswers(1)).await;
    let unbind = || bench.b.unbind(user(), Place::Gate, SessionId(3), rebound.epoch);
    assert!(unbind().await.is_err());
    let tomb = unbind().await?;
    assert!(tomb.is_some());
    assert_eq!(tomb, bench.a.locate(user()).await?.unbound.get(&Place::Gate).copied());
    Ok(Ran::Yes)
}

pub(super) async fn an_outage_is_an_error_and_never_an_answer(bench: Bench) -> Result<Ran> {
    let taken = take(&bench.a, 1).await?;
    let before = bench.a.locate(user()).await?;
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    for outcome in every_call(&bench.b, taken.epoch).await? {
        assert_eq!(outcome.map_err(|e| (e.kind(), e.retry())), Err((Kind::Unavailable, Retry::Safe)));
    }
    bench.faults.play(Fault::Unavailable(false)).await;
    assert_eq!(within(SOON, "the store is back", bench.b.locate(user())).await??, before, "nothing happened");
    Ok(Ran::Yes)
}

/// The outcome of each operation; none may take longer than 1 s.
async fn every_call(locator: &Arc<dyn Locator>, epoch: Epoch) -> Result<Vec<Result<()>>> {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(1);
    let new = || Claim { session: SessionId(99), ..claim(2, NONE) };
    let own = at_gate(1, epoch);
    Ok(vec![
        within(LIMIT, "take", locator.take(user(), Place::Gate, new())).await?.map(drop),
        within(LIMIT, "if_absent", locator.if_absent(user(), Place::Gate, new())).await?.map(drop),
        within(LIMIT, "if_epoch", locator.if_epoch(user(), Place::Gate, epoch, new())).await?.map(drop),
        within(LIMIT, "reassert", locator.reassert(own.clone())).await?.map(drop),
        within(LIMIT, "unbind", locator.unbind(user(), Place::Gate, SessionId(1), epoch)).await?.map(drop),
        within(LIMIT, "locate", locator.locate(user())).await?.map(drop),
        within(LIMIT, "check", locator.check(vec![own.clone()])).await?.map(drop),
        within(LIMIT, "fence", locator.fence(own.slot.owner)).await?,
    ])
}
