//! How bindings end, and who may write one back.

use due_core::{
    Incarnation, Kind, Owner, Result, SessionId,
    locate::{Binding, Claim, Place, Verdict},
};

use super::{Bench, NONE, Ran, above, at_gate, claim, game, owner, slot, take, user, won};

pub(super) async fn unbind_leaves_a_tombstone_with_a_higher_epoch(bench: Bench) -> Result<Ran> {
    let node = bench.a.take(user(), game(), claim(5, NONE)).await?;
    let taken = take(&bench.a, 1).await?;
    let tomb = bench.b.unbind(user(), Place::Gate, SessionId(1), taken.epoch).await?;
    assert!(tomb > Some(taken.epoch));
    let record = bench.a.locate(user()).await?;
    assert_eq!(record.gate, None);
    assert!(Some(record.last) >= tomb);
    assert_eq!(record.unbound.get(&Place::Gate).copied(), tomb);
    assert_eq!(record.slot(&game()), Some(&slot(5, node.epoch)), "other places stay");
    assert!(Some(take(&bench.a, 2).await?.epoch) > tomb);
    Ok(Ran::Yes)
}

/// proves P7: not the gate alone decides whose binding it is.
pub(super) async fn unbind_compares_session_and_epoch(bench: Bench) -> Result<Ran> {
    let old = take(&bench.a, 1).await?;
    let same_gate = Claim { session: SessionId(9), ..claim(1, NONE) };
    let new = bench.a.take(user(), Place::Gate, same_gate).await?;
    for (session, epoch) in [(1, old.epoch), (9, old.epoch), (1, new.epoch)] {
        assert_eq!(bench.b.unbind(user(), Place::Gate, SessionId(session), epoch).await?, None);
    }
    assert_eq!(bench.b.locate(user()).await?.gate.map(|s| s.epoch), Some(new.epoch));
    Ok(Ran::Yes)
}

pub(super) async fn unbind_may_be_repeated(bench: Bench) -> Result<Ran> {
    let taken = take(&bench.a, 1).await?;
    let tomb = bench.a.unbind(user(), Place::Gate, SessionId(1), taken.epoch).await?;
    assert!(tomb.is_some());
    assert_eq!(bench.b.unbind(user(), Place::Gate, SessionId(1), taken.epoch).await?, tomb);
    let next = take(&bench.b, 2).await?;
    assert_eq!(bench.a.unbind(user(), Place::Gate, SessionId(1), taken.epoch).await?, None);
    assert_eq!(bench.a.locate(user()).await?.gate, Some(slot(2, next.epoch)));
    Ok(Ran::Yes)
}

/// proves P7: a logout that only deletes is undone by the next sweep of a gate that was not told.
pub(super) async fn a_late_reassert_revives_no_logout(bench: Bench) -> Result<Ran> {
    let taken = take(&bench.a, 1).await?;
    bench.b.unbind(user(), Place::Gate, SessionId(1), taken.epoch).await?;
    let late = at_gate(1, taken.epoch);
    assert!(matches!(bench.a.check(vec![late.clone()]).await?[..], [Verdict::Fenced(by)] if by > taken.epoch));
    assert!(matches!(bench.a.reassert(late).await?, Verdict::Fenced(by) if by > taken.epoch));
    assert_eq!(bench.b.locate(user()).await?.gate, None);
    Ok(Ran::Yes)
}

/// A reassert that was on its way when the session ended comes after it.
pub(super) async fn unbind_of_a_lost_slot_leaves_a_tombstone(bench: Bench) -> Result<Ran> {
    let given = above(NONE, 500);
    let tomb = bench.a.unbind(user(), Place::Gate, SessionId(1), given).await?;
    assert!(tomb > Some(given));
    assert!(matches!(bench.a.reassert(at_gate(1, given)).await?, Verdict::Fenced(_)));
    assert!(Some(take(&bench.b, 2).await?.epoch) > tomb);
    Ok(Ran::Yes)
}

/// A client that was displaced closes late, at a store that has forgotten by whom.
pub(super) async fn unbind_fences_nobody_above_it(bench: Bench) -> Result<Ran> {
    let first = take(&bench.a, 1).await?;
    bench.a.take(user(), game(), claim(5, above(first.epoch, 100))).await?;
    bench.a.unbind(user(), Place::Gate, SessionId(1), first.epoch).await?;
    let later = at_gate(2, above(first.epoch, 1));
    assert_eq!(bench.b.check(vec![later.clone()]).await?, [Verdict::Missing]);
    assert_eq!(bench.b.reassert(later).await?, Verdict::Current);
    assert_eq!(bench.a.unbind(user(), Place::Gate, SessionId(1), first.epoch).await?, None);
    assert_eq!(bench.a.locate(user()).await?.gate, Some(slot(2, above(first.epoch, 1))));
    Ok(Ran::Yes)
}

