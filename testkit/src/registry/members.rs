//! Who is listed, and who is not any more.

use std::time::Duration;

use due_core::{
    Kind, Result,
    registry::{Instance, InstanceKind, Standing, State},
};
use tokio::time::{self, Instant};

use super::{Bench, Ran, SOON, ids, node, see, within};

pub(super) async fn a_registered_instance_is_seen_whole_by_another_process(bench: Bench) -> Result<Ran> {
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    assert!(watch.view().members.is_empty());
    let mut instance = node("n1");
    (instance.weight, instance.state, instance.routes) = (7, State::Busy, u64::MAX);
    instance.labels.insert("zone".into(), "\"ü\"\n".into());
    let guard = within(SOON, "register", bench.a.register(instance.clone())).await??;
    let view = see(&mut watch, &["n1"]).await?;
    assert_eq!(view.members.first(), Some(&instance));
    assert!(view.is_live());
    assert_eq!(view.skipped, 0);
    assert_eq!((guard.instance(), *guard.status().borrow()), (instance, Standing::Held));
    Ok(Ran::Yes)
}

pub(super) async fn a_watch_begins_with_the_full_set(bench: Bench) -> Result<Ran> {
    let _b = bench.a.register(node("b")).await?;
    let _a = bench.b.register(node("a")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["a", "b"]).await?;
    Ok(Ran::Yes)
}

/// B123: `game-admin` is a cousin of `game`, not a part of it.
pub(super) async fn kinds_and_cousin_ids_do_not_mix(bench: Bench) -> Result<Ran> {
    let _game = bench.a.register(node("game")).await?;
    let _cousin = bench.a.register(node("game-admin")).await?;
    let _gate = bench.a.register(Instance::new(InstanceKind::Gate, "game", "gate")).await?;
    let mut nodes = bench.b.watch(InstanceKind::Node).await?;
    let mut gates = bench.b.watch(InstanceKind::Gate).await?;
    see(&mut nodes, &["game", "game-admin"]).await?;
    let view = see(&mut gates, &["game"]).await?;
    assert!(view.members.iter().all(|m| m.kind == InstanceKind::Gate));
    assert!(bench.b.watch(InstanceKind::Mesh).await?.view().members.is_empty());
    Ok(Ran::Yes)
}

pub(super) async fn changes_reach_the_watchers(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    for (state, weight) in [(State::Hang, 0), (State::Work, 9)] {
        guard.update(|i| (i.state, i.weight) = (state, weight))?;
        within(SOON, "the acknowledgement", guard.settled()).await??;
        let wanted = guard.instance();
        within(SOON, "the change", watch.until(|view| view.members.first() == Some(&wanted))).await?;
    }
    Ok(Ran::Yes)
}

pub(super) async fn a_bad_change_is_refused_and_changes_nothing(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    let before = guard.instance();
    let limit = bench.a.capability().max_metadata;
    let refused = |kind, change: fn(&mut Instance, usize)| {
        let outcome = guard.update(|i| change(i, limit));
        assert_eq!(outcome.map_err(|e| e.kind()), Err(kind));
        assert_eq!(guard.instance(), before);
    };
    refused(Kind::Config, |i, _| i.id = "n2".into());
    refused(Kind::Config, |i, _| i.kind = InstanceKind::Gate);
    refused(Kind::Config, |i, _| i.endpoints = vec!["link://h:0".into()]);
    refused(Kind::TooLarge, |i, limit| drop(i.labels.insert("large".into(), "x".repeat(limit))));
    within(SOON, "nothing to settle", guard.settled()).await??;
    Ok(Ran::Yes)
}

pub(super) async fn a_bad_instance_is_refused(bench: Bench) -> Result<Ran> {
    let mut large = node("large");
    large.labels.insert("large".into(), "x".repeat(bench.a.capability().max_metadata));
    for (instance, kind) in [(node("a/b"), Kind::Config), (node(""), Kind::Config), (large, Kind::TooLarge)] {
        assert_eq!(bench.a.register(instance).await.err().map(|e| e.kind()), Some(kind));
    }
    assert!(bench.b.watch(InstanceKind::Node).await?.view().members.is_empty());
    Ok(Ran::Yes)
}

pub(super) async fn closing_removes(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    let _stays = bench.a.register(node("n2")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1", "n2"]).await?;
    within(SOON, "close", guard.close()).await??;
    see(&mut watch, &["n2"]).await?;
    let _again = within(SOON, "the id is free", bench.b.register(node("n1"))).await??;
    see(&mut watch, &["n1", "n2"]).await?;
    Ok(Ran::Yes)
}

pub(super) async fn dropping_the_guard_removes(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1"]).await?;
    drop(guard);
    see(&mut watch, &[]).await?;
    Ok(Ran::Yes)
}

pub(super) async fn an_abandoned_instance_vanishes_with_its_lease(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1"]).await?;
    guard.abandon();
    let limit = bench.a.capability().expiry.1 + SOON;
    within(limit, "the end of the lease", watch.until(|view| view.members.is_empty())).await?;
    Ok(Ran::Yes)
}

pub(super) async fn a_kept_instance_outlives_many_leases(bench: Bench) -> Result<Ran> {
    let guard = bench.a.register(node("n1")).await?;
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    see(&mut watch, &["n1"]).await?;
    let over = Instant::now() + bench.a.capability().expiry.1 * 3;
    let left = time::timeout_at(over, watch.until(|view| ids(view) != ["n1"])).await;
    assert!(left.is_err(), "the view lost a member that is kept: {left:?}");
    assert_eq!(*guard.status().borrow(), Standing::Held);
    Ok(Ran::Yes)
}

pub(super) async fn a_crowd_is_seen_in_full(bench: Bench) -> Result<Ran> {
    let mut watch = bench.b.watch(InstanceKind::Node).await?;
    let mut guards = Vec::new();
    for n in 0..60 {
        let registry = if n % 2 == 0 { &bench.a } else { &bench.b };
        guards.push(registry.register(node(&format!("n{n:02}"))).await?);
    }
    let view = within(SOON, "the crowd", watch.until(|view| view.members.len() == 60)).await?;
    assert!(view.members.is_sorted_by(|x, y| x.id < y.id));
    guards.truncate(10);
    within(SOON, "the crowd leaves", watch.until(|view| view.members.len() == 10)).await?;
    Ok(Ran::Yes)
}

pub(super) async fn an_ended_watch_leaves_the_others_alone(bench: Bench) -> Result<Ran> {
    let mut stays = bench.b.watch(InstanceKind::Node).await?;
    let mut goes = bench.b.watch(InstanceKind::Node).await?;
    let lost = time::timeout(Duration::from_millis(1), goes.changed()).await;
    assert!(lost.is_err(), "a view without a cause: {lost:?}");
    drop(goes);
    let _guard = bench.a.register(node("n1")).await?;
    see(&mut stays, &["n1"]).await?;
    Ok(Ran::Yes)
}
