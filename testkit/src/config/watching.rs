//! Watches: state, not history.

use std::collections::BTreeMap;

use due_core::{
    Result,
    config::{Expect, Update},
};

use super::{Bench, CANNOT, Fault, Ran, folder, text, update, value};

pub(super) async fn a_watch_begins_with_the_full_set(bench: Bench) -> Result<Ran> {
    let folder = folder("set/");
    let mut empty = bench.b.watch(&folder).await?;
    assert_eq!(update(&mut empty).await?, Update::All(BTreeMap::new()));
    bench.a.store(&format!("{folder}a"), text("1"), Expect::Any).await?;
    bench.a.store(&format!("{folder}b"), text("2"), Expect::Any).await?;
    let mut watch = bench.b.watch(&folder).await?;
    let Update::All(all) = update(&mut watch).await? else { return Err(due_core::Kind::Internal.into()) };
    assert_eq!(all, bench.a.list(&folder).await?);
    assert_eq!(all.len(), 2);
    Ok(Ran::Yes)
}

pub(super) async fn changes_and_deletions_come_in_order(bench: Bench) -> Result<Ran> {
    let key = folder("key");
    let mut watch = bench.b.watch(&key).await?;
    update(&mut watch).await?;
    for n in 0..5 {
        let version = bench.a.store(&key, text(&n.to_string()), Expect::Any).await?;
        let Update::Key(changed, entry) = update(&mut watch).await? else {
            return Err(due_core::Kind::Internal.into());
        };
        assert_eq!((&*changed, value(entry.as_ref())), (&*key, Some(n.to_string().as_bytes())));
        assert_eq!(entry.map(|e| e.version), Some(version));
    }
    bench.a.delete(&key, Expect::Any).await?;
    assert_eq!(update(&mut watch).await?, Update::Key(key.into(), None));
    Ok(Ran::Yes)
}

/// B123
pub(super) async fn only_its_prefix_comes(bench: Bench) -> Result<Ran> {
    let folder = folder("mine");
    let mut watch = bench.b.watch(&format!("{folder}/")).await?;
    update(&mut watch).await?;
    bench.a.store(&format!("{folder}2/a"), text("other"), Expect::Any).await?;
    bench.a.store(&format!("{folder}/a"), text("mine"), Expect::Any).await?;
    let Update::Key(key, entry) = update(&mut watch).await? else { return Err(due_core::Kind::Internal.into()) };
    assert_eq!((&*key, value(entry.as_ref())), (&*format!("{folder}/a"), Some(&b"mine"[..])));
    Ok(Ran::Yes)
}

/// proves P19
pub(super) async fn a_slow_watcher_sees_the_newest_state(bench: Bench) -> Result<Ran> {
    let key = folder("busy");
    let mut watch = bench.b.watch(&key).await?;
    let mut last = None;
    for n in 0..200 {
        last = Some(bench.a.store(&key, text(&n.to_string()), Expect::Any).await?);
    }
    loop {
        let entry = match update(&mut watch).await? {
            Update::All(all) => all.get(&*key).cloned(),
            Update::Key(_, entry) => entry,
        };
        if entry.map(|e| e.version) == last {
            return Ok(Ran::Yes);
        }
    }
}

pub(super) async fn after_a_break_the_full_set_comes(bench: Bench) -> Result<Ran> {
    let key = folder("break");
    bench.a.store(&key, text("1"), Expect::Any).await?;
    let mut watch = bench.b.watch(&key).await?;
    update(&mut watch).await?;
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    // Whoever is away for less than one question has not been away.
    assert!(bench.b.load(&key).await.is_err());
    bench.faults.play(Fault::Unavailable(false)).await;
    let all = bench.a.list(&key).await?;
    assert_eq!(update(&mut watch).await?, Update::All(all));
    Ok(Ran::Yes)
}