pub(super) async fn reassert_follows_the_epochs(bench: Bench) -> Result<Ran> {
    let lost = above(NONE, 500);
    assert_eq!(bench.a.reassert(at_gate(1, lost)).await?, Verdict::Current, "unknown: written back");
    assert_eq!(bench.a.reassert(at_gate(1, lost)).await?, Verdict::Current, "there already");
    assert_eq!(bench.a.locate(user()).await?.gate, Some(slot(1, lost)));
    assert_eq!(bench.b.reassert(at_gate(2, lost)).await?, Verdict::Tie(slot(1, lost)), "equal: nobody wins here");
    let higher = above(lost, 5);
    assert_eq!(bench.b.reassert(at_gate(2, higher)).await?, Verdict::Current, "lower in the store: written over");
    assert_eq!(bench.a.reassert(at_gate(1, lost)).await?, Verdict::Fenced(higher));
    let record = bench.a.locate(user()).await?;
    assert_eq!((record.gate, record.last), (Some(slot(2, higher)), higher));
    assert!(take(&bench.a, 3).await?.epoch > higher, "a reasserted epoch counts");
    Ok(Ran::Yes)
}

pub(super) async fn check_answers_in_order_and_writes_nothing(bench: Bench) -> Result<Ran> {
    let gate = take(&bench.a, 1).await?;
    let node = bench.a.take(user(), game(), claim(2, NONE)).await?;
    let before = bench.a.locate(user()).await?;
    let at_game = |n, epoch| Binding { subject: user(), place: game(), slot: slot(n, epoch) };
    let asked = vec![
        at_gate(1, gate.epoch),
        at_game(2, node.epoch),
        at_game(3, node.epoch),
        at_game(2, above(node.epoch, 1)),
        at_gate(1, NONE),
        Binding { place: Place::node("lobby"), ..at_game(2, node.epoch) },
    ];
    let verdicts = bench.b.check(asked).await?;
    let tie = Verdict::Tie(slot(2, node.epoch));
    let wanted =
        [Verdict::Current, Verdict::Current, tie, Verdict::Missing, Verdict::Fenced(gate.epoch), Verdict::Missing];
    assert_eq!(verdicts, wanted);
    assert_eq!(bench.b.check(Vec::new()).await?, []);
    assert_eq!(bench.b.locate(user()).await?, before);
    Ok(Ran::Yes)
}

/// proves P9
pub(super) async fn a_fenced_owner_owns_nothing(bench: Bench) -> Result<Ran> {
    let taken = take(&bench.a, 1).await?;
    bench.b.fence(owner(1)).await?;
    bench.b.fence(owner(1)).await?;
    let record = bench.a.locate(user()).await?;
    assert_eq!((record.gate.clone(), record.epoch(&Place::Gate)), (None, taken.epoch));
    let own = at_gate(1, taken.epoch);
    assert_eq!(bench.a.check(vec![own.clone()]).await?, [Verdict::Fenced(taken.epoch)]);
    assert!(matches!(bench.a.reassert(own).await?, Verdict::Fenced(_)));
    assert!(matches!(bench.a.reassert(at_gate(1, above(taken.epoch, 9))).await?, Verdict::Fenced(_)));
    for again in [1, 77] {
        let claim = Claim { session: SessionId(again), ..claim(1, NONE) };
        assert_eq!(bench.a.take(user(), Place::Gate, claim).await.err().map(|e| e.kind()), Some(Kind::Stale));
    }
    let next = won(bench.b.if_epoch(user(), Place::Gate, taken.epoch, claim(2, NONE)).await?)?;
    assert!(next.epoch > taken.epoch);
    assert_eq!(next.previous, None, "there is nobody to kick");
    Ok(Ran::Yes)
}

pub(super) async fn a_fence_covers_one_incarnation(bench: Bench) -> Result<Ran> {
    let stays = take(&bench.a, 1).await?;
    let other_life = Owner { incarnation: Incarnation(1111), ..owner(1) };
    bench.b.fence(other_life.clone()).await?;
    assert_eq!(bench.a.locate(user()).await?.gate, Some(slot(1, stays.epoch)));
    let later = Claim { owner: Owner { incarnation: Incarnation(2222), ..other_life }, ..claim(1, NONE) };
    assert!(bench.a.take(user(), game(), later).await?.epoch > stays.epoch);
    Ok(Ran::Yes)
}
