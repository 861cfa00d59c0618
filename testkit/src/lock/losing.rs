//! Losing a lock, and knowing it.

use std::time::Duration;

use due_core::{Kind, Result};
use tokio::time::{Instant, sleep};

use super::{Bench, CANNOT, Fault, Ran, SOON, TTL, name, take, within};

/// due-B22
pub(super) async fn a_dead_holder_loses_it_with_its_time_to_live(bench: Bench) -> Result<Ran> {
    let name = name("dead");
    let dead = take(&bench.a, &name).await?;
    let token = dead.token();
    dead.abandon();
    assert!(bench.b.try_acquire(&name, TTL).await?.is_none());
    let next = within(TTL + SOON, "the lock of the dead", bench.b.acquire(&name, TTL, SOON)).await??;
    assert!(next.token() > token);
    Ok(Ran::Yes)
}

/// due-B22
pub(super) async fn a_holder_is_told_of_its_loss(bench: Bench) -> Result<Ran> {
    let name = name("wiped");
    let guard = take(&bench.a, &name).await?;
    if !bench.faults.play(Fault::Wipe).await {
        return Ok(CANNOT);
    }
    let next = take(&bench.b, &name).await?;
    assert!(next.token() > guard.token(), "what the lock protects can refuse the old holder");
    within(TTL + Duration::from_millis(100), "the bad news", guard.lost()).await?;
    assert!(!guard.is_held() && next.is_held());
    within(SOON, "the loss is no news any more", guard.lost()).await?;
    Ok(Ran::Yes)
}

/// due-B22: one failed renewal is no loss.
pub(super) async fn a_short_outage_is_survived(bench: Bench) -> Result<Ran> {
    let name = name("blip");
    let guard = take(&bench.a, &name).await?;
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    sleep(TTL * 2 / 5).await;
    bench.faults.play(Fault::Unavailable(false)).await;
    for _ in 0..4 {
        sleep(TTL).await;
        assert!(guard.is_held());
        assert!(bench.b.try_acquire(&name, TTL).await?.is_none());
    }
    Ok(Ran::Yes)
}

/// due-B22
pub(super) async fn a_long_outage_is_a_loss(bench: Bench) -> Result<Ran> {
    let name = name("outage");
    let guard = take(&bench.a, &name).await?;
    sleep(TTL).await;
    let began = Instant::now();
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    within(SOON, "the bad news", guard.lost()).await?;
    assert!(!guard.is_held());
    assert!(began.elapsed() <= TTL + Duration::from_millis(100), "known before others can have it");
    bench.faults.play(Fault::Unavailable(false)).await;
    take(&bench.b, &name).await?;
    Ok(Ran::Yes)
}

/// due-B22
pub(super) async fn a_late_release_does_not_take_it_from_the_next(bench: Bench) -> Result<Ran> {
    let name = name("late");
    let old = take(&bench.a, &name).await?;
    if !bench.faults.play(Fault::Wipe).await {
        return Ok(CANNOT);
    }
    let next = take(&bench.b, &name).await?;
    old.release().await?;
    assert!(bench.a.try_acquire(&name, TTL).await?.is_none());
    sleep(TTL * 2).await;
    assert!(next.is_held());
    Ok(Ran::Yes)
}

pub(super) async fn a_service_that_is_away_says_so(bench: Bench) -> Result<Ran> {
    if !bench.faults.play(Fault::Unavailable(true)).await {
        return Ok(CANNOT);
    }
    let name = name("away");
    let refused = bench.a.try_acquire(&name, TTL).await;
    assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Unavailable));
    let refused = bench.a.acquire(&name, TTL, SOON).await;
    assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Unavailable));
    bench.faults.play(Fault::Unavailable(false)).await;
    take(&bench.a, &name).await?;
    Ok(Ran::Yes)
}
