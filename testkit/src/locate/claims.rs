//! Who gets a place, and by which epoch.

use std::collections::BTreeSet;

use due_core::{
    Epoch, Result, SessionId, Uid,
    locate::{Claim, MAX_EPOCH, Place, Record, Subject},
};
use futures_util::future::join_all;

use super::{Bench, NONE, Ran, SOON, above, claim, game, is_refused, owner, slot, take, user, within, won};

/// proves P7
pub(super) async fn the_last_take_wins_with_a_higher_epoch(bench: Bench) -> Result<Ran> {
    assert_eq!(bench.b.locate(user()).await?, Record::default());
    let first = take(&bench.a, 1).await?;
    assert_eq!(first.previous, None);
    let second = take(&bench.b, 2).await?;
    assert!(NONE < first.epoch && first.epoch < second.epoch && second.epoch <= MAX_EPOCH);
    assert_eq!(second.previous, Some(slot(1, first.epoch)));
    let record = bench.a.locate(user()).await?;
    assert_eq!((record.gate.clone(), record.last), (Some(slot(2, second.epoch)), second.epoch));
    assert_eq!(second.record, record);
    Ok(Ran::Yes)
}

pub(super) async fn a_repeated_take_gets_what_the_first_got(bench: Bench) -> Result<Ran> {
    take(&bench.a, 1).await?;
    let first = take(&bench.b, 2).await?;
    let again = take(&bench.b, 2).await?;
    assert_eq!(again, first);
    assert_eq!(again.previous.map(|s| s.session), Some(SessionId(1)), "the kick must not be forgotten");
    Ok(Ran::Yes)
}

/// A resume at another gate brings the session id along.
pub(super) async fn a_session_that_moves_takes_anew(bench: Bench) -> Result<Ran> {
    let first = take(&bench.a, 1).await?;
    let moved = Claim { owner: owner(2), ..claim(1, NONE) };
    let second = bench.b.take(user(), Place::Gate, moved).await?;
    assert!(second.epoch > first.epoch);
    assert_eq!(second.previous, Some(slot(1, first.epoch)));
    Ok(Ran::Yes)
}

pub(super) async fn a_claimant_who_has_seen_more_takes_anew(bench: Bench) -> Result<Ran> {
    let first = take(&bench.a, 1).await?;
    let floor = above(first.epoch, 10);
    let second = bench.a.take(user(), Place::Gate, claim(1, floor)).await?;
    assert!(second.epoch > floor);
    Ok(Ran::Yes)
}

/// To a store with a clock the floor is an epoch of a time when its clock was an hour ahead: it has jumped back since.
pub(super) async fn epochs_rise_above_the_floor_and_over_places(bench: Bench) -> Result<Ran> {
    let first = take(&bench.a, 1).await?;
    let floor = above(first.epoch, 3_600_000_000);
    let node = bench.a.take(user(), game(), claim(1, floor)).await?;
    assert!(node.epoch > floor);
    let gate = take(&bench.b, 2).await?;
    assert!(gate.epoch > node.epoch, "one counter for all places of a subject");
    assert_eq!(gate.record.slot(&game()), Some(&slot(1, node.epoch)), "a bind learns the nodes too");
    Ok(Ran::Yes)
}

pub(super) async fn if_absent_yields_to_a_holder(bench: Bench) -> Result<Ran> {
    let attempt = |n| bench.a.if_absent(user(), Place::Gate, claim(n, NONE));
    let first = won(attempt(1).await?)?;
    assert!(is_refused(&attempt(2).await?, &slot(1, first.epoch)));
    assert_eq!(won(attempt(1).await?)?, first, "its own session is success");
    bench.b.unbind(user(), Place::Gate, SessionId(1), first.epoch).await?;
    let second = won(attempt(2).await?)?;
    assert!(second.epoch > first.epoch);
    assert_eq!(second.previous, None);
    Ok(Ran::Yes)
}

