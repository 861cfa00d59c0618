use std::time::Duration;

use super::*;
use crate::id::{Incarnation, Uid};

fn uid() -> Subject {
    Uid::from(7).into()
}

fn claim(session: u128, floor: u64) -> Claim {
    let owner = Owner { id: "gate-1".into(), incarnation: Incarnation(session as u64) };
    Claim { owner, session: SessionId(session), floor: Epoch(floor) }
}

fn take(ledger: &mut Ledger, session: u128, floor: u64) -> Taken {
    ledger.claim(uid(), Place::Gate, claim(session, floor), If::Always).unwrap().0.won().unwrap()
}

fn unbind(ledger: &mut Ledger, session: u128, epoch: Epoch) -> Option<Epoch> {
    ledger.unbind(uid(), Place::Gate, (SessionId(session), epoch), Instant::now()).unwrap().0
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_is_forgotten_after_48_hours_and_its_epoch_is_not() {
    let mut ledger = Ledger::default();
    let taken = take(&mut ledger, 1, 41);
    let tomb = unbind(&mut ledger, 1, taken.epoch).unwrap();
    tokio::time::advance(Duration::from_secs(48 * 3600 - 1)).await;
    ledger.forget(Instant::now());
    assert_eq!(ledger.record(&uid()).unbound[&Place::Gate], tomb);
    tokio::time::advance(Duration::from_secs(1)).await;
    ledger.forget(Instant::now());
    assert!(ledger.entries.is_empty());
    assert!(take(&mut ledger, 2, 0).epoch > tomb);
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_written_over_leaves_the_new_slot_alone() {
    let mut ledger = Ledger::default();
    let first = take(&mut ledger, 1, 0);
    unbind(&mut ledger, 1, first.epoch);
    let second = take(&mut ledger, 2, 0);
    tokio::time::advance(Duration::from_secs(49 * 3600)).await;
    ledger.forget(Instant::now());
    assert_eq!(ledger.record(&uid()).gate.unwrap().epoch, second.epoch);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_fence_revives_no_slot() {
    let mut ledger = Ledger::default();
    let taken = take(&mut ledger, 1, 0);
    ledger.fence(claim(1, 0).owner, Instant::now());
    tokio::time::advance(Duration::from_secs(49 * 3600)).await;
    ledger.forget(Instant::now());
    assert!(ledger.fenced.is_empty());
    assert_eq!((ledger.record(&uid()).gate, ledger.record(&uid()).last), (None, taken.epoch));
}

#[test]
fn an_epoch_over_the_limit_is_refused_and_changes_nothing() {
    let mut ledger = Ledger::default();
    let e = ledger.claim(uid(), Place::Gate, claim(1, MAX_EPOCH.0), If::Always).unwrap_err();
    assert_eq!(e.kind(), Kind::BadRequest);
    assert!(ledger.claim(uid(), Place::Gate, claim(1, u64::MAX), If::Always).is_err());
    assert!(ledger.entries.is_empty());
    assert_eq!(take(&mut ledger, 1, MAX_EPOCH.0 - 1).epoch, MAX_EPOCH);
}

#[test]
fn undo_restores_what_a_replica_had() {
    let mut ledger = Ledger::default();
    let first = take(&mut ledger, 1, 0);
    take(&mut ledger, 2, 0);
    take(&mut ledger, 3, 0);
    ledger.undo(2);
    assert_eq!(ledger.record(&uid()).gate.unwrap().epoch, first.epoch);
    ledger.undo(usize::MAX);
    assert_eq!(ledger.record(&uid()), Record::default());
}

#[tokio::test(start_paused = true)]
async fn a_user_who_comes_and_goes_is_queued_once() {
    let mut ledger = Ledger::default();
    for session in 1..=100 {
        let taken = take(&mut ledger, session, 0);
        unbind(&mut ledger, session, taken.epoch);
    }
    assert_eq!(ledger.history.queued(), 1);
}
