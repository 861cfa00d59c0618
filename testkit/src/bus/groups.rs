//! Groups: each event to one member.

use std::collections::HashMap;

use due_core::{
    Result,
    bus::{Delivery, Options, Subscription},
};

use super::{Bench, Ran, SOON, is_quiet, next, number, numbers, publish, subscribe, topic, within};

const NONE: Ran = Ran::Skipped("the bus has no groups");
const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn key(n: u64) -> &'static str {
    KEYS.get(n as usize % KEYS.len()).copied().unwrap_or_default()
}

/// Takes whatever either has, `count` events in all; which of the two got each.
async fn share(one: &mut Subscription, two: &mut Subscription, count: usize) -> Result<Vec<(u8, u64)>> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let (who, delivery) = within(SOON, "an event for the group", async {
            tokio::select! {
                d = one.next() => (1, d),
                d = two.next() => (2, d),
            }
        })
        .await?;
        if let Some(Delivery::Event(event)) = delivery {
            event.ack().await?;
            seen.push((who, number(&event)));
        }
    }
    Ok(seen)
}

pub(super) async fn one_member_gets_each_event(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().group {
        return Ok(NONE);
    }
    let mut all: Vec<_> = worked(&bench).await?.iter().map(|s| s.1).collect();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
    Ok(Ran::Yes)
}

pub(super) async fn a_group_keeps_the_order_of_a_key(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().group_order {
        return Ok(Ran::Skipped("groups of this bus do not keep the order of a key"));
    }
    let mut of_key: HashMap<_, Vec<_>> = HashMap::new();
    worked(&bench).await?.iter().for_each(|(_, n)| of_key.entry(key(*n)).or_default().push(*n));
    for (key, order) in of_key {
        assert!(order.is_sorted(), "key {key}: {order:?}");
    }
    Ok(Ran::Yes)
}

/// What two members of a group get of 200 events, as they get it.
async fn worked(bench: &Bench) -> Result<Vec<(u8, u64)>> {
    let topic = topic("group");
    let mut one = subscribe(&bench.a, &topic, Options::default().group("workers")).await?;
    let mut two = subscribe(&bench.b, &topic, Options::default().group("workers")).await?;
    for n in 0..200 {
        publish(&bench.a, &topic, key(n), n).await?;
    }
    let seen = share(&mut one, &mut two, 200).await?;
    assert!(is_quiet(&mut one).await && is_quiet(&mut two).await);
    Ok(seen)
}

pub(super) async fn groups_and_plain_subscribers_do_not_share(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().group {
        return Ok(NONE);
    }
    let topic = topic("groups");
    let mut plain = subscribe(&bench.a, &topic, Options::default()).await?;
    let mut one = subscribe(&bench.a, &topic, Options::default().group("one")).await?;
    let mut two = subscribe(&bench.a, &topic, Options::default().group("two")).await?;
    for n in 0..20 {
        publish(&bench.b, &topic, key(n), n).await?;
    }
    assert_eq!(numbers(&mut plain, 20).await?, (0..20).collect::<Vec<_>>());
    for sub in [&mut one, &mut two] {
        let mut seen = numbers(sub, 20).await?;
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }
    Ok(Ran::Yes)
}

pub(super) async fn who_stays_gets_all_that_comes_after_a_leave(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().group {
        return Ok(NONE);
    }
    let topic = topic("leave");
    let leaves = subscribe(&bench.a, &topic, Options::default().group("g")).await?;
    let mut stays = subscribe(&bench.b, &topic, Options::default().group("g")).await?;
    drop(leaves);
    // A broker may still give some to the one that has just left.
    let mut seen = Vec::new();
    for round in 0..100 {
        for n in 0..8 {
            publish(&bench.a, &topic, key(n), round * 8 + n).await?;
        }
        seen.clear();
        while let Ok(Ok(Delivery::Event(e))) =
            tokio::time::timeout(std::time::Duration::from_millis(200), next(&mut stays)).await
        {
            seen.push(number(&e) % 8);
            if seen.len() == 8 {
                break;
            }
        }
        seen.sort_unstable();
        if seen == (0..8).collect::<Vec<_>>() {
            return Ok(Ran::Yes);
        }
    }
    Err(due_core::Error::new(due_core::Kind::Lost, format!("the last member gets only {seen:?}")))
}
