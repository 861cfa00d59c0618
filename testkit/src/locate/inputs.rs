//! What is refused before the store is asked.

use due_core::{
    Epoch, Error, Kind, Result, SessionId, Uid,
    locate::{Binding, MAX_EPOCH, Place, Record, Subject},
};

use super::{Bench, NONE, Ran, at_gate, claim, slot, user};

fn is_bad<T>(outcome: Result<T>) -> bool {
    outcome.err().as_ref().map(Error::kind) == Some(Kind::BadRequest)
}

pub(super) async fn bad_input_is_refused(bench: Bench) -> Result<Ran> {
    let long = "x".repeat(129);
    let bad: [(Subject, Place); 6] = [
        (Uid::from(0).into(), Place::Gate),
        (Uid::from("").into(), Place::Gate),
        (Uid::from("x".repeat(65)).into(), Place::Gate),
        (Subject::actor("room", ""), Place::node("game")),
        (user(), Place::node("")),
        (user(), Place::node(long)),
    ];
    for (subject, place) in bad {
        let claimed = bench.a.take(subject.clone(), place.clone(), claim(1, NONE)).await;
        assert!(is_bad(claimed), "{subject} {place}");
        let ended = bench.a.unbind(subject.clone(), place.clone(), SessionId(1), Epoch(1)).await;
        assert!(is_bad(ended), "{subject} {place}");
        let restored = bench.a.reassert(Binding { subject, place, slot: slot(1, Epoch(1)) }).await;
        assert!(is_bad(restored));
    }
    assert!(is_bad(bench.a.take(user(), Place::Gate, claim(1, MAX_EPOCH)).await));
    assert!(is_bad(bench.a.take(user(), Place::Gate, claim(1, Epoch(u64::MAX))).await));
    for epoch in [NONE, Epoch(MAX_EPOCH.0 + 1)] {
        assert!(is_bad(bench.a.reassert(at_gate(1, epoch)).await));
    }
    assert!(is_bad(bench.a.unbind(user(), Place::Gate, SessionId(1), MAX_EPOCH).await));
    assert!(is_bad(bench.a.check(vec![at_gate(1, NONE); bench.a.capability().max_check + 1]).await));
    assert_eq!(bench.a.locate(user()).await?, Record::default());
    Ok(Ran::Yes)
}