pub(super) async fn if_epoch_is_won_once(bench: Bench) -> Result<Ran> {
    let attempt = |n, seen| bench.a.if_epoch(user(), Place::Gate, seen, claim(n, NONE));
    let first = won(attempt(1, NONE).await?)?;
    let second = won(attempt(2, first.epoch).await?)?;
    assert_eq!(second.previous, Some(slot(1, first.epoch)));
    assert!(is_refused(&attempt(3, first.epoch).await?, &slot(2, second.epoch)));
    assert!(is_refused(&attempt(3, NONE).await?, &slot(2, second.epoch)));
    assert_eq!(won(attempt(2, first.epoch).await?)?, second, "its own session is success");
    let tomb = bench.b.unbind(user(), Place::Gate, SessionId(2), second.epoch).await?.unwrap_or_default();
    assert!(attempt(3, second.epoch).await?.won().is_none());
    let third = won(attempt(3, tomb).await?)?;
    assert!(third.epoch > tomb);
    Ok(Ran::Yes)
}

/// Ten gates may try to rebind a dead slot.
pub(super) async fn of_many_at_once_one_wins(bench: Bench) -> Result<Ran> {
    let dead = take(&bench.a, 1).await?;
    let tries = (2..12).map(|n| {
        let locator = if n % 2 == 0 { &bench.a } else { &bench.b };
        locator.if_epoch(user(), Place::Gate, dead.epoch, claim(n, NONE))
    });
    let attempts: Vec<_> = within(SOON, "all answers", join_all(tries)).await?.into_iter().collect::<Result<_>>()?;
    let winners: Vec<_> = attempts.into_iter().filter_map(|attempt| attempt.won()).collect();
    assert_eq!(winners.len(), 1);
    let held = bench.b.locate(user()).await?.gate;
    assert_eq!(held.map(|s| s.epoch), winners.first().map(|taken| taken.epoch));
    Ok(Ran::Yes)
}

/// proves P8: two logins at once, one order.
pub(super) async fn takes_at_once_get_epochs_of_their_own(bench: Bench) -> Result<Ran> {
    let takes = (1..9).map(|n| take(if n % 2 == 0 { &bench.a } else { &bench.b }, n));
    let taken: Vec<_> = within(SOON, "all answers", join_all(takes)).await?.into_iter().collect::<Result<_>>()?;
    let epochs: BTreeSet<Epoch> = taken.iter().map(|t| t.epoch).collect();
    assert_eq!(epochs.len(), taken.len());
    let displaced: BTreeSet<Epoch> = taken.iter().filter_map(|t| t.previous.as_ref().map(|s| s.epoch)).collect();
    assert_eq!(displaced.len(), taken.len() - 1, "each but the last is displaced once, so each is kicked");
    assert_eq!(bench.a.locate(user()).await?.gate.map(|s| s.epoch), epochs.last().copied());
    Ok(Ran::Yes)
}

pub(super) async fn places_and_subjects_do_not_meet(bench: Bench) -> Result<Ran> {
    let subjects = [
        Uid::from(1).into(),
        Uid::from("1").into(),
        Uid::from("i1").into(),
        Uid::from("a}b").into(),
        Uid::from("a:{b} *\n\0").into(),
        Subject::actor("1", "1"),
        Subject::actor("a:b", "c"),
        Subject::actor("a", "b:c"),
    ];
    let places =
        [Place::Gate, Place::node("gate"), Place::node("game"), Place::node("game/room"), Place::node("game-admin")];
    let mut n = 0;
    for subject in &subjects {
        for place in &places {
            n += 1;
            let taken = bench.a.take(subject.clone(), place.clone(), claim(n, NONE)).await?;
            assert_eq!(taken.previous, None, "{subject} {place}");
        }
        let record = bench.b.locate(subject.clone()).await?;
        assert_eq!((record.gate.is_some(), record.node.len()), (true, places.len() - 1));
    }
    Ok(Ran::Yes)
}

pub(super) async fn an_actor_is_located(bench: Bench) -> Result<Ran> {
    let room = Subject::actor("room", "42");
    let taken = won(bench.a.if_absent(room.clone(), game(), claim(1, NONE)).await?)?;
    let record = bench.b.locate(room).await?;
    assert_eq!(record.slot(&game()), Some(&slot(1, taken.epoch)));
    assert_eq!(record.gate, None);
    Ok(Ran::Yes)
}
