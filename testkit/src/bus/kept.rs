//! Events that the broker keeps.

use due_core::{
    Kind, Result,
    bus::{Begin, Cause, Delivery, Gap, Options, Receipt},
};

use super::{Bench, Ran, event, gap, is_quiet, lost, next, number, numbers, publish, subscribe, topic, until};

const NOT_DURABLE: Ran = Ran::Skipped("the bus keeps no positions");
const NO_REPLAY: Ran = Ran::Skipped("the bus cannot replay");

fn durable() -> Options {
    Options::default().durable("ledger")
}

pub(super) async fn what_is_not_acknowledged_comes_again(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().durable {
        return Ok(NOT_DURABLE);
    }
    let topic = topic("ack");
    let mut sub = subscribe(&bench.a, &topic, durable()).await?;
    for n in 0..5 {
        publish(&bench.b, &topic, "", n).await?;
    }
    for n in 0..5 {
        let event = event(&mut sub).await?;
        assert_eq!(number(&event), n);
        if n != 1 && n != 3 {
            event.ack().await?;
        }
    }
    drop(sub);
    let mut sub = subscribe(&bench.b, &topic, durable()).await?;
    publish(&bench.b, &topic, "", 5).await?;
    let mut again = Vec::new();
    while again.len() < 3 {
        let event = event(&mut sub).await?;
        event.ack().await?;
        again.push(number(&event));
    }
    again.sort_unstable();
    assert_eq!(again, [1, 3, 5]);
    assert!(is_quiet(&mut sub).await);
    Ok(Ran::Yes)
}

pub(super) async fn a_durable_name_keeps_its_place(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().durable {
        return Ok(NOT_DURABLE);
    }
    let topic = topic("place");
    publish(&bench.a, &topic, "", 0).await?;
    drop(subscribe(&bench.a, &topic, durable()).await?);
    for n in 1..10 {
        publish(&bench.a, &topic, "", n).await?;
    }
    let mut sub = subscribe(&bench.b, &topic, durable()).await?;
    assert_eq!(numbers(&mut sub, 9).await?, (1..10).collect::<Vec<_>>());
    Ok(Ran::Yes)
}

/// proves P13
pub(super) async fn a_durable_name_is_told_what_was_trimmed(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().durable {
        return Ok(NOT_DURABLE);
    }
    let topic = topic("trim");
    drop(subscribe(&bench.a, &topic, durable()).await?);
    const COUNT: u64 = 3000;
    for n in 0..COUNT {
        publish(&bench.a, &topic, "", n).await?;
    }
    let mut sub = subscribe(&bench.b, &topic, durable()).await?;
    let (mut seen, mut gaps) = (Vec::new(), Vec::new());
    while seen.last() != Some(&(COUNT - 1)) {
        match next(&mut sub).await? {
            Delivery::Event(event) => {
                event.ack().await?;
                seen.push(number(&event));
            }
            Delivery::Gap(gap) => gaps.push(gap),
        }
    }
    assert!(gaps.iter().all(|g| g.cause == Cause::Trimmed), "{gaps:?}");
    assert_eq!(seen.len() as u64 + lost(&gaps), COUNT);
    Ok(Ran::Yes)
}

pub(super) async fn subscribers_of_a_durable_name_share(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().durable {
        return Ok(NOT_DURABLE);
    }
    let topic = topic("share");
    let mut one = subscribe(&bench.a, &topic, durable()).await?;
    let mut two = subscribe(&bench.b, &topic, durable()).await?;
    for n in 0..40 {
        publish(&bench.a, &topic, "", n).await?;
    }
    let mut seen = Vec::new();
    while seen.len() < 40 {
        let delivery = super::within(super::SOON, "an event", async {
            tokio::select! { d = one.next() => d, d = two.next() => d }
        });
        if let Some(Delivery::Event(event)) = delivery.await? {
            event.ack().await?;
            seen.push(number(&event));
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
    assert!(is_quiet(&mut one).await && is_quiet(&mut two).await);
    Ok(Ran::Yes)
}

pub(super) async fn a_replay_begins_where_it_is_told(bench: Bench) -> Result<Ran> {
    if !bench.a.capability().replay {
        return Ok(NO_REPLAY);
    }
    let topic = topic("replay");
    let mut positions = Vec::new();
    for n in 0..6 {
        if let Receipt::Stored { position } = publish(&bench.a, &topic, "", n).await? {
            positions.push(position);
        }
    }
    let mut all = subscribe(&bench.b, &topic, Options::default().from(Begin::First)).await?;
    let mut from_positions = Vec::new();
    for n in 0..6 {
        let event = event(&mut all).await?;
        assert_eq!(number(&event), n);
        from_positions.extend(event.position);
    }
    assert_eq!(from_positions.len(), 6);
    assert!(positions.is_empty() || positions == from_positions);
    for (n, position) in from_positions.into_iter().enumerate() {
        let mut sub = subscribe(&bench.b, &topic, Options::default().from(Begin::After(position))).await?;
        let left: Vec<_> = (n as u64 + 1..6).collect();
        assert_eq!(numbers(&mut sub, left.len()).await?, left);
        assert!(is_quiet(&mut sub).await);
    }
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    let mut since = subscribe(&bench.b, &topic, Options::default().from(Begin::Time(long_ago))).await?;
    publish(&bench.a, &topic, "", 6).await?;
    assert_eq!(numbers(&mut since, 7).await?, (0..7).collect::<Vec<_>>());
    let unknown = due_core::bus::Position("nonsense".into());
    if let Ok(mut sub) = subscribe(&bench.b, &topic, Options::default().from(Begin::After(unknown))).await {
        assert_eq!(gap(&mut sub).await?, Gap { cause: Cause::Trimmed, lost: None });
        until(&mut sub, 6).await?;
    }
    Ok(Ran::Yes)
}

pub(super) async fn a_group_can_replay(bench: Bench) -> Result<Ran> {
    let can = bench.a.capability();
    if !can.replay || !can.group {
        return Ok(NO_REPLAY);
    }
    let topic = topic("group-replay");
    for n in 0..10 {
        publish(&bench.a, &topic, "", n).await?;
    }
    let options = Options::default().group("g").from(Begin::First);
    let mut sub = subscribe(&bench.b, &topic, options).await?;
    publish(&bench.a, &topic, "", 10).await?;
    assert_eq!(numbers(&mut sub, 11).await?, (0..11).collect::<Vec<_>>());
    Ok(Ran::Yes)
}

pub(super) async fn options_that_are_not_claimed_are_refused(bench: Bench) -> Result<Ran> {
    let (topic, can) = (topic("options"), bench.a.capability());
    for (options, claimed) in [
        (Options::default().group("g"), can.group),
        (Options::default().durable("d"), can.durable),
        (Options::default().from(Begin::First), can.replay),
        (Options::default().from(Begin::Time(std::time::SystemTime::now())), can.replay),
    ] {
        let answer = bench.a.subscribe(&topic, options.clone()).await.err().map(|e| e.kind());
        assert_eq!(answer, (!claimed).then_some(Kind::Unsupported), "{options:?}");
    }
    let both = bench.a.subscribe(&topic, Options::default().group("g").durable("d")).await;
    assert_eq!(both.err().map(|e| e.kind()), Some(Kind::BadRequest));
    Ok(Ran::Yes)
}
