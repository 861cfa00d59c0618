//! Two incarnations, one id.

use due_core::{
    Error, Kind, Result,
    registry::{Answer, InstanceKind, Standing, UniqueIds},
};
use tokio::time::{self, Instant};

use super::{Bench, Fault, Ran, SOON, node, probe::Says, see, stands, within};

const DETECTED: Ran = Ran::Skipped("the registry does not enforce unique ids");

fn enforces(bench: &Bench) -> bool {
    bench.a.capability().unique_ids == UniqueIds::Enforced
}

pub(super) async fn an_incarnation_registers_once(bench: Bench) -> Result<Ran> {
    if !enforces(&bench) {
        return Ok(DETECTED);
    }
    let instance = node("n1");
    let _guard = bench.a.register(instance.clone()).await?;
    let twice = within(SOON, "the refusal", bench.a.register(instance)).await?;
    assert_eq!(twice.err().map(|e| e.kind()), Some(Kind::Duplicate));
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1"]).await?;
    Ok(Ran::Yes)
}

pub(super) async fn a_living_holder_keeps_its_id(bench: Bench) -> Result<Ran> {
    if !enforces(&bench) {
        return Ok(DETECTED);
    }
    let probe = Says::new(Answer::Alive { host: "box-7".into(), pid: 4711 });
    bench.b.probe_with(probe.clone());
    let guard = bench.a.register(node("n1")).await?;
    let e = refusal(within(SOON, "the refusal", bench.b.register(node("n1"))).await?);
    assert_eq!(e.kind(), Kind::AlreadyRunning);
    assert!(e.to_string().contains("box-7") && e.to_string().contains("4711"), "{e}");
    assert_eq!(probe.asked(), [guard.instance()]);
    assert_eq!(*guard.status().borrow(), Standing::Held);
    Ok(Ran::Yes)
}

/// proves P12: the superseded one does not fight back, so the id changes hands once.
pub(super) async fn a_dead_holder_is_taken_over_and_never_comes_back(bench: Bench) -> Result<Ran> {
    if !enforces(&bench) {
        return Ok(DETECTED);
    }
    bench.b.probe_with(Says::new(Answer::Dead));
    let old = bench.a.register(node("n1")).await?;
    let new = within(SOON, "the take-over", bench.b.register(node("n1"))).await??;
    let lease = bench.a.capability().expiry.1;
    stands(&mut old.status(), Standing::Superseded, lease + SOON).await?;
    let mut watch = bench.a.watch(InstanceKind::Node).await?;
    let wanted = new.instance();
    within(SOON, "the new holder", watch.until(|view| view.members.first() == Some(&wanted))).await?;
    assert_eq!(old.update(|i| i.weight = 3).and(old.settled().await).err().map(|e| e.kind()), Some(Kind::Superseded));
    let calm = Instant::now() + lease * 2;
    let flip = time::timeout_at(calm, watch.until(|view| view.members.first() != Some(&wanted))).await;
    assert!(flip.is_err(), "the id changed hands again: {flip:?}");
    within(SOON, "the loser closes", old.close()).await??;
    assert_eq!((*new.status().borrow(), watch.view().members.len()), (Standing::Held, 1));
    Ok(Ran::Yes)
}

pub(super) async fn a_silent_holder_that_renews_keeps_its_id(bench: Bench) -> Result<Ran> {
    if !enforces(&bench) {
        return Ok(DETECTED);
    }
    bench.b.probe_with(Says::new(Answer::Silent));
    let guard = bench.a.register(node("n1")).await?;
    let lease = bench.a.capability().expiry.1;
    let e = refusal(within(lease * 2 + SOON, "the refusal", bench.b.register(node("n1"))).await?);
    assert_eq!(e.kind(), Kind::AlreadyRunning);
    assert_eq!(*guard.status().borrow(), Standing::Held);
    Ok(Ran::Yes)
}

pub(super) async fn a_silent_holder_loses_its_id_with_its_lease(bench: Bench) -> Result<Ran> {
    bench.b.probe_with(Says::new(Answer::Silent));
    bench.a.register(node("n1")).await?.abandon();
    let lease = bench.a.capability().expiry.1;
    let new = within(lease * 2 + SOON, "the id", bench.b.register(node("n1"))).await??;
    let mut watch = bench.a.watch(InstanceKind::Node).await?;
    let wanted = new.instance();
    within(SOON, "the new holder", watch.until(|view| *view.members == [wanted.clone()])).await?;
    Ok(Ran::Yes)
}

pub(super) async fn who_comes_back_too_late_is_superseded(bench: Bench) -> Result<Ran> {
    if !enforces(&bench) {
        return Ok(DETECTED);
    }
    let late = bench.a.register(node("n1")).await?;
    if !bench.faults.play(Fault::LoseLease(late.instance().key())).await {
        return Ok(Ran::Skipped("leases cannot be lost here"));
    }
    let new = within(SOON, "the free id", bench.b.register(node("n1"))).await??;
    stands(&mut late.status(), Standing::Superseded, bench.a.capability().expiry.1 + SOON).await?;
    drop(late);
    let mut watch = bench.a.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1"]).await?;
    assert_eq!(*new.status().borrow(), Standing::Held);
    Ok(Ran::Yes)
}

fn refusal<T>(outcome: Result<T>) -> Error {
    outcome.err().unwrap_or_else(|| Error::new(Kind::Internal, "registered where a refusal was due"))
}
