//! What happens when the registry misbehaves.

use std::time::Duration;

use due_core::{
    Result,
    registry::{Freshness, InstanceKind, Standing},
};
use tokio::time::Instant;

use super::{Bench, Fault, Ran, SOON, ids, node, see, stands, suite, within};

const CANNOT: Ran = Ran::Skipped(suite::CANNOT);

/// Longest back-off and one call: time to come back after an outage.
const HEALED: Duration = Duration::from_secs(16);

/// proves P12
pub(super) async fn a_wiped_registry_fills_again(bench: Bench) -> Result<Ran> {
    let first = bench.a.register(node("n1")).await?;
    let _second = bench.b.register(node("n2")).await?;
    let mut old = bench.b.watch(InstanceKind::Node).await?;
    see(&mut old, &["n1", "n2"]).await?;
    if !bench.faults.play(Fault::Wipe).await {
        return Ok(CANNOT);
    }
    let mut new = bench.b.watch(InstanceKind::Node).await?;
    for watch in [&mut new, &mut old] {
        let view = see(watch, &["n1", "n2"]).await?;
        assert_eq!(view.members.first().map(|m| m.incarnation), Some(first.instance().incarnation));
    }
    stands(&mut first.status(), Standing::Held, SOON).await?;
    Ok(Ran::Yes)
}

/// proves P12
pub(super) async fn a_lost_lease_is_written_again(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    if !bench.faults.play(Fault::LoseLease(guard.instance().key())).await {
        return Ok(CANNOT);
    }
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    let view = see(&mut watch, &["n1"]).await?;
    assert_eq!(view.members.first(), Some(&guard.instance()));
    stands(&mut guard.status(), Standing::Held, SOON).await?;
    Ok(Ran::Yes)
}

/// proves P12: an older cursor looks valid to a wiped server and brings nothing.
pub(super) async fn a_wipe_that_nobody_is_told_of_is_seen(bench: Bench) -> Result<Ran> {
    bench.a.register(node("n1")).await?.abandon();
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1"]).await?;
    if !bench.faults.play(Fault::Wipe).await {
        return Ok(CANNOT);
    }
    let _new = bench.a.register(node("n2")).await?;
    see(&mut watch, &["n2"]).await?;
    Ok(Ran::Yes)
}

pub(super) async fn a_change_that_nobody_is_told_of_is_seen(bench: Bench) -> Result<Ran> {
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    if !bench.faults.play(Fault::HideChanges(true)).await {
        return Ok(CANNOT);
    }
    let guard = bench.a.register(node("n1")).await?;
    see(&mut watch, &["n1"]).await?;
    guard.close().await?;
    see(&mut watch, &[]).await?;
    Ok(Ran::Yes)
}

/// proves P11
pub(super) async fn an_outage_keeps_the_view_and_heals(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1"]).await?;
    let began = Instant::now();
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    let lease = bench.a.capability().expiry.1;
    stale_and_lost(&mut watch, &guard, lease, began).await?;
    let new = bench.b.watch(InstanceKind::Node).await?;
    assert!(!new.view().is_live() && new.view().members.is_empty());
    bench.faults.play(Fault::Unavailable(false)).await;
    stands(&mut guard.status(), Standing::Held, HEALED).await?;
    within(HEALED, "a live view", watch.until(|view| view.is_live() && ids(view) == ["n1"])).await?;
    Ok(Ran::Yes)
}

/// proves P11: no call waits for ever.
pub(super) async fn a_hanging_registry_holds_nobody_up(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1"]).await?;
    let began = Instant::now();
    if !bench.faults.play(Fault::Hang(true)).await {
        return Ok(CANNOT);
    }
    stale_and_lost(&mut watch, &guard, bench.a.capability().expiry.1, began).await?;
    let new = within(SOON, "a watch without an answer", bench.b.watch(InstanceKind::Node)).await??;
    assert!(!new.view().is_live());
    let closed = within(SOON, "close without an answer", guard.close()).await?;
    assert!(closed.is_err());
    bench.faults.play(Fault::Hang(false)).await;
    within(
        HEALED + bench.a.capability().expiry.1,
        "it is gone",
        watch.until(|view| view.is_live() && view.members.is_empty()),
    )
    .await?;
    Ok(Ran::Yes)
}

async fn stale_and_lost(
    watch: &mut due_core::registry::Watch,
    guard: &due_core::registry::Registration,
    lease: Duration,
    began: Instant,
) -> Result<()> {
    let view = within(SOON * 2, "a stale view", watch.until(|view| !view.is_live())).await?;
    assert_eq!(ids(&view), ["n1"], "the last good view stays");
    let Freshness::Stale { since } = view.fresh else { return Ok(()) };
    assert!(since <= began + SOON);
    stands(&mut guard.status(), Standing::Lost, lease + SOON).await?;
    assert_eq!(ids(&watch.view()), ["n1"], "the last good view stays without a limit");
    Ok(())
}

pub(super) async fn what_changes_in_an_outage_is_written_after_it(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    guard.update(|i| i.weight = 42)?;
    stands(&mut guard.status(), Standing::Lost, bench.a.capability().expiry.1 + SOON).await?;
    bench.faults.play(Fault::Unavailable(false)).await;
    within(HEALED, "the acknowledgement", guard.settled()).await??;
    within(HEALED, "the change", watch.until(|view| view.members.first().is_some_and(|m| m.weight == 42))).await?;
    Ok(Ran::Yes)
}

/// proves P11
pub(super) async fn a_newcomer_waits_for_the_registry(bench: Bench) -> Result<Ran> {
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    let registry = bench.a.clone();
    let mut joining = tokio::spawn(async move { registry.register(node("n1")).await });
    let early = tokio::time::timeout(Duration::from_secs(5), &mut joining).await;
    assert!(early.is_err(), "register gave up: {early:?}");
    bench.faults.play(Fault::Unavailable(false)).await;
    let joined = within(HEALED, "register", joining).await?;
    let _guard = joined.map_err(|e| due_core::Error::new(due_core::Kind::Internal, "the task").because(e))??;
    within(HEALED, "the view", watch.until(|view| ids(view) == ["n1"])).await?;
    Ok(Ran::Yes)
}

pub(super) async fn a_newcomer_that_gives_up_leaves_nothing(bench: Bench) -> Result<Ran> {
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    let early = tokio::time::timeout(Duration::from_secs(1), bench.a.register(node("n1"))).await;
    assert!(early.is_err(), "registered in an outage: {early:?}");
    bench.faults.play(Fault::Unavailable(false)).await;
    let _second = within(HEALED, "register", bench.a.register(node("n2"))).await??;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n2"]).await?;
    let back = tokio::time::timeout(HEALED, watch.until(|view| ids(view) != ["n2"])).await;
    assert!(back.is_err(), "who gave up came back: {back:?}");
    Ok(Ran::Yes)
}

pub(super) async fn old_lists_are_overcome(bench: Bench) -> Result<Ran> {
    let goes = bench.a.register(node("n1")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1"]).await?;
    if !bench.faults.play(Fault::OldLists(true)).await {
        return Ok(CANNOT);
    }
    goes.close().await?;
    let _comes = bench.a.register(node("n2")).await?;
    bench.faults.play(Fault::OldLists(false)).await;
    see(&mut watch, &["n2"]).await?;
    Ok(Ran::Yes)
}
