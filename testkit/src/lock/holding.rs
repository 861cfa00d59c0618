//! Taking, waiting, keeping, giving up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use due_core::{Error, Kind, Result, Retry};
use tokio::time::sleep;

use super::{Bench, Ran, SOON, TTL, name, take, within};

/// due-B22
pub(super) async fn one_holds_and_the_next_has_a_higher_token(bench: Bench) -> Result<Ran> {
    let name = name("token");
    let mut last = 0;
    for _ in 0..5 {
        let guard = bench.a.try_acquire(&name, TTL).await?.ok_or(Kind::Internal)?;
        assert!(guard.token() > last && guard.is_held());
        last = guard.token();
        assert!(bench.b.try_acquire(&name, TTL).await?.is_none());
        assert!(bench.a.try_acquire(&name, TTL).await?.is_none(), "not twice in one process either");
        guard.release().await?;
    }
    Ok(Ran::Yes)
}

pub(super) async fn who_waits_gets_it_when_it_is_free(bench: Bench) -> Result<Ran> {
    let name = name("wait");
    let first = take(&bench.a, &name).await?;
    let token = first.token();
    let (second, released) = tokio::join!(take(&bench.b, &name), async {
        tokio::task::yield_now().await;
        first.release().await
    });
    released?;
    assert!(second?.token() > token);
    Ok(Ran::Yes)
}

pub(super) async fn a_wait_that_is_over_is_a_safe_timeout(bench: Bench) -> Result<Ran> {
    let name = name("late");
    let _held = take(&bench.a, &name).await?;
    for wait in [Duration::ZERO, TTL * 2] {
        let late = within(SOON, "the timeout", bench.b.acquire(&name, TTL, wait)).await?;
        assert_eq!(late.err().map(|e| (e.kind(), e.retry())), Some((Kind::Timeout, Retry::Safe)));
    }
    Ok(Ran::Yes)
}

pub(super) async fn never_two_at_once(bench: Bench) -> Result<Ran> {
    let name = name("crowd");
    let inside = Arc::new(AtomicU64::new(0));
    let tasks = (0..6).map(|n| {
        let (lock, name) = (if n % 2 == 0 { bench.a.clone() } else { bench.b.clone() }, name.clone());
        let inside = inside.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                let guard = lock.acquire(&name, TTL, SOON * 4).await?;
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                guard.release().await?;
            }
            Ok::<_, Error>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        within(SOON * 4, "the crowd", task).await?.map_err(|e| Error::new(Kind::Internal, e.to_string()))??;
    }
    Ok(Ran::Yes)
}

pub(super) async fn names_do_not_mix(bench: Bench) -> Result<Ran> {
    let name = name("a");
    let _one = take(&bench.a, &name).await?;
    let _two = take(&bench.a, &format!("{name}/a")).await?;
    let _three = take(&bench.b, &format!("{name}a")).await?;
    Ok(Ran::Yes)
}

pub(super) async fn a_living_holder_keeps_it_beyond_its_time_to_live(bench: Bench) -> Result<Ran> {
    let name = name("renew");
    let guard = take(&bench.a, &name).await?;
    for _ in 0..8 {
        sleep(TTL / 2).await;
        assert!(guard.is_held());
        assert!(bench.b.try_acquire(&name, TTL).await?.is_none());
    }
    Ok(Ran::Yes)
}

pub(super) async fn a_dropped_guard_gives_it_up(bench: Bench) -> Result<Ran> {
    let name = name("drop");
    for _ in 0..3 {
        drop(take(&bench.a, &name).await?);
        // Well before the time to live is over.
        within(TTL / 2, "the lock", bench.b.acquire(&name, TTL, SOON)).await??.release().await?;
    }
    Ok(Ran::Yes)
}

pub(super) async fn a_dropped_wait_leaves_nothing(bench: Bench) -> Result<Ran> {
    let name = name("cancel");
    let held = take(&bench.a, &name).await?;
    for _ in 0..3 {
        let waiting = tokio::time::timeout(Duration::from_millis(50), bench.b.acquire(&name, TTL, SOON)).await;
        assert!(waiting.is_err());
    }
    held.release().await?;
    within(TTL / 2, "the lock", bench.a.acquire(&name, TTL, SOON)).await??;
    Ok(Ran::Yes)
}

pub(super) async fn a_time_to_live_that_cannot_be_kept_is_refused(bench: Bench) -> Result<Ran> {
    for ttl in [Duration::ZERO, Duration::from_millis(9)] {
        let refused = bench.a.try_acquire(&name("short"), ttl).await;
        assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Config));
    }
    drop(bench.a.acquire(&name("long"), Duration::MAX, Duration::MAX).await?);
    Ok(Ran::Yes)
}
